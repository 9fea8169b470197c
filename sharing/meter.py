"""Make every call's record durable before its answer leaves: one fdatasync for all calls of an event-loop turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sharing import segments
from sharing.calls import today
from sharing.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharing.calls import Call

SEGMENT_BYTES = 16 << 20
SEAL = b'{"sealed":true}'
_STALE_SECONDS = 3600
_HEADER_ROOM = 4096


@dataclass(slots=True)
class _Segment:
    """The segment being written: descriptor, size, day and the place of the next record."""

    name: str
    fd: int
    size: int
    day: str
    at: segments.Place


class Written(NamedTuple):
    """Where a record lies: its segment, its number there (the header is 0), and the chain value behind it."""

    segment: str
    record: int
    chain: bytes


class Meter:
    """Writes this process's call records; use it from one event loop at a time.

    Any error of the disk fails every call of that turn (503), retires the segment and has the next call try a new one:
    a call that could not be recorded is not answered. Nothing that was acknowledged is ever rewritten.
    """

    def __init__(self, folder: Path, size: int = SEGMENT_BYTES) -> None:
        self.folder, self._size = folder, size
        folder.mkdir(parents=True, exist_ok=True)
        self._pending: list[tuple[bytes, asyncio.Future[Written]]] = []
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="meter-segment")
        self._spare: Future[tuple[Path, int]] | None = None
        self._segment: _Segment | None = None
        self.problem: str | None = None
        self.noted: Callable[[int, int], None] | None = None  # told of each commit: records, microseconds
        self._clear_leftovers()
        with contextlib.suppress(OSError):
            self._roll(size)

    async def record(self, call: Call) -> Written:
        """Where the call's record lies, once it is on disk; raises UnavailableError (SHR-METER) when it cannot be."""
        done: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._pending.append((call.payload(), done))
        if len(self._pending) == 1:
            asyncio.get_running_loop().call_soon(self._commit)
        return await done

    def probe(self) -> str | None:
        """What is wrong with the disk, if anything; a broken meter is tried anew, so that it can recover unasked."""
        if self._segment is None:
            with contextlib.suppress(OSError):
                self._roll(self._size)
                self.problem = None
        return self.problem

    def close(self) -> None:
        """Seal the segment: nothing follows in it, so a later cut would be noticed, and its unused rest goes."""
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(OSError):
                framed, after = segments.frame(SEAL, segment.at)
                if after.offset <= segment.size:
                    self._put(segment, framed)
                    os.ftruncate(segment.fd, after.offset)
            os.close(segment.fd)
        if self._spare is not None:
            with contextlib.suppress(OSError):
                path, fd = self._spare.result()
                os.close(fd)
                path.unlink(missing_ok=True)
            self._spare = None
        self._maker.shutdown()

    def _commit(self) -> None:
        batch, self._pending = self._pending, []
        began = time.perf_counter_ns()
        try:
            written = self._write([payload for payload, _ in batch])
        except (OSError, ValueError) as error:
            self._retire(error)
            for _, done in batch:
                if not done.done():
                    done.set_exception(UnavailableError.meter())
            return
        self.problem = None
        if self.noted is not None:
            self.noted(len(batch), (time.perf_counter_ns() - began) // 1000)
        for place, (_, done) in zip(written, batch, strict=True):
            if not done.done():
                done.set_result(place)

    def _write(self, payloads: Sequence[bytes]) -> Sequence[Written]:
        segment = self._segment
        if segment is None or segment.day != today():
            segment = self._roll(self._size)
        out: list[bytes] = []
        written: list[Written] = []
        at = segment.at
        for payload in payloads:
            need = len(payload) + segments.FRAME
            if len(payload) > segments.LARGEST:
                raise ValueError(need)
            if at.offset + need > segment.size:
                self._put(segment, b"".join(out))
                segment.at, out = at, []
                segment = self._roll(max(self._size, need + _HEADER_ROOM))
                at = segment.at
            framed, at = segments.frame(payload, at)
            out.append(framed)
            written.append(Written(segment.name, at.records - 1, at.chain))
        self._put(segment, b"".join(out))
        segment.at = at
        if self._spare is None and at.offset * 2 > segment.size:
            self._spare = self._maker.submit(self._blank, self._size)
        return written

    @staticmethod
    def _put(segment: _Segment, data: bytes) -> None:
        if data and os.pwrite(segment.fd, data, segment.at.offset) != len(data):
            raise OSError(28, "short write")
        os.fdatasync(segment.fd)

    def _retire(self, error: Exception) -> None:
        self.problem = type(error).__name__ + (f" {error.errno}" if isinstance(error, OSError) else "")
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(OSError):
                os.close(segment.fd)

    def _roll(self, size: int) -> _Segment:
        """Begin the next segment of this process; its header names the one before and what nobody witnessed yet."""
        old = self._segment
        day = today()
        name = f"{day.replace('-', '')}-{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(3)}{segments.SUFFIX}"
        try:
            witness = {} if old else segments.unwitnessed(self.folder)
            told = segments.header(name, (old.name, old.at) if old else None, witness)
            path, fd = self._take_blank(max(size, len(told) * 2))
            framed, at = segments.frame(told, segments.start(name))
            segment = _Segment(name, fd, os.fstat(fd).st_size, day, segments.start(name))
            self._put(segment, framed)
            path.rename(self.folder / name)
            _sync_folder(self.folder)
        except OSError as error:
            self.problem = f"OSError {error.errno}"
            raise
        segment.at = at
        self._segment = segment
        if old is not None:
            os.close(old.fd)
        return segment

    def _take_blank(self, size: int) -> tuple[Path, int]:
        spare, self._spare = self._spare, None
        if spare is not None and size <= self._size:
            with contextlib.suppress(OSError):
                path, fd = spare.result()
                if path.exists():
                    return path, fd
                os.close(fd)
        return self._blank(size)

    def _blank(self, size: int) -> tuple[Path, int]:
        """A zero-filled file: overwriting what is already allocated halves the cost of making a record durable."""
        path = self.folder / f"{os.getpid()}-{secrets.token_hex(6)}.blank"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            block, left = bytes(1 << 20), size
            while left > 0:
                left -= os.write(fd, block[: min(left, len(block))])
            os.fsync(fd)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return path, fd

    def _clear_leftovers(self) -> None:
        for path in self.folder.glob("*.blank"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
