"""What a database says of its tables and views: columns, key, comments, about how many rows, likely cursors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from connectors.errors import changed
from schemas.values import StreamInfo

ORDERED_BY = 64  # columns a table without a key is ordered by; servers allow a limited number of them
_UNSORTABLE = (sa.LargeBinary, sa.JSON, sa.ARRAY, sa.types.NullType)
_LIKELY = ("update", "modif", "change", "gmt_m", "upd", "xgsj", "gxsj", "timestamp", "dsc_biz", "cd_time")


@dataclass(frozen=True, slots=True)
class Table:
    """What reflection says of one table or view."""

    name: str
    schema: str | None
    types: Mapping[str, Any]
    key: tuple[str, ...]
    nullable: tuple[str, ...] = ()
    comments: Mapping[str, str] = field(default_factory=dict)
    title: str = ""

    @property
    def order(self) -> tuple[str, ...]:
        """The key; without one everything that can be ordered, so that the same rows come in the same order."""
        sortable = [name for name, kind in self.types.items() if not isinstance(kind, _UNSORTABLE)]
        return self.key or tuple(sortable[:ORDERED_BY])

    @property
    def full_name(self) -> str:
        """The name with its schema, as a resource file writes it."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    def selectable(self) -> sa.TableClause:
        """For SELECTs; columns have no types, so that SQLAlchemy leaves what the driver returns alone."""
        return sa.table(self.name, *map(sa.column, self.types), schema=self.schema)

    def info(self, rows: int | None = None, columns: Sequence[str] = ()) -> StreamInfo:
        """As `discover` and `stream` tell it, of `columns` or of all."""
        wanted = columns or tuple(self.types)
        return StreamInfo(
            self.full_name,
            {name: str(self.types[name]) for name in wanted},
            self.key,
            rows,
            self.title,
            {name: text for name, text in self.comments.items() if name in wanted},
            tuple(name for name in self.nullable if name in wanted),
            cursors(self.types, self.key),
        )


def cursors(types: Mapping[str, Any], key: Sequence[str]) -> tuple[str, ...]:
    """Columns that may grow with each change, the likeliest first: change times, other times, a counting key."""
    times = [name for name, kind in types.items() if isinstance(kind, sa.DateTime)]
    # Where times are kept as text only their names tell.
    times += [
        name
        for name, kind in types.items()
        if isinstance(kind, sa.String | sa.Date) and any(word in name.casefold() for word in _LIKELY)
    ]
    times.sort(key=lambda name: not any(word in name.casefold() for word in _LIKELY))
    counting = [name for name in key if len(key) == 1 and isinstance(types[name], sa.Integer)]
    return (*times, *counting)


def reflected(inspector: sa.Inspector, name: str, schema: str | None) -> Table:
    """Look at one table or view."""
    columns = inspector.get_columns(name, schema)
    return Table(
        name,
        schema,
        {str(column["name"]): column["type"] for column in columns},
        tuple(inspector.get_pk_constraint(name, schema)["constrained_columns"]),
        tuple(str(column["name"]) for column in columns if column.get("nullable", True)),
        {str(column["name"]): str(column["comment"]) for column in columns if column.get("comment")},
        _title(inspector, name, schema),
    )


def located(inspector: sa.Inspector, name: str, system: str) -> tuple[str | None, str]:
    """Schema and name of the table a resource calls `name`; SourceChanged tells what there is."""
    names = _names(inspector, None)
    if name in names:
        return None, name
    schema, dot, short = name.rpartition(".")
    if dot and schema in inspector.get_schema_names():
        names = _names(inspector, schema)
        if short in names:
            return schema, short
    raise changed(("表", "table"), system, [name], sorted(names))


def listed_tables(inspector: sa.Inspector, connection: sa.Connection) -> list[StreamInfo]:
    """Every table and view the account sees: those of the default schema by name, others as `schema.table`."""
    if connection.dialect.name == "sqlite":
        tables = [reflected(inspector, name, None) for name in sorted(_names(inspector, None))]
        return [table.info(about(connection, table)) for table in tables]
    found = []
    for schema in (None, *_other_schemas(inspector)):
        known = estimates(connection, schema)
        for name in sorted(_names(inspector, schema)):
            said = reflected(inspector, name, schema).info(known.get(name))
            found.append(replace(said, name=f"{schema}.{name}") if schema else said)
    return found


