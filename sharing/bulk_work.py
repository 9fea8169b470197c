"""Work on bulk jobs beside the server: chunk by chunk, each under the rights of that moment, counted exactly once.

A chunk's answers are on disk before its call is recorded, and recorded before the job says that it is done: a process
that was killed looks into the call records before it answers a chunk again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas.errors import ShutongError
from sharing.answers import Steps, steps_of
from sharing.bulk_files import JobFolder
from sharing.bulk_rights import rights
from sharing.bulk_store import OPEN, Job, JobStore
from sharing.callers import Caller
from sharing.calls import SHANGHAI, Call, until_midnight, until_next_month
from sharing.desk import Desk, Target, Visit, kind_of, well_formed
from sharing.errors import QuotaSpentError, SharingError, UnavailableError, WrongKeyError
from sharing.formats import table_of
from sharing.grant_pace import fresh
from sharing.grant_refusals import MonthSpentError, PaceError
from sharing.grants import Plan
from sharing.receipts import receipt_of, signed

if TYPE_CHECKING:
    import pyarrow as pa

AGAIN: Final = 30  # seconds after which something that failed for the moment is tried again
PROBLEM: Final = "_problem"  # column of a result: why a line of the file was not looked up
_BAD_KEY: Final = "SHR-KEY-FORMAT"
_log = logging.getLogger(__name__)


def folder_of(desk: Desk) -> Path:
    """Where the files of a deployment's jobs lie."""
    return desk.config.meter.with_name("jobs")


@dataclass(slots=True)
class _Chunk:
    """One chunk on its way: its keys, the call it is recorded as, and whom it asks."""

    keys: Sequence[str]
    visit: Visit
    target: Target


