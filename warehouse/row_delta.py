"""Commit one Iceberg v2 snapshot pyiceberg has no writer for: a row delta, new contents, or the same rows rewritten.

Its classes stand on pyiceberg's private `_SnapshotProducer`; tests/warehouse/test_tables.py guards what they rely on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, TypeVar

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, SnapshotSummaryCollector, Summary, update_snapshot_summaries
from pyiceberg.table.update.snapshot import _SnapshotProducer
from pyiceberg.typedef import EMPTY_DICT, Record

from warehouse.errors import WarehouseError

SAME = "shutong.same-as"  # in a snapshot's summary: the snapshot whose rows it has, in other files
CLOCK_SECONDS = 60  # by which changes may be out of order in time: what the reference implementation forgives
MOVED = (CommitFailedException, ValidationException)  # another commit came first: plan again


T = TypeVar("T")


class _Changing(Transaction):
    """A transaction of one change, which sees the table as it stood before: each look would copy all its metadata.

    Producers look fifteen times; after their change is staged only the table's own id is asked for.
    """

    @property
    def table_metadata(self) -> TableMetadata:
        return self._table.metadata


class _DeleteManifestWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class _RowDelta(_SnapshotProducer["_RowDelta"]):
    """Data files and position-delete files in one snapshot on top of what is there."""

    def __init__(
        self, transaction: Transaction, io: FileIO, properties: dict[str, str], deletes: Sequence[DataFile]
    ) -> None:
        operation = Operation.OVERWRITE if deletes else Operation.APPEND
        super().__init__(operation, transaction, io, None, properties)
        self._delete_files = tuple(deletes)

    def _deleted_entries(self) -> list[ManifestEntry]:
        return []

    def _existing_manifests(self) -> list[ManifestFile]:
        parent = self._transaction.table_metadata.snapshot_by_id(self._parent_snapshot_id or 0)
        every = parent.manifests(io=self._io) if parent else []
        return [one for one in every if one.has_added_files() or one.has_existing_files()]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        if not self._delete_files:
            return manifests
        schema, written = self._transaction.table_metadata.schema(), []
        for number, files in _by_spec(self._delete_files, lambda one: one).items():
            spec, output = self.spec(number), self.new_manifest_output()
            writer = _DeleteManifestWriter(spec, schema, output, self._snapshot_id, self._compression)
            with writer:
                for file in files:
                    writer.add(_entry(ManifestEntryStatus.ADDED, self._snapshot_id, file))
            written.append(writer.to_manifest_file())
        return [*manifests, *written]

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        metadata = self._transaction.table_metadata  # copied at each look
        specs, schema, collected = metadata.specs(), metadata.schema(), SnapshotSummaryCollector()
        for file in (*self._added_data_files, *self._delete_files):  # the deletes count in the totals, too
            collected.add_file(file, schema, specs[file.spec_id or 0])
        parent = metadata.snapshot_by_id(self._parent_snapshot_id or 0)
        return update_snapshot_summaries(
            summary=Summary(self._operation, **collected.build(), **snapshot_properties),
            previous_summary=parent.summary if parent is not None else None,
        )

    def _validate_concurrency(self) -> None:
        # Positions, and the finding that a key has none, hold for the planned snapshot only.
        raise ValidationException("the table moved: plan again")


class _Whole(_SnapshotProducer["_Whole"]):
    """New data files instead of everything that was there, delete files included."""

    def __init__(self, transaction: Transaction, io: FileIO, properties: dict[str, str]) -> None:
        super().__init__(Operation.OVERWRITE, transaction, io, None, properties)

    def _existing_manifests(self) -> list[ManifestFile]:
        return []

    def _deleted_entries(self) -> list[ManifestEntry]:
        parent = self._transaction.table_metadata.snapshot_by_id(self._parent_snapshot_id or 0)
        data = [one for one in (parent.manifests(self._io) if parent else []) if one.content == ManifestContent.DATA]
        live = [entry for one in data for entry in one.fetch_manifest_entry(self._io, discard_deleted=True)]
        return [_entry(ManifestEntryStatus.DELETED, self._snapshot_id, entry.data_file, entry) for entry in live]

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        added = self._added_data_files
        files, rows = str(len(added)), str(sum(one.record_count for one in added))
        size = str(sum(one.file_size_in_bytes for one in added))
        totals = {"data-files": files, "records": rows, "files-size": size, "delete-files": "0"}
        totals |= {"position-deletes": "0", "equality-deletes": "0"}
        summary = {f"total-{name}": value for name, value in totals.items()}
        summary |= {"added-data-files": files, "added-records": rows, **snapshot_properties}
        return Summary(Operation.OVERWRITE, **summary)

    def _validate_concurrency(self) -> None:
        raise ValidationException("the table moved: replace again")


class _Rewrite(_RowDelta):
    """The same rows in other data files; all that position deletes still say stands in new delete files."""

    def __init__(
        self,
        transaction: Transaction,
        io: FileIO,
        properties: dict[str, str],
        deletes: Sequence[DataFile],
        removed: frozenset[str],
    ) -> None:
        super().__init__(transaction, io, properties, deletes)
        self._operation, self._removed = Operation.REPLACE, removed
        parent = self._transaction.table_metadata.snapshot_by_id(self._parent_snapshot_id or 0)
        data = [one for one in (parent.manifests(io) if parent else []) if one.content == ManifestContent.DATA]
        live = [entry for one in data for entry in one.fetch_manifest_entry(io, discard_deleted=True)]
        self._gone = [one for one in live if one.data_file.file_path in removed]
        self._stay = [one for one in live if one.data_file.file_path not in removed]
        if len(self._gone) != len(removed):
            raise ValidationException("the table moved: files to be rewritten are no longer its own")

    def _deleted_entries(self) -> list[ManifestEntry]:
        deleted = ManifestEntryStatus.DELETED
        return [_entry(deleted, self._snapshot_id, entry.data_file, entry) for entry in self._gone]

    def _existing_manifests(self) -> list[ManifestFile]:
        written = []
        for number, entries in _by_spec(self._stay, lambda one: one.data_file).items():
            with self.new_manifest_writer(self.spec(number)) as writer:
                for one in entries:
                    there = one.snapshot_id or self._snapshot_id
                    writer.add_entry(_entry(ManifestEntryStatus.EXISTING, there, one.data_file, one))
            written.append(writer.to_manifest_file())
        return written

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        data = [*(one.data_file for one in self._stay), *self._added_data_files]
        every = [*data, *self._delete_files]
        totals = {
            "data-files": len(data),
            "records": sum(one.record_count for one in data),
            "files-size": sum(one.file_size_in_bytes for one in every),
            "delete-files": len(self._delete_files),
            "position-deletes": sum(one.record_count for one in self._delete_files),
            "equality-deletes": 0,
        }
        summary = {f"total-{name}": str(value) for name, value in totals.items()}
        summary |= {"added-data-files": str(len(self._added_data_files)), "deleted-data-files": str(len(self._gone))}
        return Summary(Operation.REPLACE, **summary, **snapshot_properties)


def _by_spec(every: Iterable[T], file: Callable[[T], DataFile]) -> dict[int, list[T]]:
    """Grouped by the partition spec of their files: a manifest holds files of one."""
    found: dict[int, list[T]] = {}
    for one in every:
        found.setdefault(file(one).spec_id or 0, []).append(one)
    return found


def _entry(
    status: ManifestEntryStatus, snapshot: int, file: DataFile, earlier: ManifestEntry | None = None
) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot,
        sequence_number=earlier.sequence_number if earlier else None,
        file_sequence_number=earlier.file_sequence_number if earlier else None,
        data_file=file,
    )


def delete_file(path: str, rows: int, size: int, spec: int, partition: Record) -> DataFile:
    """A position-delete file (file_path, pos) of one partition as the manifest lists it."""
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=rows,
        file_size_in_bytes=size,
        spec_id=spec,
    )
    file.spec_id = spec
    return file


class ClockBackError(WarehouseError):
    """The clock was moved back; the same call works once it is right, or has caught up."""

    retryable: ClassVar[bool] = True


def _refuse_clock_back(table: Table) -> None:
    """Other readers of Iceberg refuse a table whose changes are not in the order of time, to within a minute."""
    behind = table.metadata.last_updated_ms / 1000 - time.time()
    if behind > CLOCK_SECONDS:
        name = ".".join(table.name())
        raise ClockBackError(
            "WH-CLOCK-BACK",
            zh=f"本机时钟比表 {name} 的最近一次提交早 {behind:.0f} 秒，疑似被回拨",
            en=f"the clock of this machine stands {behind:.0f} s before the last change of table {name}",
            fix_zh="校准本机时钟（NTP）后重新运行；已发布的数据不受影响",
            fix_en="Set the clock right (NTP), then run again; what is released is safe",
        )


def commit_row_delta(
    table: Table, data: Sequence[DataFile], deletes: Sequence[DataFile], properties: Mapping[str, str]
) -> int:
    """Add data and position deletes as one snapshot on the snapshot `table` stands at; returns its id.

    Raises one of MOVED when the table has moved on since: what the caller planned no longer holds. WH-CLOCK-BACK when
    the clock of this machine stands before the table's last change.
    """
    _refuse_clock_back(table)
    with _Changing(table) as transaction:
        producer = _RowDelta(transaction, table.io, dict(properties), deletes)
        for file in data:
            producer.append_data_file(file)
        producer.commit()
    return producer.snapshot_id


def commit_whole(table: Table, data: Sequence[DataFile], properties: Mapping[str, str]) -> int:
    """Make `data` the whole contents as one snapshot; returns its id. Raises as above."""
    _refuse_clock_back(table)
    with _Changing(table) as transaction:
        producer = _Whole(transaction, table.io, dict(properties))
        for file in data:
            producer.append_data_file(file)
        producer.commit()
    return producer.snapshot_id


def commit_rewrite(table: Table, data: Sequence[DataFile], deletes: Sequence[DataFile], removed: frozenset[str]) -> int:
    """Put `data` in the place of the files `removed`, and `deletes` in that of all position deletes; returns the id.

    The snapshot names its parent as holding the same rows. Raises as above.
    """
    _refuse_clock_back(table)
    parent = table.current_snapshot()
    with _Changing(table) as transaction:
        properties = {SAME: str(parent.snapshot_id if parent else "")}
        producer = _Rewrite(transaction, table.io, properties, deletes, removed)
        for file in data:
            producer.append_data_file(file)
        producer.commit()
    return producer.snapshot_id


def alike(table: Table, old: int, new: int) -> int:
    """The newest snapshot before `new`, or that itself, with the rows of `old`: another one where it was rewritten."""
    rewritten: dict[str, int] = {}
    at = table.metadata.snapshot_by_id(new)
    while at is not None and at.snapshot_id != old:
        if at.summary is not None and (same := at.summary.additional_properties.get(SAME)):
            rewritten.setdefault(same, at.snapshot_id)
        at = table.metadata.snapshot_by_id(at.parent_snapshot_id or 0)
    while str(old) in rewritten:
        old = rewritten[str(old)]
    return old
