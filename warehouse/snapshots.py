"""Remember a whole source as hashes, so that the next full read yields only what is new, changed or gone."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.points import reached
from schemas.values import DETAIL, ROW
from warehouse import duck
from warehouse.sql import literal
from warehouse.store import ObjectStore

HOME = "snapshots"
BUCKETS = 64  # a new snapshot is sorted bucket by bucket, so that no step holds more than this part of it
_SHIFT = np.uint64(58)
_FILE = "keys.parquet"
_KEY, _ROW = "key_hash", "row_hash"
_UNSAID = (ROW, DETAIL)  # they follow from the place of a record, not from the record

Hashes = npt.NDArray[np.uint64]
Marks = npt.NDArray[np.bool_]


class SnapshotDiff:
    """Compares a full read with the snapshot of an earlier one, in memory that holds two bytes per record.

    A snapshot is a Parquet file sorted by the hash of the key: key hash, row hash, the key's own columns as received.
    `take` every batch, then read `late` and `gone`, then `commit`. A record counts as unchanged when one with the same
    key and the same content was there; where a key has several records, all of them come when any of them changed.
    """

    def __init__(self, store: ObjectStore, scratch: Path, key: Sequence[str], before: str | None) -> None:
        self._store, self._key, self._before = store, tuple(key), before
        scratch.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=scratch, prefix="snapshot-")
        self._duck = duck.connect()
        self._old_keys, self._old_rows = self._loaded(before)
        self._seen = np.zeros(len(self._old_keys), np.bool_)
        self._same = np.zeros(len(self._old_keys), np.bool_)
        self._several = _repeated(self._old_keys)
        self._fresh = _Spool(Path(self._folder.name), "fresh")
        self._waiting = _Spool(Path(self._folder.name), "waiting")
        self._waited: list[tuple[Hashes, Hashes]] = []
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._duck.close()
        self._fresh.close()
        self._waiting.close()
        del self._old_keys, self._old_rows
        self._folder.cleanup()

    @property
    def known(self) -> int:
        """Records in the snapshot compared with."""
        return len(self._old_keys)

    def take(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Those of the rows that are new or changed; those whose key had several records wait for `late`."""
        keys, hashes = self._hashed(rows)
        self.rows += rows.num_rows
        place = np.searchsorted(self._old_keys, keys)
        found = place < len(self._old_keys)
        place[~found] = 0
        found[found] = self._old_keys[place[found]] == keys[found]
        several, same = np.zeros(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
        several[found] = self._several[place[found]]
        alone = found & ~several
        same[alone] = self._old_rows[place[alone]] == hashes[alone]
        self._seen[place[found]] = True
        self._spool(rows, keys, hashes, ~self._stands(place, same))
        if several.any():
            waiting = pa.array(several)
            self._waited.append((keys[several], hashes[several]))
            self._waiting.add(0, _with_hashes(rows, keys, hashes).filter(waiting))
        return rows.filter(pa.array(~same & ~several))

    def _stands(self, place: npt.NDArray[np.int64], same: Marks) -> Marks:
        """Which rows the old snapshot's own record stands for: of equal ones the first, the others are more of it."""
        at = np.flatnonzero(same)
        places, firsts = np.unique(place[at], return_index=True)
        stands = np.zeros(len(same), np.bool_)
        stands[at[firsts[~self._same[places]]]] = True
        self._same[places] = True
        return stands

    def late(self) -> Iterator[pa.RecordBatch]:
        """The rows that waited, of every key of which some record is new, changed or gone."""
        if not self._waited:
            return
        keys, hashes = (np.concatenate(parts) for parts in zip(*self._waited, strict=True))
        of_old = np.isin(self._old_keys, np.unique(keys))
        before = _summed(np.asarray(self._old_keys[of_old]), np.asarray(self._old_rows[of_old]))
        now = _summed(keys, hashes)
        changed = np.array([key for key, said in now.items() if before.get(key) != said], np.uint64)
        for rows in self._waiting.read(0):
            chosen = np.isin(rows.column(_KEY).to_numpy(), changed)
            yield rows.filter(pa.array(chosen)).drop_columns([_KEY, _ROW])

    def gone(self) -> int:
        """How many keys of the snapshot no longer came."""
        return int((~self._seen & _first(self._old_keys)).sum())

    def keep_gone(self) -> None:
        """Leave the keys that no longer came in the snapshot: it is not yet certain that they are gone."""
        missing = ~self._seen & _first(self._old_keys)
        lost = np.asarray(self._old_keys)[missing]
        self._same |= np.isin(self._old_keys, lost)

    def gone_keys(self) -> Iterator[pa.RecordBatch]:
        """The key columns of the keys that no longer came, but for those with a null: nothing landed has them."""
        missing = ~self._seen & _first(self._old_keys)
        for at, group in self._old_groups():
            chosen = missing[at : at + group.num_rows]
            if chosen.any():
                keys = group.select([str(n) for n in range(len(self._key))]).filter(pa.array(chosen)).drop_null()
                yield from keys.rename_columns(list(self._key)).combine_chunks().to_batches()

    def commit(self, resource: str) -> str:
        """Write what was read as a new snapshot, durable, and return its path; the old one when nothing differs."""
        unchanged = self._before is not None and not self._fresh.rows and bool(self._same.all())
        if unchanged and self._before is not None:
            return self._before
        path = f"{HOME}/{resource}/{uuid.uuid4().hex}/{_FILE}"
        with self._store.create(path) as stream:
            writer = pq.ParquetWriter(
                stream,
                self._schema(),
                compression="zstd",
                use_dictionary=False,
                write_statistics=False,
                column_encoding={_KEY: "DELTA_BINARY_PACKED"},
            )
            with writer:
                old = self._old_groups()
                held = next(old, None)
                for bucket in range(BUCKETS):
                    parts = list(self._fresh.read(bucket))
                    if held is not None and _bucket(held[1]) == bucket:
                        at, group = held
                        parts += group.filter(pa.array(self._same[at : at + group.num_rows])).to_batches()
                        held = next(old, None)
                    table = pa.Table.from_batches(parts, self._schema())
                    if table.num_rows:
                        writer.write_table(table.sort_by(_KEY), row_group_size=table.num_rows)
        reached("pull.snapshot_written")
        return path

    def _schema(self) -> pa.Schema:
        columns = [(str(number), pa.string()) for number in range(len(self._key))]
        return pa.schema([(_KEY, pa.uint64()), (_ROW, pa.uint64()), *columns])

    def _spool(self, rows: pa.RecordBatch, keys: Hashes, hashes: Hashes, wanted: Marks) -> None:
        if not wanted.any():
            return
        arrays = [pa.array(keys), pa.array(hashes), *(rows.column(name) for name in self._key)]
        fresh = pa.RecordBatch.from_arrays(arrays, schema=self._schema()).filter(pa.array(wanted))
        buckets = (keys[wanted] >> _SHIFT).astype(np.int64)
        order = np.argsort(buckets, kind="stable")
        bounds = np.searchsorted(buckets[order], np.arange(BUCKETS + 1))
        fresh = fresh.take(pa.array(order))
        for bucket in np.flatnonzero(bounds[1:] > bounds[:-1]):
            self._fresh.add(int(bucket), fresh.slice(bounds[bucket], bounds[bucket + 1] - bounds[bucket]))

    def _loaded(self, before: str | None) -> tuple[Hashes, Hashes]:
        """Both hashes of the old snapshot as files mapped into memory."""
        if before is None:
            return np.empty(0, np.uint64), np.empty(0, np.uint64)
        with self._store.open(before) as stream:
            file = pq.ParquetFile(stream)
            count = file.metadata.num_rows
            if not count:
                return np.empty(0, np.uint64), np.empty(0, np.uint64)
            both = [np.memmap(Path(self._folder.name) / name, np.uint64, "w+", shape=(count,)) for name in (_KEY, _ROW)]
            at = 0
            for batch in file.iter_batches(columns=[_KEY, _ROW]):
                for array, name in zip(both, (_KEY, _ROW), strict=True):
                    array[at : at + batch.num_rows] = batch.column(name).to_numpy()
                at += batch.num_rows
        return both[0], both[1]

    def _old_groups(self) -> Iterator[tuple[int, pa.Table]]:
        """The old snapshot bucket by bucket, each with the place it begins at."""
        if self._before is None:
            return
        with self._store.open(self._before) as stream:
            file, at = pq.ParquetFile(stream), 0
            for number in range(file.num_row_groups):
                group = file.read_row_group(number)
                yield at, group
                at += group.num_rows

    def _hashed(self, rows: pa.RecordBatch) -> tuple[Hashes, Hashes]:
        names = sorted(name for name in rows.schema.names if name not in _UNSAID)
        places = {name: f"c{number}" for number, name in enumerate(names)}
        self._duck.register("rows", pa.table({places[name]: rows.column(name) for name in names}))
        # Each part tells its length, so that no value can pass for two; what is null is told from what is empty.
        key = ", ".join(f"coalesce(strlen({places[one]}) || ':' || {places[one]}, '-')" for one in self._key)
        row = ", ".join(f"{literal(one + '=')} || strlen({places[one]}) || ':' || {places[one]}" for one in names)
        query = f"SELECT md5_number_lower(concat({key})), md5_number_lower(concat({row})) FROM rows"
        found = self._duck.execute(query).to_arrow_table()
        return found.column(0).to_numpy(), found.column(1).to_numpy()


class _Spool:
    """Batches put aside on disk, by bucket."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._files: dict[int, list[tuple[Path, pa.Schema, pa.ipc.RecordBatchFileWriter]]] = {}
        self.rows = 0

    def add(self, bucket: int, rows: pa.RecordBatch) -> None:
        files = self._files.setdefault(bucket, [])
        if not files or files[-1][1] != rows.schema:
            path = self._folder / f"{self._name}-{bucket}-{len(files)}"
            files.append((path, rows.schema, pa.ipc.new_file(path, rows.schema)))
        files[-1][2].write_batch(rows)
        self.rows += rows.num_rows

    def read(self, bucket: int) -> Iterator[pa.RecordBatch]:
        for path, _, writer in self._files.get(bucket, []):
            writer.close()
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)

    def close(self) -> None:
        for files in self._files.values():
            for _, _, writer in files:
                writer.close()


def sweep(store: ObjectStore, resource: str, keep: Sequence[str]) -> None:
    """Remove the snapshots of a resource that no position names any more."""
    for folder in store.folders(f"{HOME}/{resource}"):
        if f"{folder}/{_FILE}" not in keep:
            store.remove(folder)


def _bucket(group: pa.Table) -> int:
    return int(group.column(_KEY)[0].as_py()) >> int(_SHIFT)


def _with_hashes(rows: pa.RecordBatch, keys: Hashes, hashes: Hashes) -> pa.RecordBatch:
    return rows.append_column(_KEY, pa.array(keys)).append_column(_ROW, pa.array(hashes))


def _repeated(keys: Hashes) -> Marks:
    """Which of the sorted keys stand there more than once."""
    marks = np.zeros(len(keys), np.bool_)
    if len(keys) > 1:
        equal = np.asarray(keys[1:] == keys[:-1])
        marks[1:] |= equal
        marks[:-1] |= equal
    return marks


def _first(keys: Hashes) -> Marks:
    marks = np.ones(len(keys), np.bool_)
    if len(keys) > 1:
        marks[1:] = keys[1:] != keys[:-1]
    return marks


def _summed(keys: Hashes, hashes: Hashes) -> dict[int, tuple[int, int]]:
    """For each key, how many records it has and what their hashes add up to."""
    order = np.argsort(keys, kind="stable")
    keys, hashes = keys[order], hashes[order]
    starts = np.flatnonzero(_first(keys))
    sums = np.add.reduceat(hashes, starts)
    counts = np.diff(np.r_[starts, len(keys)])
    return {int(keys[at]): (int(count), int(total)) for at, count, total in zip(starts, counts, sums, strict=True)}
