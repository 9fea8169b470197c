"""Daily quotas, exact over the threads and processes of a machine: a shared counter file per grant and day."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import shutil
import struct
import threading
from pathlib import Path
from typing import Protocol

from sharing.calls import today

_COUNTER = struct.Struct("<16sQ")
_KEPT_DAYS = 7


class Counted(Protocol):
    """A durable record of what was answered."""

    def units(self, day: str, department: str, grant: str) -> int:
        """How much of its quota a grant has used on a day, ISO 8601, as recorded."""
        ...


class Quota:
    """Counts what each grant has used of a day (ISO 8601; today where none is named), however it was asked.

    A call belongs to the day it began, which is what it is charged to, what it is given back to and what the records
    have of it, although it may end after midnight.

    A counter is 24 bytes in memory shared by all processes, changed under a file lock, so it survives any process; it
    carries the machine's boot id, and after a reboot or loss of the file it is counted again from the durable records.
    A process killed between counting and answering costs the caller that one call, never gives one away.
    """

    def __init__(self, folder: Path, *records: Counted) -> None:
        self._folder, self._records = folder, records
        self._boot = boot_id()
        self._day = ""
        self._open: dict[tuple[str, str, str], tuple[int, mmap.mmap]] = {}
        self._lock = threading.Lock()

    def take(self, department: str, grant: str, per_day: int, units: int = 1, day: str | None = None) -> int | None:
        """Count `units` and return what is left of the day; None, counting nothing, when they do not fit."""
        with self._lock:
            day = day or today()
            fd, shared = self._counter(day, department, grant)
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                used = self._used(shared, day, department, grant)
                if used + units > per_day:
                    return None
                _COUNTER.pack_into(shared, 0, self._boot, used + units)
                return per_day - used - units
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)

    def give_back(self, department: str, grant: str, units: int, day: str | None = None) -> None:
        """Undo a `take` of that day whose call could not be answered."""
        with self._lock:
            fd, shared = self._counter(day or today(), department, grant)
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                boot, used = _COUNTER.unpack_from(shared, 0)
                if boot == self._boot:  # one that was lost meanwhile is counted from records, which lack this call
                    _COUNTER.pack_into(shared, 0, self._boot, max(0, used - units))
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)

    def used(self, department: str, grant: str, day: str | None = None) -> int:
        """Units counted of the day."""
        with self._lock:
            day = day or today()
            fd, shared = self._counter(day, department, grant)
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                return self._used(shared, day, department, grant)
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the counter files."""
        self._let_go("9999")

    def _let_go(self, before: str) -> None:
        for place in [one for one in self._open if one[0] < before]:
            fd, shared = self._open.pop(place)
            shared.close()
            os.close(fd)

    def _used(self, shared: mmap.mmap, day: str, department: str, grant: str) -> int:
        boot, used = _COUNTER.unpack_from(shared, 0)
        if boot == self._boot:
            return int(used)
        counted = sum(one.units(day, department, grant) for one in self._records)
        _COUNTER.pack_into(shared, 0, self._boot, counted)
        return counted

    def _counter(self, day: str, department: str, grant: str) -> tuple[int, mmap.mmap]:
        if day > self._day:  # calls of the day before may still end
            self._let_go(self._day)
            self._day = day
            self._forget_old_days()
        held = self._open.get((day, department, grant))
        if held is None:
            folder = self._folder / day
            folder.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(f"{department}\0{grant}".encode()).hexdigest()[:32]
            fd = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                if os.fstat(fd).st_size < _COUNTER.size:
                    os.posix_fallocate(fd, 0, _COUNTER.size)  # a full disk is an error here, and a crash in a map
                held = self._open[day, department, grant] = fd, mmap.mmap(fd, _COUNTER.size)
            except OSError:
                os.close(fd)
                raise
        return held

    def _forget_old_days(self) -> None:
        days = sorted(path for path in self._folder.glob("*-*-*") if path.is_dir())
        for old in days[:-_KEPT_DAYS]:
            shutil.rmtree(old, ignore_errors=True)


def boot_id() -> bytes:
    """What tells this start of the machine from every other, 16 bytes."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    except OSError:
        text = "no boot id on this system"
    return hashlib.sha256(text.encode()).digest()[:16]
