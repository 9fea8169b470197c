"""Rebuild a library from all that its contributions have, a range of keys at a time, so that memory stays small."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import duckdb

from schemas.points import reached
from schemas.values import Json
from warehouse import library_job, links, survivors, words
from warehouse.crosswalk import ENTITY, OWN
from warehouse.library_job import EVENTS, Change, Job, Outcome
from warehouse.sql import literal, quote
from warehouse.survivors import Compared, Part
from warehouse.tables import Staged, Tables

AT_ONCE = 1_500_000  # rows of all contributions in one range of keys
_SAMPLE = 256  # every so manieth key, by its hash, says where ranges end
_ROWS, _MADE = "_rows", "_made"
SPECIAL = "_special"  # temporary tables: the rows of each contribution that come under another key than their own
Input = tuple[str, tuple[str, ...]]  # the view of a contribution's rows, and the fields it delivers
Range = tuple[str | None, str | None]  # from this key, up to before that key


@dataclass(frozen=True, slots=True)
class Beside:
    """What a rebuild writes beside the records: when rows landed, rows without a key; and what it told of them."""

    said: Staged
    xref: Staged
    told: Mapping[str, object]


def build(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, before: int | None) -> Outcome:
    """Stage the whole library; `before` is the base table's released snapshot, which history compares with."""
    inputs = read(connection, tables, job)
    lead(connection, job, [view for view, _ in inputs])
    compared: tuple[Compared, ...] = ()
    staged: list[Staged] = []
    for place, one in enumerate(ranges(connection, tables, job, [view for view, _ in inputs])):
        made, counted = combine(connection, tables, job, inputs, one, before=before, more=place > 0)
        compared = survivors.summed((1, compared), (1, counted))
        staged.append(library_job.stage(connection, tables, job.base, f"FROM {made}", [job.key]))
    history = library_job.stage(connection, tables, job.history, f"FROM {EVENTS}", [library_job.KEY])
    return outcome(beside(connection, tables, job, inputs), together(staged), history, compared)


def read(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job) -> list[Input]:
    """The rows of every contribution as a view, and the fields it delivers."""
    return [library_job.read(connection, tables, job, number) for number in range(len(job.contributions))]


def combine(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, inputs: Sequence[Input], one: Range,
            *, before: int | None, more: bool) -> tuple[str, tuple[Compared, ...]]:  # fmt: skip
    """Combine the keys of a range: the relation of its records, and who agreed with whom.

    What differs from the records before goes into EVENTS; `more` adds it to what is there. `inputs` are `read`, `lead`
    was called.
    """
    parts = [part(connection, job, number, one, said) for number, said in enumerate(inputs)]
    made = f"{_MADE}_{'kept' if before is not None else 'shown'}"
    compared = survivors.make(connection, job.standard, parts, made, kept=before is not None)
    if before is not None:
        stood = tables.relation(job.base, before, job.record)
        old = f"(SELECT * FROM {stood} WHERE {_within(quote(job.key), one)})"
        library_job.compare(connection, job, old, made, more=more)
    elif not more:
        library_job.compare(connection, job, f"(FROM {made} LIMIT 0)", f"(FROM {made} LIMIT 0)")
    return made, compared


def together(staged: Sequence[Staged]) -> Staged:
    """Pieces of one table as one."""
    files = tuple(file for one in staged for file in one.files)
    return dataclasses.replace(staged[0], files=files, rows=sum(one.rows for one in staged))


def beside(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, inputs: Sequence[Input]) -> Beside:
    """Stage what is not told record by record; `lead` was called."""
    newest = {
        one.resource: survivors.newest(connection, view)
        for one, (view, _) in zip(job.contributions, inputs, strict=True)
    }
    return Beside(
        library_job.landed(tables, job, newest),
        library_job.stage(connection, tables, job.xref, f"FROM {links.LINKS}", ["id"]),
        {"unlinked": unlinked(connection, job, links.LINKS), "freshness": newest},
    )


