"""Decide in DuckDB what becomes of each row of a checked batch: landed, quarantined, superseded, or deleting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import orjson
import pyarrow as pa

from schemas.values import DELETED, LINE, OP, ORDER, RECEIVED, REPAIRED, ROW
from warehouse.checked import Checked, KeptCheck
from warehouse.clock import now
from warehouse.sql import literal, quote

KEY_NULL = "WH-KEY-NULL"  # rule id of a row the check let pass without a key
HASH = "_hash"  # column of a landed table: the content of its fields
_TEXT = pa.string()


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a checked table as landing needs them.

    `fields` are the standard's fields delivered; `received` maps each to the name its source column has in the
    connection, where one is known: numbered names, since source columns may differ by case alone, which SQL ignores.
    """

    key: tuple[str, ...]
    order: tuple[str, ...]
    fields: tuple[str, ...]
    received: Mapping[str, str]
    sources: tuple[str, ...]
    repaired: tuple[str, ...]
    deletes: bool = False  # whether some row says that the source deleted its record

    @property
    def hashed(self) -> tuple[str, ...]:
        """What makes a record another one: its fields, and the source's own order of changes where it gives one."""
        return (*self.fields, ORDER) if ORDER in self.order else self.fields


@dataclass(frozen=True, slots=True)
class Fates:
    """How many rows of a batch land, are quarantined, are superseded, and delete a landed record."""

    landed: int
    quarantined: int
    superseded: int
    deleted: int


@contextmanager
def present(
    connection: duckdb.DuckDBPyConnection,
    checked: Checked | KeptCheck,
    *,
    key: Sequence[str],
    order: Sequence[str],
    fields: Sequence[str] | Mapping[str, str],
) -> Iterator[Columns]:
    """Show table and verdict to the connection as `checked`, `violations` and `quarantine` while the block lasts.

    What a check kept is read from its files, as often as is asked: it need not fit into memory.
    """
    every = checked.schema.names
    sources = tuple(name for name in every if name.startswith(RECEIVED))
    renamed = {name: f"received {number}" for number, name in enumerate(sources)}
    feeds = dict(fields) if isinstance(fields, Mapping) else {one: one for one in fields}
    known = {field: renamed[RECEIVED + source] for field, source in feeds.items() if RECEIVED + source in renamed}
    names = tuple(feeds)
    with _shown(connection, checked, [renamed.get(one, one) for one in every]):
        connection.register("violations", checked.verdict.violations)
        connection.register("quarantine", pa.table({ROW: checked.verdict.quarantine}))
        deletes = f"SELECT bool_or({OP} = {literal(DELETED)}) FROM checked" if OP in every else "SELECT false"
        yield Columns(
            key=tuple(key),
            order=tuple(one for one in order if one in names or one == ORDER),
            fields=names,
            received=known,
            sources=tuple(one.removeprefix(RECEIVED) for one in sources),
            repaired=tuple(one for one in names if one in known and one + REPAIRED in every),
            deletes=bool((connection.execute(deletes).fetchone() or (False,))[0]),
        )


@contextmanager
def _shown(connection: duckdb.DuckDBPyConnection, checked: Checked | KeptCheck, names: Sequence[str]) -> Iterator[None]:
    if isinstance(checked, Checked):
        connection.register("checked", checked.table.rename_columns(names))
        yield
        return
    with checked.on_this_machine() as paths:
        listed = ", ".join(literal(str(path)) for path in paths)
        called = ", ".join(quote(name) for name in names)  # by place: names may differ by case alone
        connection.execute(f"CREATE TEMP VIEW checked AS SELECT * FROM read_parquet([{listed}]) AS rows({called})")
        yield


def present_landing(connection: duckdb.DuckDBPyConnection, resource: str, run: str, batch: str) -> None:
    """Show what every landed row is marked with to the connection, as `landing` (one row)."""
    department, _, name = resource.partition(".")
    marks = {"department": department, "resource": name, "run": run, "batch": batch, "at": now()}
    connection.register("landing", pa.table({name: [value] for name, value in marks.items()}))


def decide(connection: duckdb.DuckDBPyConnection, columns: Columns, landed: str) -> Fates:
    """Make the temporary tables `barred` (_row), `lands` (_row, _hash) and `goes` (the keys to be removed).

    `landed` is SQL, in brackets, giving key, order and _hash of what is landed already. A row that says its record was
    deleted competes for its key like any other where it has an order; without one it makes void every row before it,
    and what is landed, whatever their order.
    """
    keys = [quote(one) for one in columns.key]
    null = " OR ".join(f"{one} IS NULL" for one in keys)
    connection.execute(
        f"CREATE TEMP TABLE barred AS SELECT {ROW} FROM checked WHERE {null} "
        f"UNION SELECT {ROW} FROM quarantine SEMI JOIN checked USING ({ROW})"
    )
    narrow = ", ".join([ROW, *dict.fromkeys([*keys, *(quote(one) for one in columns.order)])])
    connection.execute(
        f"CREATE TEMP TABLE passed AS SELECT {narrow}, {hash_of(columns.hashed)} AS {HASH}, {_gone(columns)} AS _gone "
        f"FROM checked ANTI JOIN barred USING ({ROW})"
    )
    newest = ", ".join(["_voids DESC", *(f"{quote(one)} DESC NULLS LAST" for one in columns.order), f"{ROW} DESC"])
    same = " AND ".join(f"w.{one} = l.{one}" for one in keys)
    lower = f"(w._voids = 0 AND ({_lower(columns.order)}))"
    connection.execute(
        f"CREATE TEMP TABLE winners AS SELECT w.*, l.{HASH} AS _landed, {lower} AS _late "
        f"FROM (SELECT * FROM ({_voided(columns)}) "
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY {newest}) = 1) w "
        f"LEFT JOIN {landed} l ON {same}"
    )
    connection.execute(
        f"CREATE TEMP TABLE lands AS SELECT {ROW}, {HASH} FROM winners "
        f"WHERE NOT _gone AND (_landed IS NULL OR (_landed <> {HASH} AND NOT _late))"
    )
    connection.execute(
        f"CREATE TEMP TABLE goes AS SELECT {', '.join(keys)} FROM winners "
        "WHERE _gone AND _landed IS NOT NULL AND NOT _late"
    )
    counted = ", ".join(f"(SELECT count(*) FROM {one})" for one in ("lands", "barred", "goes", "checked"))
    lands, barred, goes, every = connection.execute(f"SELECT {counted}").fetchone() or (0, 0, 0, 0)
    return Fates(lands, barred, every - lands - barred - goes, goes)


