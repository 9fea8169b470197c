"""Bulk jobs 批量作业 in the state database: what was asked, how far it has come, and what became of it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final, Literal, cast

import sqlalchemy as sa

from sharing.calls import SHANGHAI
from sharing.keys import METADATA
from warehouse.state.database import reading, serialised

State = Literal["queued", "running", "waiting", "done", "failed", "cancelled", "expired"]
OPEN: Final = ("queued", "running", "waiting")
KEEP_DAYS: Final = 7
MOST_OPEN: Final = 5  # of a department at a time

JOB = sa.Table(
    "share_job",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("department", sa.String(64), nullable=False),
    sa.Column("client", sa.String(200), nullable=False),
    sa.Column("client_id", sa.Integer),
    sa.Column("key_id", sa.Integer),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("grant_id", sa.String(80), nullable=False),
    sa.Column("fields", sa.JSON, nullable=False),
    sa.Column("form", sa.String(16), nullable=False),
    sa.Column("case_number", sa.String(200)),
    sa.Column("matter", sa.String(200)),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("code", sa.String(64)),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("changed_at", sa.String(40), nullable=False),
    sa.Column("retry_at", sa.String(40)),
    sa.Column("keys", sa.Integer, nullable=False),
    sa.Column("chunk", sa.Integer, nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("found", sa.Integer, nullable=False),
    sa.Column("units", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger),
    sa.Column("sha256", sa.String(64)),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A file of keys that is answered beside the server, chunk by chunk.

    `chunk` chunks are done, up to byte `place` of the file: `done` keys, of which `found` had a record; `units` were
    counted. `retry_at` is when a waiting one goes on, `code` why it waits or ended. `size` bytes and `sha256` are those
    of the result. Times are ISO 8601, Asia/Shanghai.
    """

    id: str
    department: str
    client: str
    client_id: int | None
    key_id: int | None
    kind: Literal["libraries", "resources"]
    subject: str
    grant_id: str
    fields: tuple[str, ...]
    form: Literal["csv", "parquet", "arrow"]
    case_number: str | None
    matter: str | None
    keys: int
    state: State = "queued"
    code: str | None = None
    created_at: str = ""
    changed_at: str = ""
    retry_at: str | None = None
    chunk: int = 0
    place: int = 0
    done: int = 0
    found: int = 0
    units: int = 0
    size: int | None = None
    sha256: str | None = None

    @property
    def until(self) -> str:
        """When its result is taken away, ISO 8601."""
        return (datetime.fromisoformat(self.changed_at) + timedelta(days=KEEP_DAYS)).isoformat(timespec="seconds")

    def told(self) -> dict[str, object]:
        """As its caller is told of it."""
        kind = "library" if self.kind == "libraries" else "resource"
        return {
            "id": self.id, "state": self.state, "code": self.code, kind: self.subject, "grant": self.grant_id,
            "fields": list(self.fields), "format": self.form, "keys": self.keys, "done": self.done,
            "found": self.found, "units": self.units, "created_at": self.created_at, "changed_at": self.changed_at,
            "retry_at": self.retry_at, "size": self.size, "sha256": self.sha256,
            "kept_until": self.until if self.state not in OPEN else None,
        }  # fmt: skip


_NAMES = tuple(one.name for one in fields(Job))


def number() -> str:
    """The id of a new job: nobody can guess one."""
    return secrets.token_hex(16)


class JobStore:
    """The jobs of a deployment, in the state database behind `engine`; every method may be called in any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, job: Job) -> Job | None:
        """Enter a new job; None where its department has MOST_OPEN under way."""
        now = _now()
        row = {name: getattr(job, name) for name in _NAMES} | {"fields": list(job.fields)}
        with serialised(self._engine) as connection:
            mine = sa.and_(JOB.c.department == job.department, JOB.c.state.in_(OPEN))
            count = connection.execute(sa.select(sa.func.count()).select_from(JOB).where(mine)).scalar_one()
            if count >= MOST_OPEN:
                return None
            connection.execute(JOB.insert(), row | {"created_at": now, "changed_at": now})
        return self.get(job.id)

    def get(self, job: str) -> Job | None:
        """The job of that id."""
        found = self._where(JOB.c.id == job)
        return found[0] if found else None

    def of(self, department: str, client: str) -> list[Job]:
        """The jobs of an application, the newest first."""
        return self._where(sa.and_(JOB.c.department == department, JOB.c.client == client))

    def every(self) -> list[Job]:
        """All jobs, the newest first."""
        return self._where(sa.true())

    def due(self) -> list[Job]:
        """Those to be worked on now, whose turn came first in front."""
        now = _now()
        ready = sa.or_(JOB.c.state != "waiting", JOB.c.retry_at <= now)
        return self._where(sa.and_(JOB.c.state.in_(OPEN), ready))[::-1]

    def over(self) -> list[Job]:
        """Those that ended long enough ago for their results to go."""
        before = (datetime.now(SHANGHAI) - timedelta(days=KEEP_DAYS)).isoformat(timespec="microseconds")
        return self._where(sa.and_(JOB.c.state.in_(("done", "failed", "cancelled")), JOB.c.changed_at < before))

    def change(self, job: str, **said: object) -> bool:
        """Write down progress of a job that is under way; False when it is not any more."""
        return self._set(sa.and_(JOB.c.id == job, JOB.c.state.in_(OPEN)), said)

    def keep(self, job: str, **said: object) -> bool:
        """Write down what became of a job's files, whatever its state; its last change stays when it was."""
        with self._engine.begin() as connection:
            return connection.execute(JOB.update().where(JOB.c.id == job).values(said)).rowcount == 1

    def _set(self, which: sa.ColumnElement[bool], said: dict[str, object]) -> bool:
        with self._engine.begin() as connection:
            done = connection.execute(JOB.update().where(which).values(said | {"changed_at": _now()}))
        return done.rowcount == 1

    def _where(self, which: sa.ColumnElement[bool]) -> list[Job]:
        with reading(self._engine) as connection:
            rows: Sequence[sa.RowMapping] = (
                connection.execute(sa.select(JOB).where(which).order_by(JOB.c.created_at.desc())).mappings().all()
            )
        return [Job(**{**{name: row[name] for name in _NAMES}, "fields": tuple(cast("list[str]", row["fields"]))})
                for row in rows]  # fmt: skip


def _now() -> str:
    return datetime.now(SHANGHAI).isoformat(timespec="microseconds")
