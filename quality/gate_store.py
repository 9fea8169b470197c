"""Keep what was seen of each run, and find what runs of a resource usually look like."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from quality.store import QUALITY_RUN

if TYPE_CHECKING:  # who asks what was decided needs nothing of what looks at rows
    from quality.gate_history import Observed

METADATA = sa.MetaData()
OBSERVED = sa.Table(
    "quality_observed",
    METADATA,
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("run", sa.String(200), primary_key=True),
    sa.Column("observed", sa.Text, nullable=False),
)
DECISION = sa.Table(
    "quality_decision",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("resource", sa.String(200), nullable=False),
    sa.Column("batch", sa.String(200), nullable=False),
    sa.Column("run", sa.String(200), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("decision", sa.String(10), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("held_zh", sa.Text, nullable=False),
    sa.Column("held_en", sa.Text, nullable=False),
    sa.Index("quality_decision_of_batch", "resource", "batch", "id"),
    sqlite_autoincrement=True,
)
_LOOKED_AT = 1000  # checks that are looked through for good runs


class GateStore:
    """What was seen of runs, in one state database. A run's second batch and those after it are `<run>#2`, …"""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(self, resource: str, run: str, seen: Observed) -> None:
        """Keep what was seen of a batch, in place of what its earlier check saw."""
        this = sa.and_(OBSERVED.c.resource == resource, OBSERVED.c.run == run)
        with self._engine.begin() as connection:
            connection.execute(sa.delete(OBSERVED).where(this))
            text = json.dumps(asdict(seen), ensure_ascii=False)
            connection.execute(sa.insert(OBSERVED).values(resource=resource, run=run, observed=text))

    def rows_before(self, resource: str, run: str, limit: int) -> dict[str, int]:
        """The last good runs before a run, newest first, with their rows: let pass, or released by a data manager."""
        released = sa.select(DECISION.c.batch).where(DECISION.c.resource == resource, DECISION.c.decision == "release")
        good = sa.or_(QUALITY_RUN.c.decision != "hold", QUALITY_RUN.c.batch.in_(released))
        query = sa.select(QUALITY_RUN.c.run, QUALITY_RUN.c.rows, good.label("good"))
        query = query.where(QUALITY_RUN.c.resource == resource).order_by(QUALITY_RUN.c.checked_at.desc())
        found: dict[str, int] = {}
        bad: set[str] = {run}
        with self._reading() as connection:
            for name, rows, passed in connection.execute(query.limit(_LOOKED_AT)).tuples():
                base = name.partition("#")[0]
                bad |= set() if passed else {base}
                found[base] = found.get(base, 0) + rows
        return dict([(base, rows) for base, rows in found.items() if base not in bad and rows][:limit])

    def seen(self, resource: str, runs: list[str]) -> Observed:
        """What was seen of these runs together, of all their batches."""
        from quality.gate_history import Observed

        wanted = [OBSERVED.c.run.in_(runs), *(OBSERVED.c.run.startswith(f"{run}#", autoescape=True) for run in runs)]
        query = sa.select(OBSERVED.c.observed).where(OBSERVED.c.resource == resource, sa.or_(*wanted))
        together = Observed()
        with self._reading() as connection:
            for text in connection.execute(query).scalars() if runs else ():
                together += Observed(**json.loads(text))
        return together

    def _reading(self) -> sa.Connection:
        # The state database's SQLite engine locks for writing at BEGIN unless it is told.
        return self._engine.execution_options(reading=True).connect()
