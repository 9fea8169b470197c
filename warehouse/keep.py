"""Make what a source yields durable: Parquet as received, a manifest beside it, and the position it allows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from enum import Enum, auto
from queue import Full, Queue
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.points import reached
from schemas.values import ROW, Batch, Manifest, Position
from warehouse.clock import now, now_text
from warehouse.raw_files import RawFiles
from warehouse.state import State
from warehouse.store import ObjectStore, reading

PIECE_ROWS = 1_000_000  # a pull is committed, so that it can go on from there, about each so many rows
BATCH_ROWS = 65_536  # rows handed on together when a batch is read in parts
_AHEAD = 1  # batches that wait for the writer: sources read ahead themselves, and memory is worth more
_LOOK_SECONDS = 0.5  # how soon a reader with a full queue notices that the writer has failed
_LAND = "land"
_EVERY = 10**9  # manifests of a resource: all of them


def keep(
    store: ObjectStore,
    state: State,
    resource: str,
    run: str,
    batches: Iterable[Batch],
    *,
    name: str = "",
    moves: bool = True,
) -> Manifest:
    """Write a whole pull as one batch under land/<department>/<resource>/<date>/<run>/, with its manifest and position.

    `_row` counts 1…n over all batches. A run that pulled already gets the manifest it made; content that was pulled
    before gets the earlier manifest, unless the source names its batches: then only the same content under the same
    `name` is the same batch. What a dead run left without a manifest is removed first. Rows that no source was read
    for leave its position where it is: `moves=False`.
    """
    with store.lock(f"pull-{_safe(resource)}"):
        made = state.manifests(resource, run=run, limit=1)
        if made:
            return made[0]
        return _written(_Pieces(store, state, resource, run, _EVERY, name=name, moves=moves), batches)[-1]


def keep_pieces(
    store: ObjectStore,
    state: State,
    resource: str,
    run: str,
    batches: Iterable[Batch],
    *,
    piece_rows: int = PIECE_ROWS,
) -> tuple[Manifest, ...]:
    """Write a pull as one or more batches, each durable with the position it allows before the next begins.

    A piece ends after the first batch that carries a position once `piece_rows` rows were written, and at the end of
    the pull; `_row` counts from 1 in each. Its position is the last one seen; without any the pull is one piece.
    `run` must have been started (`State.start_run`). Killed in between, the same or another run goes on: what has no
    manifest is dropped, `batches` must begin where `State.position` stands, and the pieces this run made before come
    first in the answer. A run whose pull is complete (`pulled`) is answered without reading. Content that was pulled
    before is answered with the earlier manifest.
    """
    with store.lock(f"pull-{_safe(resource)}"):
        made = pulled(state, resource, run)
        if made is not None:
            return made
        before = reversed(state.manifests(resource, run=run, limit=_EVERY))
        new = _written(_Pieces(store, state, resource, run, piece_rows), batches)
        return tuple({one.batch: one for one in (*before, *new)}.values())


def pulled(state: State, resource: str, run: str) -> tuple[Manifest, ...] | None:
    """What a run pulled, oldest first, when its pull is complete; None while it is not.

    An earlier run's batch that came again is there when it was the last of the pull.
    """
    known = state.run(run)
    if known.step == "start":
        return None
    made = list(reversed(state.manifests(resource, run=run, limit=_EVERY)))
    if known.batch is not None and known.batch not in {one.batch for one in made}:
        made += state.manifests(resource, batch=known.batch, limit=1)
    return tuple(made)


def received(store: ObjectStore, manifest: Manifest) -> pa.Table:
    """The rows of a batch as received, ordered by `_row`; columns some files lack are null there."""
    return pa.Table.from_batches(received_batches(store, manifest), _kinds(manifest))


def received_batches(
    store: ObjectStore, manifest: Manifest, rows: int = BATCH_ROWS, *, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The same, or some of its columns, at most `rows` at a time, so that memory does not grow with the batch."""
    kinds = _kinds(manifest)
    if columns is not None:
        kinds = pa.schema([kinds.field(name) for name in columns])
    for path in manifest.files:
        with reading(store, path) as stream, pq.ParquetFile(stream) as file:
            in_file = set(file.schema_arrow.names)  # made anew each time it is asked for
            held = [name for name in kinds.names if name in in_file]
            for batch in file.iter_batches(batch_size=rows, columns=held or [ROW]):
                null = pa.nulls(batch.num_rows, pa.string())
                there = set(batch.schema.names)
                arrays = [batch.column(name) if name in there else null for name in kinds.names]
                yield pa.RecordBatch.from_arrays(arrays, schema=kinds)