def _other_schemas(inspector: sa.Inspector) -> list[str]:
    usual = inspector.default_schema_name
    names = (name for name in inspector.get_schema_names() if name != usual)
    return sorted(name for name in names if not _SYSTEM.match(name))


_SYSTEM = re.compile(
    r"(information_schema|pg_.*|mysql|performance_schema|guest|db_(owner|access|security|ddl|backup|data|deny).*"
    r"|sys|system|(app|appqos|audit|ctx|dbsf|dv|exf|lbac|md|olap|ojvm|ord|wm)(user)?sys|sysauditor|sysdba|sysaux|sysssso"
    r"|xdb|outln|dbsnmp|dip|gsm.*|anonymous|xs\$null)$",
    re.IGNORECASE,
)


def about(connection: sa.Connection, table: Table, least: int = 0) -> int:
    """About how many rows the table has; 0 where the server does not say. SQLite is counted above `least` keys."""
    if connection.dialect.name != "sqlite":
        return estimates(connection, table.schema).get(table.name, 0)
    rows = table.selectable()
    if least:
        if len(table.key) != 1 or not isinstance(table.types[table.key[0]], sa.Integer):
            return 0
        column = rows.c[table.key[0]]
        low, high = connection.execute(sa.select(sa.func.min(column), sa.func.max(column))).one()
        if not isinstance(low, int) or not isinstance(high, int) or high - low < least:
            return 0
    return int(connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one())


def estimates(connection: sa.Connection, schema: str | None = None) -> dict[str, int]:
    """About how many rows each table of the schema has, from the server's own statistics; may be empty."""
    statement = _ESTIMATES.get(connection.dialect.name)
    if statement is None:
        return {}
    try:
        with connection.begin_nested() if connection.in_transaction() else connection.begin():
            found = connection.execute(sa.text(statement), {"schema": schema}).all()
    except exc.SQLAlchemyError:
        return {}  # an estimate is worth no error: a view of the catalog may be closed to this account
    return {str(name): int(rows) for name, rows in found if rows is not None and rows >= 0}


_ESTIMATES = {
    # A partitioned table has no rows of its own; -1 means never analysed.
    "postgresql": """
        SELECT c.relname, CASE WHEN c.relkind = 'p' THEN
          (SELECT sum(greatest(p.reltuples, 0)) FROM pg_catalog.pg_inherits i
             JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid WHERE i.inhparent = c.oid)
          ELSE c.reltuples END
        FROM pg_catalog.pg_class c
        WHERE c.relkind IN ('r', 'p', 'm', 'f') AND CASE WHEN CAST(:schema AS text) IS NULL THEN
          pg_catalog.pg_table_is_visible(c.oid) ELSE c.relnamespace = to_regnamespace(CAST(:schema AS text)) END""",
    "mysql": "SELECT table_name, table_rows FROM information_schema.tables "
    "WHERE table_schema = COALESCE(:schema, DATABASE())",
    "mariadb": "SELECT table_name, table_rows FROM information_schema.tables "
    "WHERE table_schema = COALESCE(:schema, DATABASE())",
    "oracle": "SELECT LOWER(table_name), num_rows FROM all_tables WHERE owner = COALESCE(UPPER(:schema), USER)",
    "mssql": """
        SELECT t.name, SUM(p.rows) FROM sys.tables t JOIN sys.partitions p
          ON p.object_id = t.object_id AND p.index_id IN (0, 1)
        WHERE t.schema_id = COALESCE(SCHEMA_ID(:schema), SCHEMA_ID()) GROUP BY t.name""",
}


def _title(inspector: sa.Inspector, name: str, schema: str | None) -> str:
    try:
        return str(inspector.get_table_comment(name, schema)["text"] or "")
    except (NotImplementedError, exc.SQLAlchemyError):
        return ""


def _names(inspector: sa.Inspector, schema: str | None) -> list[str]:
    """Tables, views, and materialized views where there are such."""
    names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    with suppress(NotImplementedError):
        names += inspector.get_materialized_view_names(schema)
    return names
