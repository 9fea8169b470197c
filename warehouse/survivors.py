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

SAID, RECORD, ATTR = "_said", "_record", "_attr"  # temporary tables of a merge
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


def gather(connection: duckdb.DuckDBPyConnection, standard: Standard, contributions: Sequence[Contribution]) -> None:
    """Bring all staged rows that have a key into SAID, the rows of one resource about one key numbered newest first."""
    queries = []
    for number in range(len(contributions)):
        columns = [name for name, *_ in connection.execute(f"DESCRIBE {staged(number)}").fetchall()]
        orders = [f"{name} DESC NULLS LAST" for name in columns if name.startswith("_order_")]
        # Rows that tie in all of these are told apart by their content, so that the order of rows never matters.
        ties = [f"{quote(one.name)} ASC NULLS LAST" for one in standard.fields]
        newest = ", ".join([*orders, f"{OBSERVED} DESC NULLS LAST", *ties])
        kind = next(kind for name, kind, *_ in connection.execute(f"DESCRIBE {staged(number)}").fetchall()
                    if name == OBSERVED)  # fmt: skip
        fields = ", ".join(quote(one.name) for one in standard.fields)
        queries.append(
            f"SELECT {ENTITY}, {number} AS _contribution,"
            f" row_number() OVER (PARTITION BY {ENTITY} ORDER BY {newest}) AS _recency,"
            f" {text_of(OBSERVED, kind)} AS {OBSERVED}, {fields} FROM {staged(number)} WHERE {ENTITY} IS NOT NULL"
        )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {SAID} AS {' UNION ALL '.join(queries)}")


def decide(connection: duckdb.DuckDBPyConnection, standard: Standard, contributions: Sequence[Contribution],
           delivered: Sequence[Sequence[str]]) -> None:  # fmt: skip
    """Make RECORD, one row per key, and ATTR, one row per statement, from SAID; `delivered` are each one's fields."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {RECORD} AS {record_query(standard, contributions)}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {ATTR} AS {attr_query(standard, contributions, delivered)}")


def record_query(standard: Standard, contributions: Sequence[Contribution]) -> str:
    """SQL of the base table: the key, each field from whoever's word counts most, and whose word that was."""
    key = key_of(standard)
    others = [one.name for one in standard.fields if one.name != key]
    aggregates = []
    for name in (one.name for one in standard.fields):
        said = f"FILTER (WHERE {quote(name)} IS NOT NULL)"
        weight = score(standard, contributions, name)
        aggregates.append(f"min({weight}) {said} AS {quote('_score_' + name)}")
        if name in others:
            aggregates.append(f"arg_min({quote(name)}, {weight}) {said} AS {quote(name)}")
    labels = [json.dumps([one.department, one.resource], ensure_ascii=False) for one in contributions]
    whose = ", ".join(
        f"{literal(json.dumps(one.name, ensure_ascii=False) + ':')} || {_pick(labels, _winner(one.name))}"
        for one in standard.fields
    )
    departments = _pick([one.department for one in contributions], "_contribution")
    fields = ", ".join(f"{ENTITY} AS {quote(key)}" if one.name == key else quote(one.name) for one in standard.fields)
    return (
        f"SELECT {fields}, '{{' || concat_ws(',', {whose}) || '}}' AS {SOURCES}, {DEPARTMENTS}"
        f" FROM (SELECT {ENTITY}, list_sort(list(DISTINCT {departments})) AS {DEPARTMENTS}, {', '.join(aggregates)}"
        f" FROM {SAID} GROUP BY {ENTITY}) ORDER BY {ENTITY}"
    )


def attr_query(standard: Standard, contributions: Sequence[Contribution], delivered: Sequence[Sequence[str]]) -> str:
    """SQL of who said what: key, field, department, resource, value, rank (1 counts), chosen, observed_at."""
    department = _pick([one.department for one in contributions], "_contribution")
    resource = _pick([one.resource for one in contributions], "_contribution")
    queries = []
    for name in (one.name for one in standard.fields if any(one.name in fields for fields in delivered)):
        weight = score(standard, contributions, name)
        queries.append(
            f"SELECT {ENTITY} AS key, {literal(name)} AS field, {department} AS department, {resource} AS resource,"
            f" {text_of(name, sql_type(standard, name))} AS value,"
            f" row_number() OVER (PARTITION BY {ENTITY} ORDER BY {weight})::INTEGER AS rank, {OBSERVED} AS observed_at"
            f" FROM {SAID} WHERE {quote(name)} IS NOT NULL"
        )
    every = " UNION ALL ".join(queries)
    return (
        "SELECT key, field, department, resource, value, rank, rank = 1 AS chosen, observed_at"
        f" FROM ({every}) ORDER BY key, field, rank"
    )


def conflicts(connection: duckdb.DuckDBPyConnection) -> tuple[Conflict, ...]:
    """How often two departments disagree, per field; each department speaks through its own best statement."""
    rows = connection.execute(
        f"WITH shared AS (SELECT key FROM {ATTR} GROUP BY key HAVING min(department) <> max(department)),"
        f" best AS (SELECT key, field, department, arg_min(value, rank) AS value FROM {ATTR}"
        " SEMI JOIN shared USING (key) GROUP BY key, field, department)"
        " SELECT one.field, one.department, other.department, count(*) FROM best AS one JOIN best AS other"
        " ON one.key = other.key AND one.field = other.field AND one.department < other.department"
        " WHERE one.value <> other.value GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return tuple(Conflict(*row) for row in rows)


def score(standard: Standard, contributions: Sequence[Contribution], name: str) -> str:
    """SQL of how little a statement about the field counts: authority first, then order of contributions, then age."""
    ruled = standard.field(name).authority
    weights = [
        (ruled.index(one.department) if one.department in ruled else _RULED_LAST) * _PER_AUTHORITY
        + number * _PER_CONTRIBUTION
        for number, one in enumerate(contributions)
    ]
    return f"([{', '.join(map(str, weights))}]::BIGINT[])[_contribution + 1] + _recency"


def _winner(name: str) -> str:
    return f"({quote('_score_' + name)} % {_PER_AUTHORITY}) // {_PER_CONTRIBUTION}"


def _pick(texts: Sequence[str], place: str) -> str:
    return f"([{', '.join(literal(text) for text in texts)}])[{place} + 1]"
