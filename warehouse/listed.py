"""Which files a snapshot names: snapshots and manifests never change, so a catalog's are read once and remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import INITIAL_SEQUENCE_NUMBER, DataFile, DataFileContent, ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.delete_file_index import DeleteFileIndex
from pyiceberg.table.snapshots import Snapshot

T = TypeVar("T")
MOST = 1024  # files remembered at once for one catalog, which with fifty columns take some 25 kB each


class _Remembered(Generic[T]):
    """Lists by the path of the file they were read from, together of `most` items; the longest unasked for go first."""

    def __init__(self, most: int) -> None:
        self._most, self._held, self._lock = most, 0, Lock()
        self._known: OrderedDict[str, tuple[T, ...]] = OrderedDict()

    def get(self, path: str, read: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        """What was read from the path, now or earlier."""
        with self._lock:
            if path in self._known:
                self._known.move_to_end(path)
                return self._known[path]
        found = read()
        with self._lock:
            if path not in self._known and len(found) <= self._most:
                self._known[path] = found
                self._held += len(found) + 1
            while self._held > self._most:
                self._held -= len(self._known.popitem(last=False)[1]) + 1
        return found


class _Memory:
    """What one catalog's tables were found to consist of."""

    def __init__(self) -> None:
        self.entries = _Remembered[ManifestEntry](MOST)
        self.files = _Remembered[tuple[DataFile, tuple[str, ...]]](MOST)


_memories: WeakKeyDictionary[Catalog, _Memory] = WeakKeyDictionary()


def files(table: Table, snapshot: Snapshot) -> tuple[tuple[DataFile, tuple[str, ...]], ...]:
    """The data files of a snapshot, in the order of its manifests, each with the paths of its position deletes.

    ValueError where rows are deleted by their values, which nothing here does.
    """
    memory = _memories.setdefault(table.catalog, _Memory())
    return memory.files.get(snapshot.manifest_list, partial(_read, table, snapshot, memory))


def _read(table: Table, snapshot: Snapshot, memory: _Memory) -> tuple[tuple[DataFile, tuple[str, ...]], ...]:
    data: list[ManifestEntry] = []
    index = DeleteFileIndex()
    for manifest in snapshot.manifests(table.io):
        read = partial(_entries, manifest, table)
        for entry in memory.entries.get(manifest.manifest_path, read):
            file = entry.data_file
            if file.content == DataFileContent.DATA:
                data.append(entry)
            elif file.content == DataFileContent.POSITION_DELETES:
                index.add_delete_file(entry, partition_key=file.partition)
            else:
                raise ValueError(f"{file.file_path} deletes rows by their values, not by their places")
    return tuple((one.data_file, _deletes(index, one)) for one in data)


def _entries(manifest: ManifestFile, table: Table) -> tuple[ManifestEntry, ...]:
    return tuple(manifest.fetch_manifest_entry(table.io, discard_deleted=True))


def _deletes(index: DeleteFileIndex, entry: ManifestEntry) -> tuple[str, ...]:
    file, written = entry.data_file, entry.sequence_number or INITIAL_SEQUENCE_NUMBER
    return tuple(one.file_path for one in index.for_data_file(written, file, file.partition))
