"""Make the rows that land data files of their table: the checked files as they stand, or only the rows that land."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.partition import Partition
from warehouse import fates, partitions, positions
from warehouse.checked import KeptCheck
from warehouse.row_groups import RowGroups
from warehouse.store import reading
from warehouse.tables import Staged, Tables

AT_ONCE, WAITING = 128, 128 << 20  # partitions written at once, and bytes of rows that may wait for that
ADOPTED = 0.5  # share of the rows that land from which the files are taken as they stand
_Places = tuple[npt.NDArray[np.int64], ...]


def staged(
    connection: duckdb.DuckDBPyConnection, tables: Tables, table: str, kept: KeptCheck, key: Sequence[str]
) -> Staged:
    """The rows that `fates.decide` found to land as durable files of the table, and the keys whose rows they replace.

    Where most rows land the checked files become the table's, under names of their own, and the other rows are dropped
    from them by position: a row is written once. Otherwise, and where a table's files are divided, the rows that land
    are written anew, group by group.
    """
    replaced = connection.table("replaced").to_arrow_table()
    places = tuple(fates.places(connection, "lands", number) for number in range(len(kept.files)))
    rows = sum(map(len, places))
    if not rows:
        return Staged(table, (), 0, replaced)
    with_ids = tables.shape(table, kept.schema)
    partition = tables.partition(table)
    if partition is not None and partition.field in with_ids.names:
        return Staged(
            table, _divided(tables, table, kept, places, partition=partition, schema=with_ids, key=key), rows, replaced
        )
    if rows >= ADOPTED * kept.rows and kept.schema.equals(with_ids, check_metadata=True):
        return _adopted(tables, table, kept, places, replaced)
    target = tables.place(table)
    with tables.site.new(target) as file:
        _write(file, kept, places, with_ids, key)
    return Staged(table, (target,), rows, replaced)


def _adopted(tables: Tables, table: str, kept: KeptCheck, places: _Places, replaced: pa.Table) -> Staged:
    files, dropped = [], {}
    for path, landing in zip(kept.files, places, strict=True):
        if len(landing):
            target = tables.place(table)
            tables.site.take(kept.store, path, target)
            files.append(target)
            with reading(kept.store, path) as stream:
                others = np.ones(pq.read_metadata(stream).num_rows, np.bool_)
            others[landing] = False
            if others.any():
                dropped[target] = np.flatnonzero(others)
    gone = positions.places(dropped) if dropped else None
    return Staged(table, tuple(files), sum(map(len, places)), replaced, gone)


def _write(target: Path, kept: KeptCheck, places: _Places, schema: pa.Schema, key: Sequence[str]) -> None:
    with target.open("xb") as sink:
        groups = RowGroups(sink, schema, sort_by=key)
        for path, landing in zip(kept.files, places, strict=True):
            for batch in _rows_at(kept, path, landing, schema.names):
                groups.write(batch.cast(schema))
        groups.close()


def _divided(
    tables: Tables, table: str, kept: KeptCheck, places: _Places, *, partition: Partition, schema: pa.Schema,
    key: Sequence[str],
) -> tuple[str, ...]:  # fmt: skip
    """The rows that land, a file for each partition; some partitions at a time, so that memory and files are few."""
    marks: dict[object, None] = {}
    for path, landing in zip(kept.files, places, strict=True):
        for batch in _rows_at(kept, path, landing, [partition.field]):
            marks |= dict.fromkeys(pc.unique(partitions.marks(batch.column(0), partition.by)).to_pylist())
    every: list[object] = sorted(marks, key=lambda one: (one is not None, one))
    made: list[str] = []
    for at in range(0, len(every), AT_ONCE):
        some = every[at : at + AT_ONCE]
        files = {mark: tables.place(table) for mark in some}
        with ExitStack() as opened:
            writers = {}
            for mark in some:
                sink = opened.enter_context(opened.enter_context(tables.site.new(files[mark])).open("xb"))
                writers[mark] = RowGroups(sink, schema, sort_by=key)
            for path, landing in zip(kept.files, places, strict=True):
                for batch in _rows_at(kept, path, landing, schema.names):
                    _dealt(batch.cast(schema), partition, writers)
            for writer in writers.values():
                writer.close()
        made += files.values()
    return tuple(made)


def _dealt(batch: pa.RecordBatch, partition: Partition, writers: Mapping[object, RowGroups]) -> None:
    marks = partitions.marks(batch.column(partition.field), partition.by).dictionary_encode(null_encoding="encode")
    numbers = marks.indices.to_numpy(zero_copy_only=False)
    for number, mark in enumerate(marks.dictionary.to_pylist()):
        if mark in writers:  # taken, not sliced: a slice would keep the whole batch in memory
            writers[mark].write(batch.take(pa.array(np.flatnonzero(numbers == number))))
    while sum(one.waiting for one in writers.values()) > WAITING:
        max(writers.values(), key=lambda one: one.waiting).flush()


def _rows_at(
    kept: KeptCheck, path: str, places: npt.NDArray[np.int64], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """These columns of the rows of a file at these places, in order; groups without any are not read."""
    first = 0
    with reading(kept.store, path) as stream, pq.ParquetFile(stream) as file:
        for number in range(file.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            low, high = np.searchsorted(places, (first, first + count))
            if low < high:
                group = file.read_row_group(number, columns=list(names)).select(names)
                yield from group.take(pa.array(places[low:high] - first)).combine_chunks().to_batches()
            first += count
