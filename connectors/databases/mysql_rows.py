"""Make Arrow columns of MySQL rows as they lie in a block of bytes, a whole column at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.databases.mysql_columns import RECEIVED
from connectors.databases.mysql_wire import Block, Places, malformed

ROWS = 65_536  # in a batch
_NULL = 0xFB  # instead of a length: no value
# Other signs instead of a length, and the bytes it then has.
_WIDTHS = ((0xFC, 2), (0xFD, 3), (0xFE, 8))


@dataclass(frozen=True, slots=True)
class Column:
    """What becomes of a column: bytes stay bytes; floating-point numbers, also of four bytes, are spelt as by Arrow."""

    name: str
    is_bytes: bool = False
    is_float: bool = False
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch, and the places of the columns where bytes were no UTF-8, which are marked as `shown` knows them."""

    batch: pa.RecordBatch
    marked: frozenset[int]


def taken(block: Block, columns: Sequence[Column], marker: str) -> Iterator[Taken]:
    """The rows of a block, ROWS at a time; what does not fit the columns is PyMySQL's error."""
    for first in range(0, len(block.starts), ROWS):
        starts, ends = (places[first : first + ROWS] for places in (block.starts, block.ends))
        try:
            values = _raw(block.data, starts, ends, len(columns))
        except IndexError:
            malformed()
        with contextlib.suppress(pa.ArrowInvalid):  # column by column it is then
            values = values if any(column.is_bytes for column in columns) else values.cast(pa.string())
        worded = [
            _worded(values.slice(at * len(starts), len(starts)), column, marker) for at, column in enumerate(columns)
        ]
        batch = pa.RecordBatch.from_arrays([array for array, _ in worded], names=[each.name for each in columns])
        yield Taken(batch, frozenset(at for at, (_, odd) in enumerate(worded) if odd))


def empty(columns: Sequence[Column]) -> pa.RecordBatch:
    """No rows."""
    schema = pa.schema([(column.name, pa.binary() if column.is_bytes else pa.string()) for column in columns])
    return pa.RecordBatch.from_pylist([], schema)


def _raw(data: bytearray, starts: Places, ends: Places, columns: int) -> pa.Array:
    """The bytes of all values of the first column, then of the second; each row has to end where its last value does.

    One array, because Arrow takes all values at once in half the time.
    """
    rows = len(starts)
    signs, at = np.frombuffer(data, np.uint8), starts.copy()
    places = np.empty((columns, rows, 2), np.int32)  # where each value begins and ends
    null = np.zeros((columns, rows), np.bool_)
    for place, absent in zip(places, null, strict=True):
        sizes = _measured(signs, at, absent)
        place[:, 0] = at
        at += sizes
        place[:, 1] = at
    if not np.array_equal(at, ends):  # until this is known, Arrow must not see them: it would read what is not ours
        malformed()
    count = columns * rows
    # Every other stretch between two places is a value; the rest are lengths.
    stretches = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(places), pa.py_buffer(data)])
    there = pa.py_buffer(np.packbits(~null.ravel(), bitorder="little")) if null.any() else None
    wanted = pa.Array.from_buffers(pa.int32(), count, [there, pa.py_buffer(np.arange(0, 2 * count, 2, dtype=np.int32))])
    return pc.take(stretches, wanted, boundscheck=False)


def _measured(signs: np.ndarray, at: Places, absent: npt.NDArray[np.bool_]) -> np.ndarray:
    """The bytes each value has; moves `at` from the lengths to the values, and notes the absent ones."""
    sizes = signs.take(at)
    at += 1
    if sizes.max() < _NULL:
        return sizes
    np.equal(sizes, _NULL, out=absent)
    long = np.flatnonzero(sizes > _NULL)
    sizes[absent] = 0
    if len(long):
        first, sizes = sizes, sizes.astype(np.int64)
        for sign, width in _WIDTHS:
            here = long[first[long] == sign]
            where = at[here]
            sizes[here] = sum(signs.take(where + byte).astype(np.int64) << 8 * byte for byte in range(width))
            at[here] += width
        if first.max() > _WIDTHS[-1][0] or not 0 <= sizes.min() <= sizes.max() <= len(signs):
            malformed()
    return sizes


def _worded(raw: pa.Array, column: Column, marker: str) -> tuple[pa.Array, bool]:
    """The column as text, or as it is, and whether there were bytes that are none."""
    if column.is_bytes:
        return raw, False
    try:
        text = raw.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_read(value, marker) for value in raw.to_pylist()], pa.string()), True
    if not column.is_float:
        return text, False
    number = text.cast(pa.float64())
    return (number.cast(pa.float32(), safe=False) if column.is_single else number).cast(pa.string()), False


def _read(value: bytes | None, marker: str) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"{marker}{RECEIVED}{value.hex()}"
