"""Count calls in memory that all workers of a service share, at the cost of half a microsecond a call."""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

CELLS: Final = 4096  # of eight bytes, for each worker
FINEST: Final = 6  # the first bucket ends at 2**6 µs, each other at twice the one before
BUCKETS: Final = 20  # the last has no end
_RESERVED: Final = (BUCKETS + 1) * 16  # for the series `other` of each kind
_SUFFIX: Final = ".cells"
_ROOMS: Final = "shutong-metrics"

Series = tuple[str, ...]  # kind, then its labels


@dataclass(slots=True)
class Counted:
    """What workers counted, added up: counters of all, gauges of those that live; `workers` is how many do."""

    counters: Counter[Series] = field(default_factory=Counter)
    timings: dict[Series, list[int]] = field(default_factory=dict)  # buckets, then the sum in microseconds
    gauges: Counter[Series] = field(default_factory=Counter)
    workers: int = 0


class Tally:
    """What one worker counts: cells of a mapped file, behind them the lines that name them.

    Only the worker writes to them, so nothing is locked; `folder` None keeps them to this process. Labels come from
    small sets: operations, codes and the names of what is shared, never from what a caller wrote. When all cells are
    taken, further series are counted as one, `other`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._room, self._fd = folder, -1
        if folder is not None:
            path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
            self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
            os.ftruncate(self._fd, CELLS * 8)
            fcntl.flock(self._fd, fcntl.LOCK_EX)  # held while this worker lives
        self._map = mmap.mmap(self._fd, CELLS * 8)
        self._cells = memoryview(self._map).cast("Q")
        self._lines: list[bytes] = []
        self._used = 0
        self._places: dict[Series, int] = {}
        self._calls: dict[tuple[str, int, str], tuple[int, int]] = {}

    def call(self, operation: str, status: int, subject: str, micros: int) -> None:
        """One call that was answered, in so many microseconds."""
        try:
            one, timing = self._calls[operation, status, subject]
        except KeyError:
            one, timing = self._calls[operation, status, subject] = (
                self._place(("calls", operation, str(status), subject), 1),
                self._place(("seconds", operation), BUCKETS + 1),
            )
        cells = self._cells
        cells[one] += 1
        cells[timing + min(max(micros.bit_length() - FINEST, 0), BUCKETS - 1)] += 1
        cells[timing + BUCKETS] += micros

    def add(self, *series: str, by: int = 1) -> None:
        """More of a counter."""
        self._cells[self._place(series, 1)] += by

    def time(self, *series: str, micros: int) -> None:
        """One duration of a kind."""
        timing = self._place(series, BUCKETS + 1)
        self._cells[timing + min(max(micros.bit_length() - FINEST, 0), BUCKETS - 1)] += 1
        self._cells[timing + BUCKETS] += micros

    def set(self, *series: str, to: int) -> None:
        """How it stands with something in this worker; gauges begin with `now`."""
        self._cells[self._place(("now", *series), 1)] = to

    def read(self) -> Counted:
        """What all workers of the service counted, those too that have ended since."""
        told = Counted()
        if self._room is None:
            _add(told, self._cells, self._lines, alive=True)
            return told
        for path in sorted(self._room.glob("*" + _SUFFIX)):
            with suppress(FileNotFoundError), path.open("rb") as file:
                alive, data = _held(file.fileno()), file.read()
                cells = memoryview(data[: CELLS * 8]).cast("Q")
                _add(told, cells, data[CELLS * 8 :].splitlines(keepends=True), alive=alive)
        return told

    def close(self) -> None:
        """Let go of the file; what was counted stays for the other workers."""
        self._cells.release()
        self._map.close()
        if self._fd >= 0:
            os.close(self._fd)

    def _place(self, series: Series, cells: int) -> int:
        """Where the cells of a series begin; named when it is first seen."""
        found = self._places.get(series)
        if found is not None:
            return found
        others = (series[0], *("other" for _ in series[1:]))
        if self._used + cells > CELLS - _RESERVED and series != others:
            return self._place(others, cells)
        self._places[series] = at = self._used
        self._used += cells
        line = orjson.dumps([at, cells, *series]) + b"\n"
        self._lines.append(line)
        if self._fd >= 0:
            os.write(self._fd, line)
        return at


def _add(told: Counted, cells: memoryview, lines: Iterable[bytes], *, alive: bool) -> None:
    told.workers += alive
    for line in lines:
        if not line.endswith(b"\n"):
            continue  # being written this moment
        at, count, *series = orjson.loads(line)
        name: Series = tuple(series)
        if count > 1:
            before: Sequence[int] = told.timings.get(name, [0] * count)
            told.timings[name] = [old + cells[at + place] for place, old in enumerate(before)]
        elif name[0] != "now":
            told.counters[name] += cells[at]
        elif alive:
            told.gauges[name[1:]] += cells[at]


def _held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def lives(pid: int) -> bool:
    """Whether a process of that number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


@contextmanager
def room() -> Iterator[Path]:
    """A folder in memory where the workers of this process count; it goes when they have ended."""
    top = next((one for one in (Path("/dev/shm"),) if os.access(one, os.W_OK)), Path(tempfile.gettempdir()))  # noqa: S108 memory that no other reads: the folder is made 0700
    for left in top.glob(f"{_ROOMS}-{os.getuid()}-*"):
        if not lives(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)  # of one that was killed
    folder = top / f"{_ROOMS}-{os.getuid()}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
