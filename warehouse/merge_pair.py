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
    """Records of all keys at one snapshot: by field the numbers of values, and the parts they are from; who is there.

    What a part says of a field of a key is a number that stands for the value, _NONE where it says nothing.
    """

    there: list[_Flags]
    values: dict[str, _Numbers]
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
    `survivors.make` combines those.
    """
    every = connection.execute(keys).to_arrow_table().column(0).combine_chunks()
    parts = [one.part for one in found]
    tables: list[pa.Table] = []
    placed: list[tuple[_Numbers, _Numbers]] = []
    for one in found:
        listed = ", ".join(quote(name) for name in one.part.fields)
        said = connection.execute(f"SELECT {WAS}, {NOW}, {OLD}, {NEW}, {listed} FROM ({one.query})").to_arrow_table()
        tables.append(said)
        places = _places(said, every) if sum(map(len, tables)) <= MOST else None
        if places is None:
            return None
        placed.append(places)
    sides = tuple(_Side([one[number] != _NONE for one in placed], {}, {}) for number in range(2))
    values: dict[str, pa.Array] = {}
    compared: list[Compared] = []
    for name in dict.fromkeys(name for one in parts for name in one.fields):
        speaking = survivors.ranked(job.standard, parts, name)
        values[name], numbers = _numbered({number: tables[number][name] for number in speaking})
        for which, side in enumerate(sides):
            said_of = {number: _taken(numbers[number], placed[number][which]) for number in speaking}
            side.values[name], side.whose[name] = _first(speaking, said_of)
            compared += _counted(parts, name, said_of, -1 if which == 0 else 1)
    _tell(connection, job, parts, sides, values, every, after)
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


def _numbered(columns: dict[int, pa.ChunkedArray]) -> tuple[pa.Array, dict[int, _Numbers]]:
    """The different values of some columns, and for each column their numbers, _NONE for null."""
    chunks = [chunk for one in columns.values() for chunk in one.chunks]
    encoded = pa.chunked_array(chunks, next(iter(columns.values())).type).combine_chunks().dictionary_encode()
    every = encoded.indices.fill_null(_NONE).to_numpy().astype(np.int64)
    ends = np.cumsum([len(one) for one in columns.values()])
    return encoded.dictionary, dict(zip(columns, np.split(every, ends[:-1]), strict=True))


def _taken(numbers: _Numbers, places: _Numbers) -> _Numbers:
    return np.where(places == _NONE, _NONE, numbers[places]) if len(numbers) else np.full(len(places), _NONE, np.int64)


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


def _tell(connection: duckdb.DuckDBPyConnection, job: Job, parts: Sequence[Part], sides: tuple[_Side, ...],  # noqa: PLR0917
          values: dict[str, pa.Array], keys: pa.Array, after: str) -> None:  # fmt: skip
    """Make EVENTS of what differs, each record as it was, and `after` of what it is now."""
    old, new = sides
    changed = old.known != new.known
    for name in values:
        changed |= (old.values[name] != new.values[name]) | (old.whose[name] != new.whose[name])
    for one, other in zip(old.there, new.there, strict=True):
        changed |= one != other
    places = np.flatnonzero(changed)
    was, now = (_records(job, parts, side, values, keys, places) for side in sides)
    kinds = np.array(["changed", "added", "removed"])
    event = kinds[np.where(old.known[places], np.where(new.known[places], 0, 2), 1)]
    told = {
        KEY: keys.take(pa.array(places)),
        AT: pa.array([job.at] * len(places), pa.string()),
        EVENT: pa.array(event, pa.string()),
    }
    for name, table in (("_stood", pa.table(told | was)), ("_stands", pa.table(told | now))):
        connection.register(name, table)
    nothing = {one.name: f"NULL::{sql_type(job.standard, one.name)} AS " for one in job.standard.fields}
    listed = ", ".join(f"{'o.' if one in was else nothing[one]}{quote(one)}" for one in job.record)
    # Other parts may come to the same labels.
    unlike = " OR ".join(f"o.{quote(one)} IS DISTINCT FROM n.{quote(one)}" for one in was)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {EVENTS} AS SELECT o.{KEY}, o.{AT}, o.{EVENT}, {listed}"
        f" FROM _stood AS o POSITIONAL JOIN _stands AS n WHERE {unlike}"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {after} AS SELECT {listed} FROM _stands AS o WHERE {EVENT} <> 'removed'"
    )
    connection.unregister("_stood")
    connection.unregister("_stands")


def _records(job: Job, parts: Sequence[Part], side: _Side, values: dict[str, pa.Array], keys: pa.Array,  # noqa: PLR0917
             places: _Numbers) -> dict[str, pa.Array]:  # fmt: skip
    """The columns of the records at some places that anybody delivers, null where there is no record."""
    made = {job.key: keys.take(pa.array(places, mask=~side.known[places]))}
    for name, different in values.items():
        if name != job.key:
            numbers = side.values[name][places]
            made[name] = different.take(pa.array(numbers, mask=numbers == _NONE))
    names = [one.name for one in job.standard.fields if one.name in values]
    return made | _labels(parts, side, names, places)


def _labels(parts: Sequence[Part], side: _Side, names: Sequence[str], places: _Numbers) -> dict[str, pa.Array]:
    """SOURCES `{field: [department, resource]}` and DEPARTMENTS of records, as `survivors.make` has them."""
    told = [side.whose[name][places] for name in names] + [one[places].astype(np.int64) + _NONE for one in side.there]
    firsts, numbers = _different(told, len(parts) + 1)
    different = zip(*(one[firsts].tolist() for one in told), strict=True)
    said = [one.contribution for one in parts]
    whose = [json.dumps([one.department, one.resource], ensure_ascii=False) for one in said]
    fields = [json.dumps(name, ensure_ascii=False) for name in names]
    sources, departments = [], []
    for row in different:
        of_fields, there = row[: len(names)], row[len(names) :]
        told_of = (f"{name}:{whose[one]}" for name, one in zip(fields, of_fields, strict=True) if one != _NONE)
        sources.append("{" + ",".join(told_of) + "}")
        departments.append(sorted({one.department for one, speaks in zip(said, there, strict=True) if speaks != _NONE}))
    at = pa.array(numbers, mask=~side.known[places])
    return {
        SOURCES: pa.array(sources, pa.string()).take(at),
        DEPARTMENTS: pa.array(departments, pa.list_(pa.string())).take(at),
    }


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