def outcome(there: Beside, whole: Staged, history: Staged, compared: Sequence[Compared]) -> Outcome:
    """What a rebuild hands to the commit."""
    reached("merge.written")
    told = {**there.told, "records": whole.rows, "compared": survivors.as_json(compared)}
    changes = (
        Change(there.said, whole=True), Change(there.xref, whole=True), Change(history), Change(whole, whole=True),
    )  # fmt: skip
    return Outcome(changes, cast("Mapping[str, Json]", told))


def unlinked(connection: duckdb.DuckDBPyConnection, job: Job, xref: str) -> dict[str, int]:
    """The rows of each resource that belong to no key."""
    found = dict(
        connection.execute(f"SELECT resource, sum(rows)::BIGINT FROM {xref} WHERE key IS NULL GROUP BY ALL").fetchall()
    )
    return {one.resource: found.get(one.resource, 0) for one in job.contributions}


def lead(connection: duckdb.DuckDBPyConnection, job: Job, views: list[str]) -> None:
    """Make LINKS, and `_special_<n>`: the rows that come under another key than their own."""
    renamed, _ = words.resolve(job.words)
    links.rename(connection, renamed)
    loose = " UNION ALL ".join(
        links.loose(job.standard, one, view) for one, view in zip(job.contributions, views, strict=True)
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _asking AS {loose}")
    links.link(connection, job.standard, "_asking", views, job.words.decisions)
    some = connection.execute(f"SELECT count(key) FROM {links.LINKS}").fetchall()[0][0] or renamed
    for number, view in enumerate(views):
        query = links.special(view) + ("" if some else " LIMIT 0")
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {SPECIAL}_{number} AS FROM ({query})")


def part(connection: duckdb.DuckDBPyConnection, job: Job, number: int, one: Range,
         given: Input) -> Part:  # fmt: skip
    """What a contribution says about the keys of a range."""
    key, (view, fields) = quote(job.key), given
    own = f"{OWN} IS NOT NULL AND {OWN} NOT IN (SELECT old FROM {links.RENAMED}) AND {_within(key, one)}"
    if not words.resolve(job.words)[0]:
        own = f"{OWN} IS NOT NULL AND {_within(key, one)}"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {_ROWS}_{number} AS SELECT *, {OWN} AS {ENTITY} FROM {view} WHERE {own}"
        f" UNION ALL SELECT * FROM {SPECIAL}_{number} WHERE {_within(ENTITY, one)}"
    )
    return Part(job.contributions[number], f"{_ROWS}_{number}", fields)


def ranges(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, views: list[str],
           pieces: int | None = None) -> list[Range]:  # fmt: skip
    """Ranges of keys with about as many rows each; `pieces` of them where there are as many keys."""
    rows = sum(tables.row_count(one.table, job.inputs[one.table]) for one in job.contributions)
    pieces = pieces or -(-rows // AT_ONCE)
    if pieces <= 1:
        return [(None, None)]
    every = " UNION ALL ".join(f"SELECT {OWN} AS key FROM {view}" for view in views)
    sample = f"SELECT key FROM ({every}) WHERE hash(key) % {_SAMPLE if rows > AT_ONCE else 1} = 0"
    found = connection.execute(
        "SELECT DISTINCT max(key) AS ends FROM"
        f" (SELECT key, ntile({pieces}) OVER (ORDER BY key) AS tile FROM ({sample}) WHERE key IS NOT NULL)"
        " GROUP BY tile ORDER BY ends"
    ).fetchall()
    ends = [key for (key,) in found][:-1]
    return list(zip([None, *ends], [*ends, None], strict=True))


def _within(column: str, one: Range) -> str:
    low, high = one
    said = [f"{column} >= {literal(low)}"] if low is not None else []
    said += [f"{column} < {literal(high)}"] if high is not None else []
    return " AND ".join(said) or "true"
