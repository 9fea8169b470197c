"""The warehouse's tables: Iceberg v2, files written and read by DuckDB, snapshots committed by pyiceberg."""

from __future__ import annotations

import dataclasses
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import duckdb
import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, NamespaceAlreadyExistsError, NoSuchTableError
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.update.snapshot import ManageSnapshots

from schemas.errors import ShutongError
from schemas.partition import Partition
from warehouse import columns, expiry, partitions, positions, row_delta, scan, writing
from warehouse.catalog import open_catalog
from warehouse.errors import WarehouseError
from warehouse.faults import catalog_explained
from warehouse.lock import FileLocks, Locks, Still
from warehouse.site import FolderSite, Site, location
from warehouse.site import name as file_name
from warehouse.sql import quote
from warehouse.state.values import Pin

P = ParamSpec("P")
T = TypeVar("T")
Rows: TypeAlias = pa.Table | duckdb.DuckDBPyRelation
ATTEMPTS = 60
AT_ONCE = 65_536  # rows of a stream
_PROPERTIES = {"format-version": "2", "write.parquet.compression-codec": "zstd", "commit.retry.num-retries": "0"}


class TableContendedError(WarehouseError):
    """Other writers kept committing first; the same call may succeed later."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows in data files of a table, durable, and in no snapshot yet.

    `rows` count; with them come those at the places of `dropped` (file_path, pos: `positions.places`), which do not.
    `replaced` are the keys whose rows in the table go; where it is None they are looked for in the files, each of whose
    rows must have a key, and its own.
    """

    table: str
    files: tuple[str, ...]
    rows: int
    replaced: pa.Table | None = None
    dropped: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest snapshot of a table, which readers may not see yet: its id, its parent, its summary."""

    snapshot: int
    parent: int | None
    summary: Mapping[str, str]


def _explained(act: Callable[Concatenate[Tables, P], T]) -> Callable[Concatenate[Tables, P], T]:
    """Let what fails with files or catalog while it acts be told as one of our errors."""

    @wraps(act)
    def acting(self: Tables, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with catalog_explained(), self.site.explained():
            return act(self, *args, **kwargs)

    return acting


class Tables:
    """Tables named `<namespace>.<table>` in a folder or a bucket, listed in a catalog database (SQLite, PostgreSQL).

    `folder` is always a local one: what is spilled lies there. `locks` bind all who write, by default those of one
    machine.

    A snapshot argument of None means a table nobody may see anything of yet: no rows. Readers pass
    `state.released(name)`; who wants what no release shows passes `tables.head(name).snapshot`.
    """

    def __init__(self, site: Path | Site, catalog_url: str, locks: Locks | None = None) -> None:
        self.site: Site = FolderSite(site) if isinstance(site, Path) else site
        self.folder = self.site.work
        self._locks = locks or FileLocks(self.folder / "locks")
        with self.lock("catalog"), catalog_explained():  # two processes may come first
            self._catalog = open_catalog(catalog_url, self.site)

    def lock(self, name: str) -> AbstractContextManager[Still]:
        """Work alone under that name, over all processes that write these tables."""
        return self._locks.hold(name)

    def connect(self, memory: str | None = None) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A DuckDB in which `relation` can be read; see warehouse.duck.connect."""
        return self.site.connect(memory)

    def close(self) -> None:
        """Give back the catalog's connections."""
        self._catalog.engine.dispose()

    @_explained
    def names(self) -> list[str]:
        """Every table there is, sorted."""
        spaces = self._catalog.list_namespaces()
        return sorted(".".join(name) for space in spaces for name in self._catalog.list_tables(space))

    @_explained
    def exists(self, name: str) -> bool:
        """Whether there is a table of that name."""
        return self._catalog.table_exists(name)

    @_explained
    def ensure(self, name: str, schema: pa.Schema) -> None:
        """Make the table, or add the columns it lacks; WH-COLUMN-TYPE when a column would change its type."""
        wanted = columns.iceberg_schema(schema)
        for _attempt in range(ATTEMPTS):
            table = self._find(name)
            if table is None:
                self._create(name, schema)
                table = self._load(name)
            added, widened = columns.changes(name, table.schema(), wanted)
            if not added and not widened:
                return
            with suppress(CommitFailedException), table.update_schema() as update:
                for field in added:
                    update.add_column((field.name,), field.field_type)
                for field in widened:
                    update.update_column((field.name,), field.field_type)
        raise self._contended(name)

    @_explained
    def divide(self, name: str, partition: Partition | None) -> None:
        """Write files from now on so divided; those there are stay as they are, and are read as before.

        Nothing changes while the table has no column of that name.
        """
        for _attempt in range(ATTEMPTS):
            table = self._load(name)
            there = partition is None or partition.field in table.schema().column_names
            if not there or partitions.partition_of(table) == partition:
                return
            with suppress(CommitFailedException):
                partitions.change(table, partition)
        raise self._contended(name)

    @_explained
    def partition(self, name: str) -> Partition | None:
        """How the table's new files are divided."""
        return partitions.partition_of(self._load(name))

    def _create(self, name: str, schema: pa.Schema) -> None:
        space, short = name.split(".", 1)
        with self.lock("catalog"):
            with suppress(NamespaceAlreadyExistsError):
                self._catalog.create_namespace(space)
            place = location(f"{self.site.root}/{space}/{short}")
            if not self.exists(name):
                self._catalog.create_table(name, columns.storable(schema), place, properties=_PROPERTIES)

    @_explained
    def columns(self, name: str) -> tuple[str, ...]:
        """The columns the table has now."""
        return tuple(field.name for field in self._load(name).schema().fields)

    @_explained
    def shape(self, name: str, schema: pa.Schema) -> pa.Schema:
        """The schema as files of the table have it, field ids included, also of a table or columns yet to be made."""
        table = self._find(name)
        if table is None:
            return columns.shape(None, 0, schema)
        return columns.shape(table.schema(), table.metadata.last_column_id, schema)

    @_explained
    def place(self, name: str, suffix: str = ".parquet") -> str:
        """The name a new data file of the table may have, for `site.new` or `site.take`."""
        return writing.place(self._load(name), suffix)

    @_explained
    def loaded(self, name: str) -> Table:
        """The table as pyiceberg knows it, for modules that rewrite its files."""
        return self._load(name)

    @_explained
    def stage(self, name: str, rows: Rows, *, sort: Sequence[str] = (), suffix: str = ".parquet") -> Staged:
        """Write rows as data files, sorted, zstd, with field ids; they count once `commit` names them.

        `rows` is an Arrow table or a DuckDB relation; columns it lacks are null, columns the table lacks are refused.
        """
        table = self._load(name)
        if isinstance(rows, pa.Table):
            with self.connect() as connection:
                return self._write(table, connection.from_arrow(rows), sort, suffix)
        return self._write(table, rows, sort, suffix)

    def _write(self, table: Table, rows: duckdb.DuckDBPyRelation, sort: Sequence[str], suffix: str) -> Staged:
        files, count = writing.write(self.site, table, rows, sort, suffix)
        return Staged(".".join(table.name()), files, count)

    @_explained
    def commit(
        self,
        staged: Staged,
        properties: Mapping[str, str] | None = None,
        *,
        key: Sequence[str] = (),
        whole: bool = False,
    ) -> int | None:
        """Make staged rows the table's newest snapshot and return its id.

        With `key` each row takes the place of the row with the same key, and rows with the keys of `staged.replaced`
        go; with `whole` the rows are the whole contents; otherwise they are added. Nothing to add or to remove changes
        nothing: the answer is the head as it stands.
        `properties` go into the snapshot's summary. Raises TableContendedError when others keep committing first.
        """
        if not staged.rows and not whole and not (staged.replaced is not None and staged.replaced.num_rows):
            head = self.head(staged.table)
            return head.snapshot if head else None
        if key and staged.replaced is None:
            positions.refuse_bad_keys(self.site, staged.table, staged.files, key)
        dropped: list[DataFile] | None = None
        for attempt in range(ATTEMPTS):
            table = self._load(staged.table)
            data = [partitions.data_file(table, location(one)) for one in staged.files]
            if dropped is None:
                rows = staged.dropped
                dropped = positions.write(self.site, table, rows.to_reader(), data) if rows is not None else []
            deletes = positions.replaced(self.site, table, key, files=staged.files, keys=staged.replaced) if key else []
            with suppress(*row_delta.MOVED):
                if whole:
                    return row_delta.commit_whole(table, data, properties or {})
                return row_delta.commit_row_delta(table, data, [*dropped, *deletes], properties or {})
            for file in deletes:
                self.site.remove(file_name(file.file_path))
            time.sleep(random.uniform(0, 0.02 * min(attempt + 1, 25)))  # noqa: S311 (only to get out of step)
        raise self._contended(staged.table)

    def append(self, name: str, rows: Rows, *, properties: Mapping[str, str] | None = None) -> int | None:
        """Add rows; returns the new snapshot."""
        return self.commit(self.stage(name, rows), properties)

    def upsert(
        self, name: str, rows: Rows, *, key: Sequence[str], properties: Mapping[str, str] | None = None
    ) -> int | None:
        """Put each row in the place of the one with the same key, or add it; keys not null and unique in `rows`."""
        return self.commit(self.stage(name, rows, sort=key), properties, key=key)

    def replace(
        self, name: str, rows: Rows, *, sort: Sequence[str] = (), properties: Mapping[str, str] | None = None
    ) -> int:
        """Make rows the whole contents as one snapshot; returns it."""
        snapshot = self.commit(self.stage(name, rows, sort=sort), properties, whole=True)
        assert snapshot is not None  # noqa: S101 (whole contents always make a snapshot)
        return snapshot

    @_explained
    def relation(self, name: str, snapshot: int | None, wanted: Sequence[str] | None = None, only: str = "") -> str:
        """SQL text, in brackets, with which any DuckDB connection reads the snapshot (None: no rows).

        Columns the table got after the snapshot may be asked for by name; they are null. `only`: see `scan.plan`.
        """
        table = self._load(name)
        planned = scan.plan(table, snapshot, only)
        if not {*(wanted or ())} <= {field.name for field in planned.schema.fields}:
            planned = dataclasses.replace(planned, schema=table.schema())
        return scan.relation(planned, wanted)

    @_explained
    def plan(self, name: str, snapshot: int | None, only: str | BooleanExpression = "") -> scan.Plan:
        """The files of a snapshot (None: no files), see `scan.plan`; WH-SNAPSHOT-GONE when it has expired."""
        return scan.plan(self._load(name), snapshot, only)

    @_explained
    def alike(self, name: str, old: int, new: int) -> int:
        """The snapshot with the rows of `old` whose files the snapshot `new` goes on from; `old` unless compacted."""
        return row_delta.alike(self._load(name), old, new)

    @_explained
    def read(
        self,
        name: str,
        snapshot: int | None,
        columns: Sequence[str] | None = None,
        where: str = "true",
        params: Sequence[object] = (),
    ) -> pa.Table:
        """The rows of a snapshot (None: no rows) that meet `where`, SQL with `?` for each of `params`."""
        listed = ", ".join(quote(one) for one in columns) if columns is not None else "*"
        query = f"SELECT {listed} FROM {self.relation(name, snapshot)} WHERE {where}"
        with self.connect() as connection:
            return connection.execute(query, list(params)).to_arrow_table()

    def stream(self, name: str, snapshot: int | None, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """The same rows, of which only some are in memory at a time; to be read to its end, or closed."""

        def flowing() -> Iterator[Any]:  # the schema, then the rows: the connection is there as long as they come
            listed = ", ".join(quote(one) for one in columns) if columns is not None else "*"
            query = f"SELECT {listed} FROM {self.relation(name, snapshot)}"
            with self.connect() as connection:
                reader = connection.execute(query).to_arrow_reader(AT_ONCE)
                yield reader.schema
                yield from reader

        made = flowing()
        return pa.RecordBatchReader.from_batches(next(made), made)

    @_explained
    def row_count(self, name: str, snapshot: int | None) -> int:
        """How many rows the snapshot has, from its summary."""
        known = self._load(name).metadata.snapshot_by_id(snapshot) if snapshot is not None else None
        if known is None or known.summary is None:
            return 0
        return int(known.summary["total-records"] or 0) - int(known.summary["total-position-deletes"] or 0)

    @_explained
    def head(self, name: str) -> Head | None:
        """The newest snapshot, released or not; None when there is none (or no table)."""
        table = self._find(name)
        current = table.current_snapshot() if table is not None else None
        if current is None:
            return None
        summary = dict(current.summary.additional_properties) if current.summary else {}
        return Head(current.snapshot_id, current.parent_snapshot_id, summary)

    @_explained
    def pin(self, name: str, snapshot: int) -> Pin:
        """The snapshot as `State.commit_release` takes it."""
        return Pin(snapshot, self._load(name).metadata_location)

    @_explained
    def rollback_to(self, name: str, snapshot: int | None) -> None:
        """Make an earlier snapshot the head again; None: no snapshot at all. Data files stay until `expire`."""
        for _attempt in range(ATTEMPTS):
            table = self._load(name)
            current = table.current_snapshot()
            if (current.snapshot_id if current else None) == snapshot:
                return
            with suppress(CommitFailedException), table.transaction() as transaction:
                manage = ManageSnapshots(transaction)
                moved = manage.remove_branch("main") if snapshot is None else manage.set_current_snapshot(snapshot)
                moved.commit()
        raise self._contended(name)

    @_explained
    def snapshot_count(self, name: str) -> int:
        """How many snapshots the table keeps; none when there is no table."""
        table = self._find(name)
        return len(table.metadata.snapshots) if table is not None else 0

    @_explained
    def expire(self, name: str, keep: int = 50, pinned: frozenset[int] = frozenset(), *, least: int = 1) -> int:
        """Forget all snapshots but the newest `keep` and those `pinned`, if at least `least`; returns how many went."""
        with suppress(CommitFailedException):  # the next time, then
            return expiry.expire(self._load(name), keep, pinned, least)
        return 0

    @_explained
    def sweep(self, name: str, *, older_than_hours: float = 24.0, pinned: Sequence[str] = ()) -> list[str]:
        """Remove the table's files that nothing names any more; `pinned` are metadata files releases name."""
        return expiry.sweep(self.site, self._load(name), older_than_hours, pinned)

    def _find(self, name: str) -> Table | None:
        with suppress(NoSuchTableError):
            return self._catalog.load_table(name)
        return None

    def _load(self, name: str) -> Table:
        try:
            return self._catalog.load_table(name)
        except NoSuchTableError as missing:
            raise WarehouseError(
                "WH-TABLE-MISSING",
                zh=f"没有表 {name}",
                en=f"there is no table {name}",
                fix_zh="该资源或基础库还没有数据落库；用 shutong runs 查看运行情况",
                fix_en="Nothing has landed there yet; see how the runs came out with: shutong runs",
            ) from missing

    def _contended(self, name: str) -> ShutongError:
        return TableContendedError(
            "WH-CONTENDED",
            zh=f"表 {name} 一直被其他进程抢先提交",
            en=f"other processes kept committing to table {name} first (process {os.getpid()})",
            fix_zh="稍后重试",
            fix_en="Try again later",
        )
