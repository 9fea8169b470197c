"""Write received rows as Parquet files that prove themselves: sizes, SHA-256 of each file and of the content."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, suppress
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.values import RAW_COLUMNS, ROW
from warehouse.content import ContentHash
from warehouse.store import ObjectStore

FILE_ROWS = 2_000_000  # a new file after that many rows
GROUP_ROWS = 65_536  # rows gathered before they are written as one row group …
GROUP_BYTES = 48 << 20  # … or so many bytes, when rows are wide
SAMPLE_ROWS = 16_384  # rows a column is judged by
REPEATING = 0.1  # a column with fewer distinct values than this share of its rows gets a dictionary


class RawFiles:
    """Parquet files of one batch: a new one when a column comes up that the open one lacks, or when it is full."""

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self.folder = folder
        self._store = store
        self.columns = list(RAW_COLUMNS)
        self.content = ContentHash()
        self.files: list[tuple[str, str]] = []
        self.rows = self.bytes = 0
        self._open: ExitStack | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._stream: _HashingStream | None = None
        self._in_file = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Take the next rows; their `_row` becomes the number in this batch."""
        numbers = pa.array(np.arange(self.rows + 1, self.rows + rows.num_rows + 1, dtype=np.int64))
        texts = {name: _text(rows.column(name)) for name in rows.schema.names if name != ROW}
        self.content.update(pa.record_batch(texts))
        self.rows += rows.num_rows
        if new := [name for name in texts if name not in self.columns]:
            self._flush()
            self._close()
            self.columns += new
        everything = {ROW: numbers, **texts}
        null = pa.nulls(rows.num_rows, pa.string())
        whole = pa.record_batch({name: everything.get(name, null) for name in self.columns})
        self._waiting.append(whole)
        self._waiting_rows += whole.num_rows
        self._waiting_bytes += whole.nbytes
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Make the last file whole; without any row there is still a file, so that the evidence has a place."""
        self._flush()
        if not self.files:
            self._start(self._kinds().empty_table())
        self._close()

    def drop(self) -> None:
        """Let go of the file being written, which never appears."""
        if self._open is not None:
            given_up = _GivenUpError()
            with suppress(OSError):  # what made us give up may keep the footer from being written, too
                self._open.__exit__(_GivenUpError, given_up, None)
            self._open = self._parquet = self._stream = None

    def _kinds(self) -> pa.Schema:
        return pa.schema([(name, pa.int64() if name == ROW else pa.string()) for name in self.columns])

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        if self._parquet is None:
            self._start(table)
        assert self._parquet is not None  # noqa: S101 (_start made it)
        groups = max(1, table.num_rows // GROUP_ROWS)  # of equal size: no small one at the end of each batch
        self._parquet.write_table(table, row_group_size=max(1, -(-table.num_rows // groups)))
        self._in_file += table.num_rows
        if self._in_file >= FILE_ROWS:
            self._close()

    def _start(self, first: pa.Table) -> None:
        path = f"{self.folder}/part-{len(self.files):05d}.parquet"
        self._open = ExitStack()
        self._stream = _HashingStream(self._open.enter_context(self._store.create(path)))
        # A pull costs CPU at the source's pace: Snappy takes half of what zstd does, and nobody looks up statistics.
        writer = pq.ParquetWriter(
            self._stream,
            self._kinds(),
            compression="snappy",
            use_dictionary=_repeating(first),
            write_statistics=False,
            column_encoding={ROW: "DELTA_BINARY_PACKED"},
        )
        self._parquet = self._open.enter_context(writer)
        self.files.append((path, ""))

    def _close(self) -> None:
        if self._open is None or self._stream is None:
            return
        self._open.close()
        self.files[-1] = (self.files[-1][0], self._stream.sha256.hexdigest())
        self.bytes += self._stream.size
        self._open = self._parquet = self._stream = None
        self._in_file = 0


class _GivenUpError(Exception):
    """Tells the store that the file is not to appear."""


class _HashingStream:
    """Passes bytes on and knows their number and SHA-256."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.sha256, self.size = hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self.size += memoryview(content).nbytes
        return self._stream.write(content)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """The store closes the file, when it is whole."""


def _repeating(table: pa.Table) -> list[str]:
    """The text columns where a dictionary pays: building one costs more than it saves where most values differ."""
    sample = table.slice(0, SAMPLE_ROWS)
    few = sample.num_rows * REPEATING
    return [name for name in table.column_names if name != ROW and pc.count_distinct(sample[name]).as_py() < few]


def _text(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())
