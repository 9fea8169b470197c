"""Make what a source yields durable: Parquet as received, a manifest beside it, and the position it allows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.points import reached
from schemas.values import RAW_COLUMNS, ROW, Batch, Manifest, Position
from warehouse.clock import now, now_text
from warehouse.content import ContentHash
from warehouse.state import State
from warehouse.store import ObjectStore

FILE_ROWS = 2_000_000  # a new file after that many rows
GROUP_ROWS = 65_536  # rows gathered before they are written as one row group
_LAND = "land"


def keep(store: ObjectStore, state: State, resource: str, run: str, batches: Iterable[Batch]) -> Manifest:
    """Write the batches under land/<department>/<resource>/<date>/<run>/ and commit manifest and position together.

    `_row` counts 1…n over all batches. A run that pulled already gets the manifest it made; content that was pulled
    before gets the earlier manifest. What a dead run left without a manifest is removed first.
    """
    with store.lock(f"pull-{_safe(resource)}"):
        made = state.manifests(resource, run=run, limit=1)
        if made:
            return made[0]
        home = _home(resource)
        counted = {one.files[0].rpartition("/")[0] for one in state.manifests(resource, limit=10**9) if one.files}
        for folder in store.folders(home):
            if folder not in counted:
                store.remove(folder)
        folder = f"{home}/{now().date().isoformat()}/{_safe(run)}"
        manifest = _write(store, resource, run, folder, batches)
        reached("pull.files_durable")
        known = state.commit_pull(manifest)
        if known != manifest:
            store.remove(folder)
        reached("pull.committed")
        return known


def received(store: ObjectStore, manifest: Manifest) -> pa.Table:
    """The rows of a batch as received, ordered by `_row`; columns some files lack are null there."""
    pieces = []
    for path in manifest.files:
        with store.open(path) as stream:
            pieces.append(pq.read_table(stream))
    return pa.concat_tables(pieces, promote_options="default").select(manifest.columns)


def folder_of(manifest: Manifest) -> str:
    """The folder of a batch, as the store names it."""
    return manifest.files[0].rpartition("/")[0]


def _home(resource: str) -> str:
    department, _, name = resource.partition(".")
    return f"{_LAND}/{_safe(department)}/{_safe(name)}"


def _safe(text: str) -> str:
    """The text as one folder name: Airflow's run ids hold colons and pluses, which stay; slashes do not."""
    return quote(text, safe="+:@ ").replace(".", "%2E") if text.strip(".") == "" else quote(text, safe="+:@ ")


def _write(store: ObjectStore, resource: str, run: str, folder: str, batches: Iterable[Batch]) -> Manifest:
    writer = _Writer(store, folder)
    position = Position()
    with writer:
        for batch in batches:
            position = batch.position or position
            writer.write(batch.rows)
            reached("pull.batch_written")
    digests = "".join(sha for _, sha in writer.files)
    manifest = Manifest(
        resource=resource,
        run=run,
        batch=writer.content.hexdigest()[:16],
        rows=writer.rows,
        bytes=writer.bytes,
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        files=tuple(path for path, _ in writer.files),
        columns=tuple(writer.columns),
        position=position,
        pulled_at=now_text(),
    )
    beside = asdict(manifest) | {
        "content_sha256": writer.content.hexdigest(),
        "file_sha256": dict(writer.files),
    }
    store.put(f"{folder}/manifest.json", orjson.dumps(beside, option=orjson.OPT_INDENT_2))
    return manifest


class _Writer:
    """Parquet files of one batch: a new one when a column comes up that the open one lacks, or when it is full."""

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self._store, self._folder = store, folder
        self.columns = list(RAW_COLUMNS)
        self.content = ContentHash()
        self.files: list[tuple[str, str]] = []
        self.rows = self.bytes = 0
        self._open: ExitStack | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._stream: _HashingStream | None = None
        self._in_file = 0
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        numbers = pa.array(np.arange(self.rows + 1, self.rows + rows.num_rows + 1, dtype=np.int64))
        texts = {name: _text(rows.column(name)) for name in rows.schema.names if name != ROW}
        self.content.update(pa.record_batch(texts))
        self.rows += rows.num_rows
        if new := [name for name in texts if name not in self.columns]:
            self._flush()
            self._finish()
            self.columns += new
        everything = {ROW: numbers, **texts}
        null = pa.nulls(rows.num_rows, pa.string())
        self._waiting.append(pa.record_batch({name: everything.get(name, null) for name in self.columns}))
        if sum(one.num_rows for one in self._waiting) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._parquet is None:
            self._start()
        assert self._parquet is not None  # noqa: S101 (_start made it)
        table = pa.Table.from_batches(self._waiting)
        self._waiting = []
        self._parquet.write_table(table, row_group_size=GROUP_ROWS)
        self._in_file += table.num_rows
        if self._in_file >= FILE_ROWS:
            self._finish()

    def _start(self) -> None:
        path = f"{self._folder}/part-{len(self.files):05d}.parquet"
        self._open = ExitStack()
        self._stream = _HashingStream(self._open.enter_context(self._store.create(path)))
        kinds = pa.schema([(name, pa.int64() if name == ROW else pa.string()) for name in self.columns])
        self._parquet = self._open.enter_context(pq.ParquetWriter(self._stream, kinds, compression="zstd"))
        self.files.append((path, ""))

    def _finish(self) -> None:
        if self._open is None or self._stream is None:
            return
        self._open.close()
        self.files[-1] = (self.files[-1][0], self._stream.sha256.hexdigest())
        self.bytes += self._stream.size
        self._open = self._parquet = self._stream = None
        self._in_file = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            if self._open is not None:
                self._open.__exit__(kind, error, trace)  # the torn file does not appear
            return
        self._flush()
        if not self.files:
            self._start()  # no rows: still a file, so that the evidence has a place
        self._finish()


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
