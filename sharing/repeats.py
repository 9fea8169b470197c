"""Know a call that its caller sends again under its own number: an index of the day, made from the call records."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sharing.call_refusals import RepeatedError, UnderWayError
from sharing.calls import Call
from sharing.ledger import Ledger
from sharing.quota import boot_id

_WAIT: Final = 5.0  # seconds another process may keep the index to itself
_TABLES = """
CREATE TABLE boot (id BLOB NOT NULL);
CREATE TABLE number (
    caller TEXT NOT NULL, own TEXT NOT NULL, asked TEXT NOT NULL, call TEXT, units INTEGER NOT NULL,
    PRIMARY KEY (caller, own)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class First:
    """The call that was recorded first under a number, and the units recorded under it so far."""

    id: str
    units: int


class Repeats:
    """Which of their own numbers callers have used today; exact over the threads and processes of a machine.

    A number belongs to a call from when it is asked until it is recorded; a lock of the kernel says whether the process
    that has it lives. What is on disk carries the machine's boot id and is made anew from the call records after a
    reboot, or when it is damaged. A number that is taken, its process dead, is looked up in the call records.
    Only a call that cost units binds its number: one that was refused may be mended and sent again.
    """

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self._folder, self._ledger = folder, ledger
        self._day, self._locks = "", -1
        self._index: sqlite3.Connection | None = None
        self._held: set[int] = set()

    def is_open(self, day: str) -> bool:
        """Whether `take` can be asked about calls of that day, ISO 8601."""
        return day <= self._day and self._index is not None

    def open(self, day: str) -> None:
        """Make ready for a day; reads that day's call records where its index must be made anew.

        Raises sqlite3.Error, OSError.
        """
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "opening").open("w") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)
            if self.is_open(day):
                return
            index = self._sound(folder / f"{day}.sqlite") or self._anew(folder / f"{day}.sqlite", day)
            for old in sorted(folder.glob("*.sqlite"))[:-2]:
                for path in (old, Path(f"{old}-wal"), Path(f"{old}-shm")):
                    path.unlink(missing_ok=True)
        if self._locks < 0:
            self._locks = os.open(folder / "numbers", os.O_CREAT | os.O_RDWR, 0o600)
        before, self._index, self._day = self._index, index, day
        if before is not None:
            before.close()

    def take(self, call: Call) -> First | None:
        """Take the number of a call; what was recorded under it, None when it is new.

        Raises UnderWayError while another call has it, RepeatedError when another request was made under it,
        LookupError when only the call records know: then ask `learn`. sqlite3.Error when the index fails.
        """
        place = _place(call)
        if place in self._held:
            raise UnderWayError.of()
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            raise UnderWayError.of() from None
        self._held.add(place)
        try:
            return self._known(call)
        except (RepeatedError, sqlite3.Error):
            self.release(call)
            raise

    def learn(self, call: Call) -> First | None:
        """As `take`, of a number that was taken by a process that died, from the call records; it stays taken.

        Raises as `take` does, LookupError apart.
        """
        first, units = None, 0
        for one in self._ledger.records(call.day, holding=(call.client_id or "").encode()):
            if (one.day, _caller(one), one.client_id) == (call.day, _caller(call), call.client_id) and _binds(one):
                first, units = first or one, units + one.units
        if first is None:
            self._run("UPDATE number SET asked = ? WHERE caller = ? AND own = ?", _asked(call), *_name(call))
            return None
        self._run("UPDATE number SET asked = ?, call = ?, units = ? WHERE caller = ? AND own = ?",
                  _asked(first), _whole(first), units, *_name(call))  # fmt: skip
        return self._known(call)

    def settle(self, call: Call) -> None:
        """The call that has the number is recorded: others may know. A number that cost nothing is free again."""
        if _binds(call):
            self._run("UPDATE number SET call = coalesce(call, ?), units = units + ? WHERE caller = ? AND own = ?",
                      call.id, call.units, *_name(call))  # fmt: skip
        else:
            self._run("DELETE FROM number WHERE call IS NULL AND caller = ? AND own = ?", *_name(call))
        self.release(call)

    def release(self, call: Call) -> None:
        """Let go of the number, whatever became of the call; without `settle` the records are asked about it later."""
        place = _place(call)
        if place in self._held:
            self._held.discard(place)
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)

    def close(self) -> None:
        """Let go of the files."""
        if self._index is not None:
            self._index.close()
            os.close(self._locks)
            self._index, self._locks, self._day = None, -1, ""

    def _known(self, call: Call) -> First | None:
        found = list(self._run("SELECT asked, call, units FROM number WHERE caller = ? AND own = ?", *_name(call)))
        if not found:
            self._run("INSERT INTO number VALUES (?, ?, ?, NULL, 0)", *_name(call), _asked(call))
            return None
        asked, first, units = found[0]
        if first is None:
            raise LookupError
        if asked != _asked(call):
            raise RepeatedError.of(first)
        return First(first, units)

    def _run(self, statement: str, *values: object) -> Iterator[tuple[str, str, int]]:
        if self._index is None:
            raise sqlite3.OperationalError
        return iter(self._index.execute(statement, values).fetchall())

    def _sound(self, path: Path) -> sqlite3.Connection | None:
        """The index as it lies there, when it was written since the machine started."""
        if not path.exists():
            return None
        index = _connected(path)
        with contextlib.suppress(sqlite3.DatabaseError):
            if index.execute("SELECT id FROM boot").fetchall() == [(boot_id(),)]:
                return index
        index.close()
        return None

    def _anew(self, path: Path, day: str) -> sqlite3.Connection:
        for old in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            old.unlink(missing_ok=True)
        index = _connected(path)
        index.executescript(_TABLES)
        index.execute("BEGIN")
        for call in self._ledger.records(day, holding=b'"client_id":"'):
            if call.day == day and _binds(call):
                index.execute(
                    "INSERT INTO number VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET units = units + excluded.units",
                    (*_name(call), _asked(call), _whole(call), call.units),
                )
        index.execute("INSERT INTO boot VALUES (?)", (boot_id(),))
        index.execute("COMMIT")
        return index


def _connected(path: Path) -> sqlite3.Connection:
    # Synced never: killing processes loses nothing, and after a power cut the call records tell it all again.
    index = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    with contextlib.suppress(sqlite3.DatabaseError):
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("PRAGMA synchronous = OFF")
    return index


def _binds(call: Call) -> bool:
    return call.client_id is not None and (call.units > 0 or call.repeats is not None)


def _whole(call: Call) -> str:
    """The call that was answered first under a number: parts cost its units, and are not what was asked."""
    return call.repeats or call.family or call.id


def _caller(call: Call) -> str:
    return f"{call.department}\0{call.app}"


def _name(call: Call) -> tuple[str, str]:
    return _caller(call), call.client_id or ""


def _asked(call: Call) -> str:
    return "\0".join((call.request or "", call.matter_asked or "", call.case or ""))


def _place(call: Call) -> int:
    told = "\0".join((call.day, *_name(call))).encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:7])
