"""Combine few records as they were and as they are in one pass over numbers that stand for values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warehouse import survivors
from warehouse.crosswalk import sql_type
from warehouse.library_job import AT, EVENT, EVENTS, KEY, Job
from warehouse.moved import NEW, OLD
from warehouse.sql import quote
from warehouse.survivors import DEPARTMENTS, SOURCES, Compared, Part

MOST = 600_000  # rows of all contributions that are held in memory
WAS, NOW = "_was", "_now"  # the key a row came under in the old snapshot and comes under in the new one
_NONE = -1
_Numbers = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Found:
    """What a contribution says about some keys: SQL with WAS, NOW, OLD, NEW and the fields it delivers."""

    part: Part
    query: str


@dataclass(frozen=True, slots=True)
class _Side:
    """Records of all keys at one snapshot: who is there; by field whose word counts, and in which of their rows.

    What nobody says is _NONE.
    """

    there: list[_Flags]
    rows: dict[str, _Numbers]
    whose: dict[str, _Numbers]

    @property
    def known(self) -> _Flags:
        """Whether anybody says anything of a key."""
        known: _Flags = np.any(self.there, axis=0)
        return known


def pair(connection: duckdb.DuckDBPyConnection, job: Job, found: Sequence[Found], keys: str,
         after: str) -> tuple[Compared, ...] | None:  # fmt: skip
    """Make EVENTS and `after`, the records that came or changed; returns how what was compared changes.

    `keys` is SQL of the keys. None, and nothing made, where there are many rows, or several rows say what one key is:
    `survivors.make` combines those. What is made is registered with the connection.
    """
    every = connection.execute(keys).to_arrow_table().column(0).combine_chunks()
    parts = [one.part for one in found]
    tables: list[pa.Table] = []
    placed: list[tuple[_Numbers, _Numbers]] = []
    for one in found:
        listed = ", ".join(quote(name) for name in one.part.fields)
        query = f"SELECT {WAS}, {NOW}, {OLD}, {NEW}, {listed} FROM ({one.query})"
        said = connection.execute(query).to_arrow_table(MOST)  # in one piece
        tables.append(said)
        places = _places(said, every) if sum(map(len, tables)) <= MOST else None
        if places is None:
            return None
        placed.append(places)
    sides = tuple(_Side([one[number] != _NONE for one in placed], {}, {}) for number in range(2))
    moved = np.flatnonzero(np.any([was != now for was, now in placed], axis=0))
    unlike = sides[0].known != sides[1].known
    columns: dict[str, dict[int, pa.Array]] = {}
    compared: list[Compared] = []
    for name in dict.fromkeys(name for one in parts for name in one.fields):
        speaking = survivors.ranked(job.standard, parts, name)
        columns[name] = {number: tables[number][name].combine_chunks() for number in speaking}
        said_of = tuple(_said(columns[name], [one[which] for one in placed]) for which in range(2))
        for side, said_then in zip(sides, said_of, strict=True):
            side.rows[name], side.whose[name] = _first(speaking, said_then)
        turned = _turned(columns[name], said_of, moved)
        numbers = _numbered(columns[name], said_of, turned)
        for then, sign in zip(numbers, (-1, 1), strict=True):
            compared += _counted(parts, name, then, sign)
        if name != job.key:
            was, now = (_first(speaking, then)[0] for then in numbers)
            unlike[turned[was != now]] = True
    _tell(connection, job, _Told(parts, columns, sides, every, unlike), after)
    return survivors.summed((1, compared))


def _places(said: pa.Table, keys: pa.Array) -> tuple[_Numbers, _Numbers] | None:
    """For each key the number of the row that says what it was, and is, or _NONE; None for several rows."""
    made = []
    for name, flag in ((WAS, OLD), (NOW, NEW)):
        numbers = pc.index_in(said[name], value_set=keys).combine_chunks()
        there = pc.and_(said[flag].combine_chunks(), numbers.is_valid()).to_numpy(zero_copy_only=False)
        at = numbers.fill_null(0).to_numpy()[there]
        rows = np.full(len(keys), _NONE, np.int64)
        rows[at] = np.flatnonzero(there)
        if np.count_nonzero(rows != _NONE) != len(at):
            return None
        made.append(rows)
    return made[0], made[1]


def _said(columns: dict[int, pa.Array], rows: Sequence[_Numbers]) -> dict[int, _Numbers]:
    """For each key the row in which a part says something of a field, or _NONE."""
    made = {}
    for number, column in columns.items():
        made[number] = rows[number]
        if column.null_count:
            valid = np.append(column.is_valid().to_numpy(zero_copy_only=False), False)  # the last is _NONE's
            made[number] = np.where(valid[rows[number]], rows[number], _NONE)
    return made


def _turned(columns: dict[int, pa.Array], said: Sequence[dict[int, _Numbers]], moved: _Numbers) -> _Numbers:
    """Which of the keys whose rows `moved` are those of which some part says something else than it said."""
    turned = np.zeros(len(moved), np.bool_)
    for number, column in columns.items():
        was, now = (one[number][moved] for one in said)
        turned |= (was == _NONE) != (now == _NONE)
        both = np.flatnonzero((was != now) & (was != _NONE) & (now != _NONE))
        other = pc.not_equal(column.take(pa.array(was[both])), column.take(pa.array(now[both])))
        turned[both[other.to_numpy(zero_copy_only=False)]] = True
    return moved[turned]


def _numbered(columns: dict[int, pa.Array], said: Sequence[dict[int, _Numbers]],
              keys: _Numbers) -> tuple[dict[int, _Numbers], ...]:  # fmt: skip
    """Numbers that stand for the different values which parts said, and say, of a field of some keys, or _NONE."""
    rows = [one[number][keys] for one in said for number in columns]
    taken = [
        column.take(pa.array(one, mask=one == _NONE)) for column, one in zip([*columns.values()] * 2, rows, strict=True)
    ]
    encoded = pa.concat_arrays(taken).dictionary_encode()
    every = encoded.indices.fill_null(_NONE).to_numpy().astype(np.int64)
    split = np.split(every, len(rows))
    return dict(zip(columns, split, strict=False)), dict(zip(columns, split[len(columns) :], strict=True))


def _first(order: Sequence[int], said: dict[int, _Numbers]) -> tuple[_Numbers, _Numbers]:
    """The first number that is one, and which part says it; _NONE where none does."""
    value = np.full(len(said[order[0]]), _NONE, np.int64)
    whose = value.copy()
    for number in reversed(order):
        speaks = said[number] != _NONE
        value, whose = np.where(speaks, said[number], value), np.where(speaks, number, whose)
    return value, whose


def _counted(parts: Sequence[Part], name: str, said: dict[int, _Numbers], sign: int) -> list[Compared]:
    """How often two departments' best statements of a field are there, and differ, each count with the sign."""
    best = {
        who: _first(numbers, said)[0]
        for who in {parts[number].contribution.department for number in said}
        for numbers in [sorted(number for number in said if parts[number].contribution.department == who)]
    }
    made = []
    for field, one, other in survivors.pairs(parts):
        if field == name:
            both = (best[one] != _NONE) & (best[other] != _NONE)
            differing = int(np.count_nonzero(both & (best[one] != best[other])))
            made.append(Compared(name, one, other, sign * int(np.count_nonzero(both)), sign * differing))
    return made


