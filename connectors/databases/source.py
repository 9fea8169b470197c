"""One table or view of a departmental database: planned, read by the fastest driver, every value as its exact text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.databases import postgres
from connectors.databases.address import address, reader_options
from connectors.databases.ahead import Ahead
from connectors.databases.batches import Batches
from connectors.databases.choice import READERS, Choice, chosen
from connectors.databases.cursor import Bound
from connectors.databases.engines import connected
from connectors.databases.examination import active_sessions, examined
from connectors.databases.guards import guarded, may_be_long, unlimited
from connectors.databases.ranges import Range, bounds, moments, recalled
from connectors.databases.reader import Reader
from connectors.databases.snapshot import Snapshot, quoted
from connectors.databases.tables import Table, about, listed_tables, located, reflected
from connectors.databases.usable import latest_of, unusable
from connectors.databases.windows import Cursor, Window, recalled_window
from connectors.errors import SourceError, changed
from connectors.options import Options, Secrets, wrong
from connectors.rows import check_names, first_rows
from connectors.tried import first_row, tried
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = (
    "table", "columns", "where", "cursor", "identifiers", "order_by", "bytes", "reader", "timeouts", "max_field_bytes",
    "split_rows", "parallel",
)  # fmt: skip
_COUNTED = 1_000_000  # above that the server's own estimate is enough
_READ_AHEAD = 256 << 20  # bytes that may wait while ranges are read in parallel
_PARALLEL_ROWS = 250_000  # then ranges are small, so that whole ones can wait
# What a position holds while ranges are left. Whoever keeps positions adds each to the one before, so the last one
# says that they are no more.
_UNFINISHED = ("range", "window")
_Fetching = tuple[Ahead, Batches]


def open_sql(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> SqlSource:
    """A source of kind `sql`; OPTIONS are allowed. The connection has `url` and, if needed, `password_secret`."""
    cursor = options.get("cursor")
    plain: dict[str, Json] = {**options, "cursor": {"column": cursor} if isinstance(cursor, str) else cursor}
    return SqlSource(Options(plain, OPTIONS), address(connection, secrets))


class SqlSource:
    """One table or view, read whole or by a growing cursor column."""

    def __init__(self, options: Options, url: sa.URL) -> None:
        self._url = url
        self._system = url.render_as_string(hide_password=True)
        self._name = options.text("table")
        self._columns = options.names("columns")
        self._where = options.maybe("where")
        self._order = options.names("order_by") if options.has("order_by") else None
        self._reading = reader_options(options)
        self._want = options.choice("reader", "auto", READERS)
        self._reader: Choice | None = None
        self._split_rows = options.whole("split_rows", 2_000_000, 1)
        self._parallel = options.whole("parallel", 1, 1)
        cursor = options.under("cursor", ("column", "lag", "bound"))
        self._cursor = Cursor(cursor, url, self._reading) if cursor else None
        self._planned: list[Split] = []
        self._running: dict[str, _Fetching] = {}
        self._snapshot: Snapshot | None = None
        self._pin: postgres.Pin | None = None

    def check(self) -> list[Check]:
        """Whether the database answers and lets us in, and whether the table and its columns are there."""
        lines = tried(
            self._name,
            {
                "login": self._greet,
                "table": lambda: ", ".join(self._table().types),
                "read": lambda: first_row(self.preview(1).num_rows),
            },
        )
        if not all(line.ok for line in lines):
            return lines
        table = self._table()
        if self._cursor is not None:
            lines.append(self._cursor.check(table, lambda cursor: self._highest(table, cursor)[0]))
        if not isinstance(self._choice().reader, postgres.Postgres) and self._ranges(table, self._asked()):
            lines.append(moments(self._name))
        if note := self._choice().note:
            lines.append(Check("driver", ok=True, zh=note[0], en=note[1]))
        with self._connected() as connection:
            return [*lines, *examined(connection)]

    def active(self) -> int | None:
        """Sessions at work in the database besides ours; None where the account may not see them."""
        with self._connected() as connection:
            return active_sessions(connection)

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
        return first_rows(self._batches(self._fetch(self._select(table, None, rows))), rows)

    def estimate(self) -> int | None:
        """Rows that fit `where`: counted by the database, or its own estimate of a large table read whole."""
        table = self._table()
        counted = sa.select(sa.func.count()).select_from(table.selectable())
        with self._connected() as connection:
            if not self._where and (rows := about(connection, table)) >= _COUNTED:
                return rows
            return int(connection.execute(self._filtered(counted)).scalar_one())

    def plan(self, position: Position | None) -> list[Split]:
        """The whole table, or what changed since `position` by the cursor; a large table in ranges of its key.

        A read that was broken off goes on with the ranges that are left.
        """
        kept = position.cursor if position else {}
        table, asked = self._table(), self._asked()
        resumed = recalled(kept.get("range"))
        if resumed is not None and resumed.asked == asked and resumed.storage == self._storage(table):
            window = recalled_window(kept.get("window"))
            ranges = [resumed, *resumed.following()]
        else:
            found = self._window(table, self._cursor, kept) if self._cursor else Window(None, None, {})
            if found is None:
                return []
            window = found
            ranges = self._ranges(table, asked) if window.low is None else []
        self._drop()
        if ranges and isinstance(self._choice().reader, postgres.Postgres):
            self._share(table)
        forget = [name for name in _UNFINISHED if ranges or name in kept]
        self._planned = self._splits(window, ranges, forget, ordered=not self._large(table, window))
        return self._planned

    def read(self, split: Split) -> Iterator[Batch]:
        """The rows of the split; the position comes with its last batch."""
        table = self._table()
        window, part = recalled_window(split.options.get("window")), recalled(split.options.get("range"))
        forget = split.options.get("forget")
        after: Mapping[str, Json] = {
            **window.after,
            **dict.fromkeys(map(str, forget) if isinstance(forget, list) else ()),
        }
        left = part.following() if part else []
        if left:
            after = {"window": window.remembered(), "range": left[0].remembered()}
        held: Batch | None = None
        for batch in self._batches(self._fetching(table, split)):
            if held is not None:
                yield held
            held = batch
        if held is not None:
            yield replace(held, position=Position(after))

    def close(self) -> None:
        """Let go of the snapshot and of what was read ahead; may be called twice."""
        self._drop()

    def _share(self, table: Table) -> None:
        """Let all ranges be read as of one moment, where the server can."""
        try:
            self._snapshot = Snapshot(self._url, self._reading)
        except SourceError as error:
            if error.code != "SRC-SQL-QUERY":  # a relative of PostgreSQL may have no such function
                raise
            return
        self._pin = self._snapshot.pin(table)

    def _drop(self) -> None:
        for ahead, _ in self._running.values():
            ahead.close()
        self._running.clear()
        self._pin, self._planned = None, []
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _asked(self) -> str:
        """A short name of what is read, so that a broken-off read of something else is not gone on with."""
        cursor = self._cursor.column if self._cursor else None
        asked = [self._system, self._name, list(self._columns), self._where, cursor, list(self._order or ())]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    def _storage(self, table: Table) -> str | None:
        if not isinstance(self._choice().reader, postgres.Postgres):
            return None
        with postgres.connected(self._url, self._reading) as connection:
            return postgres.storage(connection, quoted(table))

    def _ranges(self, table: Table, asked: str) -> list[Range]:
        each = self._split_rows if self._parallel == 1 else min(self._split_rows, _PARALLEL_ROWS)
        with self._connected() as connection:
            rows = about(connection, table, each)
            cuts = bounds(connection, table, rows, each) if rows > each else ()
        if not cuts:
            return []
        first = Range(table.key[0], cuts, 0, asked, self._storage(table))
        return [first, *first.following()]

    def _large(self, table: Table, window: Window) -> bool:
        """Whether PostgreSQL is asked for a whole large table: sorting it would cost it more than sending it.

        It then comes in the order it is stored in, the same as long as it is the same.
        """
        if (
            self._order is not None
            or window.low is not None
            or not isinstance(self._choice().reader, postgres.Postgres)
        ):
            return False
        with self._connected() as connection:
            return about(connection, table) >= _COUNTED

    def _splits(self, window: Window, ranges: list[Range], forget: list[str], *, ordered: bool) -> list[Split]:
        name = self._name if window.high is None else f"{self._name}@{window.high}"
        options: dict[str, Json] = {"window": window.remembered(), "ordered": ordered, "forget": list[Json](forget)}
        if not ranges:
            return [Split(name, options)]
        of = len(ranges[0].bounds) + 1
        return [Split(f"{name}#{one.at + 1}/{of}", {**options, "range": one.remembered()}) for one in ranges]

    def _choice(self) -> Choice:
        if self._reader is None:
            self._reader = chosen(self._url, self._want, self._reading)
        return self._reader

    def _fetching(self, table: Table, split: Split) -> _Fetching:
        """What fetches `split`, started earlier or now, and with it the next ones that are read in parallel."""
        ids = [one.id for one in self._planned]
        at = ids.index(split.id) if split.id in ids else None
        wanted = [split] if at is None else self._planned[at : at + self._parallel]
        for one in wanted:
            if one.id not in self._running:
                self._running[one.id] = self._fetch(self._select(table, one))
        return self._running.pop(split.id)

    def _fetch(self, selected: tuple[sa.Select[Any], Batches]) -> _Fetching:
        statement, make = selected
        reader: Reader = self._choice().reader
        if isinstance(reader, postgres.Postgres) and self._pin is not None:
            reader = reader.pinned(self._pin)
        rows = reader.rows
        held = _READ_AHEAD // self._parallel if self._parallel > 1 else 2 * self._reading.batch_bytes
        silence = self._reading.silence_timeout
        return Ahead(lambda: rows(statement), self._system, limit=held, silence=silence), make

    def _batches(self, fetching: _Fetching) -> Iterator[Batch]:
        fetched, make = fetching
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
        long = frozenset(name for name, kind in table.types.items() if unlimited(kind))
        if long:
            with self._connected() as connection:
                long = long if may_be_long(connection, table, limit) else frozenset()
        return Batches(self._name, self._reading.bytes, limit, floats, guarded=long)

    def _select(self, table: Table, split: Split | None, limit: int | None = None) -> tuple[sa.Select[Any], Batches]:
        rows, reader, dialect = table.selectable(), self._choice().reader, self._url.get_backend_name()
        make = self._making(table)
        selected = []
        for name in self._columns or tuple(table.types):
            kind, column = table.types[name], rows.c[name]
            written = reader.selected(column, kind)
            if name in make.guarded:
                written = guarded(written, column, kind, dialect, marker=make.marker, limit=make.limit)
            selected.append(written)
        statement = self._filtered(sa.select(*selected).select_from(rows))
        if split is not None and self._cursor is not None:
            window = recalled_window(split.options.get("window"))
            name = self._cursor.column
            times, kind = self._cursor.times, table.types[name]
            statement = statement.where(
                window.condition(rows.c[name], unusable(rows.c[name], kind, dialect, times=times))
            )
        part = recalled(split.options.get("range")) if split else None
        if part is not None:
            statement = statement.where(part.condition(rows.c[part.key], table.types[part.key]))
        order = table.order if self._order is None else self._order
        if split is not None and split.options.get("ordered") is False:
            order = ()
        return statement.order_by(*(rows.c[name] for name in order)).limit(limit), make

    def _filtered(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        # The data manager's own SQL; literal_column leaves colons in it alone, where text() would look for parameters.
        return statement.where(sa.literal_column(f"({self._where})")) if self._where else statement

    def _window(self, table: Table, cursor: Cursor, kept: Mapping[str, Json]) -> Window | None:
        high, latest = self._highest(table, cursor)
        return cursor.window(table, high, kept, latest)

    def _highest(self, table: Table, cursor: Cursor) -> tuple[Bound | None, Bound | None]:
        """The highest usable value of the cursor, and the value above which none is."""
        column, kind = table.selectable().c[cursor.column], table.types[cursor.column]
        asked = self._filtered(sa.select(sa.func.max(column)))

        def highest(conditions: Sequence[sa.ColumnElement[bool]]) -> Bound | None:
            with self._connected() as connection:
                value: Bound | None = connection.execute(asked.where(*conditions)).scalar_one()
            if isinstance(value, float) or (value is not None and not isinstance(value, Bound)):
                name = type(value).__name__
                raise wrong("source.cursor.column", f"的类型 {name} 不能作游标", f"has type {name}, which is no cursor")
            return value

        return latest_of(column, kind, self._url.get_backend_name(), highest, times=cursor.times)

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
            *([self._cursor.column] if self._cursor else []),
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
