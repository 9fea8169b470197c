"""Write a library as it is released, or what changed in it since a bundle before, as one signed and encrypted file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.points import reached
from schemas.standard import Standard
from warehouse import bundle_changes, crosswalk
from warehouse.bundle_errors import file_there, nothing_new, since_unknown
from warehouse.bundle_file import GONE, MERGE, ROWS, Bundle, Part, Writing
from warehouse.bundle_keys import Card, Keys
from warehouse.bundle_manifest import FORMAT
from warehouse.bundle_parts import HISTORY, LANDED, PLACE, RECORDS, SAID, XREF, base_tables, shape
from warehouse.bundle_seal import Out
from warehouse.bundle_state import BundleState, Sent, came_by
from warehouse.clock import now_text
from warehouse.durable import sync
from warehouse.errors import WarehouseError
from warehouse.faults import room
from warehouse.history import began
from warehouse.library_state import LibraryState, Made
from warehouse.publish import NotMergedError
from warehouse.said import rules_of
from warehouse.sql import quote
from warehouse.state import State
from warehouse.tables import AT_ONCE, Tables

MEMORY = "700MB"  # of DuckDB; what does not fit is spilled
MEMBER_ROWS = 500_000  # rows of one member: what a receiver decrypts at once
_SELDOM = 0.3  # a column with more distinct texts than this share of its rows
LAST = "last"  # as `since`: the newest bundle made for the partner
Told = Callable[[int], None]  # how many rows were written so far


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: a library for a partner (`receiver` None: not encrypted), whole or since a bundle or snapshot.

    `by` is how this deployment calls itself, `who` the person or account that exports.
    """

    library: str
    standard: Standard
    partner: str
    receiver: Card | None
    by: str
    who: str
    since: str | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """A table to be written: its name in the bundle and here, its snapshot, the columns, and how its rows are told."""

    part: str
    table: str
    snapshot: int | None
    columns: tuple[str, ...]
    key: tuple[str, ...]
    sort: tuple[str, ...]


def export(
    state: State, tables: Tables, order: Order, keys: Keys, file: Path, *, told: Told = lambda _: None
) -> Bundle:
    """Write the bundle; what stands in it is what is released now, whatever is merged meanwhile.

    The same library again for the same partner is the same bundle, under the same id. Killed at any point there is no
    file of that name, and the same call begins anew. Raises NotMergedError, WH-BUNDLE-SINCE, WH-BUNDLE-NOTHING,
    WH-BUNDLE-FILE.
    """
    memory = BundleState(state.engine)
    with tables.lock(f"bundle-{order.library}"):
        if file.exists():
            raise file_there(str(file))
        made, sources = _read(state, tables, order)
        before = _since(memory, order, made)
        bundle = _named(order, made, before, keys, began(state, order.library))
        here = {one.table: one.snapshot for one in sources if one.snapshot is not None}
        sent = Sent(bundle.id, order.library, order.partner, bundle.previous, bundle.standard, made.at, order.who, here)
        memory.begin(sent)
        reached("export.recorded")
        part = file.with_name(file.name + ".part")
        part.unlink(missing_ok=True)  # of an export that was killed, or somebody's who would like to read along
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with room(str(file.parent)), os.fdopen(handle, "w+b") as out:
                whole = _written(
                    tables, Writing(out, bundle.id, order.receiver), bundle, sources, made, before, keys, told
                )
            sync(part)
            reached("export.written")
            memory.finish(bundle.id)
            part.rename(file)
            sync(file)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        return whole


def _read(state: State, tables: Tables, order: Order) -> tuple[Made, list[_Source]]:
    """The merge that is released, and the tables that belong to it at their snapshots."""
    release, names = state.release(), base_tables(order.library)
    pins = (
        {part: release.tables[name].snapshot for part, name in names.items() if name in release.tables}
        if release
        else {}
    )
    made = LibraryState(state.engine).made(order.library, snapshot=pins[RECORDS]) if RECORDS in pins else None
    if made is None:
        raise NotMergedError(order.library)
    key = crosswalk.key_of(order.standard)
    told = {RECORDS: ((key,), (key,)), XREF: (("id",), ("id",)), HISTORY: ((), ("_key",)), LANDED: ((), ())}
    own = [
        _Source(part, name, pins.get(part), _columns(tables, name, pins.get(part)), *told[part])
        for part, name in names.items()
        if tables.exists(name)  # without a snapshot as long as nothing was ever in it
    ]
    standard, contributions = rules_of(made)
    said = []
    for one in contributions:
        there = _columns(tables, one.table, made.inputs[one.table])
        wanted = (*crosswalk.wanted(standard, one, there), *(name for name in PLACE if name in there))
        placed = {*PLACE} <= {*there}
        sort = (key,) if key in wanted else ()
        said.append(_Source(SAID + one.resource, one.table, made.inputs[one.table], tuple(dict.fromkeys(wanted)),
                            PLACE if placed else (), sort))  # fmt: skip
    return made, [*said, *own]


def _columns(tables: Tables, table: str, snapshot: int | None) -> tuple[str, ...]:
    if snapshot is None:
        return tables.columns(table)
    return tuple(field.name for field in tables.plan(table, snapshot).schema.fields)


