"""Turn what database drivers return into the exact text of the value."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa

from connectors.rows import ESCAPE

BYTES = ("hex", "utf-8", "gb18030")


def texts(values: Sequence[object], encoding: str) -> list[str | None]:
    """One column as text, null where the database has null; `encoding` is how bytes become text (one of BYTES)."""
    return [value if value is None or type(value) is str else text(value, encoding) for value in values]


def text(value: object, encoding: str) -> str:
    """One value as text: decimals with every digit, dates ISO, floats as the shortest text that reads back the same.

    Undecodable bytes become lone surrogates, which `rows.clean` reports as bad_bytes.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        return raw.hex() if encoding == "hex" else raw.decode(encoding, ESCAPE)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return repr(value) if isinstance(value, float) else str(value)


def unhexed(column: pa.Array) -> pa.Array:
    """Bytes out of a column of hexadecimal digits; what is no such text comes as its own bytes."""
    return pa.array([None if value is None else _bytes_of(value) for value in column.to_pylist()], pa.binary())


def _bytes_of(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value.encode()
