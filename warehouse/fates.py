"""Decide in DuckDB what becomes of each row of a checked batch: landed, quarantined, superseded, or deleting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.values import DETAIL, LINE, OP, ORDER, RAW_COLUMNS, ROW, Manifest
from warehouse.checked import KeptCheck
from warehouse.clock import now
from warehouse.landed import HASH
from warehouse.sql import literal, quote
from warehouse.store import on_this_machine

KEY_NULL = "WH-KEY-NULL"  # rule id of a row the check let pass without a key
FILE, PLACE = "_file", "_place"  # where a checked row stands: the number of its file, and its place in it from 0
_TEXT = pa.string()


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a checked batch as landing needs them; `deletes` says whether some row is a deletion."""

    key: tuple[str, ...]
    order: tuple[str, ...]
    fields: tuple[str, ...]
    deletes: bool


@dataclass(frozen=True, slots=True)
class Fates:
    """How many rows of a batch land, are quarantined, are superseded, and delete a landed record."""

    landed: int
    quarantined: int
    superseded: int
    deleted: int


@contextmanager
def present(
    connection: duckdb.DuckDBPyConnection, kept: KeptCheck, *, key: Sequence[str], order: Sequence[str]
) -> Iterator[Columns]:
    """Show what was checked and found as `checked`, `violations`, `quarantine` and `deletions` while the block lasts.

    They are read from their files, as often as is asked: they need not fit into memory.
    """
    every = (*kept.files, kept.violations, kept.quarantine, kept.deletions)
    with on_this_machine(kept.store, every) as paths:
        files = "[" + ", ".join(literal(str(paths[one])) for one in kept.files) + "]"
        place = f"list_position({files}, filename)::INTEGER - 1 AS {FILE}, file_row_number AS {PLACE}"
        connection.execute(
            f"CREATE TEMP VIEW checked AS SELECT * EXCLUDE (filename, file_row_number), {place} "
            f"FROM read_parquet({files}, filename=true, file_row_number=true)"
        )
        for name, path in (("violations", kept.violations), ("quarantine", kept.quarantine)):
            connection.execute(f"CREATE TEMP VIEW {name} AS FROM read_parquet({literal(str(paths[path]))})")
        gone = str(paths[kept.deletions])
        connection.execute(f"CREATE TEMP VIEW deletions AS FROM read_parquet({literal(gone)})")
        yield Columns(
            key=tuple(key),
            order=tuple(one for one in order if one in kept.columns or one == ORDER),
            fields=tuple(kept.columns),
            deletes=pq.read_metadata(gone).num_rows > 0,
        )


def decide(
    connection: duckdb.DuckDBPyConnection,
    columns: Columns,
    landed: str,
    newer: Sequence[str] = (),
    *,
    gone_since: bool = False,
    origin: str | None = None,
) -> Fates:
    """Make the temporary tables `barred`, `lands` (both _row, FILE, PLACE) and `replaced` (keys of landed rows).

    `landed` is SQL, in brackets, giving key, order and _hash of what is landed already. A row that says its record was
    deleted competes for its key like any other where it has an order; without one it makes void every row before it,
    and what is landed, whatever their order. What batches of `newer` landed stays, unless the order says that it is
    the older; `landed` gives their `_batch` too. With `gone_since` there is a relation of that name: the keys that
    later deliveries deleted, which do not come back.

    `origin` is the batch that rows out of quarantine were delivered in; a relation `came` says for each row that came
    back from it (`_batch`, `_row`; `_own`: by this batch) at which `_place` of it that was. What stood further down in
    it stays likewise; `landed` gives `_batch` and `_row` too.
    """
    keys = [quote(one) for one in columns.key]
    null = " OR ".join(f"{one} IS NULL" for one in keys)
    connection.execute(
        f"CREATE TEMP TABLE barred AS SELECT {ROW}, {FILE}, {PLACE} FROM checked "
        f"WHERE {null} OR {ROW} IN (SELECT q.{ROW} FROM quarantine q)"
    )
    narrow = ", ".join([ROW, FILE, PLACE, HASH, *dict.fromkeys([*keys, *(quote(one) for one in columns.order)])])
    gone = f"{ROW} IN (FROM deletions)" if columns.deletes else "false"
    connection.execute(
        f"CREATE TEMP VIEW passed AS SELECT {narrow}, {gone} AS _gone FROM checked ANTI JOIN barred USING ({ROW})"
    )
    _rank(connection, columns, landed, newer, origin)
    deleted = f"({', '.join(keys)}) IN (SELECT ({', '.join(keys)}) FROM gone_since)" if gone_since else "false"
    news = f"(NOT _gone AND NOT {deleted} AND (_landed IS NULL OR (_landed <> {HASH} AND NOT _late)))"
    goes = "(_gone AND _landed IS NOT NULL AND NOT _late)"
    connection.execute(f"CREATE TEMP TABLE lands AS SELECT {ROW}, {FILE}, {PLACE} FROM winners WHERE {news}")
    connection.execute(
        f"CREATE TEMP TABLE replaced AS SELECT {', '.join(keys)} FROM winners "
        f"WHERE {goes} OR ({news} AND _landed IS NOT NULL)"
    )
    counted = ", ".join(
        f"(SELECT count(*) FROM {one})" for one in ("lands", "barred", f"winners WHERE {goes}", "checked")
    )
    lands, barred, gone_rows, every = connection.execute(f"SELECT {counted}").fetchone() or (0, 0, 0, 0)
    return Fates(lands, barred, every - lands - barred - gone_rows, gone_rows)


