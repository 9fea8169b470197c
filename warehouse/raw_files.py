"""Write received rows as Parquet files that prove themselves: sizes, SHA-256 of each file and of the content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from schemas.values import RAW_COLUMNS, ROW
from warehouse.content import ContentHash
from warehouse.row_groups import RowGroups
from warehouse.store import ObjectStore

FILE_ROWS = 2_000_000  # a new file after that many rows


class RawFiles:
    """Parquet files of one batch: a new one when a column comes up that the open one lacks, or when it is full."""

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self.folder = folder
        self._store = store
        self.columns = list(RAW_COLUMNS)
        self.content = ContentHash()
        self.files: list[tuple[str, str]] = []
        self.rows = self.bytes = 0
        self._file = ExitStack()
        self._groups: RowGroups | None = None
        self._stream: _HashingStream | None = None
        self._in_file = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Take the next rows; their `_row` becomes the number in this batch."""
        numbers = pa.array(np.arange(self.rows + 1, self.rows + rows.num_rows + 1, dtype=np.int64))
        texts = {name: _text(rows.column(name)) for name in rows.schema.names if name != ROW}
        self.content.update(pa.record_batch(texts))
        self.rows += rows.num_rows
        if new := [name for name in texts if name not in self.columns]:
            self._close()
            self.columns += new
        everything = {ROW: numbers, **texts}
        null = pa.nulls(rows.num_rows, pa.string())
        columns = [everything.get(name, null) for name in self.columns]
        groups = self._groups or self._start()
        groups.write(pa.RecordBatch.from_arrays(columns, schema=raw_schema(self.columns)))
        self._in_file += rows.num_rows
        if self._in_file >= FILE_ROWS:
            self._close()

    def finish(self) -> None:
        """Make the last file whole; without any row there is still a file, so that the evidence has a place."""
        if not self.files:
            self._start()
        self._close()

    def drop(self) -> None:
        """Let go of the file being written, which never appears."""
        if self._groups is not None:
            self._groups.drop()
        self._file.__exit__(_GivenUpError, _GivenUpError(), None)
        self._groups = self._stream = None

    def _start(self) -> RowGroups:
        path = f"{self.folder}/part-{len(self.files):05d}.parquet"
        self._file = ExitStack()
        self._stream = _HashingStream(self._file.enter_context(self._store.create(path)))
        self._groups = RowGroups(self._stream, raw_schema(self.columns))
        self.files.append((path, ""))
        return self._groups

    def _close(self) -> None:
        if self._groups is None or self._stream is None:
            return
        self._groups.close()
        self._file.close()
        self.files[-1] = (self.files[-1][0], self._stream.sha256.hexdigest())
        self.bytes += self._stream.size
        self._groups = self._stream = None
        self._in_file = 0


def raw_schema(columns: Sequence[str]) -> pa.Schema:
    """The kinds of a raw batch's columns: text but for `_row`."""
    return pa.schema([(name, pa.int64() if name == ROW else pa.string()) for name in columns])


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


def _text(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())
