"""Record every query analysts ask: who, what for, over which tables of which release, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from warehouse.clock import now_text
from warehouse.state.database import reading

DONE = "done"  # outcome of a query that was answered
FAILED = "WH-SQL-FAILED"  # that of one which the engine refused, in words that may repeat a value
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_metadata = sa.MetaData()
SQL_QUERY = sa.Table(
    "sql_query",
    _metadata,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("department", sa.String(64)),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("clear", sa.Boolean, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("tables", sa.JSON, nullable=False),
    sa.Column("grants", sa.JSON, nullable=False),
    sa.Column("release", sa.BigInteger),
    sa.Column("rows", sa.BigInteger),
    sa.Column("outcome", sa.String(64), nullable=False),
    sa.Column("seconds", sa.Float),
    sa.Column("units", sa.BigInteger),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query as recorded; `at` is ISO 8601.

    `digest` is the SHA-256 of the SQL, which may itself name a person; `tables` has the columns read of each table;
    `outcome` is running, done, or the code of the error; `units` is what each of the grants was charged, null in
    records of versions that did not write it down.
    """

    id: int
    at: str
    who: str
    department: str | None
    purpose: str
    clear: bool
    digest: str
    tables: Mapping[str, Sequence[str]]
    grants: Sequence[str]
    release: int | None
    rows: int | None
    outcome: str
    seconds: float | None
    units: int | None


def digest(sql: str) -> str:
    """What the record has of the text."""
    return hashlib.sha256(sql.encode()).hexdigest()


class QueryLog:
    """The queries of a deployment, in table `sql_query` of the state database behind `engine`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, who: str, department: str | None, purpose: str, sql: str, *, clear: bool) -> int:
        """Record that a query is asked, before anything is done for it; its number is the answer."""
        said = {"at": now_text(), "who": who, "department": department, "purpose": purpose, "clear": clear}
        row: dict[str, object] = {**said, "digest": digest(sql), "tables": {}, "grants": [], "outcome": "running"}
        with self._engine.begin() as connection:
            made = connection.execute(sa.insert(SQL_QUERY).values(**row)).inserted_primary_key
        assert made is not None  # noqa: S101 - an insert of one row has one
        return int(made[0])

    def allow(
        self, number: int, tables: Sequence[str], grants: Sequence[str], purpose: str, release: int | None
    ) -> None:
        """Record over which tables of which release it is answered, by which grants and for which matters."""
        said = {"tables": {name: [] for name in tables}, "grants": list(grants)}
        self._change(number, {**said, "purpose": purpose, "release": release})

    def end(
        self,
        number: int,
        outcome: str,
        seconds: float,
        *,
        rows: int | None = None,
        units: int | None = None,
        tables: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Record what came of it; the answer may leave when this returns."""
        known = {"outcome": outcome, "seconds": round(seconds, 3), "rows": rows, "units": units}
        self._change(number, known | ({"tables": {name: list(one) for name, one in tables.items()}} if tables else {}))

    def newest(self, limit: int = 100) -> list[Query]:
        """The newest queries, newest first."""
        query = sa.select(SQL_QUERY).order_by(SQL_QUERY.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Query(**row) for row in connection.execute(query).mappings()]

    def units(self, day: str, department: str, grant: str) -> int:
        """What queries that told something cost of a grant on a day, ISO 8601."""
        of_day = SQL_QUERY.c.at.startswith(day, autoescape=True)
        query = sa.select(SQL_QUERY.c.grants, SQL_QUERY.c.units, SQL_QUERY.c.rows).where(
            of_day, SQL_QUERY.c.department == department, SQL_QUERY.c.outcome.in_((DONE, FAILED))
        )
        with reading(self._engine) as connection:
            asked = connection.execute(query).all()
        return sum(max(1, rows or 0) if units is None else units for grants, units, rows in asked if grant in grants)

    def _change(self, number: int, known: Mapping[str, object]) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(SQL_QUERY).where(SQL_QUERY.c.id == number).values(**known))