def received_rows(store: ObjectStore, manifest: Manifest, rows: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """The rows of a batch with these numbers (ordered, each once), all columns; what holds none of them is not read."""
    kinds, first = _kinds(manifest), 1
    for path in manifest.files:
        with reading(store, path) as stream, pq.ParquetFile(stream) as file:
            for number in range(file.num_row_groups):
                count = file.metadata.row_group(number).num_rows
                low, high = np.searchsorted(rows, (first, first + count))
                if low < high:
                    group = file.read_row_group(number)
                    found = group.take(pa.array(rows[low:high] - first))
                    null = pa.nulls(len(found), pa.string())
                    there = set(found.column_names)
                    columns = [found[name] if name in there else null for name in kinds.names]
                    yield from pa.Table.from_arrays(columns, schema=kinds).combine_chunks().to_batches()
                first += count


def _kinds(manifest: Manifest) -> pa.Schema:
    return pa.schema([(name, pa.int64() if name == ROW else pa.string()) for name in manifest.columns])


def folder_of(manifest: Manifest) -> str:
    """The folder of a batch, as the store names it."""
    return manifest.files[0].rpartition("/")[0]


def _home(resource: str) -> str:
    department, _, name = resource.partition(".")
    return f"{_LAND}/{_safe(department)}/{_safe(name)}"


def _safe(text: str) -> str:
    """The text as one folder name: Airflow's run ids hold colons and pluses, which stay; slashes do not."""
    return quote(text, safe="+:@ ").replace(".", "%2E") if text.strip(".") == "" else quote(text, safe="+:@ ")


def _written(pieces: _Pieces, batches: Iterable[Batch]) -> list[Manifest]:
    """Read in this thread, where the source was opened, and write in another: neither waits for the other's work."""
    waiting: Queue[Batch | _Mark] = Queue(_AHEAD)
    with ThreadPoolExecutor(1, thread_name_prefix="keep") as threads:
        writing = threads.submit(_take_all, pieces, waiting)
        mark = _Mark.STOP
        try:
            for batch in batches:
                if not _handed_over(batch, waiting, writing):
                    break
            mark = _Mark.END
        finally:
            _handed_over(mark, waiting, writing)
            wait((writing,))
            pieces.drop()
        writing.result()
    return pieces.made


class _Mark(Enum):
    """What may come after the last batch."""

    END = auto()  # the source has no more
    STOP = auto()  # the source broke: what has not been committed does not count


def _handed_over(item: Batch | _Mark, waiting: Queue[Batch | _Mark], writing: Future[None]) -> bool:
    """Queue the item as soon as there is room; False when the writer has ended, which then knows why."""
    while not writing.done():
        try:
            waiting.put(item, timeout=_LOOK_SECONDS)
        except Full:
            continue
        return True
    return False


def _take_all(pieces: _Pieces, waiting: Queue[Batch | _Mark]) -> None:
    while not isinstance(item := waiting.get(), _Mark):
        pieces.take(item)
    if item is _Mark.END:
        pieces.end()


class _Pieces:
    """Cuts a pull into pieces and commits each; `made` are the manifests it was answered with."""

    def __init__(
        self,
        store: ObjectStore,
        state: State,
        resource: str,
        run: str,
        piece_rows: int,
        *,
        name: str = "",
        moves: bool = True,
    ) -> None:
        self._store, self._state, self._resource, self._run = store, state, resource, run
        self._name, self._moves = name, moves
        self._piece_rows = piece_rows
        self._home = _home(resource)
        self._counted = {folder_of(one) for one in state.manifests(resource, limit=_EVERY) if one.files}
        for folder in store.folders(self._home):
            if folder not in self._counted:
                store.remove(folder)
        self.made: list[Manifest] = []
        self._position = Position()
        self._resumable = False  # whether the open piece ends where the source could be resumed
        self._files: RawFiles | None = None

    def take(self, batch: Batch) -> None:
        """Write a batch. A due piece is committed first, so that the last piece always has rows where the pull has."""
        full = self._files is not None and self._files.rows >= self._piece_rows
        if full and self._resumable and batch.rows.num_rows:
            self._commit(complete=False)
        self._resumable = batch.position is not None
        self._position = batch.position or self._position
        self._open().write(batch.rows)
        reached("pull.batch_written")

    def end(self) -> None:
        """Commit what is left, and that the pull is complete."""
        self._open()
        self._commit(complete=True)

    def drop(self) -> None:
        """Let go of a piece that was not committed: no torn file appears under its name."""
        if self._files is not None:
            self._files.drop()

    def _open(self) -> RawFiles:
        if self._files is None:
            self._files = RawFiles(self._store, self._free_folder())
        return self._files

    def _free_folder(self) -> str:
        first = f"{self._home}/{now().date().isoformat()}/{_safe(self._run)}"
        folder, number = first, 1
        while folder in self._counted:
            number += 1
            folder = f"{first},{number}"  # _safe lets no comma through: no other run has that name
        return folder

    def _commit(self, *, complete: bool) -> None:
        files = self._open()
        files.finish()
        manifest = self._described(files)
        reached("pull.files_durable")
        known = self._state.commit_pull(manifest, complete=complete, moves=self._moves)
        if known != manifest:
            self._store.remove(files.folder)
        self._files = None
        self._counted.add(folder_of(known))
        self.made.append(known)
        reached("pull.committed")

    def _batch(self, content: str) -> str:
        return (hashlib.sha256(f"{self._name}\n{content}".encode()).hexdigest() if self._name else content)[:16]

    def _described(self, files: RawFiles) -> Manifest:
        digests = "".join(sha for _, sha in files.files)
        manifest = Manifest(
            resource=self._resource,
            run=self._run,
            batch=self._batch(files.content.hexdigest()),
            rows=files.rows,
            bytes=files.bytes,
            sha256=hashlib.sha256(digests.encode()).hexdigest(),
            files=tuple(path for path, _ in files.files),
            columns=tuple(files.columns),
            position=self._position,
            pulled_at=now_text(),
        )
        beside = asdict(manifest) | {
            "content_sha256": files.content.hexdigest(),
            "file_sha256": dict(files.files),
        }
        self._store.put(f"{files.folder}/manifest.json", orjson.dumps(beside, option=orjson.OPT_INDENT_2))
        return manifest