@dataclass(frozen=True, slots=True)
class _Told:
    """What parts said, and say: their columns by field, what counts of them on both sides; keys; whose record differs.

    Records may differ, besides, in whose words count.
    """

    parts: Sequence[Part]
    columns: dict[str, dict[int, pa.Array]]
    sides: tuple[_Side, ...]
    keys: pa.Array
    unlike: _Flags


def _tell(connection: duckdb.DuckDBPyConnection, job: Job, told: _Told, after: str) -> None:
    """Register EVENTS of what differs, each record as it was, and `after` of what it is now."""
    old, new = told.sides
    changed = told.unlike.copy()
    for one, other in zip([*old.whose.values(), *old.there], [*new.whose.values(), *new.there], strict=True):
        changed |= one != other
    places = np.flatnonzero(changed)
    names = [one.name for one in job.standard.fields if one.name in told.columns]
    labels, sides = _labels(told, names, places)
    really = told.unlike[places] | (sides[0] != sides[1])  # other parts may come to the same labels
    places = places[really]
    kinds = np.array(["changed", "added", "removed"])
    event = kinds[np.where(old.known[places], np.where(new.known[places], 0, 2), 1)]
    events = {
        KEY: told.keys.take(pa.array(places)),
        AT: pa.array([job.at] * len(places), pa.string()),
        EVENT: pa.array(event, pa.string()),
    }
    stays = event != "removed"
    was = _records(connection, job, told, old, places)
    now = _records(connection, job, told, new, places[stays])
    for name in (SOURCES, DEPARTMENTS):
        was[name] = labels[name].take(_masked(sides[0][really]))
        now[name] = labels[name].take(_masked(sides[1][really][stays]))
    connection.register(EVENTS, pa.table(events | {name: was[name] for name in job.record}))
    connection.register(after, pa.table({name: now[name] for name in job.record}))


