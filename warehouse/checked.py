"""Keep what a check found beside the raw batch it looked at, so that landing can start from it any time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypedDict

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.points import reached
from schemas.standard import Rule
from schemas.values import DELETED, OP, ROW, Decision, Json, Manifest, RuleCount, Verdict
from warehouse.behind import Behind
from warehouse.errors import WarehouseError
from warehouse.keep import folder_of
from warehouse.landed import Form, landed_rows, written_schema
from warehouse.row_groups import RowGroups
from warehouse.store import ObjectStore, reading

FILE_ROWS = 2_000_000  # a new file after that many rows
BATCH_ROWS = 65_536  # rows handed on together when a checked batch is read in parts
_FILE = "checked.json"


@dataclass(frozen=True, slots=True)
class KeptCheck:
    """A checked batch: rows in the form of their landed table, what was found, and the rules it was checked by.

    Rows are left where they are: `files` of the store, read when asked, all of one `schema`; `violations`,
    `quarantine` and `deletions` (the rows that say that the source deleted their record) are files as well, of `_row`
    and what is said of it. `columns` is field → source column.
    """

    store: ObjectStore
    files: tuple[str, ...]
    schema: pa.Schema
    columns: Mapping[str, str]
    violations: str
    quarantine: str
    deletions: str
    rows: int
    counts: tuple[RuleCount, ...]
    decision: Decision
    reason_zh: str
    reason_en: str
    results: Mapping[str, Json]
    rules: tuple[dict[str, Json], ...] = ()

    def reader(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
        """The rows as they were written, at most `rows` at a time; to be read once. KeyError for an unknown column."""
        names = self.schema.names if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema, rows))

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows in memory."""
        return self.reader(columns).read_all()

    def held(self) -> int:
        """How many rows the files have."""
        counted = 0
        for path in self.files:
            with reading(self.store, path) as stream:
                counted += pq.read_metadata(stream).num_rows
        return counted

    def deleted(self) -> pa.Array:
        """The `_row`s that say that the source deleted their record."""
        with reading(self.store, self.deletions) as stream:
            return pq.read_table(stream)[ROW].combine_chunks()

    def verdict(self) -> Verdict:
        """The verdict whole, in memory."""
        found = {}
        for path in (self.violations, self.quarantine):
            with reading(self.store, path) as stream:
                found[path] = pq.read_table(stream)
        quarantine = found[self.quarantine][ROW].combine_chunks()
        return Verdict(
            self.rows, self.counts, found[self.violations], quarantine,
            self.decision, self.reason_zh, self.reason_en, self.results,
        )  # fmt: skip

    def _batches(self, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        for path in self.files:
            with reading(self.store, path) as stream, pq.ParquetFile(stream) as file:
                for batch in file.iter_batches(batch_size=rows, columns=schema.names):
                    yield batch.select(schema.names).cast(schema)


class _Note(TypedDict):
    """checked.json: where the rows and the tables are, and the verdict but for its tables."""

    parts: list[str]
    files: dict[str, str]
    columns: dict[str, str]
    rows: int
    counts: list[dict[str, Any]]
    decision: Decision
    reason_zh: str
    reason_en: str
    results: dict[str, Json]
    rules: list[dict[str, Json]]


class CheckedWriter:
    """Keeps standardised batches beside a raw batch as they come, so that memory does not grow with their number.

    Rows are written as the landed table will have them, in `form`, ordered by `key` inside each row group, nulls last.
    A file is durable when it is full; all count together once `keep` has named them. Left without that, as a context
    manager, nothing is kept: an earlier check still counts, and what was written goes.
    """

    def __init__(self, store: ObjectStore, manifest: Manifest, form: Form, *, key: Sequence[str]) -> None:
        self._store, self._manifest, self._form, self._key = store, manifest, form, tuple(key)
        self._mark = uuid.uuid4().hex[:12]
        self._parts: list[str] = []
        self._deletions: list[pa.Array] = []
        self._file = ExitStack()
        self._groups: RowGroups | None = None
        self._kept = False
        self._behind = Behind("write")

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows, as standardising made them; they are written while the caller goes on."""
        self._behind.do(partial(self._write, batch))

    def _write(self, batch: pa.RecordBatch) -> None:
        if OP in batch.schema.names:
            self._deletions.append(batch.column(ROW).filter(pc.equal(batch.column(OP), DELETED)))
        for rows in landed_rows(batch, self._form):
            groups = self._groups or self._start()
            groups.write(rows)
            if groups.rows >= FILE_ROWS:
                self._close()

    def keep(self, verdict: Verdict, rules: Sequence[Rule] = ()) -> None:
        """Keep the verdict with the rows written; what an earlier check kept of the batch goes."""
        self._behind.wait()
        if not self._parts:
            self._start()
        self._close()
        earlier = _note(self._store, self._manifest) if self._store.exists(_path(self._manifest)) else None
        note: _Note = {
            "parts": self._parts,
            "files": self._keep_tables(verdict),
            "columns": dict(self._form.columns),
            "rows": verdict.rows,
            "counts": [asdict(one) for one in verdict.counts],
            "decision": verdict.decision,
            "reason_zh": verdict.reason_zh,
            "reason_en": verdict.reason_en,
            "results": dict(verdict.results),
            "rules": [asdict(one) for one in rules],
        }
        self._store.put(_path(self._manifest), orjson.dumps(note, option=orjson.OPT_INDENT_2))
        self._kept = True
        for path in (*earlier["parts"], *earlier["files"].values()) if earlier else ():
            self._store.remove(path)
        reached("check.kept")

    def drop(self) -> None:
        """Let go of what was written, unless it was kept."""
        self._behind.stop()
        if self._groups is not None:
            self._groups.drop()
            self._file.__exit__(_GivenUpError, _GivenUpError(), None)
            self._groups = None
        for path in () if self._kept else self._parts:
            self._store.remove(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def _start(self) -> RowGroups:
        path = f"{folder_of(self._manifest)}/checked-table-{self._mark}-{len(self._parts):05d}.parquet"
        self._file = ExitStack()
        stream = self._file.enter_context(self._store.create(path))
        self._groups = RowGroups(stream, written_schema(self._form), sort_by=self._key)
        self._parts.append(path)
        return self._groups

    def _close(self) -> None:
        if self._groups is not None:
            self._groups.close()
            self._file.close()
            self._groups = None

    def _keep_tables(self, verdict: Verdict) -> dict[str, str]:
        deletions = pa.chunked_array(self._deletions, pa.int64())
        tables = {
            "violations": verdict.violations,
            "quarantine": pa.table({ROW: verdict.quarantine.cast(pa.int64())}),
            "deletions": pa.table({ROW: deletions}),
        }
        files = {}
        for name, content in tables.items():
            files[name] = f"{folder_of(self._manifest)}/checked-{name}-{self._mark}.parquet"
            with self._store.create(files[name]) as stream:
                pq.write_table(content, stream, compression="zstd", store_schema=False)
        return files


class _GivenUpError(Exception):
    """Tells the store that the file is not to appear."""


def kept_check(store: ObjectStore, manifest: Manifest) -> KeptCheck:
    """What was kept last, the rows still in their files; WH-CHECK-MISSING when the batch was not checked."""
    note = _note(store, manifest)
    with reading(store, note["parts"][0]) as stream:
        schema = pq.read_schema(stream)
    return KeptCheck(
        store,
        tuple(note["parts"]),
        schema,
        note["columns"],
        **note["files"],
        rows=note["rows"],
        counts=tuple(RuleCount(**one) for one in note["counts"]),
        decision=note["decision"],
        reason_zh=note["reason_zh"],
        reason_en=note["reason_en"],
        results=note["results"],
        rules=tuple(note["rules"]),
    )


def redecide(store: ObjectStore, manifest: Manifest, decision: Decision, reason_zh: str, reason_en: str) -> None:
    """Replace what was decided about a checked batch; WH-CHECK-MISSING when it was not checked."""
    note = _note(store, manifest)
    note["decision"], note["reason_zh"], note["reason_en"] = decision, reason_zh, reason_en
    store.put(_path(manifest), orjson.dumps(note, option=orjson.OPT_INDENT_2))


def _path(manifest: Manifest) -> str:
    return f"{folder_of(manifest)}/{_FILE}"


def _note(store: ObjectStore, manifest: Manifest) -> _Note:
    path = _path(manifest)
    if not store.exists(path):
        raise WarehouseError(
            "WH-CHECK-MISSING",
            zh=f"批次 {manifest.batch}（{manifest.resource}）还没有检查结果",
            en=f"batch {manifest.batch} of {manifest.resource} has not been checked",
            fix_zh="先运行检查步骤，再落库",
            fix_en="Run the check step before landing",
        )
    note: _Note = orjson.loads(store.get(path))
    return note
