"""Decide field by field whose word counts: SQL over staged contributions, generated from the standard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from schemas.standard import Standard
from warehouse.crosswalk import ENTITY, OBSERVED, Contribution, key_of, sql_type, staged
from warehouse.json_text import text_of
from warehouse.sql import literal, quote

ALONE, SHARED = "_alone", "_shared"  # temporary tables: rows that are all anybody says about their key, and the rest
RECORD, ATTR = "_record", "_attr"  # temporary tables: what a merge makes
SOURCES, DEPARTMENTS = "_sources", "_departments"  # columns of a base table
_PER_CONTRIBUTION = 10**9  # rows one contribution may bring about one firm or person
_PER_AUTHORITY = 10**13
_RULED_LAST = 999  # rank of a department the field's authority does not name


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two departments that both say something about a field and disagree, over `records` firms or persons."""

    field: str
    department: str
    other: str
    records: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Two departments that both say something about a field of `records` firms or persons; of `differing` otherwise."""

    field: str
    department: str
    other: str
    records: int
    differing: int


def gather(connection: duckdb.DuckDBPyConnection, standard: Standard, contributions: Sequence[Contribution]) -> None:
    """Bring all staged rows that have a key into ALONE and SHARED, those of one resource about one key newest first.

    Most keys are spoken of once; telling them apart here spares them every sorting and grouping that follows.
    """
    queries = [_numbered(connection, standard, number) for number in range(len(contributions))]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _said AS {' UNION ALL '.join(queries)}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE _often AS SELECT {ENTITY} FROM _said GROUP BY {ENTITY} HAVING count(*) > 1"
    )
    for name, kind in ((ALONE, "ANTI"), (SHARED, "SEMI")):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM _said {kind} JOIN _often USING ({ENTITY})"
        )
    connection.execute("DROP TABLE _said")


def _numbered(connection: duckdb.DuckDBPyConnection, standard: Standard, number: int) -> str:
    """SQL of one contribution's rows that have a key, with `_recency` 1, 2, … per key, newest first."""
    rows = staged(number)
    columns = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {rows}").fetchall()}
    orders = [f"{name} DESC NULLS LAST" for name in columns if name.startswith("_order_")]
    # Rows that tie in all of these are told apart by their content, so that the order of rows never matters.
    ties = [f"{quote(one.name)} ASC NULLS LAST" for one in standard.fields]
    newest = ", ".join([*orders, f"{OBSERVED} DESC NULLS LAST", *ties])
    fields = ", ".join(quote(one.name) for one in standard.fields)
    often = f"(SELECT {ENTITY} FROM {rows} WHERE {ENTITY} IS NOT NULL GROUP BY {ENTITY} HAVING count(*) > 1) AS often"
    return " UNION ALL ".join(
        f"SELECT {ENTITY}, {number} AS _contribution, {recency} AS _recency,"
        f" {text_of(OBSERVED, columns[OBSERVED])} AS {OBSERVED}, {fields}"
        f" FROM {rows} {kind} JOIN {often} USING ({ENTITY}) WHERE {ENTITY} IS NOT NULL"
        for recency, kind in (("1", "ANTI"), (f"row_number() OVER (PARTITION BY {ENTITY} ORDER BY {newest})", "SEMI"))
    )


