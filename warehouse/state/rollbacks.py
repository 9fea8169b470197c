"""Take releases back in one transaction: the earlier pins again, the names of what went back, who said so and why."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from warehouse.clock import now_text
from warehouse.state import database
from warehouse.state.schema import RELEASE, RUN
from warehouse.state.state import UNDONE, as_release, moved, newest_release
from warehouse.state.values import Pin, Release

ROLLBACK = "rollback"  # kind of a release, and trigger of a run
TAKEN_BACK = "undone"  # status of a run
_SAME_ROWS = (ROLLBACK, "compact")  # kinds of releases that bring no rows of their own: nothing to take back
_TABLE = sa.table(
    "rollback",
    sa.column("release", sa.BigInteger),
    sa.column("target", sa.String),
    sa.column("back_to", sa.BigInteger),
    sa.column("run", sa.String),
    sa.column("at", sa.String),
    sa.column("who", sa.String),
    sa.column("why", sa.Text),
)


@dataclass(frozen=True, slots=True)
class Rollback:
    """A release that took others back: of what, to which release, when, by whom and why."""

    release: int
    target: str
    back_to: int
    run: str
    at: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Effects:
    """The releases that going back takes back, and those taken back before that count again."""

    undone: tuple[Release, ...]
    restored: tuple[Release, ...]


class Rollbacks:
    """Rollbacks over the engine of the state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def history(self, target: str | None = None, limit: int = 100) -> list[Rollback]:
        """The newest rollbacks, newest first."""
        query = sa.select(_TABLE).order_by(_TABLE.c.release.desc()).limit(limit)
        if target is not None:
            query = query.where(_TABLE.c.target == target)
        with database.reading(self._engine) as connection:
            return [Rollback(**row) for row in connection.execute(query).mappings()]

    def effects(self, tables: Sequence[str], back_to: int) -> Effects:
        """What going back to a release of these tables takes back and brings back."""
        with database.reading(self._engine) as connection:
            return _effects(connection, tables, back_to)

    def commit(
        self,
        target: str,
        tables: Sequence[str],
        pins: Mapping[str, Pin],
        back_to: int,
        *,
        run: str,
        who: str,
        why: str,
    ) -> Release:
        """Let readers see `tables` as pinned, those without a pin no more, and other tables as they see them now.

        In the same transaction the landings and merges taken back lose their names, so that they can be made again;
        those that count again get theirs back. `run` is recorded as a run that is done.
        """
        at = now_text()
        with database.serialised(self._engine) as connection:
            effects = _effects(connection, tables, back_to)
            newest = newest_release(connection)
            shown = dict(newest.tables) if newest else {}
            changed = sorted(one for one in tables if one in shown or one in pins)
            kept = {name: pin for name, pin in shown.items() if name not in changed} | dict(pins)
            values = {
                "created_at": at, "run": run, "tables": {name: asdict(pin) for name, pin in sorted(kept.items())},
                "kind": ROLLBACK, "changed": "\n".join(changed), "batch": None, "counts": {"to": back_to},
            }  # fmt: skip
            connection.execute(sa.insert(RELEASE).values(**values))
            release = newest_release(connection)
            assert release is not None  # noqa: S101 (it was just made)
            for one in effects.undone:  # before any name is given back: the same batch may have landed twice
                _name(connection, one, f"{one.kind}{UNDONE}{release.id}")
            for one in effects.restored:
                _name(connection, one, one.kind.partition(UNDONE)[0])
            _runs(connection, {one.run for one in (*effects.undone, *effects.restored)})
            told = {"run_id": run, "resource": target, "step": ROLLBACK, "status": "done", "trigger": ROLLBACK}
            decision = f"release {back_to}"
            connection.execute(sa.insert(RUN).values(**told, decision=decision, started_at=at, finished_at=at))
            made = Rollback(release.id, target, back_to, run, at, who, why)
            connection.execute(sa.insert(_TABLE).values(**asdict(made)))
            return release


def _effects(connection: sa.Connection, tables: Sequence[str], back_to: int) -> Effects:
    light = [one for one in RELEASE.c if one.name != "tables"]  # of all releases there ever were
    query = sa.select(*light).where(moved(tables)).order_by(RELEASE.c.id)
    rows = {row["id"]: as_release(row) for row in connection.execute(query).mappings()}
    numbers = list(rows)
    counting = _history(rows, _last(numbers, back_to))
    ours = [one for one in rows.values() if one.kind not in _SAME_ROWS]
    undone = tuple(one for one in ours if UNDONE not in one.kind and one.id not in counting)
    return Effects(undone, tuple(one for one in ours if UNDONE in one.kind and one.id in counting))


def _history(rows: Mapping[int, Release], last: int | None) -> set[int]:
    """The releases that a release stands on, itself among them: from a rollback it goes on where that went back to."""
    found, numbers, at = set[int](), list(rows), last
    while at is not None:
        one = rows[at]
        if one.kind == ROLLBACK:
            at = _last(numbers, one.counts["to"])
        else:
            found.add(at)
            at = _last(numbers, at - 1)
    return found


def _last(numbers: Sequence[int], most: int) -> int | None:
    place = bisect_right(numbers, most)
    return numbers[place - 1] if place else None


def _name(connection: sa.Connection, one: Release, kind: str) -> None:
    connection.execute(sa.update(RELEASE).where(RELEASE.c.id == one.id).values(kind=kind))


def _runs(connection: sa.Connection, runs: set[str]) -> None:
    """Say of each run whether something it landed was taken back and has not landed since."""
    for run in sorted(runs):
        query = sa.select(RELEASE.c.batch, RELEASE.c.kind).where(RELEASE.c.run == run, RELEASE.c.batch.is_not(None))
        made = connection.execute(query).tuples().all()
        gone = {batch for batch, kind in made if UNDONE in kind} - {batch for batch, kind in made if UNDONE not in kind}
        before, after = ("done", TAKEN_BACK) if gone else (TAKEN_BACK, "done")
        connection.execute(sa.update(RUN).where(RUN.c.run_id == run, RUN.c.status == before).values(status=after))
