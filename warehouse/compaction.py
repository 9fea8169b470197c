"""Rewrite a table's files: the small ones together, or all of them in the order of its key, while it is written to."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from schemas.points import reached
from warehouse import partitions, positions, row_delta, scan
from warehouse.durable import sync
from warehouse.errors import WarehouseError
from warehouse.library_state import LibraryState
from warehouse.lock import Still
from warehouse.scan import Plan
from warehouse.site import SCHEME, location, size_of
from warehouse.sql import literal, quote
from warehouse.state import State
from warehouse.tables import TableContendedError, Tables

MEMORY = "1GB"  # of DuckDB; what does not fit is spilled
RANGE, RANGES = 2_500_000, 8  # rows sorted at once, unless that made more ranges than these
SAMPLE = 20_000  # keys looked at to cut the ranges
SMALL, MANY = 8 << 20, 24  # bytes of a small file; files since the last rewriting from which small ones are joined
LOOSE = 100  # a table is compacted when more than one row in so many is not in order, or deleted by position
ATTEMPTS = 3
_IN_ORDER = "-sorted.parquet"
_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Tended:
    """A table and how it is cared for: the columns it is sorted by, which tell its rows apart where any are deleted.

    `alone` is the lock that writers of the table hold; `library` is the one whose records these are.
    """

    table: str
    sort: tuple[str, ...]
    alone: Callable[[], AbstractContextManager[Still]]
    library: str | None = None


@dataclass(frozen=True, slots=True)
class Compacted:
    """How compacting a table came out; `changed` is false where it was in order already."""

    table: str
    rows: int
    files: int
    before: int
    changed: bool


def fold(state: State, tables: Tables, one: Tended) -> bool:
    """Join the small files of a table, without the rows deleted from them, once they are many; whether it did.

    Others wait as long; nothing happens while the whole table is being compacted.
    """
    if not tables.exists(one.table) or _since(tables.loaded(one.table)) <= MANY:
        return False
    if _journal(tables, one.table).exists():
        return False
    with one.alone() as still_alone:
        planned = tables.plan(one.table, _settled(state, tables, one.table))
        small = tuple(file for file in planned.data if file.file_size_in_bytes < SMALL)
        if len(small) + len(planned.deletes) <= MANY * len(partitions.groups(tables.loaded(one.table), planned.data)):
            return False
        chosen = dataclasses.replace(planned, data=small)
        with tables.connect(MEMORY) as connection:
            rows = connection.sql(f"SELECT * FROM {scan.relation(chosen)}")
            fresh = tables.stage(one.table, rows, sort=one.sort).files if small else ()
            reached("fold.written")
            return _commit(connection, state, tables, one, chosen, fresh, still_alone) is not None


def compact(state: State, tables: Tables, one: Tended, *, always: bool = False) -> Compacted:
    """Write the table's rows as files in the order of its key, deleted rows left out, and release that.

    What lands meanwhile stays and counts. Killed at any point and called again it goes on after the last range written.
    Nothing happens where few rows are out of order, unless `always`. Raises TableContendedError when other writers keep
    replacing all contents, and WH-COMPACT-DIFFERS when what was written is not what was read: nothing is changed then.
    """
    with tables.lock(f"compact-{one.table}"):
        for _attempt in range(ATTEMPTS):
            released = state.released(one.table)
            planned = tables.plan(one.table, released)
            job = _resumed(tables, one, planned)
            if job is None and (not planned.data or not (always or _needed(tables, one.table, released, planned))):
                _journal(tables, one.table).unlink(missing_ok=True)
                return _told(one, planned, planned, changed=False)
            job = job or _Job(one.sort, planned)
            with tables.connect(MEMORY) as connection:
                connection.execute("SET preserve_insertion_order = false")
                fresh = _written(connection, tables, one, job)
                reached("compact.written")
                with one.alone() as still_alone:
                    snapshot = _commit(connection, state, tables, one, job.planned, fresh, still_alone)
            _journal(tables, one.table).unlink(missing_ok=True)
            if snapshot is not None:
                return _told(one, planned, tables.plan(one.table, snapshot), changed=True)
    raise _moved(one.table)


def _moved(name: str) -> TableContendedError:
    return TableContendedError(
        "WH-COMPACT-MOVED",
        zh=f"表 {name} 在整理期间一再被整体改写，或改了分区",
        en=f"the contents of table {name} were replaced again and again, or divided anew, while it was compacted",
        fix_zh="稍后重试；已入库的数据不受影响",
        fix_en="Try again later; what has landed is safe",
    )


def _told(one: Tended, before: Plan, after: Plan, *, changed: bool) -> Compacted:
    rows = sum(file.record_count for file in after.data)
    return Compacted(one.table, rows, len(after.data), len(before.data) + len(before.deletes), changed)


def _needed(tables: Tables, name: str, released: int | None, planned: Plan) -> bool:
    rows = sum(one.record_count for one in planned.data)
    loose = sum(one.record_count for one in planned.data if not one.file_path.endswith(_IN_ORDER))
    deleted = rows - tables.row_count(name, released)
    return (loose + deleted) * LOOSE > rows


def _since(table: Table) -> int:
    """How many files the table has beyond those that its last rewriting left."""

    def files(one: Snapshot) -> int:
        said = one.summary.additional_properties if one.summary else {}
        return int(said.get("total-data-files", "0")) + int(said.get("total-delete-files", "0"))

    at = head = table.current_snapshot()
    while at is not None:
        if at.summary is not None and row_delta.SAME in at.summary.additional_properties:
            break
        at = table.metadata.snapshot_by_id(at.parent_snapshot_id or 0)
    return (files(head) if head else 0) - (files(at) if at else 0)


# what has been written so far


@dataclass(slots=True)
class _Job:
    """A compaction under way: what it reads, where its ranges begin, and the files each finished range has."""

    sort: tuple[str, ...]
    planned: Plan
    bounds: list[str] = dataclasses.field(default_factory=list)
    done: list[list[str]] = dataclasses.field(default_factory=list)


def _journal(tables: Tables, name: str) -> Path:
    return tables.folder / "compact" / f"{name}.json"


def _resumed(tables: Tables, one: Tended, planned: Plan) -> _Job | None:
    """The compaction that an earlier process began, if all it read and wrote is still there."""
    journal = _journal(tables, one.table)
    if not journal.exists():
        return None
    said = cast("dict[str, list[str]]", json.loads(journal.read_text()))
    data = tuple(file for file in planned.data if file.file_path in set(said["data"]))
    deletes = tuple(path for path in planned.deletes if path in set(said["deletes"]))
    done = cast("list[list[str]]", said["done"])
    whole = len(data) == len(said["data"]) and len(deletes) == len(said["deletes"]) and said["sort"] == [*one.sort]
    whole = whole and said.get("spec", ["0"]) == [_spec(tables, one.table)]
    if not whole or not all(size_of(tables.site, file) for files in done for file in files):
        return None
    return _Job(one.sort, dataclasses.replace(planned, data=data, deletes=deletes), said["bounds"], done)


def _note(tables: Tables, name: str, job: _Job) -> None:
    journal = _journal(tables, name)
    journal.parent.mkdir(parents=True, exist_ok=True)
    said = {"sort": job.sort, "data": [one.file_path for one in job.planned.data], "deletes": job.planned.deletes}
    said["spec"] = (_spec(tables, name),)
    part = journal.with_suffix(".part")
    part.write_text(json.dumps({**said, "bounds": job.bounds, "done": job.done}, ensure_ascii=False))
    sync(part)
    part.replace(journal)


def _written(connection: duckdb.DuckDBPyConnection, tables: Tables, one: Tended, job: _Job) -> tuple[str, ...]:
    """The files of every range, each in order; those an earlier process wrote are not written again."""
    for query in _queries(connection, tables, one, job)[len(job.done) :]:
        staged = tables.stage(one.table, connection.sql(query), sort=one.sort, suffix=_IN_ORDER)
        job.done.append([*staged.files])
        _note(tables, one.table, job)
        reached("compact.range")
    fresh = tuple(file for files in job.done for file in files)
    if _seal(connection, job.planned) != _seal(connection, _plan_of(tables.loaded(one.table), job.planned, fresh)):
        _journal(tables, one.table).unlink()
        for file in fresh:
            tables.site.remove(file)
        raise WarehouseError(
            "WH-COMPACT-DIFFERS",
            zh=f"整理表 {one.table} 时写出的内容与读到的不一致，已放弃，表未改动",
            en=f"what compacting table {one.table} wrote is not what it read; it was given up, the table is as it was",
            fix_zh="检查磁盘与内存，再运行：shutong warehouse verify",
            fix_en="Look at disk and memory, then run: shutong warehouse verify",
        )
    return fresh


def _queries(connection: duckdb.DuckDBPyConnection, tables: Tables, one: Tended, job: _Job) -> list[str]:
    """The rows range by range of the key; where files are divided, partition by partition.

    Rows that lie divided in another way, or not yet, are written together with those of the partitions they come to.
    """
    table, data = tables.loaded(one.table), job.planned.data
    if table.spec().fields:
        moved = any((file.spec_id or 0) != table.spec().spec_id for file in data)
        groups = [data] if moved else partitions.groups(table, data)
        return [f"SELECT * FROM {scan.relation(dataclasses.replace(job.planned, data=files))}" for files in groups]
    source, first, queries = scan.relation(job.planned), quote(one.sort[0]), []
    if not job.done:
        job.bounds = _bounds(connection, source, first, sum(file.record_count for file in job.planned.data))
        _note(tables, one.table, job)
    starts = [None, *job.bounds]
    for low, high in zip(starts, [*job.bounds, None], strict=True):
        begins = "true" if low is None else f"{first} >= {literal(low)}"
        ends = "true" if high is None else f"{first} < {literal(high)}"
        null = f" OR {first} IS NULL" if low is None and high is not None else ""
        queries.append(f"SELECT * FROM {source} WHERE ({begins} AND {ends}){null}")
    return queries


def _spec(tables: Tables, name: str) -> str:
    return str(tables.loaded(name).spec().spec_id)


def _bounds(connection: duckdb.DuckDBPyConnection, source: str, first: str, rows: int) -> list[str]:
    """Where ranges of about as many rows begin, but for the first."""
    ranges = min(-(-rows // RANGE), RANGES)
    if ranges <= 1:
        return []
    drawn = f"SELECT {first} AS k FROM (SELECT {first} FROM {source}) USING SAMPLE reservoir({SAMPLE} ROWS)"
    sample = connection.execute(f"SELECT k::VARCHAR FROM ({drawn}) WHERE k IS NOT NULL ORDER BY k").fetchall()
    found = [sample[len(sample) * number // ranges][0] for number in range(1, ranges)] if sample else []
    return list(dict.fromkeys(found))


def _seal(connection: duckdb.DuckDBPyConnection, planned: Plan) -> tuple[object, ...]:
    """How many rows there are, and a sum over them that hangs on every value."""
    listed = ", ".join(quote(field.name) for field in planned.schema.fields)
    query = f"SELECT count(*), sum(hash({listed})) FROM {scan.relation(planned)}"
    return cast("tuple[object, ...]", connection.execute(query).fetchone())


def _plan_of(table: Table, planned: Plan, files: Sequence[str]) -> Plan:
    try:
        data = tuple(partitions.data_file(table, location(one)) for one in files)
    except ValueError as error:  # of pyiceberg: files are to be divided in another way since these were written
        raise _moved(".".join(table.name())) from error
    return dataclasses.replace(planned, data=data, deletes=())


# putting files in the place of others


def _settled(state: State, tables: Tables, name: str) -> int | None:
    """The released snapshot, which is the head from now on: what was committed after it and not released is dropped."""
    released, head = state.released(name), tables.head(name)
    if head is not None and head.snapshot != released:
        tables.rollback_to(name, released)
    return released


def _commit(  # noqa: PLR0917 - with what, where, and what for what
    connection: duckdb.DuckDBPyConnection,
    state: State,
    tables: Tables,
    one: Tended,
    read: Plan,
    fresh: Sequence[str],
    still_alone: Still,
) -> int | None:
    """Put `fresh` in the place of the files `read` and release it; what was written since they were read stays.

    None where any of those files is no longer the table's. To be called by who is alone with the table.
    """
    released = _settled(state, tables, one.table)
    now, table = tables.plan(one.table, released), tables.loaded(one.table)
    removed = frozenset(file.file_path for file in read.data)
    there = {file.file_path for file in now.data}
    if released is None or not removed <= there or not {*read.deletes} <= {*now.deletes}:
        return None
    planned = _plan_of(table, read, fresh)
    deletes = _deletes(connection, tables, one, read, now, planned)
    if deletes is None:
        return None
    snapshot = row_delta.commit_rewrite(table, planned.data, deletes, removed)
    reached("compact.committed")
    if one.library is not None:
        memory = LibraryState(state.engine)
        if (made := memory.made(one.library, snapshot=released)) is not None:
            memory.record(dataclasses.replace(made, snapshot=snapshot, run=f"compact-{snapshot}"))
    pin = tables.pin(one.table, snapshot)
    still_alone()
    state.commit_release(f"compact-{snapshot}", {one.table: pin}, kind="compact")
    reached("compact.released")
    return snapshot


def _deletes(  # noqa: PLR0917 - what was read, what is there now, and what takes its place
    connection: duckdb.DuckDBPyConnection, tables: Tables, one: Tended, read: Plan, now: Plan, fresh: Plan
) -> list[DataFile] | None:
    """The position deletes that still say something; None where a row gone since cannot be found in the new files."""
    going = {file.file_path for file in read.data}
    staying = [file.file_path for file in now.data if file.file_path not in going]
    parts = []
    if now.deletes and staying:
        listed = ", ".join(literal(path) for path in staying)
        parts.append(f"SELECT d.file_path, d.pos FROM {_rows_of(now.deletes)} d WHERE d.file_path IN ({listed})")
    since = tuple(path for path in now.deletes if path not in {*read.deletes})
    if since:
        keys = ", ".join(quote(name) for name in one.sort)
        live = scan.located(read, read.data, list(one.sort))
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE _gone AS SELECT {keys} FROM {live} r SEMI JOIN {scan.places(since)} g"
            " ON r.filename = g.path AND r.file_row_number = g.pos"
        )
        scheme = "" if "://" in tables.site.root else SCHEME
        if fresh.data:
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE _found AS SELECT '{scheme}' || t.filename AS file_path,"
                f" t.file_row_number AS pos FROM {scan.located(fresh, fresh.data, list(one.sort))} t"
                f" SEMI JOIN _gone USING ({keys})"
            )
            parts.append("SELECT file_path, pos FROM _found")
            counts = "(SELECT count(*) FROM _found) = (SELECT count(*) FROM _gone)"
            if connection.execute(f"SELECT {counts}").fetchone() != (True,):
                return None
    if not parts:
        return []
    reader = connection.execute(f"SELECT DISTINCT * FROM ({' UNION ALL '.join(parts)}) ORDER BY ALL").to_arrow_reader(
        _AT_ONCE
    )
    return positions.write(tables.site, tables.loaded(one.table), reader, (*now.data, *fresh.data))


def _rows_of(deletes: Sequence[str]) -> str:
    names = ", ".join(literal(one.removeprefix(SCHEME)) for one in deletes)
    return f"(SELECT file_path, pos FROM read_parquet([{names}]))"
