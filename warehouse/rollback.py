"""Go back to an earlier release of a resource or a library: all its tables together, or none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pyiceberg.table import Table

from schemas.points import reached
from warehouse.errors import WarehouseError
from warehouse.lock import Still
from warehouse.state import Release, State
from warehouse.state.rollbacks import Effects, Rollbacks
from warehouse.tables import Tables


@dataclass(frozen=True, slots=True)
class Target:
    """What goes back together: the tables that became visible together, the one with the records first.

    `alone` is the lock that whoever writes these tables holds.
    """

    name: str
    tables: tuple[str, ...]
    alone: Callable[[], AbstractContextManager[Still]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A release that moved a target: how many rows each table had (None: not there yet), and whether it can be had.

    `current`: it is what readers see. `gone`: its snapshots were forgotten.
    """

    release: Release
    rows: dict[str, int | None]
    current: bool
    gone: bool


@dataclass(frozen=True, slots=True)
class Moving:
    """A table of the target: the snapshots readers see now and would see then, and their rows; None for no table."""

    table: str
    now: int | None
    then: int | None
    rows_now: int
    rows_then: int


@dataclass(frozen=True, slots=True)
class Going:
    """What going back to a release comes to; `release` is the new one that did it, None where nothing was done."""

    target: str
    back_to: Release
    tables: tuple[Moving, ...]
    effects: Effects
    release: int | None = None

    @property
    def changes(self) -> bool:
        """Whether readers would see anything else."""
        return any(one.now != one.then for one in self.tables)


def choices(state: State, tables: Tables, target: Target, limit: int = 20) -> list[Choice]:
    """The newest releases that moved the target, newest first."""
    known, newest = _loaded(tables, target), state.release()
    found = {one.id: one for name in target.tables for one in state.releases(limit, changed=name)}
    shown = _snapshots(target, newest) if newest else {}
    told, current = [], False
    for number in sorted(found, reverse=True)[:limit]:
        one = found[number]
        pins = _snapshots(target, one)
        gone = not one.tables or any(_lost(known[name], snapshot) for name, snapshot in pins.items())
        rows = {name: None if gone or name not in pins else _rows(known[name], pins[name]) for name in target.tables}
        now = not current and pins == shown and not gone
        current = current or now
        told.append(Choice(one, rows, now, gone))
    return told


def plan(state: State, tables: Tables, target: Target, back_to: int) -> Going:
    """What going back to a release would change.

    Raises WH-ROLLBACK-UNKNOWN, WH-ROLLBACK-EARLY where the release is older than the target's first one, and
    WH-ROLLBACK-GONE where it is no longer kept; each says which releases can be had.
    """
    newest = state.release()
    chosen = state.release(back_to) if newest is not None and back_to <= newest.id else None
    if newest is None or chosen is None:
        raise _unknown(state, tables, target, back_to)
    known = _loaded(tables, target)
    pins, shown = _snapshots(target, chosen), _snapshots(target, newest)
    if not chosen.tables or any(_lost(known[name], snapshot) for name, snapshot in pins.items()):
        raise _gone(state, tables, target, back_to)
    if target.tables[0] not in pins:
        raise _early(state, tables, target, back_to)
    moving = tuple(
        Moving(
            name, shown.get(name), pins.get(name), _rows(known[name], shown.get(name)),
            _rows(known[name], pins.get(name)),
        )
        for name in target.tables
        if name in shown or name in pins
    )  # fmt: skip
    return Going(target.name, chosen, moving, Rollbacks(state.engine).effects(target.tables, back_to))


def roll_back(state: State, tables: Tables, target: Target, back_to: int, *, run: str, who: str, why: str) -> Going:
    """Go back: tables first, then, in one transaction, what readers see and what may land or be merged again.

    Whoever writes the tables waits meanwhile. Killed before that transaction nothing has happened: readers see what
    they saw, and the next landing or merge puts the tables right. Called again it ends in the same; where readers see
    that release already nothing happens. Raises as `plan` does.
    """
    with target.alone() as still_alone:
        going = plan(state, tables, target, back_to)
        for one in going.tables:
            try:
                tables.rollback_to(one.table, one.then)
            except ValueError as error:  # of pyiceberg: the snapshot was forgotten just now
                raise _gone(state, tables, target, back_to) from error
            reached("rollback.head")
        if not going.changes:
            return going
        pins = {one.table: tables.pin(one.table, one.then) for one in going.tables if one.then is not None}
        still_alone()
        reached("rollback.heads")
        made = Rollbacks(state.engine).commit(target.name, target.tables, pins, back_to, run=run, who=who, why=why)
        reached("rollback.released")
        return Going(going.target, going.back_to, going.tables, going.effects, made.id)


def _loaded(tables: Tables, target: Target) -> dict[str, Table | None]:
    return {name: tables.loaded(name) if tables.exists(name) else None for name in target.tables}


def _snapshots(target: Target, release: Release) -> dict[str, int]:
    return {name: release.tables[name].snapshot for name in target.tables if name in release.tables}


def _lost(table: Table | None, snapshot: int) -> bool:
    return table is None or table.metadata.snapshot_by_id(snapshot) is None


def _rows(table: Table | None, snapshot: int | None) -> int:
    known = table.metadata.snapshot_by_id(snapshot) if table and snapshot is not None else None
    if known is None or known.summary is None:
        return 0
    return int(known.summary["total-records"] or 0) - int(known.summary["total-position-deletes"] or 0)


def _unknown(state: State, tables: Tables, target: Target, wanted: int) -> WarehouseError:
    return WarehouseError(
        "WH-ROLLBACK-UNKNOWN",
        zh=f"没有第 {wanted} 次发布",
        en=f"there is no release {wanted}",
        **_possible(state, tables, target),
    )


def _early(state: State, tables: Tables, target: Target, wanted: int) -> WarehouseError:
    return WarehouseError(
        "WH-ROLLBACK-EARLY",
        zh=f"第 {wanted} 次发布时 {target.name} 还没有数据",
        en=f"there was nothing of {target.name} yet at release {wanted}",
        **_possible(state, tables, target),
    )


def _gone(state: State, tables: Tables, target: Target, wanted: int) -> WarehouseError:
    return WarehouseError(
        "WH-ROLLBACK-GONE",
        zh=f"第 {wanted} 次发布中 {target.name} 的快照已清理",
        en=f"the snapshots that {target.name} had at release {wanted} were forgotten",
        **_possible(state, tables, target),
    )


def _possible(state: State, tables: Tables, target: Target) -> dict[str, str]:
    """What can still be done, as an error says it."""
    kept = ", ".join(str(one.release.id) for one in choices(state, tables, target, 100) if not one.gone)
    return {
        "fix_zh": f"可回退到的发布：{kept or '无'}；更早的请从备份恢复（shutong backup list），或重新接入。"
        "保留多久由 SHUTONG_KEEP_RELEASES 与 SHUTONG_KEEP_DAYS 决定",
        "fix_en": f"Kept are: {kept or 'none'}; for earlier ones restore a backup (shutong backup list),"
        " or ingest again. SHUTONG_KEEP_RELEASES and SHUTONG_KEEP_DAYS say how long releases are kept",
    }
