"""Remember what data managers decided about held batches, and which quarantined rows came back by which run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from quality.gate_store import DECISION
from quality.orders_values import written
from runs.holds_tables import RETURN
from warehouse.state import database
from warehouse.state.rollbacks import TAKEN_BACK
from warehouse.state.schema import MANIFEST, PIECE, RELEASE, RUN

Decided = Literal["release", "reject"]
Outcome = Literal["recorded", "released", "overtaken", "same"]
Kind = Literal["correction", "release", "recheck"]


@dataclass(frozen=True, slots=True)
class HoldDecision:
    """What a data manager decided about a held batch, when and why, and for what it had been held."""

    id: int
    resource: str
    batch: str
    run: str
    rows: int
    decision: Decided
    at: str
    who: str
    why: str
    held_zh: str
    held_en: str


@dataclass(frozen=True, slots=True)
class Returned:
    """One quarantined row (`origin` batch and `row`) that came back as row `place` of the batch of `run`.

    `accepted` are the rules that a data manager let it violate, `changed` the source columns that were corrected.
    """

    kind: Kind
    origin: str
    row: int
    run: str
    place: int
    accepted: tuple[str, ...]
    changed: tuple[str, ...]
    at: str
    who: str
    why: str


class Holds:
    """Decisions and returns in one state database; both are only ever added to."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def decided(self, resource: str, batch: str) -> HoldDecision | None:
        """The newest decision about a batch; None while it waits for one."""
        found = self.decisions(resource, batch=batch, limit=1)
        return found[0] if found else None

    def decisions(
        self, resource: str | None = None, *, batch: str | None = None, limit: int = 100
    ) -> list[HoldDecision]:
        """The newest decisions, newest first."""
        query = sa.select(DECISION).order_by(DECISION.c.id.desc()).limit(limit)
        if resource is not None:
            query = query.where(DECISION.c.resource == resource)
        if batch is not None:
            query = query.where(DECISION.c.batch == batch)
        with database.reading(self._engine) as connection:
            return [HoldDecision(**row) for row in connection.execute(query).mappings()]

    def decide(self, decisions: Sequence[Mapping[str, object]], known: int) -> Outcome:
        """Record decisions (the columns but for `id`), all or none.

        Nothing is recorded where one of the batches has been released, where somebody decided since the decision
        `known` (0: nobody had), or where it was decided so already.
        """
        batches = [str(one["batch"]) for one in decisions]
        same = sa.and_(DECISION.c.resource == decisions[0]["resource"], DECISION.c.batch.in_(batches))
        with database.serialised(self._engine) as connection:
            before = connection.execute(sa.select(DECISION.c.id, DECISION.c.decision).where(same)).tuples().all()
            if any(decision == "release" for _, decision in before):
                return "released"
            if any(number > known for number, _ in before):
                return "overtaken"
            if before and decisions[0]["decision"] == "reject":
                return "same"
            connection.execute(sa.insert(DECISION), [dict(one) for one in decisions])
            return "recorded"

    def bring_back(
        self, resource: str, run: str, rows: Sequence[Mapping[str, object]], *, who: str, why: str, at: datetime
    ) -> None:
        """Record which rows a run brings back (kind, origin, row, place, accepted, changed)."""
        told = {"resource": resource, "run": run, "who": who, "why": why, "at": written(at)}
        with database.serialised(self._engine) as connection:
            if connection.execute(sa.select(RETURN.c.id).where(RETURN.c.run == run).limit(1)).first() is None:
                connection.execute(sa.insert(RETURN), [{**told, **one} for one in rows])

    def of_run(self, run: str) -> list[Returned]:
        """The rows a run brings back, in order; empty for a run that reads a source."""
        query = sa.select(RETURN).where(RETURN.c.run == run).order_by(RETURN.c.place)
        return self._returned(query)

    def returned(self, resource: str) -> list[Returned]:
        """Every row of a resource that came back, the oldest first; not where its landing was taken back."""
        there = sa.select(MANIFEST.c.run).join(RUN, RUN.c.run_id == MANIFEST.c.run)
        there = there.where(MANIFEST.c.resource == resource, RUN.c.status != TAKEN_BACK)
        return self._returned(
            sa.select(RETURN).where(RETURN.c.resource == resource, RETURN.c.run.in_(there)).order_by(RETURN.c.id)
        )

    def came(self, resource: str, run: str) -> tuple[str, list[tuple[str, int, int]]] | None:
        """Of a run that brings rows back: the batch they were delivered in, and (batch, row, place in that one) of them
        and of all others that came back from it. None for a run that reads a source.
        """
        query = sa.select(MANIFEST.c.batch, RETURN.c.place, RETURN.c.origin, RETURN.c.row, RETURN.c.run)
        query = query.join(MANIFEST, MANIFEST.c.run == RETURN.c.run).where(RETURN.c.resource == resource)
        ours = sa.select(RETURN.c.id).where(RETURN.c.run == run).limit(1)
        with database.reading(self._engine) as connection:
            if connection.execute(ours).first() is None:
                return None
            rows = connection.execute(query.order_by(RETURN.c.id)).all()
        stood: dict[tuple[str, int], tuple[str, int]] = {}
        origin = ""
        for one in rows:  # a row that came back before it came back again is there already
            stood[one.batch, one.place] = stood.get((one.origin, one.row), (one.origin, one.row))
            if one.run == run:
                origin = stood[one.batch, one.place][0]
        return origin, [(*now, then) for now, (batch, then) in stood.items() if batch == origin]

    def _returned(self, query: sa.Select[tuple[object, ...]]) -> list[Returned]:
        with database.reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        wanted = tuple(Returned.__slots__)
        told = ({name: row[name] for name in wanted} for row in rows)
        return [
            Returned(**{**one, "accepted": tuple(one["accepted"]), "changed": tuple(one["changed"])}) for one in told
        ]

    def newer(self, resource: str, batch: str) -> list[str]:
        """The landed batches that the source delivered after it delivered this one last.

        A batch that came back from quarantine is as old as the one it came from.
        """
        came = sa.select(PIECE.c.batch, sa.func.max(RUN.c.started_at)).join(RUN, RUN.c.run_id == PIECE.c.run)
        came = came.where(PIECE.c.resource == resource).group_by(PIECE.c.batch)
        again = sa.select(MANIFEST.c.batch, RETURN.c.origin).join(RETURN, RETURN.c.run == MANIFEST.c.run)
        again = again.where(MANIFEST.c.resource == resource).distinct()
        landed = sa.select(RELEASE.c.batch).where(RELEASE.c.kind == "land", RELEASE.c.batch.is_not(None))
        with database.reading(self._engine) as connection:
            times = {name: at for name, at in connection.execute(came).tuples()}  # noqa: C416
            origins = {name: origin for name, origin in connection.execute(again).tuples()}  # noqa: C416
            there = set(connection.execute(landed).scalars())

        def age(name: str) -> str:
            while name in origins:
                name = origins[name]
            return str(times.get(name, ""))

        return sorted(one for one in times if one in there and one != batch and age(one) > age(batch))