def decide(connection: duckdb.DuckDBPyConnection, standard: Standard, contributions: Sequence[Contribution],
           delivered: Sequence[Sequence[str]]) -> None:  # fmt: skip
    """Make RECORD, one row per key, and ATTR, one row per statement; `delivered` are each one's fields."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {RECORD} AS {record_query(standard, contributions)}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {ATTR} AS {attr_query(standard, contributions, delivered)}")


def record_query(standard: Standard, contributions: Sequence[Contribution]) -> str:
    """SQL of the base table: the key, each field from whoever's word counts most, and whose word that was."""
    key = key_of(standard)
    aggregates = []
    for name in (one.name for one in standard.fields):
        said, weight = f"FILTER (WHERE {quote(name)} IS NOT NULL)", score(standard, contributions, name)
        aggregates.append(f"min({weight}) {said} AS {quote('_score_' + name)}")
        if name != key:
            aggregates.append(f"arg_min({quote(name)}, {weight}) {said} AS {quote(name)}")
    departments = _pick([one.department for one in contributions], "_contribution")
    fields = ", ".join(f"{ENTITY} AS {quote(key)}" if one.name == key else quote(one.name) for one in standard.fields)
    winners = [f"({quote('_score_' + one.name)} % {_PER_AUTHORITY}) // {_PER_CONTRIBUTION}" for one in standard.fields]
    spoken = [f"CASE WHEN {quote(one.name)} IS NOT NULL THEN _contribution END" for one in standard.fields]
    return (
        f"SELECT {fields}, {_sources(standard, contributions, winners)} AS {SOURCES}, {DEPARTMENTS}"
        f" FROM (SELECT {ENTITY}, list_sort(list(DISTINCT {departments})) AS {DEPARTMENTS}, {', '.join(aggregates)}"
        f" FROM {SHARED} GROUP BY {ENTITY}) UNION ALL SELECT {fields},"
        f" {_sources(standard, contributions, spoken)} AS {SOURCES}, [{departments}] AS {DEPARTMENTS} FROM {ALONE}"
    )


def attr_query(standard: Standard, contributions: Sequence[Contribution], delivered: Sequence[Sequence[str]]) -> str:
    """SQL of who said what: key, field, department, resource, value, rank (1 counts), chosen, observed_at."""
    department = _pick([one.department for one in contributions], "_contribution")
    resource = _pick([one.resource for one in contributions], "_contribution")
    queries = []
    for name in (one.name for one in standard.fields if any(one.name in fields for fields in delivered)):
        weight = score(standard, contributions, name)
        ranked = f"row_number() OVER (PARTITION BY {ENTITY} ORDER BY {weight})"
        queries += [
            f"SELECT {ENTITY} AS key, {literal(name)} AS field, {department} AS department, {resource} AS resource,"
            f" {text_of(name, sql_type(standard, name))} AS value, ({rank})::INTEGER AS rank, {OBSERVED} AS observed_at"
            f" FROM {table} WHERE {quote(name)} IS NOT NULL"
            for table, rank in ((ALONE, "1"), (SHARED, ranked))
        ]
    every = " UNION ALL ".join(queries)
    return f"SELECT key, field, department, resource, value, rank, rank = 1 AS chosen, observed_at FROM ({every})"


def compared(connection: duckdb.DuckDBPyConnection) -> tuple[Compared, ...]:
    """How often two departments spoke of the same, per field; each department speaks through its own best statement."""
    rows = connection.execute(
        f"WITH best AS (SELECT key, field, department, arg_min(value, rank) AS value FROM {ATTR}"
        f" SEMI JOIN _often ON key = {ENTITY} GROUP BY key, field, department)"
        " SELECT one.field, one.department, other.department, count(*),"
        " count(*) FILTER (WHERE one.value <> other.value) FROM best AS one JOIN best AS other"
        " ON one.key = other.key AND one.field = other.field AND one.department < other.department"
        " GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return tuple(Compared(*row) for row in rows)


def score(standard: Standard, contributions: Sequence[Contribution], name: str) -> str:
    """SQL of how little a statement about the field counts: authority first, then order of contributions, then age."""
    ruled = standard.field(name).authority
    weights = [
        (ruled.index(one.department) if one.department in ruled else _RULED_LAST) * _PER_AUTHORITY
        + number * _PER_CONTRIBUTION
        for number, one in enumerate(contributions)
    ]
    return f"([{', '.join(map(str, weights))}]::BIGINT[])[_contribution + 1] + _recency"


def _sources(standard: Standard, contributions: Sequence[Contribution], winners: Sequence[str]) -> str:
    """SQL of `{field: [department, resource]}` as JSON text; `winners` give each field's contribution, or null."""
    labels = [json.dumps([one.department, one.resource], ensure_ascii=False) for one in contributions]
    whose = ", ".join(
        f"{literal(json.dumps(one.name, ensure_ascii=False) + ':')} || {_pick(labels, winner)}"
        for one, winner in zip(standard.fields, winners, strict=True)
    )
    return f"'{{' || concat_ws(',', {whose}) || '}}'"


def _pick(texts: Sequence[str], place: str) -> str:
    return f"([{', '.join(literal(text) for text in texts)}])[{place} + 1]"