def _rank(
    connection: duckdb.DuckDBPyConnection, columns: Columns, landed: str, newer: Sequence[str], origin: str | None
) -> None:
    """Make the table `winners`: of each key the row that counts, what is landed of it, and whether that is newer."""
    keys = [quote(one) for one in columns.key]
    newest = ", ".join(["_voids DESC", *(f"{quote(one)} DESC NULLS LAST" for one in columns.order), f"{ROW} DESC"])
    same = " AND ".join(f"w.{one} = l.{one}" for one in keys)
    lower = f"(w._voids = 0 AND ({_lower(columns.order)}))"
    alike = " AND ".join(["true", *(f"w.{quote(o)} IS NOT DISTINCT FROM l.{quote(o)}" for o in columns.order)])
    if newer:
        lower += f" OR ({alike} AND l._batch IN ({', '.join(map(literal, newer))}))"
    if origin is not None:
        there = f"coalesce(theirs._place, CASE WHEN l._batch = {literal(origin)} THEN l.{ROW} END)"
        lower += f" OR ({alike} AND coalesce({there} > mine._place, false))"
        landed += (
            f" l ON {same} LEFT JOIN came theirs ON theirs._batch = l._batch AND theirs.{ROW} = l.{ROW}"
            f" LEFT JOIN came mine ON mine._own AND mine.{ROW} = w.{ROW}"
        )
    else:
        landed += f" l ON {same}"
    connection.execute(
        f"CREATE TEMP TABLE winners AS SELECT w.* EXCLUDE (_voids), l.{HASH} AS _landed, ({lower}) AS _late "
        f"FROM (SELECT * FROM ({_voided(columns)}) "
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY {newest}) = 1) w "
        f"LEFT JOIN {landed}"
    )


def _voided(columns: Columns) -> str:
    """SQL: the passed rows with `_voids`, how many deletions without an order come before each or are it."""
    if not columns.deletes:
        return "SELECT *, 0 AS _voids FROM passed"
    unordered = " AND ".join(["_gone", *(f"{quote(one)} IS NULL" for one in columns.order)])
    keys = ", ".join(quote(one) for one in columns.key)
    return f"SELECT *, count(*) FILTER ({unordered}) OVER (PARTITION BY {keys} ORDER BY {ROW}) AS _voids FROM passed"


def _lower(order: Sequence[str]) -> str:
    """SQL: the order of w comes before that of l, field by field, null being the lowest."""
    cases, equal = [], "true"
    for one in (quote(name) for name in order):
        cases.append(f"({equal} AND coalesce(w.{one} < l.{one}, w.{one} IS NULL AND l.{one} IS NOT NULL))")
        equal += f" AND w.{one} IS NOT DISTINCT FROM l.{one}"
    return " OR ".join(cases) or "false"


