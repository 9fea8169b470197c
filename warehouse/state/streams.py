"""Remember which columns a source had, run by run, as far as they changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from warehouse.clock import now_text
from warehouse.state import database

_STREAM = sa.table(
    "stream",
    sa.column("id", sa.BigInteger),
    sa.column("resource", sa.String),
    sa.column("run", sa.String),
    sa.column("seen_at", sa.String),
    sa.column("columns", sa.JSON),
    sa.column("changes", sa.JSON),
    sa.column("accepted", sa.Boolean),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The columns (name → source type) a run saw, and the sentences that say what had changed.

    `accepted`: later runs compare with these columns; else the run stopped because of them.
    """

    id: int
    resource: str
    run: str
    seen_at: str
    columns: Mapping[str, str]
    changes: Sequence[Mapping[str, str]]
    accepted: bool


class Streams:
    """What was seen, over the engine of the state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def last(self, resource: str) -> Seen | None:
        """The columns that later runs are compared with; None before the first run."""
        return next(iter(self._found(resource, 1, accepted=True)), None)

    def history(self, resource: str, limit: int = 100) -> list[Seen]:
        """Every change, the newest first."""
        return self._found(resource, limit)

    def record(
        self,
        resource: str,
        run: str,
        columns: Mapping[str, str],
        changes: Sequence[Mapping[str, str]],
        *,
        accepted: bool,
    ) -> None:
        """Remember what `run` saw; a retry of the run that sees the same again adds nothing."""
        row = {"resource": resource, "run": run, "columns": dict(columns), "changes": [dict(one) for one in changes]}
        with self._engine.begin() as connection:
            query = sa.select(_STREAM).where(_STREAM.c.resource == resource).order_by(_STREAM.c.id.desc()).limit(1)
            newest = connection.execute(query).mappings().first()
            if newest is not None and (newest["columns"], newest["accepted"]) == (row["columns"], accepted):
                return
            connection.execute(sa.insert(_STREAM).values(**row, seen_at=now_text(), accepted=accepted))

    def accept(self, resource: str) -> Seen | None:
        """Take the newest columns as right, though a run stopped at them; None when there is nothing to accept."""
        newest = next(iter(self._found(resource, 1)), None)
        if newest is None or newest.accepted:
            return None
        with self._engine.begin() as connection:
            connection.execute(sa.update(_STREAM).where(_STREAM.c.id == newest.id).values(accepted=True))
        return newest

    def _found(self, resource: str, limit: int, *, accepted: bool = False) -> list[Seen]:
        query = sa.select(_STREAM).where(_STREAM.c.resource == resource).order_by(_STREAM.c.id.desc()).limit(limit)
        if accepted:
            query = query.where(_STREAM.c.accepted.is_(True))
        with database.reading(self._engine) as connection:
            return [Seen(**row) for row in connection.execute(query).mappings()]
