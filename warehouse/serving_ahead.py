"""Bring a serving file into memory before it is asked: the first look at a page costs as much as the look-up itself."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from warehouse.serving_file import OpenFile

LOG = logging.getLogger(__name__)
PIECE = 64 << 20  # bytes asked for at a time
SHARE = 2  # a file takes at most one part in so many of the memory that is free
_POPULATE_READ = 22  # MADV_POPULATE_READ, Linux 5.14; unlike a look at a page it never ends the process
_MEMORY = Path("/proc/meminfo")
_MAPS = Path("/proc/self/maps")
_GROUP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def bring_in(file: OpenFile) -> threading.Thread | None:
    """Read the file ahead in a thread of its own; None where it would crowd out what others need, or cannot be done."""
    if file.size > _free() // SHARE:
        LOG.info("%s is read as it is asked for: it has %d MiB, too much to read ahead", file.path, file.size >> 20)
        return None
    thread = threading.Thread(target=_read, args=(file,), name="serving-ahead", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads are allowed: it is read as it is asked for
        return None
    return thread


def _read(file: OpenFile) -> None:
    start = _mapped_at(file.path)
    if start is None:
        return
    advise = ctypes.CDLL(None, use_errno=True).madvise  # lets go of the interpreter lock while it works
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for place in range(0, file.size, PIECE):
        # A kernel that knows no such advice, or a file cut short meanwhile: the rest is read as it is asked for.
        if advise(start + place, min(PIECE, file.size - place), _POPULATE_READ):
            return


def _mapped_at(path: Path) -> int | None:
    """The address at which this process sees the beginning of the file."""
    try:
        with _MAPS.open("rb") as lines:
            for line in lines:
                told = line.rstrip(b"\n").split(b" ", 5)
                if told[-1].lstrip() == bytes(path) and told[2].strip(b"0") == b"":
                    return int(told[0].partition(b"-")[0], 16)
    except OSError:
        pass
    return None


def _free() -> int:
    """Bytes that can be had without pushing anybody out; 0 where the system does not say."""
    try:
        free = int(_MEMORY.read_text("ascii").partition("MemAvailable:")[2].split()[0]) << 10
    except (OSError, ValueError, IndexError):
        return 0
    return min([free, *_limits()])


def _limits() -> Iterator[int]:
    """How many bytes a container, or a unit of systemd, may have that this process is in: pages of files count."""
    try:
        within = next(line[3:] for line in _GROUP.read_text().splitlines() if line.startswith("0::/"))
    except (OSError, StopIteration):
        within = "/"
    group = _GROUPS / within.strip("/")
    told = [one / "memory.max" for one in (group, *group.parents) if one.is_relative_to(_GROUPS)]
    for file in (*told, _GROUPS / "memory" / "memory.limit_in_bytes"):  # the latter of the first kind of groups
        try:
            yield int(file.read_text("ascii"))
        except (OSError, ValueError):  # of groups that are not seen from in here, or "max"
            continue