class Worker:
    """Answers the chunks of open jobs, one after the other, each job in turn; on one event loop, over one Desk."""

    def __init__(self, desk: Desk, store: JobStore) -> None:
        self._desk, self._store, self._home = desk, store, folder_of(desk)

    async def turn(self) -> int:
        """One chunk of every job that is due; how many were worked on. Raises SQLAlchemyError."""
        worked = 0
        for job in self._store.due():
            with JobFolder(self._home, job.id).alone() as ours:
                now = self._store.get(job.id) if ours else None  # as it is, nobody else working on it
                if now is not None and now.state in OPEN:
                    await self._chunk(now, JobFolder(self._home, job.id))
                    worked += 1
        return worked

    def sweep(self) -> int:
        """Take away the results that were kept long enough, and files of jobs that end without any; how many."""
        gone = self._store.over()
        for job in gone:
            JobFolder(self._home, job.id).remove()
            self._store.keep(job.id, state="expired")
        return len(gone)

    async def _chunk(self, job: Job, folder: JobFolder) -> None:
        try:
            keys = folder.keys(job.place)
            if not keys:
                self._end(job, folder, "done")
                return
            chunk = self._begun(job, keys)
            if folder.has(job.chunk):  # whoever answered it, here or in another process, did not come to say so
                recorded = self._recorded(job, chunk.visit.call.client_id or "")
                if recorded is not None:
                    found = folder.found(job.chunk)
                    chunk.keys = keys[: len(found)]
                    self._progress(job, chunk, found.count(True), recorded.units)
                    return
            await self._answer(job, chunk, folder)
        except SharingError as error:
            self._refused(job, folder, error)
        except ShutongError as error:
            self._refused(job, folder, UnavailableError.state() if error.retryable else _internal(error))
        except Exception as error:  # noqa: BLE001 one job's trouble is not the others'
            # The message may hold a key: the log gets its kind only.
            _log.error("job %s: %s", job.id, type(error).__name__)
            self._wait(job, AGAIN, "SHR-INTERNAL")

    def _begun(self, job: Job, keys: Sequence[str]) -> _Chunk:
        call = Call.begin()
        visit = Visit(call, self._caller(job))
        call.department, call.app, call.key_id = job.department, job.client, job.key_id
        call.operation, call.case, call.matter_asked = "bulk", job.case_number, job.matter
        call.client_id = f"job:{job.id}:{job.chunk}"
        desk = self._desk
        target = (desk.library if job.kind == "libraries" else desk.served)(visit, job.subject)
        return _Chunk(keys, visit, target)

    def _caller(self, job: Job) -> Caller:
        """Whoever filed the job, if the key or application may still call. Raises WrongKeyError."""
        if job.key_id is not None:
            held = self._desk.keys.numbered(job.key_id)
            if held is None or not held[0].alive(datetime.now(UTC)):
                raise WrongKeyError.of()
        if job.client_id is not None:
            client = self._desk.callers.clients.get(job.client_id)
            if client is None or client.disabled_at is not None:
                raise WrongKeyError.of()
        return Caller(job.department, job.client, job.key_id, "key", job.client_id)

    def _recorded(self, job: Job, own: str) -> Call | None:
        """The record of a chunk that a process before this one answered, and then died."""
        since = job.created_at[:10]
        for call in self._desk.ledger.records(since, holding=own.encode()):
            if (call.department, call.client_id, call.operation, call.status) == (job.department, own, "bulk", 200):
                return call
        return None

    async def _answer(self, job: Job, chunk: _Chunk, folder: JobFolder) -> None:
        desk, visit, target = self._desk, chunk.visit, chunk.target
        await desk.follow()
        plan = desk.plan(visit, job.subject, job.grant_id, "bulk")
        steps = steps_of(plan, job.fields)
        kind = kind_of(target.library)
        self._cut(chunk, plan, kind)
        formed = [key for key in chunk.keys if well_formed(kind, key)]
        visit.call.keys = [desk.recorded(target.library, key, well_formed=True) for key in formed]
        desk.charge(visit, plan, len(formed))
        try:
            table = self._table(chunk, plan, steps, set(formed))
            folder.note(rights(plan, steps))
            digest = folder.put(job.chunk, table)
            written_to = folder.path / f"{job.chunk:06d}.part"
            receipt = await self._record(chunk, digest, written_to.stat().st_size)
        except Exception:
            folder.drop(job.chunk)
            desk.give_back(visit)
            raise
        # From here on the chunk is counted: what fails now must not have it answered again.
        try:
            folder.receipt(receipt)
        except OSError as error:
            _log.error("job %s: no receipt of chunk %d: %s", job.id, job.chunk, type(error).__name__)
        self._progress(job, chunk, table.column("_found").to_pylist().count(True), visit.call.units)

    def _cut(self, chunk: _Chunk, plan: Plan, kind: str) -> None:
        """No more keys than the quota has left, if it has any: the others wait for the next day or month."""
        grant, day = self._desk.months.limited(plan.grant, chunk.visit.call.day), chunk.visit.call.day
        if grant.per_day is None:
            return
        left = grant.per_day - self._desk.quota.used(grant.department, grant.id, day)
        for place, key in enumerate(chunk.keys):
            left -= well_formed(kind, key)
            if left < 0 < place:
                chunk.keys = chunk.keys[:place]
                return

    def _table(self, chunk: _Chunk, plan: Plan, steps: Steps, formed: set[str]) -> pa.Table:
        import pyarrow as pa

        target, call = chunk.target, chunk.visit.call
        published, records = self._desk.read_many(target, sorted(formed))
        fresh(plan.grant, published.freshness)
        call.names, call.generation = [name for name, _ in steps], published.id
        rows: list[dict[str, object]] = []
        for key in chunk.keys:
            record = records.get(key) if key in formed else None
            found = record is not None and plan.admits(record)
            rows.append({"key": key, "found": found, "record": plan.show(record, steps) if found and record else None})
        call.fields = len(steps) * sum(row["found"] is True for row in rows)
        table = table_of(rows, steps, target.library.standard, batch=True)
        problems = pa.array([None if key in formed else _BAD_KEY for key in chunk.keys], pa.string())
        told = pa.array([str(published.id)] * len(rows), pa.string())
        return table.append_column(PROBLEM, problems).append_column("_generation", told)

    async def _record(self, chunk: _Chunk, digest: bytes, size: int) -> str:
        """The receipt of the chunk, once its call is recorded."""
        desk, visit = self._desk, chunk.visit
        call = visit.call
        asked = hashlib.sha256("\n".join(chunk.keys).encode()).digest()
        call.request, call.answer = desk.keyed(asked), desk.keyed(digest)
        call.status, call.size = 200, size
        call.micros = (time.perf_counter_ns() - visit.began) // 1000
        signer = desk.receipts.signer()  # before: what is recorded is not refused any more
        return signed(receipt_of(call, await desk.meter.record(call), asked, digest), signer)

    def _progress(self, job: Job, chunk: _Chunk, found: int, units: int) -> None:
        place = job.place + sum(len(key.encode()) + 1 for key in chunk.keys)
        told = {"chunk": job.chunk + 1, "place": place, "done": job.done + len(chunk.keys), "found": job.found + found,
                "units": job.units + units}  # fmt: skip
        if not self._store.change(job.id, state="running", code=None, retry_at=None, **told):
            self._store.keep(job.id, **told)  # cancelled meanwhile: the chunk is paid for, so it is of the result

    def _refused(self, job: Job, folder: JobFolder, error: SharingError) -> None:
        """Wait where waiting helps; otherwise end, with what was answered as the result."""
        if isinstance(error, MonthSpentError):
            self._wait(job, until_next_month(), error.code)
        elif isinstance(error, QuotaSpentError):
            self._wait(job, until_midnight(), error.code)
        elif isinstance(error, PaceError):
            self._wait(job, 1, error.code)
        elif error.retryable:
            self._wait(job, AGAIN, error.code)
        else:
            self._end(job, folder, "failed", error.code)

    def _wait(self, job: Job, seconds: int, code: str) -> None:
        at = datetime.now(SHANGHAI) + timedelta(seconds=seconds)
        self._store.change(job.id, state="waiting", code=code, retry_at=at.isoformat(timespec="microseconds"))

    def _end(self, job: Job, folder: JobFolder, state: str, code: str | None = None) -> None:
        made = folder.finish(job.chunk, job.form)
        size, sha256 = made if made is not None else (None, None)
        if not self._store.change(job.id, state=state, code=code, retry_at=None, size=size, sha256=sha256):
            self._store.keep(job.id, size=size, sha256=sha256)  # cancelled meanwhile
        folder.tidy()


