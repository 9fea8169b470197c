"""The grants of the database as the processes that answer calls know them: asked for when they changed, never per call.

On this host a change counts with the next call: whoever makes one counts up a number that every process has in its
memory, before the act returns. Processes of other hosts, and of this one where that file cannot be written, look at the
database when their last look is `POLL_SECONDS` old, before they answer; one that cannot be asked grants nothing.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from sharing import application_store as store
from sharing.application_tables import EPOCH
from sharing.application_values import GrantVersion
from sharing.grant_file import Grant
from sharing.grant_terms import Terms, from_json, span
from warehouse.state.database import reading

POLL_SECONDS: Final = 0.2
BUMP_FILE: Final = "grants.changed"  # in the meter folder


class GrantRegister:
    """The newest versions of the database's grants, and whether they must be looked at again."""

    def __init__(self, engine: sa.Engine, bump: Path, poll: float = POLL_SECONDS) -> None:
        self._engine, self._path, self._poll = engine, bump, poll
        self._shared: mmap.mmap | None = None
        self._seen = b""
        self._looked = b"", float("-inf")
        self._epoch = -1
        self.checked = float("-inf")
        self._versions: tuple[GrantVersion, ...] = ()

    def due(self) -> bool:
        """Whether somebody changed something on this host, or the last look is too old; cheap enough for every call."""
        if time.monotonic() - self.checked >= self._poll:
            return True
        return self._shared is not None and self._shared[:] != self._seen

    def look(self) -> bool:
        """Look at the database; True when grants have changed since. Raises SQLAlchemyError when it is silent."""
        begun, seen = time.monotonic(), self._count()  # before the look: what changes during it is looked at again
        with reading(self._engine) as connection:
            epoch = int(connection.execute(sa.select(EPOCH.c.epoch)).scalar_one())
            changed = epoch != self._epoch
            if changed:
                self._versions = tuple(store.newest(connection))
        self._epoch, self._looked = epoch, (seen, begun)
        return changed

    def settle(self) -> None:
        """What the last look found is what calls are answered by from now on; until then it is still due."""
        self._seen, self.checked = self._looked

    @property
    def grants(self) -> tuple[GrantVersion, ...]:
        """Every grant, the oldest first, those that rest or ended too."""
        return self._versions

    def close(self) -> None:
        """Let go of the shared number."""
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def _count(self) -> bytes:
        if self._shared is None:
            with suppress(OSError, ValueError):  # without it the database is asked from time to time
                self._shared = _opened(self._path)
        return self._shared[:] if self._shared is not None else b""


def granted(one: GrantVersion) -> tuple[Grant, Terms]:
    """A version as the grant that calls are answered under, with its terms.

    Raises KeyError, TypeError or ValueError for one that this version of the software cannot read.
    """
    terms = from_json(one.terms)
    fresh: timedelta | None = span(terms.fresh_within) if terms.fresh_within else None
    grant = Grant(
        id=one.id, department=one.department, subject=one.subject, fields=terms.fields, clear=terms.clear,
        rows=terms.rows, matter=one.matter, basis=one.basis, until=terms.until, per_day=terms.per_day, find=terms.find,
        client=one.client, channels=terms.channels, per_month=terms.per_month, per_second=terms.per_second,
        fresh_within=fresh, state=one.state, origin="database", verify=terms.verify, token=terms.token,
    )  # fmt: skip
    return grant, terms


def _opened(path: Path) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if os.fstat(fd).st_size < store.BUMP_BYTES:
            os.ftruncate(fd, store.BUMP_BYTES)
        return mmap.mmap(fd, store.BUMP_BYTES, prot=mmap.PROT_READ)
    finally:
        os.close(fd)
