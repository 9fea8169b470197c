"""Count the different claims made on one field of one subject, exactly over the processes of a host and its restarts.

A day's claims are a hash table in a file that every process maps. A slot holds the mark of who claims about which field
of whom, and the marks of up to `most` claims. The table is changed under a file lock and carries the machine's boot id;
after a reboot, or when it is lost, it is made anew from the call records, which hold the same marks: keyed hashes.
"""

from __future__ import annotations

import base64
import fcntl
import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sharing.ledger import Ledger
from sharing.quota import boot_id

PLACE: Final = 12  # bytes: who, whom and which field
CLAIM: Final = 6  # bytes: what is claimed
OPERATION: Final = "verify"
_HEAD = struct.Struct("<16sIIQQ")  # boot id, most, whether a larger file has taken its place, slots, slots in use
_ROOM: Final = 64  # bytes of the head
_FIRST_SLOTS: Final = 1 << 14
_KEPT: Final = 2  # days
_FREE: Final = bytes(PLACE)


class Guesses:
    """The claims of a day; `take` counts those of one call, all of them or none."""

    def __init__(self, folder: Path, ledger: Ledger, secret: bytes, most: int = 5, slots: int = _FIRST_SLOTS) -> None:
        self._folder, self._ledger, self.most, self._slots = folder, ledger, most, slots
        self._key = HKDF(SHA256(), 32, None, b"shutong claims").derive(secret)
        self._wide = PLACE + most * CLAIM
        self._tables: dict[str, tuple[int, mmap.mmap]] = {}

    def mark(self, department: str, key: str, field: str, plain: str) -> bytes:
        """The mark of a claim; it tells nobody what was claimed, and of whom."""
        about = f"{department}\0{key}\0{field}".encode("utf-8", "surrogatepass")
        place = blake2b(about, digest_size=PLACE, key=self._key).digest()
        told = place + plain.encode("utf-8", "surrogatepass")
        return place + blake2b(told, digest_size=CLAIM, key=self._key).digest()

    def is_open(self, day: str) -> bool:
        """Whether `take` can be asked about calls of that day, ISO 8601."""
        return day in self._tables

    def open(self, day: str) -> None:
        """Make ready for a day; reads its call records where the table must be made anew. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "opening").open("w") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)
            if day in self._tables:
                return
            table = self._mapped(day)
            if table is None:
                self._write(day, self._slots, self._recorded(day))
                table = self._mapped(day)
            if table is None:
                raise OSError(day)
            self._tables[day] = table
            for old in sorted(self._folder.glob("*.claims"))[:-_KEPT]:
                old.unlink(missing_ok=True)
        for old_day in sorted(self._tables)[:-_KEPT]:
            _let_go(self._tables.pop(old_day))

    def take(self, day: str, marks: Sequence[bytes]) -> int | None:
        """Count claims; None when all fit, else the place of the first that does not, and none is counted."""
        fd, table = self._locked(day)
        while not _roomy(table, len(marks)):
            try:
                self._grow(day, table, len(marks))
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)
            fd, table = self._locked(day)
        try:
            undo: list[tuple[int, bytes]] = []
            for number, mark in enumerate(marks):
                if not self._put(table, mark, undo):
                    for at, before in reversed(undo):
                        table[at : at + len(before)] = before
                    return number
            boot, most, gone, slots, used = _HEAD.unpack_from(table, 0)
            used += sum(before[:PLACE] == _FREE for _, before in undo)
            _HEAD.pack_into(table, 0, boot, most, gone, slots, used)
            return None
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the files."""
        while self._tables:
            _let_go(self._tables.popitem()[1])

    def _put(self, table: mmap.mmap, mark: bytes, undo: list[tuple[int, bytes]]) -> bool:
        """Whether the claim is known or fits; slots that change are told to `undo` as they were."""
        place, claim, wide = mark[:PLACE], mark[PLACE:], self._wide
        at = self._slot(table, place)
        before = table[at : at + wide]
        for start in range(PLACE, wide, CLAIM):
            known = before[start : start + CLAIM]
            if known == claim:
                return True
            if not any(known):
                undo.append((at, before))
                table[at : at + wide] = place + before[PLACE:start] + claim + before[start + CLAIM :]
                return True
        return False

    def _slot(self, table: mmap.mmap, place: bytes) -> int:
        slots, wide = (len(table) - _ROOM) // self._wide, self._wide
        slot = int.from_bytes(place[:8]) % slots
        while True:
            at = _ROOM + slot * wide
            found = table[at : at + PLACE]
            if found in {place, _FREE}:
                return at
            slot = (slot + 1) % slots

    def _locked(self, day: str) -> tuple[int, mmap.mmap]:
        """The table of the day, locked; where another process made it larger, the larger one."""
        while True:
            fd, table = self._tables[day]
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not _HEAD.unpack_from(table, 0)[2]:
                return fd, table
            fcntl.flock(fd, fcntl.LOCK_UN)
            larger = self._mapped(day)
            if larger is None:
                raise OSError(day)
            self._tables[day] = larger
            _let_go((fd, table))

    def _grow(self, day: str, table: mmap.mmap, more: int) -> None:
        boot, most, _, slots, used = _HEAD.unpack_from(table, 0)
        self._write(day, 2 * (slots + more), self._kept(table))
        _HEAD.pack_into(table, 0, boot, most, 1, slots, used)

    def _kept(self, table: mmap.mmap) -> Iterable[bytes]:
        for at in range(_ROOM, len(table), self._wide):
            slot = table[at : at + self._wide]
            if slot[:PLACE] != _FREE:
                claims = (slot[start : start + CLAIM] for start in range(PLACE, self._wide, CLAIM))
                yield from (slot[:PLACE] + claim for claim in claims if any(claim))

    def _recorded(self, day: str) -> Iterable[bytes]:
        for call in self._ledger.records(day, holding=b'"operation":"verify"'):
            if call.day == day:
                yield from map(base64.b64decode, call.claims)

    def _write(self, day: str, slots: int, marks: Iterable[bytes]) -> None:
        """Put a table of these claims in the place of the day's."""
        marks = set(marks)
        slots = max(slots, 2 * len(marks))
        path = self._folder / f"{day}.{os.getpid()}.new"
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        try:
            os.posix_fallocate(fd, 0, _ROOM + slots * self._wide)  # a full disk is an error here, and a crash in a map
            with mmap.mmap(fd, 0) as table:
                undo: list[tuple[int, bytes]] = []
                for mark in marks:
                    self._put(table, mark, undo)
                used = sum(before[:PLACE] == _FREE for _, before in undo)
                _HEAD.pack_into(table, 0, boot_id(), self.most, 0, slots, used)
            path.rename(self._folder / f"{day}.claims")
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)

    def _mapped(self, day: str) -> tuple[int, mmap.mmap] | None:
        """The day's table as it lies there, when it was written since the machine started and for as many claims."""
        try:
            fd = os.open(self._folder / f"{day}.claims", os.O_RDWR)
        except FileNotFoundError:
            return None
        size = os.fstat(fd).st_size
        if size > _ROOM:
            table = mmap.mmap(fd, 0)
            boot, most, _, slots, _ = _HEAD.unpack_from(table, 0)
            if boot == boot_id() and most == self.most and size == _ROOM + slots * self._wide:
                return fd, table
            table.close()
        os.close(fd)
        return None


def written(mark: bytes) -> str:
    """A mark as a call record holds it."""
    return base64.b64encode(mark).decode()


def _roomy(table: mmap.mmap, more: int) -> bool:
    """Whether the table stays loose enough with so many claims more."""
    _, _, _, slots, used = _HEAD.unpack_from(table, 0)
    return bool((used + more) * 4 <= slots * 3)


def _let_go(table: tuple[int, mmap.mmap]) -> None:
    table[1].close()
    os.close(table[0])
