"""List what would fuse two firms or persons and therefore waits for a human, and take the human's word for it."""

from __future__ import annotations

from warehouse import words
from warehouse.errors import WarehouseError
from warehouse.library_job import BASE
from warehouse.library_state import LibraryState, newest
from warehouse.said import rules_of
from warehouse.sql import quote
from warehouse.state import State
from warehouse.tables import Tables
from warehouse.words import APART, Held

MOST = 10_000  # rows that are listed
_WAITING = "contradiction', 'shared"


def held(state: State, tables: Tables, library: str, *, limit: int = MOST) -> list[Held]:
    """What waits for a decision, statements about keys first; rows as the newest merge saw them."""
    memory = LibraryState(state.engine)
    said = memory.words(library)
    waiting = [one for one in words.resolve(said)[1] if one.id not in said.decisions]
    made = newest(state, library)
    if made is None:
        return waiting[:limit]
    standard, _ = rules_of(made)
    names = [name for name in standard.identifiers if name not in standard.key]
    listed = ", ".join(quote(name) for name in ["id", "reason", "candidates", "resource", "rows", *names])
    xref = f"{BASE}.{library}_xref"
    with tables.connect() as connection:
        rows = connection.execute(
            f"SELECT {listed} FROM {tables.relation(xref, state.released(xref))}"
            f" WHERE reason IN ('{_WAITING}') ORDER BY resource, id LIMIT {limit}"
        ).fetchall()
    for number, reason, candidates, resource, count, *values in rows:
        if said.decisions.get(number) not in (*candidates, APART):
            told = {name: str(value) for name, value in zip(names, values, strict=True) if value is not None}
            waiting.append(Held(number, reason, tuple(candidates), resource, told, count))
    return waiting[:limit]


def decide(state: State, tables: Tables, library: str, number: str, key: str | None, *, who: str, why: str) -> Held:
    """Record which of the keys something held belongs to, or (None) that nothing is joined; the next merge heeds it.

    Raises WH-HELD-UNKNOWN when nothing of that id waits, WH-HELD-KEY when the key is none of its own.
    """
    waiting = {one.id: one for one in held(state, tables, library)}
    if number not in waiting:
        raise WarehouseError(
            "WH-HELD-UNKNOWN",
            zh=f"基础库 {library} 没有编号 {number} 的待定项",
            en=f"nothing with the id {number} waits in library {library}",
            fix_zh=f"查看待定项：shutong library held {library}",
            fix_en=f"See what waits with: shutong library held {library}",
        )
    one = waiting[number]
    if key is not None and key not in one.candidates:
        raise WarehouseError(
            "WH-HELD-KEY",
            zh=f"给出的主键不是待定项 {number} 的 {len(one.candidates)} 个候选之一",
            en=f"the key is not among the {len(one.candidates)} keys of {number}",
            fix_zh=f"用 shutong library held {library} --clear 查看候选并选择其一，或用 --apart 表示互不相干",
            fix_en=f"See them with: shutong library held {library} --clear; choose one, or --apart when they have"
            " nothing to do with each other",
        )
    LibraryState(state.engine).say(library, "held", number, APART if key is None else key, who=who, why=why)
    return one


def became(state: State, library: str, old: str, new: str, *, who: str, why: str, withdrawn: bool = False) -> bool:
    """Record that a key became another, or withdraw that; False when it is held, since it would fuse two."""
    memory = LibraryState(state.engine)
    if old == new:
        raise WarehouseError(
            "WH-KEY-SAME",
            zh=f"新旧主键相同：{old}",
            en=f"the old key and the new one are the same: {old}",
            fix_zh="写明变更前后的两个主键",
            fix_en="Name the key before and the key after the change",
        )
    memory.say(library, "withdrawn" if withdrawn else "changed", old, new, who=who, why=why)
    return all(old not in one.candidates for one in words.resolve(memory.words(library))[1])