def cancel(store: JobStore, folder: JobFolder, job: Job) -> bool:
    """End a job that is under way, with what was answered as its result; False when it had ended."""
    if not store.change(job.id, state="cancelled", code=None, retry_at=None):
        return False
    with folder.alone() as ours:
        now = store.get(job.id)
        if ours and now is not None:  # else whoever works on it notices, and the result is made when it is asked for
            _put_together(store, folder, now)
    return True


def put_together(store: JobStore, folder: JobFolder, job: Job) -> Job:
    """A job that ended with its result, made now where whoever ended it could not."""
    if job.size is None:
        with folder.alone() as ours:
            now = store.get(job.id) if ours else None  # a chunk may have been finished since
            if now is not None and now.size is None:
                _put_together(store, folder, now)
    return store.get(job.id) or job


def _put_together(store: JobStore, folder: JobFolder, job: Job) -> None:
    made = folder.finish(job.chunk, job.form) if folder.has(0) else None
    if made is not None:
        store.keep(job.id, size=made[0], sha256=made[1])
    folder.tidy()


def _internal(error: ShutongError) -> SharingError:
    from sharing.errors import InternalError

    _log.error("%s", error.code)
    return InternalError.of()


async def run(desk: Desk, store: JobStore, stop: asyncio.Event, pause: float = 1.0) -> None:
    """Work until `stop` is set; with nothing to do it looks again after `pause` seconds."""
    worker, swept = Worker(desk, store), 0.0
    while not stop.is_set():
        try:
            if time.monotonic() - swept > 60 or not swept:  # noqa: PLR2004 once a minute
                swept = time.monotonic()
                worker.sweep()
            worked = await worker.turn()
        except Exception as error:  # noqa: BLE001 the database is away, or so: it is tried again
            _log.error("jobs: %s", type(error).__name__)
            worked = 0
        if not worked:
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue
