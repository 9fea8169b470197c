"""Applications and grants as rows: read, written with their history, each change in a transaction of its own."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from quality.orders_values import written
from sharing.application_refusals import unknown
from sharing.application_tables import APPLICATION, EPOCH, EVENT, GRANT
from sharing.application_values import SYSTEM, Actor, Application, Event, GrantVersion, State
from warehouse.state.database import reading

if TYPE_CHECKING:
    from sharing.grant_terms import Terms

BUMP_BYTES: Final = 8
AUTOMATIC: Final = Actor(SYSTEM, "", frozenset())


class Store:
    """The tables of one state database; `bump` is the file by which processes of this host hear of a change at once."""

    def __init__(self, engine: sa.Engine, bump: Path | None) -> None:
        self.engine, self._bump = engine, bump

    @contextmanager
    def changing(self) -> Iterator[sa.Connection]:
        """A transaction that no other one of ours overlaps, in any process; when it is over all processes know."""
        with self.engine.begin() as connection:
            connection.execute(sa.update(EPOCH).values(changes=EPOCH.c.changes + 1))
            yield connection
        if self._bump is not None:
            with suppress(OSError):  # the change counts; processes here then learn of it as those of other hosts do
                bump(self._bump)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that only looks."""
        with reading(self.engine) as connection:
            yield connection


def bump(path: Path) -> None:
    """Count one up in the file that every process of this host has in its memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_size < BUMP_BYTES:
            os.ftruncate(fd, BUMP_BYTES)
        with closing(mmap.mmap(fd, BUMP_BYTES)) as shared:
            shared[:] = (int.from_bytes(shared[:], "little") + 1).to_bytes(BUMP_BYTES, "little")
    finally:
        os.close(fd)


def application(connection: sa.Connection, number: int) -> Application:
    """The application of that number; SHR-NO-APPLICATION."""
    row = connection.execute(sa.select(APPLICATION).where(APPLICATION.c.id == number)).mappings().one_or_none()
    if row is None:
        raise unknown("application", number)
    return Application(**row)


def applications(connection: sa.Connection, *, live: bool = False) -> list[Application]:
    """Every application, the earliest due first and those without a clock after them; `live`: with a clock only."""
    query = sa.select(APPLICATION).order_by(APPLICATION.c.due.is_(None), APPLICATION.c.due, APPLICATION.c.id)
    if live:
        query = query.where(APPLICATION.c.due.is_not(None))
    return [Application(**row) for row in connection.execute(query).mappings()]


def history(connection: sa.Connection, number: int) -> list[Event]:
    """Every event of an application, the first one first."""
    rows = connection.execute(sa.select(EVENT).where(EVENT.c.application == number).order_by(EVENT.c.id)).mappings()
    return [Event(**row) for row in rows]


def moved(  # noqa: PLR0917 - who did what to it, when and why
    connection: sa.Connection,
    before: Application,
    event: str,
    by: Actor,
    why: str,
    at: datetime,
    new: Mapping[str, object] | None = None,
    basis: str | None = None,
) -> Application:
    """Change an application and write down the event; gives it as it is now."""
    if new:
        connection.execute(sa.update(APPLICATION).where(APPLICATION.c.id == before.id).values(**new))
    after = application(connection, before.id)
    record(connection, after, event, before.state, by, why, at, basis)
    return after


def record(  # noqa: PLR0917 - as above
    connection: sa.Connection,
    after: Application,
    event: str,
    before: State | None,
    by: Actor,
    why: str,
    at: datetime,
    basis: str | None = None,
) -> None:
    """Write down an event of an application."""
    said = {
        "application": after.id, "at": written(at), "event": event, "before": before, "state": after.state,
        "who": by.id, "department": by.department, "why": why, "basis": basis, "due": after.due,
    }  # fmt: skip
    connection.execute(sa.insert(EVENT).values(**said))


def clock(state: State, due: date | None, left: int | None = None) -> dict[str, object]:
    """The columns of a state that begins now, with the clock that runs in it or is stopped by it."""
    return {
        "state": state, "due": due.isoformat() if due else None, "left": left, "extension": None, "extended": False,
        "escalated": 0,
    }  # fmt: skip


def newest(connection: sa.Connection, grant: str | None = None) -> list[GrantVersion]:
    """The version in force of every grant, or of one; by their age."""
    last = sa.select(GRANT.c.id, sa.func.max(GRANT.c.version).label("version")).group_by(GRANT.c.id).subquery()
    same = sa.and_(GRANT.c.id == last.c.id, GRANT.c.version == last.c.version)
    query = sa.select(GRANT).join(last, same).order_by(GRANT.c.application, GRANT.c.id)
    if grant is not None:
        query = query.where(GRANT.c.id == _asked(grant))
    return [GrantVersion(**row) for row in connection.execute(query).mappings()]


def versions(connection: sa.Connection, grant: str) -> list[GrantVersion]:
    """Every version of a grant, the first one first."""
    query = sa.select(GRANT).where(GRANT.c.id == _asked(grant)).order_by(GRANT.c.version)
    return [GrantVersion(**row) for row in connection.execute(query).mappings()]


def issue(connection: sa.Connection, made: GrantVersion) -> GrantVersion:
    """Write a version of a grant, which counts from the end of the transaction on."""
    said = {name: getattr(made, name) for name in GRANT.c.keys()}  # noqa: SIM118 - a collection of columns
    connection.execute(sa.insert(GRANT).values(**said))
    connection.execute(sa.update(EPOCH).values(epoch=EPOCH.c.epoch + 1))
    return made


def next_version(  # noqa: PLR0917 - who did what to it, when and why
    last: GrantVersion, event: str, by: Actor, why: str, at: datetime, terms: Terms | None = None
) -> GrantVersion:
    """The version after `last`, with other terms where they are given."""
    told: Mapping[str, object] = {} if terms is None else {"terms": terms.as_json()}
    changed = replace(last, version=last.version + 1, event=event, at=written(at), who=by.id, why=why)
    return replace(changed, **told) if told else changed  # type: ignore[arg-type]  # its own field


def _asked(grant: str) -> str:
    """What somebody says a grant is called; PostgreSQL takes no text with a NUL, and no grant has one."""
    return grant if grant.isprintable() else ""
