"""The access log: a line of JSON for each call, without keys, addresses or queries, in a file that is begun anew."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import orjson

from sharing.calls import SHANGHAI, Call
from sharing.operating import LogTerms

PAUSE = 0.2  # seconds that lines wait for others to be written with


class AccessLog:
    """Written by all workers of a host into one file; a file that is full, or of another day, is put aside.

    Lines wait up to PAUSE seconds, so a killed worker may lose that many: the ledger is the record of calls, and never
    does. What the disk refuses is dropped and counted in `lost`; no call waits for it.
    """

    def __init__(self, terms: LogTerms) -> None:
        self._terms, self.lost = terms, 0
        self._lines: list[bytes] = []
        self._fd = -1
        terms.path.parent.mkdir(parents=True, exist_ok=True)

    def note(self, call: Call, subject: str, micros: int, trace: str | None = None) -> None:
        """One call that was answered or turned away."""
        told = {"at": call.at, "id": call.id, "department": call.department, "operation": call.operation,
                "subject": subject, "status": call.status, "code": call.code, "micros": micros,
                "bytes": call.size}  # fmt: skip
        self._lines.append(orjson.dumps(told | {"trace": trace} if trace else told) + b"\n")
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(PAUSE, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            fd = self._open()
            os.write(fd, b"".join(lines))
        except OSError:
            self.lost += len(lines)

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        """The file in force: another worker may have put ours aside."""
        path = self._terms.path
        if self._fd >= 0:
            mine = os.fstat(self._fd)
            with suppress(FileNotFoundError):
                now = path.stat()
                if (now.st_ino, now.st_dev) == (mine.st_ino, mine.st_dev) and not self._full(now):
                    return self._fd
            os.close(self._fd)
            self._fd = -1
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                now = path.stat()
                if self._full(now):
                    self._put_aside(now)
            self._fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o640)
        return self._fd

    def _full(self, now: os.stat_result) -> bool:
        if now.st_size >= self._terms.largest:
            return True
        return now.st_size > 0 and _day(now.st_mtime) != _day(time.time())

    def _put_aside(self, now: os.stat_result) -> None:
        path = self._terms.path
        stamp = datetime.fromtimestamp(now.st_mtime, SHANGHAI).strftime("%Y%m%dT%H%M%S%f")
        path.rename(path.with_name(f"{path.stem}-{stamp}{path.suffix}"))
        oldest = time.time() - self._terms.days * 86_400
        for old in path.parent.glob(f"{path.stem}-*{path.suffix}"):
            with suppress(OSError):
                if old.stat().st_mtime < oldest:
                    old.unlink()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, SHANGHAI).date().isoformat()


def log_of(folder: Path) -> Path:
    """Where the access log of a deployment lies."""
    return folder / "logs" / "access.jsonl"
