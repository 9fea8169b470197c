"""Look whether what the warehouse holds is what it says it holds: raw files, tables, releases and what answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile

from schemas.errors import ShutongError
from schemas.values import Manifest
from warehouse import serving_care, upkeep
from warehouse.compaction import MEMORY, Tended
from warehouse.errors import WarehouseError
from warehouse.scan import Plan
from warehouse.site import name as file_name
from warehouse.site import size_of
from warehouse.sql import literal, quote
from warehouse.state import State
from warehouse.store import ObjectStore
from warehouse.tables import Tables

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Looked:
    """One thing that was looked at: `kind` is raw, table or serving; `rows` it has; `errors` say what is wrong."""

    kind: str
    name: str
    rows: int
    errors: tuple[ShutongError, ...] = ()


def raw(state: State, store: ObjectStore, resource: str, *, since: str = "") -> Looked:
    """The raw batches of a resource: each file is there, its rows are as many, its bytes are those received.

    Bytes are read of batches pulled at the instant `since` or later (ISO 8601); of earlier ones files are looked for.
    """
    manifests = state.manifests(resource, limit=10**9)
    found: list[ShutongError] = []
    for one in manifests:
        try:
            wrong = _raw_wrong(store, one, every_byte=one.pulled_at >= since)
        except (OSError, pa.ArrowException, WarehouseError) as error:
            wrong = error.en if isinstance(error, WarehouseError) else str(error)
        if wrong:
            found.append(_damaged_raw(one, wrong))
    return Looked("raw", resource, sum(one.rows for one in manifests), tuple(found))


def _raw_wrong(store: ObjectStore, one: Manifest, *, every_byte: bool) -> str:
    missing = [path for path in one.files if not store.exists(path)]
    if missing:
        return f"missing: {', '.join(missing)}"
    if not every_byte:
        return ""
    digests, size, rows = [], 0, 0
    for path in one.files:
        with store.open(path) as stream:
            rows += pq.read_metadata(stream).num_rows
        digest = hashlib.sha256()
        with store.open(path) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                size += len(block)
        digests.append(digest.hexdigest())
    if hashlib.sha256("".join(digests).encode()).hexdigest() != one.sha256:
        return f"SHA-256 differs, {size} bytes instead of {one.bytes}"
    return f"{rows} rows instead of {one.rows}" if rows != one.rows else ""


def _damaged_raw(one: Manifest, wrong: str) -> WarehouseError:
    return WarehouseError(
        "WH-RAW-DAMAGED",
        zh=f"资源 {one.resource} 的原始批次 {one.batch}（{one.pulled_at}）不完好：{wrong}",
        en=f"raw batch {one.batch} of {one.resource} ({one.pulled_at}) is damaged: {wrong}",
        fix_zh="从备份恢复这些文件；已入库的记录不受影响。没有备份时请来源部门重新提供，再用 shutong ingest --all 接入",
        fix_en="Restore these files from a backup; landed records are safe. Without one let the department send them"
        " again, then: shutong ingest --all",
    )


def table(state: State, tables: Tables, one: Tended, *, unique: bool) -> Looked:
    """A table: every file of every snapshot that is needed is there, rows are as many as told, keys are its own.

    `unique`: no two rows of the released snapshot have the same key, and none has no key.
    """
    released, found = state.released(one.table), list[ShutongError]()
    plans: list[Plan] = []
    for snapshot in sorted(upkeep.needed(state, one.table)):
        try:
            plans.append(tables.plan(one.table, snapshot))
        except (WarehouseError, OSError) as error:
            found.append(_unreadable(one.table, snapshot, error))
    files = {file.file_path: file for plan in plans for file in plan.data}
    deletes = {path for plan in plans for path in plan.deletes}
    with tables.connect(MEMORY) as connection:
        gone = [
            *(path for path, file in files.items() if _size(tables, path) != file.file_size_in_bytes),
            *(path for path in deletes if not _size(tables, path)),
        ]
        found += [_bad_file(one.table, file_name(path), "missing or cut") for path in sorted(gone)]
        if not found:
            found += _rows_wrong(connection, one.table, list(files.values()))
        rows = tables.row_count(one.table, released)
        if not found and released is not None:
            for look in (_count_wrong, *((_keys_wrong,) if unique else ())):
                found += look(connection, tables, one, released)
    return Looked("table", one.table, rows, tuple(found))


def _size(tables: Tables, path: str) -> int | None:
    return size_of(tables.site, file_name(path))


def _rows_wrong(
    connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[DataFile]
) -> Iterator[WarehouseError]:
    if not files:
        return
    told = {file_name(one.file_path): one.record_count for one in files}
    listed = ", ".join(literal(one) for one in told)
    try:
        query = f"SELECT file_name, num_rows FROM parquet_file_metadata([{listed}])"
        for path, rows in connection.execute(query).fetchall():
            if rows != told[path]:
                yield _bad_file(name, path, f"{rows} rows instead of {told[path]}")
    except duckdb.Error as error:
        yield _bad_file(name, str(Path(next(iter(told))).parent), str(error).splitlines()[0])


def _count_wrong(
    connection: duckdb.DuckDBPyConnection, tables: Tables, one: Tended, released: int
) -> Iterator[WarehouseError]:
    told = tables.row_count(one.table, released)
    source = tables.relation(one.table, released, list(one.sort[:1]))
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {source}").fetchall()
    if rows != told:
        yield WarehouseError(
            "WH-ROWS-DIFFER",
            zh=f"表 {one.table} 读出 {rows} 行，快照记载 {told} 行",
            en=f"table {one.table} has {rows} rows, its snapshot tells of {told}",
            fix_zh=f"重写该表的文件：shutong warehouse compact {one.table} --always；仍不一致时从备份恢复",
            fix_en=f"Write its files anew: shutong warehouse compact {one.table} --always; if they still differ restore"
            " a backup",
        )


def _keys_wrong(
    connection: duckdb.DuckDBPyConnection, tables: Tables, one: Tended, released: int
) -> Iterator[WarehouseError]:
    keys = ", ".join(quote(name) for name in one.sort)
    null = " OR ".join(f"{quote(name)} IS NULL" for name in one.sort)
    source = tables.relation(one.table, released, list(one.sort))
    query = f"SELECT count(*) FROM (SELECT 1 FROM {source} GROUP BY {keys} HAVING count(*) > 1 OR bool_or({null}))"
    ((keys_wrong,),) = connection.execute(query).fetchall()
    if keys_wrong:
        yield WarehouseError(
            "WH-KEY-REPEATED",
            zh=f"表 {one.table} 有 {keys_wrong} 个主键重复或为空",
            en=f"{keys_wrong} keys of table {one.table} are there twice, or empty",
            fix_zh="用 shutong runs 找出最近的入库并回看此前的发布，或从备份恢复，再重新接入",
            fix_en="Find the newest landing with shutong runs, or restore a backup, then ingest again",
        )


def _unreadable(table_name: str, snapshot: int, error: Exception) -> WarehouseError:
    why = error.en if isinstance(error, ShutongError) else str(error)
    return WarehouseError(
        "WH-RELEASE-UNREADABLE",
        zh=f"表 {table_name} 的快照 {snapshot} 不能读取：{why}",
        en=f"snapshot {snapshot} of table {table_name} cannot be read: {why}",
        fix_zh="从备份恢复：shutong backup list",
        fix_en="Restore a backup: shutong backup list",
    )


def _bad_file(table_name: str, path: str, why: str) -> WarehouseError:
    return WarehouseError(
        "WH-TABLE-FILE",
        zh=f"表 {table_name} 的文件 {path} 不完好：{why}",
        en=f"file {path} of table {table_name} is damaged: {why}",
        fix_zh="从备份恢复该文件；没有时删除该表的发布并由原始批次重新入库",
        fix_en="Restore the file from a backup; without one restore an earlier state and let raw batches land again",
    )


def serving(folder: Path, name: str) -> Looked:
    """What is published under a name: every byte that answers is as it was sealed."""
    there = serving_care.published(folder, name)
    found = tuple(
        WarehouseError(
            "WH-SERVING-DAMAGED",
            zh=f"{name} 的发布文件 {file} 不完好：{why}",
            en=f"file {file} that answers for {name} is damaged: {why}",
            fix_zh=f"重新发布：shutong library publish {name} --rebuild",
            fix_en=f"Publish it again: shutong library publish {name} --rebuild",
        )
        for file, why in serving_care.damages(folder, name).items()
    )
    return Looked("serving", name, there.rows if there else 0, found)


def published(folder: Path) -> list[str]:
    """The names under which something is published in a folder."""
    return sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
