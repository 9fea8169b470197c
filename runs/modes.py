"""Read a source as its resource file says: in full, by a cursor or against a snapshot, and notice what was deleted."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import SourceError, changed
from connectors.manners import Limited, insist_on_all
from runs.control import control_of, operated, with_op
from runs.errors import only_followed, unnamed_deletions, wrong_key
from runs.followed import Followed
from runs.resources import Resource
from schemas.code_lists import spellings
from schemas.mapping import resolve, standardise
from schemas.values import DELETED, OP, RAW_COLUMNS, REJECT, ROW, Batch, Json, Position, Source
from warehouse.clock import now

if TYPE_CHECKING:  # whoever reads needs nothing of what checks and lands
    from runs.batch import Parts

SNAPSHOT, SWEEP = "~snapshot", "~sweep"  # our own keys in a position, beside those of the source
_SWEPT_WITHOUT = ("cursor", "order_by", "columns")  # options that a look at the keys alone does not need


def follow(
    parts: Parts, resource: Resource, source: Source, *, run: str, start: Position | None, known: Position | None
) -> Generator[Batch]:
    """What the source has to say now; no batch at all when there is nothing new.

    `start` is where reading begins (None: from the beginning), `known` what was remembered last in either case.
    """
    reading = resource.reading
    own = dict(known.cursor) if known else {}
    if reading.mode == "cdc" and not isinstance(source, Followed):
        raise only_followed(resource.id)
    if reading.mode == "snapshot_diff":
        yield from _differing(parts, resource, source, run=run, before=own.get(SNAPSHOT), everything=start is None)
        return
    cursor = {name: value for name, value in (start.cursor if start else {}).items() if name not in (SNAPSHOT, SWEEP)}
    batches = marked(resource, _read(source, Position(cursor) if start else None))
    if reading.deletes.detect == "key_sweep" and (start is None or _due(resource, own)):
        batches = _then(batches, source, swept(parts, resource, source))
    yield from _carrying(own if start else {}, batches)


def quiet(resource: Resource) -> bool:
    """Whether a pull without any row leaves no batch behind: only what a position says of the source moves on."""
    return resource.reading.mode == "snapshot_diff" or resource.reading.deletes.detect == "key_sweep"


def _read(source: Source, position: Position | None) -> Iterator[Batch]:
    for split in source.plan(position):
        yield from source.read(split)


def _then(batches: Iterator[Batch], source: Source, sweep: Iterator[Batch]) -> Iterator[Batch]:
    """The batches and the sweep after them, unless the source's window closed: then the next run sweeps."""
    yield from batches
    if not (isinstance(source, Limited) and source.cut):
        yield from sweep


def _whole(source: Source) -> Iterator[Batch]:
    """Every record of the source; an error where its limits ended the read before the last one."""
    yield from _read(source, None)
    insist_on_all(source)


def _carrying(before: Mapping[str, Json], batches: Iterator[Batch]) -> Iterator[Batch]:
    """Each batch with a position that also remembers what was read before: files taken earlier stay taken."""
    cursor = dict(before)
    for batch in batches:
        if batch.position is None:
            yield batch
        else:
            cursor |= batch.position.cursor
            yield replace(batch, position=Position(dict(cursor)))


