"""Let the database say how long an enormous value is instead of sending it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from connectors.databases.tables import Table

# The best ratio a server's compression of long values reaches, so that a smaller store cannot hold a longer value.
_RATIO = 255
_STORED = """
SELECT CASE WHEN c.relkind IN ('r', 'm') THEN
  CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_catalog.pg_relation_size(c.reltoastrelid) END END
FROM pg_catalog.pg_class c WHERE c.oid = CAST(:name AS regclass)"""


def may_be_long(connection: sa.Connection, table: Table, limit: int) -> bool:
    """False when no value of the table can be longer than `limit` bytes, by how much room the table takes."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        file = str(connection.engine.url.database).removeprefix("file:")
        return Path(file).stat().st_size > limit
    if dialect == "postgresql":
        name = connection.dialect.identifier_preparer.format_table(sa.table(table.name, schema=table.schema))
        try:
            with connection.begin_nested():
                stored = connection.execute(sa.text(_STORED), {"name": name}).scalar_one()
        except exc.SQLAlchemyError:
            return True
        return stored is None or int(stored) > limit // _RATIO
    return dialect in ("mysql", "mariadb")


def unlimited(kind: sa.types.TypeEngine[Any]) -> bool:
    """True for bytes and for text that has no greatest length."""
    return isinstance(kind, sa.LargeBinary) or (
        isinstance(kind, sa.String) and not isinstance(kind, sa.Enum) and not kind.length
    )


def guarded(
    written: sa.ColumnElement[Any],
    column: sa.ColumnClause[Any],
    kind: sa.types.TypeEngine[Any],
    dialect: str,
    *,
    marker: str,
    limit: int,
) -> sa.ColumnElement[Any]:
    """`written`; or `marker` and the length, where `column` is longer than `limit` bytes."""
    # PostgreSQL would not mix bytes and text in one CASE.
    mixed = isinstance(kind, sa.LargeBinary) and dialect == "postgresql" and written is column
    if mixed or not unlimited(kind):
        return written
    # Older SQLite has no octet_length, and counts characters of a text.
    length: sa.ColumnElement[int] = sa.func.octet_length(column)
    if dialect == "sqlite":
        length = sa.func.length(sa.cast(column, sa.LargeBinary))
    said = sa.literal(marker, sa.String).concat(sa.cast(length, sa.String))
    if dialect in ("mysql", "mariadb"):  # a cast would turn the whole column into its character set, with ? in places
        said = sa.func.concat(sa.literal(marker, sa.String), length)
    shown = sa.case((length > sa.literal(limit, sa.Integer), said), else_=written)
    return sa.type_coerce(shown, written.type).label(column.name)
