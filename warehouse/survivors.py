"""Decide field by field whose word counts: SQL over what several contributions say about the same keys."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from schemas.standard import Standard
from warehouse.crosswalk import ENTITY, OBSERVED, Contribution, key_of, sql_type
from warehouse.json_text import text_of
from warehouse.sql import literal, quote

SOURCES, DEPARTMENTS = "_sources", "_departments"  # columns of a base table
_JOINED, _LABELS = "_joined", "_labels"
_RULED_LAST = 999  # rank of a department the field's authority does not name
_BESIDE = "_beside"
_FEW = 600_000  # rows of all parts whose columns are put beside each other in memory
_BITS = 62  # of a BIGINT, used to pack small numbers
_NEITHER, _AGREE, _DIFFER = range(3)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two departments that both say something about a field of `records` firms or persons; of `differing` otherwise."""

    field: str
    department: str
    other: str
    records: int
    differing: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one contribution says: a relation known to the connection, with these fields of the standard.

    Besides them it has ENTITY (never null), OBSERVED and `_order_0…`, the columns by which the later row wins.
    """

    contribution: Contribution
    relation: str
    fields: tuple[str, ...]


def make(connection: duckdb.DuckDBPyConnection, standard: Standard, parts: Sequence[Part], into: str,
         *, kept: bool = True) -> tuple[Compared, ...]:  # fmt: skip
    """Make `into`, one row per key with each field from whoever's word counts most; returns who agreed with whom.

    `kept` makes a temporary table of it, otherwise a view that holds until the next call. The outcome depends on the
    rows and on the order of parts, not on the order of rows.
    """
    folded = [_folded(connection, standard, one, number) for number, one in enumerate(parts)]
    compared = list(pairs(parts))
    agreed = [_agreed(parts, *one) for one in compared]
    winners = [_winner(one.name, ranked(standard, parts, one.name)) for one in standard.fields]
    packed = {"_mask": " + ".join(f"(c{n}._there IS NOT NULL)::BIGINT * {2**n}" for n in range(len(parts)))}
    packed |= _packed("_whose", winners, width := len(parts).bit_length())
    packed |= (pairwise := _packed("_agreed", agreed, 2))
    fields = [f"{_value(standard, parts, one.name)} AS {quote(one.name)}" for one in standard.fields]
    joined = _side_by_side(connection, parts, folded)
    small = ", ".join(f"{sql} AS {name}" for name, sql in packed.items())
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_JOINED} AS SELECT {ENTITY}, {', '.join(fields)}, {small} FROM {joined}"
    )
    _label(connection, standard, parts, width, [name for name in packed if name not in pairwise])
    listed = ", ".join(quote(one.name) for one in standard.fields)
    using = ", ".join(name for name in packed if name not in pairwise)
    connection.execute(f"DROP VIEW IF EXISTS {into}" if not kept else f"DROP TABLE IF EXISTS {into}")
    connection.execute(
        f"CREATE TEMP {'TABLE' if kept else 'VIEW'} {into} AS"
        f" SELECT {listed}, {SOURCES}, {DEPARTMENTS} FROM {_JOINED} JOIN {_LABELS} USING ({using})"
    )
    return _counted(connection, compared, list(pairwise))


def _side_by_side(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], folded: Sequence[str]) -> str:
    """SQL of all keys with what each part says of them as c0, c1 …, which have `_there` where it says something.

    DuckDB joins by copying wide rows twice; as long as there are few, Arrow puts the columns beside each other.
    """
    many = sum(connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in folded)
    if many > _FEW:
        return f"(SELECT *, true AS _there FROM {folded[0]}) AS c0" + "".join(
            f" FULL JOIN (SELECT *, true AS _there FROM {name}) AS c{number} USING ({ENTITY})"
            for number, name in enumerate(folded[1:], 1)
        )
    tables = []
    for part, name in zip(parts, folded, strict=True):
        listed = ", ".join([ENTITY, *(quote(field) for field in part.fields)])
        rows = connection.execute(f"SELECT {listed}, true AS _there FROM {name}").to_arrow_table()
        tables.append(rows.combine_chunks())
    keys = pa.chunked_array([chunk for rows in tables for chunk in rows[ENTITY].chunks], pa.string()).unique()
    beside = {ENTITY: keys}
    for number, rows in enumerate(tables):
        placed = rows.drop_columns([ENTITY]).take(pc.index_in(keys, rows[ENTITY])).combine_chunks()
        beside[f"c{number}"] = placed.to_struct_array()
    connection.register(_BESIDE, pa.table(beside))
    return _BESIDE


def _folded(connection: duckdb.DuckDBPyConnection, standard: Standard, part: Part, number: int) -> str:
    """A relation with one row per key: of several rows each field comes from the newest that says something."""
    often, folded = f"_often_{number}", f"_folded_{number}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {often} AS"
        f" SELECT {ENTITY} FROM {part.relation} GROUP BY {ENTITY} HAVING count(*) > 1"
    )
    if not connection.execute(f"SELECT count(*) FROM {often}").fetchall()[0][0]:
        return part.relation
    said = ", ".join(quote(name) for name in part.fields)
    newest = ", ".join(
        f"arg_min({quote(name)}, _recency) FILTER (WHERE {quote(name)} IS NOT NULL) AS {quote(name)}"
        for name in part.fields
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {folded} AS SELECT {ENTITY}, {said} FROM {part.relation}"
        f" ANTI JOIN {often} USING ({ENTITY}) UNION ALL SELECT {ENTITY}, {newest} FROM"
        f" ({numbered(connection, standard, part)} SEMI JOIN {often} USING ({ENTITY})) GROUP BY {ENTITY}"
    )
    return folded


def numbered(connection: duckdb.DuckDBPyConnection, standard: Standard, part: Part) -> str:
    """SQL of a part's rows with `_recency` 1, 2, … per key, newest first."""
    columns = [name for name, *_ in connection.execute(f"DESCRIBE {part.relation}").fetchall()]
    orders = [f"{name} DESC NULLS LAST" for name in columns if name.startswith("_order_")]
    # Rows that tie in all of these are told apart by their content, so that the order of rows never matters.
    ties = [f"{quote(one.name)} ASC NULLS LAST" for one in standard.fields if one.name in part.fields]
    newest = ", ".join([*orders, f"{OBSERVED} DESC NULLS LAST", *ties])
    return f"SELECT *, row_number() OVER (PARTITION BY {ENTITY} ORDER BY {newest}) AS _recency FROM {part.relation}"


