"""Read a table or view of a departmental database through SQLAlchemy, streamed, every value as its exact text."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc, pool
from sqlalchemy.engine.interfaces import DBAPIConnection

from connectors.errors import SourceError, SourceUnavailable, changed
from connectors.options import Options, Secrets, secret, wrong
from connectors.rows import CHUNK, ESCAPE, Reject, as_json, check_names, clean, first_rows, record_batch
from connectors.sql_cursor import Bound, lag_of, lowered, recalled, remembered
from connectors.sql_errors import driver_missing, explained
from connectors.sql_values import BYTES, texts
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = ("table", "columns", "where", "cursor", "identifiers", "order_by", "bytes")
_UNSORTABLE = (sa.LargeBinary, sa.JSON, sa.ARRAY, sa.types.NullType)


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


@dataclass(frozen=True, slots=True)
class _Table:
    """What reflection says of the table."""

    name: str
    schema: str | None
    types: Mapping[str, Any]
    key: tuple[str, ...]

    def selectable(self) -> sa.TableClause:
        # Columns without types: SQLAlchemy then leaves what the driver returns alone (its own readers round decimals).
        return sa.table(self.name, *map(sa.column, self.types), schema=self.schema)


class SqlSource:
    """One table or view, read whole or by a growing cursor column."""

    def __init__(self, options: Options, url: sa.URL) -> None:
        self._url = url
        self._name = options.text("table")
        self._columns = options.names("columns")
        self._where = options.maybe("where")
        self._identifiers = options.names("identifiers")
        self._order = options.names("order_by") if options.has("order_by") else None
        self._bytes = options.choice("bytes", "hex", BYTES)
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
        return lines

    def discover(self) -> list[StreamInfo]:
        """Every table and view of the default schema, with column types and keys as the database names them."""
        with self._connected() as connection:
            inspector = sa.inspect(connection)
            names = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
            return [
                StreamInfo(name, {column: str(kind) for column, kind in table.types.items()}, table.key)
                for name, table in ((name, _reflected(inspector, name, None)) for name in names)
            ]

    def stream(self) -> StreamInfo:
        """The table or view that is read."""
        table = self._table()
        wanted = self._columns or tuple(table.types)
        return StreamInfo(self._name, {name: str(table.types[name]) for name in wanted}, table.key)

    def preview(self, rows: int = 20) -> pa.Table:
        """The first rows in reading order."""
        table = self._table()
        return first_rows(self._stream(table, self._select(table, None, None).limit(rows)), rows)

    def estimate(self) -> int | None:
        """Rows that fit `where`, counted by the database."""
        counted = sa.select(sa.func.count()).select_from(self._table().selectable())
        with self._connected() as connection:
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
        for batch in self._stream(table, self._select(table, low, high)):
            if held is not None:
                yield held
            held = batch
        if held is not None:
            yield replace(held, position=Position(cursor))

    def close(self) -> None:
        """Nothing is held between two reads."""

    def _select(self, table: _Table, low: Bound | None, high: Bound | None) -> sa.Select[Any]:
        rows = table.selectable()
        wanted = self._columns or tuple(table.types)
        statement = self._filtered(sa.select(*(self._selected(rows.c[name]) for name in wanted)))
        if self._cursor and high is not None:
            cursor = rows.c[self._cursor]
            window = cursor <= sa.bindparam("high", high)
            if low is not None:
                window = sa.and_(window, cursor >= sa.bindparam("low", low))
            # A row without a cursor value can never be known to be read: it is read every time.
            statement = statement.where(sa.or_(window, cursor.is_(None)))
        order = table.key if self._order is None else self._order
        return statement.order_by(*(rows.c[name] for name in order))

    def _selected(self, column: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
        # PostgreSQL itself writes infinity, NaN, BC dates and wide numerics; psycopg cannot hold some of them.
        # A float in an identifier column must still be seen as one, and bytes have their own option.
        kind = self._kinds.get(column.name)
        native = column.name in self._identifiers or isinstance(kind, sa.LargeBinary)
        if self._url.get_backend_name() != "postgresql" or native:
            return column
        return sa.cast(column, sa.Text).label(column.name)

    def _filtered(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        # The data manager's own SQL; literal_column leaves colons in it alone, where text() would look for parameters.
        return statement.where(sa.literal_column(f"({self._where})", sa.Boolean)) if self._where else statement

    def _stream(self, table: _Table, statement: sa.Select[Any]) -> Iterator[Batch]:
        names = [str(column.name) for column in statement.selected_columns]
        first = 1
        with self._connected() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=CHUNK)
            for rows in streaming.execute(statement).partitions():
                yield self._batch(names, rows, first, table.name)
                first += len(rows)
        if first == 1:
            yield record_batch(names, [[] for _ in names], 1, {})

    def _batch(self, names: list[str], rows: Sequence[sa.Row[Any]], first: int, table: str) -> Batch:
        received = list(zip(*rows, strict=True))
        columns = [texts(column, self._bytes) for column in received]
        rejects: dict[int, Reject] = {}
        for place, name in enumerate(names):
            if name in self._identifiers:
                for at, value in enumerate(received[place]):
                    if isinstance(value, float):
                        detail = f"{table} 列 {name}：编码以数值 {value!r} 存放，已失真"
                        detail += (
                            f" | {table} column {name}: the code is stored as the number {value!r}, digits are lost"
                        )
                        line = as_json(names, [column[at] for column in columns])
                        rejects.setdefault(at, Reject("float_id", detail, line))
        try:
            return record_batch(names, columns, first, rejects)
        except UnicodeEncodeError:
            return record_batch(names, clean(names, columns, rejects, table), first, rejects)

    def _highest(self, column: str) -> Bound | None:
        rows = self._table().selectable()
        with self._connected() as connection:
            highest = self._filtered(sa.select(sa.func.max(rows.c[column])))
            value: Bound | None = connection.execute(highest).scalar_one()
        if isinstance(value, float) or (value is not None and not isinstance(value, Bound)):
            kind = type(value).__name__
            raise wrong("source.cursor.column", f"的类型 {kind} 不能作游标", f"has type {kind}, which is no cursor")
        return value

    @functools.cached_property
    def _kinds(self) -> Mapping[str, Any]:
        return self._table().types

    def _table(self) -> _Table:
        """Reflect the table now; SourceChanged when it or a column an option names is not there."""
        with self._connected() as connection:
            inspector = sa.inspect(connection)
            schema, name = self._located(inspector)
            table = _reflected(inspector, name, schema)
        named = [*self._columns, *self._identifiers, *(self._order or ()), *([self._cursor] if self._cursor else [])]
        lost = [name for name in dict.fromkeys(named) if name not in table.types]
        if lost:
            raise changed(("列", "column"), self._name, lost, list(table.types))
        check_names(self._columns or list(table.types), self._name)
        return table

    def _located(self, inspector: sa.Inspector) -> tuple[str | None, str]:
        names = [*inspector.get_table_names(), *inspector.get_view_names()]
        if self._name in names:
            return None, self._name
        schema, dot, name = self._name.rpartition(".")
        if dot and schema in inspector.get_schema_names():
            names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
            if name in names:
                return schema, name
        system = self._url.render_as_string(hide_password=True)
        raise changed(("表", "table"), system, [self._name], sorted(names))

    def _greet(self) -> str:
        with self._connected() as connection:
            connection.execute(sa.select(sa.literal(1)))
            return self._url.render_as_string(hide_password=True)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            engine = _engine(self._url)
        except (exc.NoSuchModuleError, ImportError) as error:
            raise driver_missing(self._url, error) from error
        try:
            try:
                connection = engine.connect()
            except (exc.SQLAlchemyError, OSError) as error:
                raise explained(error, self._url, connecting=True) from None
            with connection:
                try:
                    yield connection
                except exc.SQLAlchemyError as error:
                    # The driver's own words may hold the password, so the chain ends here.
                    raise explained(error, self._url, connecting=False) from None
        finally:
            engine.dispose()


def _reflected(inspector: sa.Inspector, name: str, schema: str | None) -> _Table:
    columns = inspector.get_columns(name, schema)
    types = {str(column["name"]): column["type"] for column in columns}
    key = tuple(inspector.get_pk_constraint(name, schema)["constrained_columns"])
    # Without a key, order by everything that can be ordered, so that the same rows come in the same order.
    return _Table(
        name, schema, types, key or tuple(n for n, kind in types.items() if not isinstance(kind, _UNSORTABLE))
    )


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    if not url.database or not Path(url.database).is_file():
        raise SourceUnavailable(
            "SRC-SQL-UNAVAILABLE",
            zh=f"找不到数据库文件 {url.database}",
            en=f"the database file {url.database} does not exist",
            fix_zh="请更正 connections.yaml 中的 url，或先生成该库",
            fix_en="Correct url in connections.yaml, or create the database first.",
        )
    # Read only, and never created by looking at it.
    file = url.set(database=f"file:{Path(url.database).resolve()}").update_query_dict({"mode": "ro", "uri": "true"})
    engine = sa.create_engine(file, poolclass=pool.NullPool, hide_parameters=True)
    sa.event.listen(engine, "connect", _forgive)
    return engine


def _forgive(connection: DBAPIConnection, _record: object) -> None:
    """SQLite stores any bytes as text; carry the undecodable ones instead of failing the whole read."""
    connection.text_factory = lambda raw: raw.decode("utf-8", ESCAPE)