def places(connection: duckdb.DuckDBPyConnection, fate: str, file: int) -> npt.NDArray[np.int64]:
    """The places of the rows of a file that are in the table `fate` of `decide`, `lands` or `barred`, in order."""
    query = f"SELECT {PLACE} FROM {fate} WHERE {FILE} = {file} ORDER BY 1"
    return np.asarray(connection.execute(query).fetchnumpy()[PLACE], np.int64)


def quarantined_rows(
    connection: duckdb.DuckDBPyConnection, columns: Columns, manifest: Manifest, *, received: str, kept: str
) -> str:
    """SQL giving the rows for quarantine but for those whose `_row` is in `kept`; needs `present` and `decide`.

    `received` is what `received_rows` gives.
    """
    sources = _sources(manifest)
    marks = {"batch": [manifest.batch], "run": [manifest.run], "at": [now()]}
    connection.register("landing", pa.table(marks))
    null = " OR ".join(f"c.{quote(one)} IS NULL" for one in columns.key)
    told = ", ".join(f"{literal(name)}, r.c{number}" for number, name in enumerate(sources))
    made = ", ".join(f"{literal(one)}, CAST(c.{quote(one)} AS VARCHAR)" for one in columns.fields)
    rules = "coalesce(v.rules, CAST([] AS VARCHAR[]))"
    unforeseen = f"({null}) AND q.{ROW} IS NULL"
    return (
        f"SELECT m.batch AS _batch, m.run AS _run, c.{ROW} AS _row, "
        f"CASE WHEN {unforeseen} THEN list_append({rules}, '{KEY_NULL}') ELSE {rules} END AS rules, "
        f"CAST(json_object({told}) AS VARCHAR) AS received, "
        f"CAST(json_object({made}) AS VARCHAR) AS standardised, "
        f"m.at AS landed_at, "
        f"nullif(concat_ws('|', {', '.join(f'CAST(c.{quote(one)} AS VARCHAR)' for one in columns.key)}), '') AS key, "
        f"r.detail "
        f"FROM (FROM checked SEMI JOIN barred USING ({ROW})) c JOIN ({received}) r USING ({ROW}) "
        f"LEFT JOIN (FROM violations SEMI JOIN barred USING ({ROW})) v USING ({ROW}) "
        f"LEFT JOIN quarantine q USING ({ROW}) CROSS JOIN landing m WHERE c.{ROW} NOT IN (SELECT k._row FROM {kept} k)"
    )


def received_rows(manifest: Manifest, paths: Mapping[str, Path]) -> str:
    """SQL giving the barred rows as received from the batch's files: `_row`, `detail`, and `c0` … for its columns.

    Columns are told by their places: names may differ by case alone, which SQL ignores.
    """
    wanted = {ROW: ROW, DETAIL: "detail"} | {name: f"c{number}" for number, name in enumerate(_sources(manifest))}
    parts = []
    for path in manifest.files:
        there = {name: f"p{place}" for place, name in enumerate(pq.read_schema(paths[path]).names)}
        picked = ", ".join(f"{there.get(name, 'NULL::VARCHAR')} AS {known}" for name, known in wanted.items())
        source = f"read_parquet({literal(str(paths[path]))}) AS t({', '.join(there.values())})"
        parts.append(f"SELECT {picked} FROM {source} WHERE {there[ROW]} IN (SELECT b.{ROW} FROM barred b)")
    return " UNION ALL ".join(parts)


def _sources(manifest: Manifest) -> list[str]:
    return [name for name in manifest.columns if name not in (*RAW_COLUMNS, OP)] + [LINE]


QUARANTINE_SCHEMA = pa.schema(
    [
        ("_batch", _TEXT),
        ("_run", _TEXT),
        (ROW, pa.int64()),
        ("rules", pa.list_(_TEXT)),
        ("received", _TEXT),
        ("standardised", _TEXT),
        ("landed_at", pa.timestamp("us", tz="UTC")),
        ("key", _TEXT),
        ("detail", _TEXT),
    ]
)