def observed(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """SQL of when a row of a part landed, as text."""
    kinds = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {relation}").fetchall()}
    return text_of(OBSERVED, kinds[OBSERVED])


def newest(connection: duckdb.DuckDBPyConnection, relation: str, where: str = "true") -> str | None:
    """When the newest of a part's rows that meet a condition landed."""
    query = f"SELECT {observed(connection, relation)} FROM (SELECT max({OBSERVED}) AS {OBSERVED} FROM {relation}"
    found: str | None = connection.execute(f"{query} WHERE {where})").fetchall()[0][0]
    return found


def statements(connection: duckdb.DuckDBPyConnection, standard: Standard, parts: Sequence[Part]) -> str:
    """SQL of who said what about every key, one row per statement.

    Columns: key, field, department, resource, value as text, rank (1 counts), chosen, observed_at.
    """
    queries = []
    for name in (one.name for one in standard.fields):
        for weight, number in enumerate(ranked(standard, parts, name)):
            part, text = parts[number], text_of(name, sql_type(standard, name))
            queries.append(
                f"SELECT {ENTITY} AS key, {literal(name)} AS field, {literal(part.contribution.department)}"
                f" AS department, {literal(part.contribution.resource)} AS resource, {text} AS value,"
                f" {weight} AS _weight, _recency, {observed(connection, part.relation)} AS observed_at"
                f" FROM ({numbered(connection, standard, part)}) WHERE {quote(name)} IS NOT NULL"
            )
    places = "row_number() OVER (PARTITION BY key, field ORDER BY _weight, _recency)::INTEGER AS rank"
    return (
        "SELECT key, field, department, resource, value, rank, rank = 1 AS chosen, observed_at"
        f" FROM (SELECT *, {places} FROM ({' UNION ALL '.join(queries)}))"
    )


def ranked(standard: Standard, parts: Sequence[Part], name: str) -> list[int]:
    """The parts that deliver a field, the one whose word counts most first: authority, then their order."""
    ruled = standard.field(name).authority
    there = [number for number, one in enumerate(parts) if name in one.fields]

    def rank(number: int) -> tuple[int, int]:
        department = parts[number].contribution.department
        return (ruled.index(department) if department in ruled else _RULED_LAST, number)

    return sorted(there, key=rank)


def _value(standard: Standard, parts: Sequence[Part], name: str) -> str:
    if name == key_of(standard):
        return ENTITY
    said = [f"c{number}.{quote(name)}" for number in ranked(standard, parts, name)]
    return f"coalesce({', '.join(said)})" if said else f"NULL::{sql_type(standard, name)}"


def _winner(name: str, ranked: Sequence[int]) -> str:
    """SQL of the part, from 1, whose word about a field counts; 0 where nobody says anything."""
    cases = " ".join(f"WHEN c{number}.{quote(name)} IS NOT NULL THEN {number + 1}" for number in ranked)
    return f"CASE {cases} ELSE 0 END" if cases else "0"


def pairs(parts: Sequence[Part]) -> Iterator[tuple[str, str, str]]:
    """Every field with two departments, in order, that both deliver it."""
    for name in dict.fromkeys(itertools.chain.from_iterable(one.fields for one in parts)):
        speaking = sorted({one.contribution.department for one in parts if name in one.fields})
        yield from ((name, *pair) for pair in itertools.combinations(speaking, 2))


def _agreed(parts: Sequence[Part], name: str, department: str, other: str) -> str:
    """SQL of whether the best statements of two departments about a field agree."""
    one, two = (
        "coalesce("
        + ", ".join(
            f"c{number}.{quote(name)}"
            for number, part in enumerate(parts)
            if part.contribution.department == who and name in part.fields
        )
        + ")"
        for who in (department, other)
    )
    return f"CASE WHEN {one} = {two} THEN {_AGREE} WHEN {one} <> {two} THEN {_DIFFER} ELSE {_NEITHER} END"


def _packed(name: str, numbers: Sequence[str], width: int) -> dict[str, str]:
    """SQL of columns that hold small numbers, each of `width` bits, as many to a BIGINT as go into it."""
    at_once = _BITS // width
    return {
        f"{name}_{place}": " + ".join(
            f"({sql})::BIGINT * {2 ** (width * shift)}" for shift, sql in enumerate(numbers[start : start + at_once])
        )
        for place, start in enumerate(range(0, len(numbers), at_once))
    }


def _unpacked(name: str, place: int, width: int) -> str:
    """SQL of the number at a place of the columns `_packed` made."""
    column, shift = divmod(place, _BITS // width)
    return f"(({name}_{column} >> {width * shift}) & {2**width - 1})"


def _label(connection: duckdb.DuckDBPyConnection, standard: Standard, parts: Sequence[Part], width: int,
           packed: Sequence[str]) -> None:  # fmt: skip
    """Make _LABELS: SOURCES `{field: [department, resource]}` and DEPARTMENTS of each combination that occurs."""
    labels = ", ".join(
        literal(json.dumps([one.contribution.department, one.contribution.resource], ensure_ascii=False))
        for one in parts
    )
    whose = ", ".join(
        f"{literal(json.dumps(one.name, ensure_ascii=False) + ':')} || ([{labels}])[nullif({winner}, 0)]"
        for place, one in enumerate(standard.fields)
        for winner in [_unpacked("_whose", place, width)]
    )
    there = ", ".join(
        f"CASE WHEN (_mask >> {number}) & 1 = 1 THEN {literal(one.contribution.department)} END"
        for number, one in enumerate(parts)
    )
    using = ", ".join(packed)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_LABELS} AS SELECT {using},"
        f" '{{' || concat_ws(',', {whose}) || '}}' AS {SOURCES}, list_sort(list_distinct([{there}])) AS {DEPARTMENTS}"
        f" FROM (SELECT DISTINCT {using} FROM {_JOINED})"
    )


