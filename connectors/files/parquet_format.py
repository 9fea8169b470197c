"""Read Parquet files: every typed value as the exact text of it, nested ones as JSON."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.errors import SourceError
from connectors.files.archive import unspooled
from connectors.files.format import MAX_FIELD_BYTES
from connectors.options import Options
from connectors.rest_json import Number, written
from connectors.rows import ESCAPE, Reject, arrow_batch, as_json, check_names, damaged, visible
from schemas.values import Batch, Check

OPTIONS = ("bytes", "max_field_bytes")
PATTERNS = ("*.parquet", "*.parq")
SHOWN = 1_000  # characters of a rejected record kept in its line
_BUFFER = 1 << 20
_NO_TIME = "<value out of range"  # what Arrow writes for a time that no calendar has
_BYTES = ("utf-8", "gb18030", "hex")


def open_format(options: Options) -> ParquetFormat:
    """Parquet; `bytes` says what columns of bytes are: text in UTF-8 (Hive, Impala) or GB18030, or shown in hex."""
    longest = options.whole("max_field_bytes", MAX_FIELD_BYTES, least=1)
    return ParquetFormat(options.choice("bytes", _BYTES[0], _BYTES), longest)


class ParquetFormat:
    """Parquet files, a batch at a time: a row group need not fit into memory."""

    patterns: tuple[str, ...] = PATTERNS

    def __init__(self, encoding: str, longest: int) -> None:
        self._encoding, self._longest = encoding, longest

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one file. It is copied to a temporary file first: a Parquet file is read from its end."""
        with tempfile.TemporaryFile(prefix="shutong-parquet-") as copy:
            try:
                shutil.copyfileobj(file, copy, _BUFFER)
                copy.flush()
            except OSError as error:
                raise unspooled(name, error) from error
            copy.seek(0)
            try:
                yield from self._read(pq.ParquetFile(copy), name, size)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
                raise _broken(name, error) from error

    def checks(self, head: bytes) -> list[Check]:
        """Nothing: what a Parquet file holds is said at its end."""
        del head
        return []

    def _read(self, file: pq.ParquetFile, name: str, size: int) -> Iterator[Batch]:
        names = [visible(column) for column in file.schema_arrow.names]
        check_names(names, name)
        first = 1
        for rows in file.iter_batches(batch_size=size):
            yield self.batch(rows, names, first)
            first += rows.num_rows
        if first == 1:
            yield arrow_batch(names, [pa.nulls(0, pa.string())] * len(names), 0, 1, {})

    def batch(self, rows: pa.RecordBatch, names: Sequence[str], first: int) -> Batch:
        """The rows as text under `names`, `_row` counting from `first`."""
        columns: list[pa.Array] = []
        wrong: dict[int, tuple[str, str]] = {}
        for name, column in zip(names, rows.columns, strict=True):
            texts, bad = self._texts(column)
            for at in bad:
                shown = texts[at].as_py()
                if shown is None:
                    zh, en = (
                        f"列 {name} 含超出日期范围或无法解码的值",
                        f"column {name} holds a value beyond any calendar",
                    )
                    wrong.setdefault(at, ("type_unreadable", f"{zh} | {en}, or undecodable bytes"))
                    continue
                detail = f"列 {name} 含无法解码的字节 | column {name} holds undecodable bytes: {shown[:SHOWN]}"
                wrong.setdefault(at, ("bad_bytes", detail))
            sizes = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
            large = np.flatnonzero(sizes > self._longest)
            for at in large.tolist():
                zh = f"列 {name} 有 {sizes[at]} 字节，超过 max_field_bytes（{self._longest}）"
                en = f"column {name} holds {sizes[at]} bytes, more than max_field_bytes ({self._longest})"
                wrong.setdefault(at, ("field_size", f"{zh} | {en}"))
            columns.append(_without(texts, large))
        rejects = {
            at: Reject(rule, _numbered(detail, first + at), as_json(names, [column[at].as_py() for column in columns]))
            for at, (rule, detail) in sorted(wrong.items())
        }
        return arrow_batch(names, columns, rows.num_rows, first, rejects)

    def _texts(self, column: pa.Array) -> tuple[pa.Array, list[int]]:
        """A column as text, and the places of values that hold undecodable bytes."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind, is_ = column.type, pa.types
        if (
            is_.is_binary(kind)
            or is_.is_large_binary(kind)
            or is_.is_fixed_size_binary(kind)
            or is_.is_binary_view(kind)
        ):
            return self._from_bytes(column.cast(pa.binary()))
        if is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind):
            return _utf8(column.cast(pa.binary()))  # a file may claim UTF-8 and not hold it
        if is_.is_decimal(kind):
            texts = _plain_digits(column)
        elif is_.is_timestamp(kind) or is_.is_time(kind):
            texts = pc.replace_substring_regex(column.cast(pa.string()), r"\.0+(Z|[+-]\d+)?$", r"\1")
            odd = np.flatnonzero(pc.fill_null(pc.starts_with(texts, _NO_TIME), False).to_numpy(zero_copy_only=False))  # noqa: FBT003
            return _without(texts, odd), odd.tolist()
        elif is_.is_nested(kind) or is_.is_duration(kind) or is_.is_interval(kind):
            return _told(column)
        else:
            texts = column.cast(pa.string())
        return texts, []

    def _from_bytes(self, column: pa.Array) -> tuple[pa.Array, list[int]]:
        if self._encoding == "utf-8":
            return _utf8(column)
        values = column.to_pylist()
        if self._encoding == "hex":
            return pa.array([None if value is None else value.hex() for value in values], pa.string()), []
        return _escaped(values, self._encoding)


def _utf8(column: pa.Array) -> tuple[pa.Array, list[int]]:
    try:
        return column.cast(pa.string()), []
    except pa.ArrowInvalid:
        return _escaped(column.to_pylist(), "utf-8")


def _escaped(values: Sequence[bytes | None], encoding: str) -> tuple[pa.Array, list[int]]:
    texts = [None if value is None else value.decode(encoding, ESCAPE) for value in values]
    bad = [at for at, text in enumerate(texts) if text is not None and damaged(text)]
    return pa.array([None if text is None else visible(text) for text in texts], pa.string()), bad


def _plain_digits(column: pa.Array) -> pa.Array:
    """Decimals with every digit and no exponent."""
    texts = column.cast(pa.string())
    odd = np.flatnonzero(pc.fill_null(pc.match_substring(texts, "E"), False).to_numpy(zero_copy_only=False))  # noqa: FBT003
    if not len(odd):
        return texts
    mask = np.zeros(len(texts), bool)
    mask[odd] = True
    plain = [format(column[at].as_py(), "f") for at in odd.tolist()]
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(plain, pa.string()))


def _told(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """Nested values as JSON, and the places of those that Python cannot hold, such as a date after the year 9999."""
    texts: list[str | None] = []
    bad: list[int] = []
    for at, scalar in enumerate(column):
        try:
            value = scalar.as_py()
            texts.append(None if value is None else written(exact(value)))
        except (OverflowError, ValueError):  # bytes that are no UTF-8 too
            texts.append(None)
            bad.append(at)
    return pa.array(texts, pa.string()), bad


def exact(value: object) -> object:
    """A nested value as what `written` turns into JSON: decimals as numbers, dates and bytes as texts."""
    if isinstance(value, Mapping):
        return {str(key): exact(of) for key, of in value.items()}
    if isinstance(value, list | tuple):  # an entry of a map is a tuple
        return [exact(of) for of in value]
    if isinstance(value, Decimal):
        return Number(format(value, "f"))
    if isinstance(value, dt.date | dt.time):
        return value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _without(column: pa.Array, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    """The column with nothing at some places."""
    if not len(places):
        return column
    mask = np.zeros(len(column), bool)
    mask[places] = True
    return pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), column)


def _numbered(detail: str, row: int) -> str:
    zh, _, en = detail.partition(" | ")
    return f"第 {row} 条：{zh} | record {row}: {en}"


def _broken(name: str, error: Exception) -> SourceError:
    return SourceError(
        "SRC-FILE-PARQUET",
        zh=f"{name} 不是完整的 Parquet 文件：{error}",
        en=f"{name} is not a whole Parquet file: {error}",
        fix_zh="本次不采集；请来源部门重新投放该文件",
        fix_en="Nothing was taken; ask the department to drop the file again.",
    )