def _gone(columns: Columns) -> str:
    return f"coalesce({OP} = {literal(DELETED)}, false)" if columns.deletes else "false"


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


def hash_of(fields: Sequence[str]) -> str:
    """SQL: SHA-256 over the fields that hold anything, by name, so that a field added later changes no hash."""
    # Each part tells its length, so that no value can pass for two; null makes a part null, which concat leaves out.
    texts = {one: f"CAST({quote(one)} AS VARCHAR)" for one in sorted(fields)}
    parts = ", ".join(f"{literal(one + '=')} || strlen({text}) || ':' || {text}" for one, text in texts.items())
    return f"sha256(concat({parts}))"


def passed_rows(columns: Columns) -> str:
    """SQL giving the rows that land, marked; needs `decide` and `present_landing`."""
    fields = ", ".join(f"c.{quote(one)}" for one in columns.hashed)
    return (
        f"SELECT {fields}, m.department AS _department, m.resource AS _resource, m.run AS _run, m.batch AS _batch, "
        f"c.{ROW}, m.at AS _landed_at, w.{HASH}, {_repairs(columns)} AS _raw "
        f"FROM checked c JOIN lands w USING ({ROW}) CROSS JOIN landing m"
    )


def _repairs(columns: Columns) -> str:
    if not columns.repaired:
        return "CAST(NULL AS VARCHAR)"
    marks = {one: f"coalesce(c.{quote(one + REPAIRED)}, false)" for one in columns.repaired}
    members = ", ".join(
        f"CASE WHEN {mark} THEN {literal(',' + _json(one) + ':')} "
        f"|| coalesce(CAST(to_json(c.{quote(columns.received[one])}) AS VARCHAR), 'null') END"
        for one, mark in marks.items()
    )
    return f"CASE WHEN {' OR '.join(marks.values())} THEN '{{' || substr(concat({members}), 2) || '}}' END"


def _json(text: str) -> str:
    return orjson.dumps(text).decode()


def quarantined_rows(columns: Columns, kept: str) -> str:
    """SQL giving the rows for quarantine but for those whose `_row` is in `kept`."""
    null = " OR ".join(f"c.{quote(one)} IS NULL" for one in columns.key)
    received = [f"{literal(name)}, c.{quote(f'received {number}')}" for number, name in enumerate(columns.sources)]
    received.append(f"'{LINE}', c.{LINE}")
    standardised = ", ".join(f"{literal(one)}, CAST(c.{quote(one)} AS VARCHAR)" for one in columns.fields)
    rules = "coalesce(v.rules, CAST([] AS VARCHAR[]))"
    unforeseen = f"({null}) AND q.{ROW} IS NULL"
    return (
        f"SELECT m.batch AS _batch, m.run AS _run, c.{ROW} AS _row, "
        f"CASE WHEN {unforeseen} THEN list_append({rules}, '{KEY_NULL}') ELSE {rules} END AS rules, "
        f"CAST(json_object({', '.join(received)}) AS VARCHAR) AS received, "
        f"CAST(json_object({standardised}) AS VARCHAR) AS standardised, "
        f"m.at AS landed_at, "
        f"nullif(concat_ws('|', {', '.join(f'CAST(c.{quote(one)} AS VARCHAR)' for one in columns.key)}), '') AS key "
        f"FROM checked c JOIN barred USING ({ROW}) LEFT JOIN violations v USING ({ROW}) "
        f"LEFT JOIN quarantine q USING ({ROW}) CROSS JOIN landing m WHERE c.{ROW} NOT IN (SELECT k._row FROM {kept} k)"
    )


def landed_schema(table: pa.Schema, fields: Sequence[str], order: Sequence[str] = ()) -> pa.Schema:
    """The columns of a landed table: the standard's fields, then where each row came from and what it was."""
    said = [(ORDER, _TEXT)] if ORDER in order else []
    lineage = [(f"_{one}", _TEXT) for one in ("department", "resource", "run", "batch")]
    marks = [(ROW, pa.int64()), ("_landed_at", pa.timestamp("us", tz="UTC")), (HASH, _TEXT), ("_raw", _TEXT)]
    return pa.schema([*(table.field(one) for one in fields), *lineage, *marks, *said])


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
    ]
)