def marked(resource: Resource, batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches with OP where a column of the source says that a record was deleted."""
    deletes = resource.reading.deletes
    for batch in batches:
        rows = batch.rows
        control = control_of(rows.schema.names, resource.reading.control)
        if control is not None:
            rows = operated(rows, control)
        if deletes.detect == "flag":
            if deletes.column not in rows.schema.names:
                raise _no_flag(resource, [name for name in rows.schema.names if name not in RAW_COLUMNS])
            said = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(rows.column(deletes.column), "")))
            rows = with_op(rows, pc.is_in(said, value_set=pa.array(deletes.values)))
        yield batch if rows is batch.rows else replace(batch, rows=rows)


def fitting(resource: Resource, columns: Sequence[str], named: Sequence[str] | None = None) -> None:
    """SourceChanged or RunError where `columns` of the source are not what the resource's `read` speaks of.

    `named` are those by which its log names a record, where it is followed.
    """
    reading = resource.reading
    if reading.deletes.detect == "flag" and reading.deletes.column not in columns:
        raise _no_flag(resource, columns)
    if reading.key or reading.mode in ("snapshot_diff", "cdc"):
        feeding = key_columns(resource, columns)
        if named is not None and {*feeding} != {*named}:
            raise unnamed_deletions(resource.id, feeding, named)


def _no_flag(resource: Resource, columns: Sequence[str]) -> SourceError:
    return changed(("列", "column"), resource.id, [resource.reading.deletes.column], columns)


def _differing(
    parts: Parts, resource: Resource, source: Source, *, run: str, before: Json, everything: bool
) -> Iterator[Batch]:
    """New and changed records, then deletions, then the position that names the new snapshot."""
    from warehouse.snapshots import SnapshotDiff

    named = before if isinstance(before, dict) else {}
    base = _base(parts, named)
    batches = marked(resource, _whole(source))
    names = list(source.stream().columns)
    if not names and (first := next(batches, None)) is not None:  # columns that are only seen in the records
        names, batches = first.rows.schema.names, chain([first], batches)
    key = key_columns(resource, names)
    scratch = parts.tables.folder / "spill"
    columns: list[str] = []
    unreadable = 0
    with SnapshotDiff(parts.store, scratch, key, base) as diff:
        for batch in batches:
            rows = batch.rows
            columns += [name for name in rows.schema.names if name not in columns]
            unreadable += _unreadable(rows, key)
            fresh = diff.take(rows)
            if (rows if everything else fresh).num_rows:
                yield Batch(rows if everything else fresh)
        if not everything:
            yield from map(Batch, diff.late())
        remembered = named.get("unreadable")
        if resource.reading.deletes.detect == "snapshot_diff":
            if unreadable > (remembered if isinstance(remembered, int) else 0):
                diff.keep_gone()  # a record that lost its key is not gone
            else:
                yield from (_deletions(columns, keys) for keys in diff.gone_keys())
        path = diff.commit(resource.id)
        says: dict[str, Json] = {"file": path, "before": base, "run": run, "unreadable": unreadable, "rows": diff.rows}
    yield Batch(_nothing(columns), Position({SNAPSHOT: says}))


def _base(parts: Parts, named: Mapping[str, Json]) -> str | None:
    """The snapshot to compare with: the last one, or the one before it while the batch that came with it waits."""
    run = named.get("run")
    settled = isinstance(run, str) and parts.state.run(run).status == "done"
    path = named.get("file" if settled else "before")
    return path if isinstance(path, str) else None


def tidy(parts: Parts, resource: Resource) -> None:
    """Remove the snapshots that the position names no more."""
    from warehouse.snapshots import sweep

    position = parts.state.position(resource.id)
    said = position.cursor.get(SNAPSHOT) if position else None
    named = [said.get("file"), said.get("before")] if isinstance(said, dict) else []
    sweep(parts.store, resource.id, [path for path in named if isinstance(path, str)])


def key_columns(resource: Resource, columns: Sequence[str]) -> tuple[str, ...]:
    """The source columns that name a record: those that feed the standard's key."""
    mapping = resolve(resource.checked, columns, resource.columns)
    feeding = tuple(dict.fromkeys(mapping[field] for field in resource.standard.key))
    if resource.reading.key and {*resource.reading.key} != {*feeding}:
        raise wrong_key(resource.id, resource.reading.key, feeding)
    return feeding


def _unreadable(rows: pa.RecordBatch, key: Sequence[str]) -> int:
    """Rejects without a key: records that may be there all the same."""
    if rows.column(REJECT).null_count == rows.num_rows:
        return 0
    lost = pc.is_valid(rows.column(REJECT))
    nameless = pa.nulls(rows.num_rows).is_valid()
    for name in key:
        nameless = pc.or_(nameless, pc.is_null(rows.column(name)))
    return int(pc.sum(pc.and_(lost, nameless)).as_py() or 0)


def _due(resource: Resource, own: Mapping[str, Json]) -> bool:
    said = own.get(SWEEP)
    at = said.get("at") if isinstance(said, dict) else None
    return not isinstance(at, str) or now() - datetime.fromisoformat(at) >= resource.reading.deletes.every


def swept(parts: Parts, resource: Resource, source: Source) -> Iterator[Batch]:
    """A deletion for every landed record whose key the source no longer has; then the position remembers the sweep."""
    from warehouse.gone import gone

    columns = list(source.stream().columns)
    mapping = resolve(resource.checked, columns, resource.columns)
    fed = {field: mapping[field] for field in resource.standard.key}
    at = now().isoformat()
    options: dict[str, Json] = {k: value for k, value in resource.options.items() if k not in _SWEPT_WITHOUT}
    options |= {"columns": [*dict.fromkeys(fed.values())], "order_by": []}
    looking = parts.open_source(replace(resource, options=options))
    lists = spellings(resource.standard)

    def present() -> Iterator[pa.Table]:
        for batch in _whole(looking):
            raw = pa.Table.from_batches([batch.rows])
            made = standardise(raw, resource.standard, fed, lists, parts.today()).table
            yield made.select(list(resource.standard.key))

    try:
        for keys in gone(parts.state, parts.tables, resource.table, resource.standard.key, present()):
            named = keys.rename_columns([fed[field] for field in keys.schema.names])
            yield _deletions([*RAW_COLUMNS, *columns], named)
    finally:
        looking.close()
    yield Batch(_nothing(columns), Position({SWEEP: {"at": at}}))


def _deletions(columns: Sequence[str], keys: pa.RecordBatch) -> Batch:
    """Rows that say only which records are gone; they have every column of the source, so that fields resolve."""
    count = keys.num_rows
    null = pa.nulls(count, pa.string())
    made = {ROW: pa.array(range(1, count + 1), pa.int64()), **dict.fromkeys(RAW_COLUMNS[1:], null)}
    made |= {name: keys.column(name) if name in keys.schema.names else null for name in columns if name not in made}
    made[OP] = pa.array([DELETED] * count, pa.string())
    return Batch(pa.RecordBatch.from_pydict(made))


def _nothing(columns: Sequence[str]) -> pa.RecordBatch:
    fields = [pa.field(ROW, pa.int64()), *(pa.field(name, pa.string()) for name in RAW_COLUMNS[1:])]
    fields += [pa.field(name, pa.string()) for name in columns if name not in RAW_COLUMNS]
    return pa.RecordBatch.from_pylist([], pa.schema(fields))