def _masked(numbers: _Numbers) -> pa.Array:
    return pa.array(numbers, mask=numbers == _NONE)


def _records(connection: duckdb.DuckDBPyConnection, job: Job, told: _Told, side: _Side,
             places: _Numbers) -> dict[str, pa.Array]:  # fmt: skip
    """The fields of the records at some places, null where there is no record."""
    made = {job.key: told.keys.take(pa.array(places, mask=~side.known[places]))}
    for name, columns in told.columns.items():
        if name != job.key:
            made[name] = _taken(columns, side.rows[name][places], side.whose[name][places])
    if silent := [one.name for one in job.standard.fields if one.name not in made]:
        listed = ", ".join(f"NULL::{sql_type(job.standard, one)} AS {quote(one)}" for one in silent)
        for field in connection.execute(f"SELECT {listed} LIMIT 0").to_arrow_table().schema:
            made[field.name] = pa.nulls(len(places), field.type)
    return made


def _taken(columns: dict[int, pa.Array], rows: _Numbers, whose: _Numbers) -> pa.Array:
    """The values in some rows of the parts they are from."""
    found, at, pieces = 0, np.full(len(rows), _NONE, np.int64), []
    for number, column in columns.items():
        mine = np.flatnonzero(whose == number)
        if len(mine) == len(rows):
            return column.take(pa.array(rows))
        at[mine] = np.arange(found, found + len(mine))
        pieces.append(column.take(pa.array(rows[mine])))
        found += len(mine)
    return pa.concat_arrays(pieces).take(_masked(at))


def _labels(told: _Told, names: Sequence[str], places: _Numbers) -> tuple[dict[str, pa.Array], Sequence[_Numbers]]:
    """Different SOURCES `{field: [department, resource]}` and DEPARTMENTS, as `survivors.make` has them.

    And which of them the records at some places had, and have: alike numbers for alike labels, _NONE for no record.
    """
    rows = [np.concatenate([side.whose[name][places] for side in told.sides]) for name in names]
    there = [np.concatenate([side.there[part][places] for side in told.sides]) for part in range(len(told.parts))]
    rows += [one.astype(np.int64) + _NONE for one in there]
    firsts, numbers = _different(rows, len(told.parts) + 1)
    said = [one.contribution for one in told.parts]
    whose = [json.dumps([one.department, one.resource], ensure_ascii=False) for one in said]
    fields = [json.dumps(name, ensure_ascii=False) for name in names]
    labels: dict[tuple[str, tuple[str, ...]], int] = {}
    of_different = []
    for row in zip(*(one[firsts].tolist() for one in rows), strict=True):
        of_fields, of_parts = row[: len(names)], row[len(names) :]
        told_of = (f"{name}:{whose[one]}" for name, one in zip(fields, of_fields, strict=True) if one != _NONE)
        departments = sorted({one.department for one, speaks in zip(said, of_parts, strict=True) if speaks != _NONE})
        label = "{" + ",".join(told_of) + "}", tuple(departments)
        of_different.append(labels.setdefault(label, len(labels)))
    made = {
        SOURCES: pa.array([sources for sources, _ in labels], pa.string()),
        DEPARTMENTS: pa.array([departments for _, departments in labels], pa.list_(pa.string())),
    }
    every = np.array(of_different, np.int64)[numbers]
    return made, [
        np.where(side.known[places], one, _NONE) for side, one in zip(told.sides, np.split(every, 2), strict=True)
    ]


def _different(columns: Sequence[_Numbers], base: int) -> tuple[_Numbers, _Numbers]:
    """A row of each combination of numbers from -1 to below `base` - 1, and for each row which of them it has."""
    code, least = np.zeros(len(columns[0]), np.int64), 1
    for one in columns:
        if least > 2**62 // base:
            code = np.unique(code, return_inverse=True)[1]
            least = len(code) + 1
        code, least = code * base + one + 1, least * base
    _, firsts, numbers = np.unique(code, return_index=True, return_inverse=True)
    return firsts, numbers
