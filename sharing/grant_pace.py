"""What a grant allows beyond a day's quota: units a month, calls a second, answers from data that are new enough."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from sharing.calls import SHANGHAI, today
from sharing.grant_file import Grant
from sharing.grant_refusals import PaceError, StaleError
from sharing.quota import Counted

_SECOND = struct.Struct("<QQ")
REMEMBERED: Final = 60.0  # seconds for which what the days before today used is not counted again


class Pace:
    """Calls a second of each grant, exact over the processes of a machine: a shared counter file per grant."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[tuple[str, str], tuple[int, mmap.mmap]] = {}
        self._lock = threading.Lock()

    def take(self, grant: Grant) -> None:
        """Count one call of a grant that has a limit. Raises PaceError when this second has had them all."""
        if grant.per_second is None:
            return
        with self._lock:
            fd, shared = self._counter(grant)
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                second, used = _SECOND.unpack_from(shared, 0)
                now = int(time.time())
                used = used if second == now else 0
                if used >= grant.per_second:
                    raise PaceError.of(grant.id, grant.per_second)
                _SECOND.pack_into(shared, 0, now, used + 1)
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the counter files."""
        for fd, shared in self._open.values():
            shared.close()
            os.close(fd)
        self._open.clear()

    def _counter(self, grant: Grant) -> tuple[int, mmap.mmap]:
        place = (grant.department, grant.id)
        held = self._open.get(place)
        if held is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256("\0".join(place).encode()).hexdigest()[:32]
            fd = os.open(self._folder / name, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                if os.fstat(fd).st_size < _SECOND.size:
                    os.posix_fallocate(fd, 0, _SECOND.size)  # a full disk is an error here, and a crash in a map
                held = self._open[place] = fd, mmap.mmap(fd, _SECOND.size)
            except OSError:
                os.close(fd)
                raise
        return held


class Months:
    """What grants have left of their month, from the durable records of the days before today."""

    def __init__(self, *records: Counted) -> None:
        self._records = records
        self._known: dict[tuple[str, str, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def limited(self, grant: Grant, day: str | None = None) -> Grant:
        """The grant with the quota of the day that a call began on, ISO 8601, today where none is named: no more than
        its month has left. The grant itself without such a limit.
        """
        if grant.per_month is None:
            return grant
        left = max(0, grant.per_month - self._before(grant, day or today()))
        return replace(grant, per_day=left if grant.per_day is None else min(left, grant.per_day))

    def _before(self, grant: Grant, day: str) -> int:
        place, now = (day, grant.department, grant.id), time.monotonic()
        with self._lock:
            known = self._known.get(place)
            if known is None or now - known[0] > REMEMBERED:
                last = date.fromisoformat(day)
                days = [last.replace(day=1) + timedelta(n) for n in range(last.day - 1)]
                used = sum(one.units(each.isoformat(), *place[1:]) for each in days for one in self._records)
                yesterday = (last - timedelta(1)).isoformat()  # calls of the day before may still end
                self._known = {one: told for one, told in self._known.items() if one[0] >= yesterday}
                known = self._known[place] = now, used
            return known[1]


def fresh(grant: Grant, freshness: Mapping[str, str]) -> None:
    """Raises StaleError unless the newest data of every department in it are as new as the grant demands.

    `freshness` maps a department to when its newest record landed, ISO 8601; of what is not known nothing is fresh.
    """
    if grant.fresh_within is None:
        return
    stale = StaleError.of(grant.id, grant.fresh_within.total_seconds() / 3600)
    if not freshness:
        raise stale
    now = datetime.now(SHANGHAI)
    for landed in freshness.values():
        try:
            at = datetime.fromisoformat(landed)
        except (TypeError, ValueError):
            raise stale from None
        known = at if at.tzinfo is not None else at.replace(tzinfo=SHANGHAI)
        if now - known > grant.fresh_within:
            raise stale
