"""Cut a large table into ranges of its key that can be read, and read again, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from connectors.databases.tables import Table
from schemas.values import Check, Json

_WHOLE = (sa.Integer,)
_SCATTERED = 16  # ranges of a key the rows are not stored by: each of them is a pass over the whole table
_LIKE_STORED = 0.5
_CORRELATION = """
SELECT abs(correlation) FROM pg_catalog.pg_stats
WHERE schemaname = :schema AND tablename = :name AND attname = :key ORDER BY 1 LIMIT 1"""
# In the order the server keeps them, which is that of the column's own collation.
_HISTOGRAM = """
SELECT CAST(u.bound AS text) FROM pg_catalog.pg_stats s,
  unnest(CAST(CAST(s.histogram_bounds AS text) AS {kind}[])) WITH ORDINALITY u (bound, at)
WHERE s.schemaname = :schema AND s.tablename = :name AND s.attname = :key ORDER BY u.at"""


@dataclass(frozen=True, slots=True)
class Range:
    """The `at`-th range (from 0) between `bounds` of `key`; the first and the last are open, nulls are in the last.

    `asked` names what was to be read and `storage` where the table lay, so that ranges are not gone on with when
    either has changed.
    """

    key: str
    bounds: tuple[Json, ...]
    at: int
    asked: str
    storage: str | None

    def condition(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[bool]:
        """Which rows are in the range."""

        def written(bound: Json) -> sa.ColumnElement[Any]:
            if isinstance(bound, int):
                return sa.literal(bound, sa.BigInteger)
            text = sa.literal(bound, sa.String)
            return text if isinstance(kind, sa.String) else sa.cast(text, kind)  # compared as the column collates

        parts: list[sa.ColumnElement[bool]] = []
        if self.at > 0:
            parts.append(column >= written(self.bounds[self.at - 1]))
        if self.at < len(self.bounds):
            parts.append(column < written(self.bounds[self.at]))
        inside = sa.and_(sa.true(), *parts)
        return inside if self.at < len(self.bounds) else sa.or_(inside, column.is_(None))

    def following(self) -> list[Range]:
        """The ranges after this one."""
        return [
            Range(self.key, self.bounds, at, self.asked, self.storage)
            for at in range(self.at + 1, len(self.bounds) + 1)
        ]

    def remembered(self) -> dict[str, Json]:
        """As JSON for a Split or a Position."""
        return {
            "key": self.key,
            "bounds": list(self.bounds),
            "at": self.at,
            "asked": self.asked,
            "storage": self.storage,
        }


def recalled(kept: Json) -> Range | None:
    """The range `remembered` wrote; None for anything else."""
    if not isinstance(kept, dict):
        return None
    key, bounds, at, storage = kept.get("key"), kept.get("bounds"), kept.get("at"), kept.get("storage")
    if not isinstance(key, str) or not isinstance(bounds, list) or not isinstance(at, int):
        return None
    return Range(key, tuple(bounds), at, str(kept.get("asked")), None if storage is None else str(storage))


def bounds(connection: sa.Connection, table: Table, rows: int, each: int) -> tuple[Json, ...]:
    """Bounds between ranges of about `each` of the table's `rows`; empty when it cannot or need not be cut."""
    pieces = -(-rows // each)
    if pieces < 2 or len(table.key) != 1:  # noqa: PLR2004 - one piece is the whole
        return ()
    kind = table.types[table.key[0]]
    found: Sequence[Json] = ()
    if connection.dialect.name == "postgresql":
        found = _histogram(connection, table, kind)
    if not found and isinstance(kind, _WHOLE):
        found = _even(connection, table, pieces)
    if connection.dialect.name == "postgresql" and not _stored_so(connection, table):
        pieces = min(pieces, _SCATTERED)
    if len(found) <= pieces:
        return tuple(dict.fromkeys(found[1:-1]))
    places = (round(piece * (len(found) - 1) / pieces) for piece in range(1, pieces))
    return tuple(dict.fromkeys(found[place] for place in places))


def moments(name: str) -> Check:
    """What to know where ranges cannot share a snapshot."""
    return Check(
        "snapshot",
        ok=True,
        zh=f"{name}：按主键分段读取，各段不是同一时刻；读取期间的变更可能要到下次才完整",
        en=f"{name}: read in ranges of its key, not all as of one moment; what changes meanwhile may be complete "
        "only after the next read",
    )


def _histogram(connection: sa.Connection, table: Table, kind: sa.types.TypeEngine[Any]) -> list[Json]:
    """Values with as many rows between each two of them as between any others, in the order of the index."""
    schema = table.schema or connection.dialect.default_schema_name
    written = "text" if isinstance(kind, sa.String) else kind.compile(connection.dialect)
    try:
        with connection.begin_nested():
            statement = sa.text(_HISTOGRAM.format(kind=written))
            values: Mapping[str, object] = {"schema": schema, "name": table.name, "key": table.key[0]}
            found = [str(value) for value in connection.execute(statement, values).scalars()]
    except exc.SQLAlchemyError:
        return []  # a type whose text form cannot be an array's; the table is then read in one piece
    return [int(value) for value in found] if isinstance(kind, _WHOLE) else list(found)


def _stored_so(connection: sa.Connection, table: Table) -> bool:
    """Whether rows with near keys lie near each other."""
    schema = table.schema or connection.dialect.default_schema_name
    values: Mapping[str, object] = {"schema": schema, "name": table.name, "key": table.key[0]}
    found = connection.execute(sa.text(_CORRELATION), values).scalar()
    return found is None or float(found) >= _LIKE_STORED


def _even(connection: sa.Connection, table: Table, pieces: int) -> list[Json]:
    column = table.selectable().c[table.key[0]]
    least, most = connection.execute(sa.select(sa.func.min(column), sa.func.max(column))).one()
    if not isinstance(least, int) or not isinstance(most, int) or most - least < pieces:
        return []
    return [least + (most - least) * piece // pieces for piece in range(pieces + 1)]
