"""The rebuild of a library as plain SQL that other engines run too: no packed numbers, no statement but SELECT.

The text is DuckDB's, of the functions that `portable_spark` has names for in Spark; an engine needs nothing but the
rows that departments landed, as `input_0`, `input_1`, … in the order of contributions.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from warehouse import crosswalk, words
from warehouse.crosswalk import ENTITY, LOOSE, OBSERVED, OWN, identifier, key_of, sql_type, weaker
from warehouse.library_job import Job
from warehouse.sql import literal, quote
from warehouse.survivors import DEPARTMENTS, SOURCES, Compared, Part, ranked

INPUT = "input_{}"  # tables: the rows of each contribution, the columns it landed


@dataclass(frozen=True, slots=True)
class Texts:
    """Queries of a rebuild: `records` as base.<library>, `links` as its _xref, `compared` for `counted`.

    `pairs` are the fields with two departments that `compared` counts, in the order of its columns.
    """

    records: str
    links: str
    compared: str
    pairs: tuple[tuple[str, str, str], ...]

    def counted(self, row: Mapping[str, int]) -> tuple[Compared, ...]:
        """What the row that `compared` answers says."""
        found = (
            Compared(*pair, row[f"records_{place}"], row[f"differing_{place}"]) for place, pair in enumerate(self.pairs)
        )
        return tuple(
            sorted((one for one in found if one.records), key=lambda one: (one.field, one.department, one.other))
        )


def texts(job: Job, columns: Sequence[Sequence[str]]) -> Texts:
    """The queries; `columns` are those of each input."""
    there = [crosswalk.delivered(job.standard, crosswalk.wanted(job.standard, one, names))
             for one, names in zip(job.contributions, columns, strict=True)]  # fmt: skip
    steps = {**_typed(job, columns), **_linked(job), **_folded(job, columns, there), **_joined(there)}
    return Texts(
        _query(steps, _records(job, there)),
        _query({**_typed(job, columns), **_linked(job)}, _links(job)),
        _query(steps, _compared(job, there)),
        tuple(_pairs(job, there)),
    )  # fmt: skip


def _query(steps: Mapping[str, str], last: str) -> str:
    return "WITH " + ",\n".join(f"{name} AS ({sql})" for name, sql in steps.items()) + "\n" + last


def _typed(job: Job, columns: Sequence[Sequence[str]]) -> dict[str, str]:
    """The rows of each contribution as they are merged, and which keys became others."""
    renamed, _ = words.resolve(job.words)
    steps = {
        "_renamed": _values({"old": list(renamed), "new": list(renamed.values())}),
        "_decided": _values({"id": list(job.words.decisions), "key": list(job.words.decisions.values())}),
    }
    for number, (one, names) in enumerate(zip(job.contributions, columns, strict=True)):
        wanted = crosswalk.wanted(job.standard, one, names)
        steps[f"_typed_{number}"] = crosswalk.typed(job.standard, one, INPUT.format(number), wanted)
    return steps


def _values(columns: Mapping[str, Sequence[str]]) -> str:
    rows = list(zip(*columns.values(), strict=True))
    if not rows:
        return "SELECT " + ", ".join(f"CAST(NULL AS VARCHAR) AS {name}" for name in columns) + " WHERE false"
    picked = (", ".join(f"{literal(said)} AS {name}" for said, name in zip(row, columns, strict=True)) for row in rows)
    return " UNION ALL ".join(f"SELECT {one}" for one in picked)


def _linked(job: Job) -> dict[str, str]:
    """Which key the rows without one belong to: warehouse.links says how."""
    names, standard = weaker(job.standard), job.standard
    inputs = range(len(job.contributions))
    said = "".join(f", {identifier(standard, name)} AS {quote(name)}" for name in names)
    grouped = "".join(f", {identifier(standard, name)}" for name in names)
    asking = " UNION ALL ".join(
        f"SELECT {LOOSE} AS id, {literal(job.contributions[n].department)} AS department,"
        f" {literal(job.contributions[n].resource)} AS resource{said}, count(*) AS rows FROM _typed_{n}"
        f" WHERE {OWN} IS NULL GROUP BY {LOOSE}{grouped}"
        for n in inputs
    )
    asked = " UNION ALL ".join(
        f"SELECT id, {strength} AS strength, {quote(name)} AS value FROM _asking WHERE {quote(name)} IS NOT NULL"
        for strength, name in enumerate(names)
    )
    points = " UNION ALL ".join(
        f"SELECT {strength} AS strength, {identifier(standard, name)} AS value, coalesce(new, {OWN}) AS key"
        f" FROM _typed_{n} LEFT JOIN _renamed ON old = {OWN} WHERE {OWN} IS NOT NULL"
        for n in inputs for strength, name in enumerate(names)
    )  # fmt: skip
    none = "SELECT CAST(NULL AS VARCHAR) AS id, 0 AS strength, CAST(NULL AS VARCHAR) AS value WHERE false"
    nowhere = "SELECT 0 AS strength, CAST(NULL AS VARCHAR) AS value, CAST(NULL AS VARCHAR) AS key WHERE false"
    return {
        "_asking": asking,
        "_asked": asked or none,
        "_points": f"SELECT DISTINCT strength, value, key FROM ({points or nowhere}) AS p WHERE value IS NOT NULL",
        "_told": "SELECT id, a.strength AS strength, min(key) AS one, count(*) AS keys FROM _asked AS a"
        " JOIN _points AS p ON a.strength = p.strength AND a.value = p.value GROUP BY id, a.strength",
        "_every": "SELECT id, list_sort(array_agg(DISTINCT key)) AS every FROM _asked AS a JOIN _points AS p"
        " ON a.strength = p.strength AND a.value = p.value GROUP BY id",
        "_sure": "SELECT id, min(one) AS one, count(DISTINCT one) AS keys FROM _told WHERE keys = 1 GROUP BY id",
        "_judged": "SELECT a.*, e.every AS every, coalesce(s.keys, 0) AS sure, d.key AS decided,"
        " CASE WHEN e.every IS NOT NULL AND array_contains(e.every, d.key) THEN d.key WHEN d.key = '' THEN NULL"
        " WHEN s.keys = 1 THEN s.one END AS key"
        " FROM _asking AS a LEFT JOIN _every AS e ON a.id = e.id LEFT JOIN _sure AS s ON a.id = s.id"
        " LEFT JOIN _decided AS d ON a.id = d.id",
    }


def _links(job: Job) -> str:
    names = "".join(f"{quote(name)}, " for name in weaker(job.standard))
    return (
        f"SELECT id, department, resource, {names}key,"
        " CASE WHEN key IS NOT NULL THEN NULL WHEN decided = '' THEN 'apart' WHEN sure > 1 THEN 'contradiction'"
        " WHEN every IS NOT NULL THEN 'shared' ELSE 'unknown' END AS reason,"
        " CASE WHEN key IS NULL AND every IS NOT NULL THEN every ELSE CAST([] AS VARCHAR[]) END AS candidates,"
        " CAST(rows AS BIGINT) AS rows FROM _judged"
    )


def _folded(job: Job, columns: Sequence[Sequence[str]], there: Sequence[Sequence[str]]) -> dict[str, str]:
    """One row per key and contribution: of several rows each field comes from the newest that says something."""
    steps = {}
    for number, (one, names, fields) in enumerate(zip(job.contributions, columns, there, strict=True)):
        said = "".join(f", {quote(name)}" for name in fields)
        order = [name for name in (job.standard.order if one.order is None else one.order) if name in names]
        orders = [f"_order_{place}" for place in range(len(order))]
        listed = "".join(f", {name}" for name in [*orders, OBSERVED])
        steps[f"_part_{number}"] = (
            f"SELECT coalesce(new, {OWN}) AS {ENTITY}{said}{listed} FROM _typed_{number}"
            f" LEFT JOIN _renamed ON old = {OWN} WHERE {OWN} IS NOT NULL UNION ALL"
            f" SELECT key AS {ENTITY}{_of('t', fields)}{_of('t', [*orders, OBSERVED])}"
            f" FROM _typed_{number} AS t JOIN _judged AS j ON t.{LOOSE} = j.id WHERE j.key IS NOT NULL"
        )
        newest = ", ".join(
            [f"{name} DESC NULLS LAST" for name in [*orders, OBSERVED]]
            + [f"{quote(f.name)} ASC NULLS LAST" for f in job.standard.fields if f.name in fields]
        )
        folded = "".join(
            f", min_by({quote(name)}, CASE WHEN {quote(name)} IS NOT NULL THEN _recency END) AS {quote(name)}"
            for name in fields
        )
        steps[f"_folded_{number}"] = (
            f"SELECT {ENTITY}{folded} FROM (SELECT *, row_number() OVER (PARTITION BY {ENTITY} ORDER BY {newest})"
            f" AS _recency FROM _part_{number}) AS n GROUP BY {ENTITY}"
        )
    return steps


def _of(table: str, names: Sequence[str]) -> str:
    return "".join(f", {table}.{quote(name)}" for name in names)


def _joined(there: Sequence[Sequence[str]]) -> dict[str, str]:
    """Every key once, beside it what each contribution says: `_c0_<field>`, …, and `_there_0`, … where it says any."""
    steps = {
        "_keys": " UNION ".join(f"SELECT {ENTITY} FROM _folded_{number}" for number in range(len(there))),
    }
    picked, joins = [f"k.{ENTITY} AS {ENTITY}"], []
    for number, fields in enumerate(there):
        picked.append(f"(c{number}.{ENTITY} IS NOT NULL) AS _there_{number}")
        picked += [f"c{number}.{quote(name)} AS {_said(number, name)}" for name in fields]
        joins.append(f" LEFT JOIN _folded_{number} AS c{number} ON k.{ENTITY} = c{number}.{ENTITY}")
    steps["_joined"] = f"SELECT {', '.join(picked)} FROM _keys AS k{''.join(joins)}"
    return steps


def _records(job: Job, there: Sequence[Sequence[str]]) -> str:
    standard, parts = job.standard, _parts(job, there)
    fields, sources = [], []
    for one in standard.fields:
        order = ranked(standard, parts, one.name)
        said = [_said(number, one.name) for number in order]
        value = f"coalesce({', '.join(said)})" if said else f"CAST(NULL AS {sql_type(standard, one.name)})"
        fields.append(f"{ENTITY if one.name == key_of(standard) else value} AS {quote(one.name)}")
        cases = " ".join(
            f"WHEN {_said(number, one.name)} IS NOT NULL THEN {literal(_source(job, number, one.name))}"
            for number in order
        )
        if cases:
            sources.append(f"CASE {cases} END")
    speaking: dict[str, list[str]] = {}
    for number, contribution in enumerate(job.contributions):
        speaking.setdefault(contribution.department, []).append(f"_there_{number}")
    named = ", ".join(
        f"CASE WHEN {' OR '.join(flags)} THEN {literal(department)} END"
        for department, flags in sorted(speaking.items())
    )
    whose = f"concat('{{', concat_ws(',', {', '.join(sources)}), '}}')"
    return (
        f"SELECT {', '.join(fields)}, {whose} AS {SOURCES}, list_sort(list_distinct([{named}])) AS {DEPARTMENTS}"
        " FROM _joined"
    )


def _compared(job: Job, there: Sequence[Sequence[str]]) -> str:
    """In one row, for every field and pair: how many records both speak of, and of how many otherwise."""
    asked = []
    for place, (name, *both) in enumerate(_pairs(job, there)):
        one, two = (
            "coalesce("
            + ", ".join(
                _said(number, name)
                for number, contribution in enumerate(job.contributions)
                if contribution.department == who and name in there[number]
            )
            + ")"
            for who in both
        )
        asked += [
            f"count(CASE WHEN {one} IS NOT NULL AND {two} IS NOT NULL THEN 1 END) AS records_{place}",
            f"count(CASE WHEN {one} <> {two} THEN 1 END) AS differing_{place}",
        ]
    return f"SELECT {', '.join(asked) or 'count(*) AS records'} FROM _joined"


def _pairs(job: Job, there: Sequence[Sequence[str]]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys(itertools.chain.from_iterable(there)):
        speaking = {one.department for one, fields in zip(job.contributions, there, strict=True) if name in fields}
        yield from ((name, *pair) for pair in itertools.combinations(sorted(speaking), 2))


def _parts(job: Job, there: Sequence[Sequence[str]]) -> list[Part]:
    return [
        Part(one, f"_folded_{number}", tuple(fields))
        for number, (one, fields) in enumerate(zip(job.contributions, there, strict=True))
    ]


def _said(number: int, name: str) -> str:
    return quote(f"_c{number}_{name}")


def _source(job: Job, number: int, name: str) -> str:
    one = job.contributions[number]
    who = json.dumps([one.department, one.resource], ensure_ascii=False)
    return f"{json.dumps(name, ensure_ascii=False)}:{who}"
