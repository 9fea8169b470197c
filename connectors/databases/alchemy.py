"""Read any database SQLAlchemy knows row by row, each value as its exact text; where no faster way is at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.databases.batches import float_id
from connectors.databases.engines import connected
from connectors.databases.reader import ReaderOptions
from connectors.databases.values import texts
from connectors.rows import CHUNK, Reject, clean, record_batch
from schemas.values import DETAIL, REJECT

_FETCH = 1_000  # rows asked for at once; a batch gathers many of them
_CELLS = 1_000_000  # values in one batch, so that a table of a thousand columns fits
_AS_IS = (sa.String, sa.LargeBinary)  # what a driver hands over unchanged; cast would cut padding or fail
_SPEAKS_TEXT = ("postgresql", "opengauss")  # any value may be cast to text there
_ODD = (sa.JSON, sa.Enum)  # strings to SQLAlchemy, not to the database


def open_reader(url: sa.URL, options: ReaderOptions) -> Alchemy:
    """A reader for any SQLAlchemy URL."""
    return Alchemy(url, options)


@dataclass(frozen=True, slots=True)
class Alchemy:
    """Rows through SQLAlchemy Core."""

    url: sa.URL
    options: ReaderOptions

    def selected(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        """PostgreSQL itself writes infinity, NaN, BC dates and wide numerics, some of which psycopg cannot hold."""
        if self.url.get_backend_name() not in _SPEAKS_TEXT or (isinstance(kind, _AS_IS) and not isinstance(kind, _ODD)):
            return column
        return sa.cast(column, sa.Text).label(column.name)

    def rows(self, statement: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows in batches bounded by rows, values and bytes."""
        names = [str(column.name) for column in statement.selected_columns]
        most = max(1, min(CHUNK, _CELLS // max(1, len(names))))
        empty = True
        with connected(self.url, self.options) as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=min(_FETCH, most))
            gathered: list[list[str | None]] = [[] for _ in names]
            rejects: dict[int, Reject] = {}
            size = 0
            for rows in streaming.execute(statement).partitions():
                size += self._gather(names, rows, gathered, rejects)
                if len(gathered[0]) >= most or size >= self.options.batch_bytes:
                    yield _batch(names, gathered, rejects)
                    gathered, rejects, size, empty = [[] for _ in names], {}, 0, False
            if gathered[0] or empty:
                yield _batch(names, gathered, rejects)

    def _gather(
        self,
        names: Sequence[str],
        rows: Sequence[sa.Row[Any]],
        gathered: list[list[str | None]],
        rejects: dict[int, Reject],
    ) -> int:
        first, size = len(gathered[0]), 0
        for name, column, into in zip(names, zip(*rows, strict=True), gathered, strict=True):
            found = texts(column, self.options.bytes)
            into.extend(found)
            size += sum(map(len, filter(None, found)))
            if name in self.options.identifiers:
                for at, value in enumerate(column, first):
                    if isinstance(value, float):
                        rejects.setdefault(at, float_id("", name, repr(value)))
        return size


def _batch(names: Sequence[str], columns: list[list[str | None]], rejects: dict[int, Reject]) -> pa.RecordBatch:
    try:
        made = record_batch(names, columns, 1, rejects).rows
    except UnicodeEncodeError:
        made = record_batch(names, clean(names, columns, rejects, ""), 1, rejects).rows
    return made.select([*names, *([REJECT, DETAIL] if rejects else [])])