def _counted(connection: duckdb.DuckDBPyConnection, pairs: Sequence[tuple[str, str, str]],
             packed: Sequence[str]) -> tuple[Compared, ...]:  # fmt: skip
    if not pairs:
        return ()
    using = ", ".join(packed)
    said = connection.execute(f"SELECT {using}, count(*) AS _n FROM {_JOINED} GROUP BY {using}").fetchnumpy()
    found = []
    for place, pair in enumerate(pairs):
        column, shift = divmod(place, _BITS // 2)
        told = (said[packed[column]] >> (2 * shift)) & 3
        records, differing = (int(said["_n"][which].sum()) for which in (told != _NEITHER, told == _DIFFER))
        found.append(Compared(*pair, records, differing))
    return tuple(sorted((one for one in found if one.records), key=lambda one: (one.field, one.department, one.other)))


def summed(*parts: tuple[int, Sequence[Compared]]) -> tuple[Compared, ...]:
    """Add up comparisons, each list with its sign; what comes to nothing is left out."""
    totals: dict[tuple[str, str, str], list[int]] = {}
    for sign, compared in parts:
        for one in compared:
            total = totals.setdefault((one.field, one.department, one.other), [0, 0])
            total[0] += sign * one.records
            total[1] += sign * one.differing
    return tuple(Compared(*pair, *counts) for pair, counts in sorted(totals.items()) if any(counts))


def as_json(compared: Sequence[Compared]) -> list[Mapping[str, object]]:
    """What was compared, as it is kept beside a merge."""
    return [{name: getattr(one, name) for name in Compared.__slots__} for one in compared]
