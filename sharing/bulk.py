"""Bulk jobs 批量作业 as callers use them: hand in a file of keys, see how far it is, end it, take the result."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal

from sharing.answers import Steps, steps_of
from sharing.bulk_files import LARGEST, ROOM, JobFolder, KeyFile
from sharing.bulk_refusals import NoJobError, NoRoomError, NotReadyError, TooManyJobsError
from sharing.bulk_rights import still
from sharing.bulk_store import MOST_OPEN, OPEN, Job, JobStore, number
from sharing.bulk_work import cancel, folder_of, put_together
from sharing.desk import Desk, Target, Visit
from sharing.errors import TooLargeError
from sharing.grants import Plan
from sharing.operations import Path, Question
from sharing.problems import Answer, SentFile

Form = Literal["csv", "parquet", "arrow"]
MEDIA: Final[dict[str, bytes]] = {
    "csv": b"text/csv; charset=utf-8; header=present",
    "parquet": b"application/vnd.apache.parquet",
    "arrow": b"application/vnd.apache.arrow.stream",
}
_ID: Final = "[0-9a-f]{32}"


class Jobs:
    """The bulk jobs of a deployment, as its callers reach them."""

    def __init__(self, desk: Desk) -> None:
        self.store, self._desk, self._home = JobStore(desk.config.engine), desk, folder_of(desk)

    async def file(self, visit: Visit, target: Target, asked: Question, form: Form, body: AsyncIterator[bytes]) -> Job:
        """Take a file of keys: on disk, entered, and worked on by whoever works on jobs. Nothing is charged yet.

        Raises what Desk.plan does, FieldNotGrantedError, TooManyJobsError, NoRoomError, TooLargeError, MalformedError.
        """
        plan = self._desk.plan(visit, target.name, asked.grant, "bulk")
        steps = steps_of(plan, _listed(asked.parameters.get("fields")))
        if await asyncio.to_thread(self._crowded, visit.call.department or ""):
            raise TooManyJobsError.of(MOST_OPEN)
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(self._home).free < ROOM:
            raise NoRoomError.of()
        job = number()
        folder = JobFolder(self._home, job)
        try:
            count = await self._received(folder, target, body)
            entered = await asyncio.to_thread(
                self.store.add, _job(visit, target, plan, steps=steps, form=form, job=job, keys=count)
            )
        except BaseException:
            folder.remove()
            raise
        if entered is None:
            folder.remove()
            raise TooManyJobsError.of(MOST_OPEN)
        return entered

    def of(self, visit: Visit) -> list[Job]:
        """The jobs of the caller, the newest first."""
        caller = visit.caller
        return self.store.of(caller.department, caller.client) if caller is not None else []

    def one(self, visit: Visit, job: str) -> Job:
        """A job of the caller. Raises NoJobError."""
        found, caller = self.store.get(job), visit.caller
        if found is None or caller is None or (found.department, found.client) != (caller.department, caller.client):
            raise NoJobError.of()
        return found

    def cancel(self, visit: Visit, job: str) -> Job:
        """End a job of the caller. Raises NoJobError, NotReadyError where it had ended."""
        one = self.one(visit, job)
        if not cancel(self.store, JobFolder(self._home, job), one):
            raise NotReadyError.of(self.one(visit, job).state)
        return self.one(visit, job)

    def result(self, visit: Visit, job: str) -> tuple[Job, SentFile]:
        """The result of a job that ended. Raises NoJobError, NotReadyError."""
        one, folder = self.one(visit, job), JobFolder(self._home, job)
        if one.state not in OPEN:
            one = put_together(self.store, folder, one)
        if one.state in (*OPEN, "expired") or one.size is None or one.sha256 is None or not folder.result.exists():
            raise NotReadyError.of(one.state)
        return one, SentFile(folder.result, one.size, bytes.fromhex(one.sha256))

    def receipts(self, visit: Visit, job: str) -> bytes:
        """The receipts of a job's chunks, one a line. Raises NoJobError."""
        self.one(visit, job)
        path = JobFolder(self._home, job).receipts
        return path.read_bytes() if path.exists() else b""

    def _crowded(self, department: str) -> bool:
        return sum(one.department == department and one.state in OPEN for one in self.store.every()) >= MOST_OPEN

    @staticmethod
    async def _received(folder: JobFolder, target: Target, body: AsyncIterator[bytes]) -> int:
        size = 0
        with folder.make() as stream:
            keys = KeyFile(stream, target.library.key_field)
            async for part in body:
                size += len(part)
                if size > LARGEST:
                    raise TooLargeError.of(LARGEST)
                keys.take(part)
            return keys.end()


def _job(visit: Visit, target: Target, plan: Plan, *, steps: Steps, form: Form, job: str, keys: int) -> Job:
    call, caller = visit.call, visit.caller
    return Job(
        id=job, department=plan.grant.department, client=caller.client if caller is not None else "",
        client_id=caller.client_id if caller is not None else None, key_id=call.key_id,
        kind="resources" if call.resource else "libraries", subject=target.name, grant_id=plan.grant.id,
        fields=tuple(name for name, _ in steps), form=form, case_number=call.case, matter=call.matter_asked, keys=keys,
    )  # fmt: skip


async def _result(desk: Desk, visit: Visit, asked: Question) -> Answer:
    """The file of a job that ended, while its grant shows as much as it did; its chunks were charged before."""
    jobs = Jobs(desk)
    job, file = await asyncio.to_thread(jobs.result, visit, asked.parts[0])
    target = desk.library(visit, job.subject) if job.kind == "libraries" else desk.served(visit, job.subject)
    still(desk.plan(visit, target.name, job.grant_id, "bulk"), job.fields, JobFolder(folder_of(desk), job.id).rights())
    visit.call.names = list(job.fields)
    name = b'attachment; filename="' + job.id.encode() + b"." + job.form.encode() + b'"'
    return Answer(200, b"", MEDIA[job.form], ((b"content-disposition", name),), file=file)


async def _receipts(desk: Desk, visit: Visit, asked: Question) -> Answer:
    """The receipts of a job's chunks."""
    body = await asyncio.to_thread(Jobs(desk).receipts, visit, asked.parts[0])
    return Answer(200, body, b"text/plain; charset=us-ascii")


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else [name.strip() for value in values for name in value.split(",")]


RESULT: Final = Path("job-result", re.compile(rf"/v1/jobs/({_ID})/result"), frozenset(), _result, method="GET")
RECEIPTS: Final = Path("job-receipts", re.compile(rf"/v1/jobs/({_ID})/receipts"), frozenset(), _receipts, method="GET")
