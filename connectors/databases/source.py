"""One table or view of a departmental database: planned, read by the fastest driver, every value as its exact text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from connectors.databases.ahead import Ahead
from connectors.databases.batches import Batches
from connectors.databases.choice import READERS, Choice, chosen
from connectors.databases.cursor import Bound, lag_of, lowered, recalled, remembered
from connectors.databases.engines import connected
from connectors.databases.guards import guarded, may_be_long
from connectors.databases.reader import ReaderOptions
from connectors.databases.tables import Table, estimates, listed_tables, located, reflected
from connectors.databases.values import BYTES
from connectors.errors import SourceError, changed
from connectors.options import Options, Secrets, secret, wrong
from connectors.rows import check_names, first_rows
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = (
    "table", "columns", "where", "cursor", "identifiers", "order_by", "bytes", "reader", "timeouts", "max_field_bytes",
)  # fmt: skip
_COUNTED = 1_000_000  # above that the server's own estimate is enough


def open_sql(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> SqlSource:
    """A source of kind `sql`; OPTIONS are allowed. The connection has `url` and, if needed, `password_secret`."""
    written = connection.get("url")
    if not isinstance(written, str):
        raise wrong("connection.url", "须写明", "must be written", ("url", "password_secret"))
    try:
        url = sa.engine.make_url(written)
    except exc.ArgumentError:
        raise wrong("connection.url", "不是数据库地址", "is no database address", ("dialect+driver://…",)) from None
    named = connection.get("password_secret")
    if isinstance(named, str):
        url = url.set(password=secret(secrets, named))
    cursor = options.get("cursor")
    plain: dict[str, Json] = {**options, "cursor": {"column": cursor} if isinstance(cursor, str) else cursor}
    return SqlSource(Options(plain, OPTIONS), url)


def _reader_options(options: Options) -> ReaderOptions:
    plain = ReaderOptions()
    timeouts = options.under("timeouts", ("connect", "statement", "silence"))
    return ReaderOptions(
        bytes=options.choice("bytes", plain.bytes, BYTES),
        connect_timeout=timeouts.number("connect", plain.connect_timeout) if timeouts else plain.connect_timeout,
        statement_timeout=timeouts.number("statement", plain.statement_timeout)
        if timeouts
        else plain.statement_timeout,
        silence_timeout=timeouts.number("silence", plain.silence_timeout) if timeouts else plain.silence_timeout,
        max_field_bytes=options.whole("max_field_bytes", plain.max_field_bytes, 1),
        identifiers=options.names("identifiers"),
    )


class SqlSource:
    """One table or view, read whole or by a growing cursor column."""

    def __init__(self, options: Options, url: sa.URL) -> None:
        self._url = url
        self._system = url.render_as_string(hide_password=True)
        self._name = options.text("table")
        self._columns = options.names("columns")
        self._where = options.maybe("where")
        self._order = options.names("order_by") if options.has("order_by") else None
        self._reading = _reader_options(options)
        self._want = options.choice("reader", "auto", READERS)
        self._reader: Choice | None = None
        cursor = options.under("cursor", ("column", "lag"))
        self._cursor = cursor.text("column") if cursor else None
        self._lag = lag_of(cursor)

    def check(self) -> list[Check]:
        """Whether the database answers and lets us in, and whether the table and its columns are there."""
        lines: list[Check] = []
        steps: list[tuple[str, Callable[[], str]]] = [
            ("login", self._greet),
            ("table", lambda: ", ".join(self._table().types)),
            ("read", lambda: f"{self.preview(1).num_rows} row"),
        ]
        for name, step in steps:
            try:
                said = step()
            except SourceError as error:
                return [
                    *lines,
                    Check(name, ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}"),
                ]
            lines.append(Check(name, ok=True, zh=f"{self._name}：{said}", en=f"{self._name}: {said}"))
        if note := self._choice().note:
            lines.append(Check("driver", ok=True, zh=note[0], en=note[1]))
        return lines

    def discover(self) -> list[StreamInfo]:
        """Every table and view of the default schema: columns, keys, comments, rows, likely cursors."""
        with self._connected() as connection:
            return listed_tables(sa.inspect(connection), connection)

    def stream(self) -> StreamInfo:
        """The table or view that is read."""
        table = self._table()
        return replace(table.info(columns=self._columns), name=self._name)

    def preview(self, rows: int = 20) -> pa.Table:
        """The first rows in reading order."""
        table = self._table()
        return first_rows(self._batches(table, None, None, limit=rows), rows)

    def estimate(self) -> int | None:
        """Rows that fit `where`: counted by the database, or its own estimate of a large table read whole."""
        table = self._table()
        counted = sa.select(sa.func.count()).select_from(table.selectable())
        with self._connected() as connection:
            about = 0 if self._where or table.schema else estimates(connection).get(table.name, 0)
            if about >= _COUNTED:
                return about
            return int(connection.execute(self._filtered(counted)).scalar_one())

    def plan(self, position: Position | None) -> list[Split]:
        """One split: the whole table, or what lies between the last cursor value less its lag and the highest one now.

        The lag is read again each time, because rows that commit late lie there; the same rows make the same batch.
        """
        if self._cursor is None:
            return [Split(self._name)]
        high = self._highest(self._cursor)
        low = recalled(position.cursor.get("high")) if position else None
        if high is None:
            return [] if low is not None else [Split(self._name)]
        if low is not None and type(low) is not type(high):
            low = None  # the column changed its type: read everything once
        start = lowered(low, self._lag) if low is not None else None
        if start is not None and start == high:
            return []
        bounds: dict[str, Json] = {"high": dict(remembered(high))}
        if start is not None:
            bounds["from"] = dict(remembered(start))
        return [Split(f"{self._name}@{high}", bounds)]

    def read(self, split: Split) -> Iterator[Batch]:
        """The rows of the split; the position comes with the last batch."""
        table = self._table()
        low, high = recalled(split.options.get("from")), recalled(split.options.get("high"))
        cursor = {"high": split.options["high"]} if high is not None else {}
        held: Batch | None = None
        for batch in self._batches(table, low, high):
            if held is not None:
                yield held
            held = batch
        if held is not None:
            yield replace(held, position=Position(cursor))

    def close(self) -> None:
        """Nothing is held between two reads."""

    def _choice(self) -> Choice:
        if self._reader is None:
            self._reader = chosen(self._url, self._want, self._reading)
        return self._reader

    def _batches(
        self, table: Table, low: Bound | None, high: Bound | None, limit: int | None = None
    ) -> Iterator[Batch]:
        reader, make = self._choice().reader, self._making(table)
        statement = self._select(table, low, high, make)
        if limit is not None:
            statement = statement.limit(limit)
        fetched = Ahead(
            lambda: reader.rows(statement),
            self._system,
            limit=4 * self._reading.batch_bytes,
            silence=self._reading.silence_timeout,
        )
        first = 1
        try:
            for rows in fetched:
                yield make.batch(rows, first)
                first += rows.num_rows
        finally:
            fetched.close()

    def _making(self, table: Table) -> Batches:
        limit = self._reading.max_field_bytes
        typed = self._url.get_backend_name() != "sqlite"  # there a column may hold anything, the reader looks
        floats = [name for name in self._reading.identifiers if typed and isinstance(table.types.get(name), sa.Float)]
        with self._connected() as connection:
            long = may_be_long(connection, table, limit)
        return Batches(self._name, self._reading.bytes, limit, floats, guarded=long)

    def _select(self, table: Table, low: Bound | None, high: Bound | None, make: Batches) -> sa.Select[Any]:
        rows, reader, dialect = table.selectable(), self._choice().reader, self._url.get_backend_name()
        selected = []
        for name in self._columns or tuple(table.types):
            kind, column = table.types[name], rows.c[name]
            written = reader.selected(column, kind)
            if make.guarded:
                written = guarded(written, column, kind, dialect, marker=make.marker, limit=make.limit)
            selected.append(written)
        statement = self._filtered(sa.select(*selected).select_from(rows))
        if self._cursor and high is not None:
            cursor = rows.c[self._cursor]
            window = cursor <= sa.bindparam("high", high)
            if low is not None:
                window = sa.and_(window, cursor >= sa.bindparam("low", low))
            # A row without a cursor value can never be known to be read: it is read every time.
            statement = statement.where(sa.or_(window, cursor.is_(None)))
        order = table.order if self._order is None else self._order
        return statement.order_by(*(rows.c[name] for name in order))

    def _filtered(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        # The data manager's own SQL; literal_column leaves colons in it alone, where text() would look for parameters.
        return statement.where(sa.literal_column(f"({self._where})", sa.Boolean)) if self._where else statement

    def _highest(self, column: str) -> Bound | None:
        rows = self._table().selectable()
        with self._connected() as connection:
            highest = self._filtered(sa.select(sa.func.max(rows.c[column])))
            value: Bound | None = connection.execute(highest).scalar_one()
        if isinstance(value, float) or (value is not None and not isinstance(value, Bound)):
            kind = type(value).__name__
            raise wrong("source.cursor.column", f"的类型 {kind} 不能作游标", f"has type {kind}, which is no cursor")
        return value

    def _table(self) -> Table:
        """Reflect the table now; SourceChanged when it or a column an option names is not there."""
        with self._connected() as connection:
            inspector = sa.inspect(connection)
            schema, name = located(inspector, self._name, self._system)
            table = reflected(inspector, name, schema)
        named = [
            *self._columns,
            *self._reading.identifiers,
            *(self._order or ()),
            *([self._cursor] if self._cursor else []),
        ]
        lost = [name for name in dict.fromkeys(named) if name not in table.types]
        if lost:
            raise changed(("列", "column"), self._name, lost, list(table.types))
        check_names(self._columns or list(table.types), self._name)
        return table

    def _greet(self) -> str:
        with self._connected() as connection:
            connection.execute(sa.select(sa.literal(1)))
            return self._system

    def _connected(self) -> AbstractContextManager[sa.Connection]:
        return connected(self._url, self._reading)