def _since(memory: BundleState, order: Order, made: Made) -> Sent | None:
    """The bundle to go on from; where the newest is of this very state, the one before it: it is made once more."""
    if order.since is None:
        return None
    sent = memory.sent(order.library, order.partner)
    if order.since == LAST:
        found = sent[0] if sent else None
        if found is not None and found.merged_at == made.at and found.previous is not None:
            found = next((one for one in sent if one.id == found.previous), None)
    else:
        found = next((one for one in sent if order.since in (one.id, *map(str, one.snapshots.values()))), None)
    if found is None or found.standard != order.standard.id:
        raise since_unknown(order.library, order.since)
    if found.merged_at == made.at:
        raise nothing_new(order.library, found.id)
    return found


def _named(order: Order, made: Made, before: Sent | None, keys: Keys, first: str) -> Bundle:
    receiver = order.receiver.text if order.receiver else None
    came = came_by(made)
    said = [
        order.library,
        order.standard.id,
        shape(order.standard),
        made.at,
        before and before.id,
        receiver,
        keys.card.text,
    ]
    digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]
    return Bundle(
        FORMAT, f"{order.library}-{made.at[:10].replace('-', '')}-{digest}", order.library, order.standard.id,
        shape(order.standard), before.id if before else None, came.began if came else first, made.at, now_text(),
        order.by, keys.card.text, receiver, None, (), (),
    )  # fmt: skip


def _written(  # noqa: PLR0917 - what, where to, and what for
    tables: Tables, writing: Writing, bundle: Bundle, sources: Sequence[_Source], made: Made, before: Sent | None,
    keys: Keys, told: Told,
) -> Bundle:  # fmt: skip
    parts, count = [], [0]

    def counted(rows: int) -> None:
        count[0] += rows
        told(count[0])

    with tables.connect(MEMORY) as connection:
        for one in sources:
            old = before.snapshots.get(one.table) if before and one.part != LANDED else None
            new = one.snapshot
            changes = None if old is None or new is None else _changes(connection, tables, one, old, new)
            rows, gone = changes or (_all(tables, one), None)
            _rows(connection, writing, (one.part, ROWS), rows, counted)
            if gone:
                _rows(connection, writing, (one.part, GONE), gone, counted)
            total = tables.row_count(one.table, one.snapshot)
            parts.append(Part(one.part, total, one.key, one.sort, whole=changes is None))
    with writing.member("", MERGE) as (sink, count_of):
        kept = {name: said for name, said in made.told.items() if name != "bundle"}
        sink.write(json.dumps({"rules": made.rules, "told": kept}, ensure_ascii=False).encode())
        count_of(1)
    whole = replace(bundle, key=writing.key, parts=tuple(parts), members=tuple(writing.members))
    writing.finish(whole, keys)
    return whole


def _all(tables: Tables, one: _Source) -> str:
    return f"SELECT {_listed(one.columns)} FROM {tables.relation(one.table, one.snapshot, one.columns)}"


def _changes(connection: duckdb.DuckDBPyConnection, tables: Tables, one: _Source, old: int,
             new: int) -> tuple[str, str | None] | None:  # fmt: skip
    """SQL of the rows that came, and of the keys whose rows go; None where only all rows tell."""
    try:
        plans = (tables.plan(one.table, tables.alike(one.table, old, new)), tables.plan(one.table, new))
    except WarehouseError as error:
        if error.code != "WH-SNAPSHOT-GONE":
            raise
        raise since_unknown(one.table, str(old)) from error
    bundle_changes.between(connection, *plans, one.columns, ("_came", "_went"))
    if not one.key:
        return None if connection.execute("SELECT count(*) FROM _went").fetchall()[0][0] else ("FROM _came", None)
    keys = _listed(one.key)
    return "FROM _came", f"SELECT {keys} FROM _came UNION SELECT {keys} FROM _went"


def _rows(
    connection: duckdb.DuckDBPyConnection, writing: Writing, place: tuple[str, str], query: str, counted: Told
) -> None:
    """Write the rows of a query as members of so many rows each; at least one, which says what the columns are."""
    reader = connection.execute(query).to_arrow_reader(AT_ONCE)
    pending = _batches(reader)
    batch = next(pending, None)
    while True:
        with writing.member(*place) as (sink, count_of):
            rows = 0
            with _parquet(sink, reader.schema, batch) as parquet:
                while batch is not None and rows < MEMBER_ROWS:
                    parquet.write_batch(batch)
                    rows += batch.num_rows
                    counted(batch.num_rows)
                    batch = next(pending, None)
            count_of(rows)
        if batch is None:
            return


def _parquet(sink: Out, schema: pa.Schema, sample: pa.RecordBatch | None) -> pq.ParquetWriter:
    """A writer that keeps of texts that seldom repeat what differs from the one before: a third less than otherwise."""
    rows = sample.num_rows if sample else 0
    lone = [
        one.name
        for one in schema
        if sample and pa.types.is_string(one.type) and pc.count_distinct(sample[one.name]).as_py() > rows * _SELDOM
    ]
    return pq.ParquetWriter(
        sink, schema, compression="zstd", compression_level=3, column_encoding=dict.fromkeys(lone, "DELTA_BYTE_ARRAY"),
        use_dictionary=[one.name for one in schema if one.name not in lone],
    )  # fmt: skip


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    yield from (batch for batch in reader if batch.num_rows)


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in columns)
