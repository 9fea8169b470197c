"""Fetch a query through an ODBC driver as Arrow text: nothing is cut, rounded or waited for without end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from connectors.databases.errors import driver_missing, explained, scrub
from connectors.databases.reader import MIB, ReaderOptions
from connectors.errors import SourceError
from connectors.rows import CHUNK

if TYPE_CHECKING:
    from arrow_odbc import BatchReader  # type: ignore[import-untyped]

SHORT = 1_000  # characters that are given to every value without looking
_TRANSIT = 64 * MIB  # bytes the rows take on their way, in the widths the driver declares
_UNITS = 2  # UTF-16 units a character may need
_STATE = re.compile(r"State: (\w{5})")
_NO_DRIVER = ("IM002", "IM003", "IM004")
_UNLOADABLE = re.compile(r"can't open lib|file not found", re.IGNORECASE)
_CUT = re.compile(r"too large to be written|truncat", re.IGNORECASE)
_NOT_ONE_ROW = re.compile(r"single row|max_bytes_per_batch", re.IGNORECASE)
# ODBC has states of its own where SQL has others.
_AS_SQL = {"42S02": "42P01", "HYT01": "08001", "S0002": "42P01"}


class _Said(Exception):
    """What the driver said, with its SQLSTATE where the rest of the code looks for it."""

    def __init__(self, words: str) -> None:
        super().__init__(" ".join(words.split()))
        found = _STATE.search(words)
        state = found[1] if found else ""
        self.sqlstate = _AS_SQL.get(state, state)


@dataclass(frozen=True, slots=True)
class Odbc:
    """A data source: the connection string without account and password, and `system` to name it in messages."""

    connect: str
    system: sa.URL = field(repr=False)
    options: ReaderOptions

    def columns(self, query: str) -> pa.Schema:
        """Names and types of what `query` yields, as the driver declares them."""
        with self._open(query, SHORT, 1, None, as_text=False) as reader:
            return reader.schema

    def number(self, query: str) -> int:
        """The largest of the numbers in the only row of `query`, nulls aside; 0 when there is none."""
        with self._open(query, SHORT, 1, None) as reader:
            found = [value for batch in reader for row in batch.to_pylist() for value in row.values()]
        return max((int(value) for value in found if value is not None), default=0)

    def rows(self, query: str, names: Sequence[str], longest: int) -> Iterator[pa.RecordBatch]:
        """The rows of `query`, columns called `names`, no value longer than `longest` characters or bytes."""
        size = max(SHORT, _UNITS * longest)
        held: list[pa.RecordBatch] = []
        empty = True
        with self._reading(query, size) as reader:
            for batch in reader:
                held.append(batch)
                if (
                    sum(each.nbytes for each in held) >= self.options.batch_bytes
                    or sum(each.num_rows for each in held) >= CHUNK
                ):
                    yield _joined(held, names)
                    held, empty = [], False
            if empty and not held:
                held = [pa.RecordBatch.from_arrays([pa.nulls(0, each.type) for each in reader.schema], names=names)]
        if held:
            yield _joined(held, names)

    @contextmanager
    def _reading(self, query: str, size: int) -> Iterator[BatchReader]:
        """As many rows at once as fit; one by one where not even one does."""
        rows = CHUNK // 5
        try:
            opened = self._reader(query, size, rows, _TRANSIT, as_text=True)
        except SourceError as error:
            if not _NOT_ONE_ROW.search(error.en):
                raise
            opened = self._reader(query, size, 1, None, as_text=True)
        with self._explaining(size):
            yield opened

    @contextmanager
    def _open(
        self, query: str, size: int, rows: int, most: int | None, *, as_text: bool = True
    ) -> Iterator[BatchReader]:
        opened = self._reader(query, size, rows, most, as_text=as_text)
        with self._explaining(size):
            yield opened

    def _reader(self, query: str, size: int, rows: int, most: int | None, *, as_text: bool) -> BatchReader:
        try:
            from arrow_odbc import TextEncoding, read_arrow_batches_from_odbc
        except ImportError as error:
            raise driver_missing(self.system, error, "odbc") from error
        options = self.options
        with self._explaining(size):
            return read_arrow_batches_from_odbc(
                query=query,
                connection_string=self.connect,
                user=self.system.username,
                password=str(self.system.password) if self.system.password else None,
                batch_size=rows,
                max_bytes_per_batch=most,
                max_text_size=size,
                max_binary_size=size,
                login_timeout_sec=max(1, round(options.connect_timeout)),
                query_timeout_sec=round(options.statement_timeout) or None,
                # A date or decimal of ours dies in the conversion where a strange one of theirs comes.
                map_schema=_texts if as_text else None,
                # What narrow text means differs from driver to driver and with the locale.
                payload_text_encoding=TextEncoding.UTF16,
                fetch_concurrently=False,  # reading ahead is done by whoever asks
            )

    @contextmanager
    def _explaining(self, size: int) -> Iterator[None]:
        from arrow_odbc import Error

        try:
            yield
        except Error as error:
            raise self._explained(error.message(), size) from None

    def _explained(self, words: str, size: int) -> SourceError:
        said = _Said(words)
        system = self.system.render_as_string(hide_password=True)
        shown = scrub(str(said), str(self.system.password or ""))
        if said.sqlstate in _NO_DRIVER or _UNLOADABLE.search(words):
            return SourceError(
                "SRC-DRIVER",
                zh=f"无法载入 {system} 的 ODBC 驱动：{shown}",
                en=f"the ODBC driver of {system} cannot be loaded: {shown}",
                fix_zh="请安装数据库厂商的 ODBC 驱动并在 odbcinst.ini 中登记；用 odbcinst -q -d 查看已登记的名称",
                fix_en="Install the vendor's ODBC driver and register it in odbcinst.ini; `odbcinst -q -d` lists "
                "the names that are registered.",
            )
        if _CUT.search(words):
            return SourceError(
                "SRC-ODBC-LONG",
                zh=f"{system} 中有值超过 {size} 个字符或驱动声明的长度，读取已停止，没有截断任何值：{shown}",
                en=f"{system} holds a value longer than {size} characters or than the driver declares; "
                f"reading stopped, nothing was cut: {shown}",
                fix_zh="请加大 source.text_limit，或在连接串中放宽驱动自己的上限（如 MaxLongVarcharSize=0）；"
                "若数据在读取时变长，重新运行即可",
                fix_en="Raise source.text_limit, or widen the driver's own limit in the connection string (such as "
                "MaxLongVarcharSize=0); if the value grew while it was read, run again.",
            )
        return explained(said, self.system, connecting="SQLDriverConnect" in words)


def _texts(schema: pa.Schema) -> pa.Schema:
    """Every column as text, so that it is the driver that writes it; bytes stay bytes."""
    return pa.schema([each.with_type(pa.binary() if _raw(each.type) else pa.string()) for each in schema])


def _raw(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _joined(batches: Sequence[pa.RecordBatch], names: Sequence[str]) -> pa.RecordBatch:
    whole = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
    return pa.RecordBatch.from_arrays(whole.columns, names=list(names))
