"""A lock over processes: who holds it works alone, and the system lets go of it when the holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

Still = Callable[[], None]  # raises WH-LOCK-LOST when the lock is not held any more


class Locks(Protocol):
    """Locks by name."""

    def hold(self, name: str) -> AbstractContextManager[Still]:
        """Work alone under that name, waiting for whoever does; not to be taken twice by one holder.

        What only one may do at last is done after asking whether the lock is still held.
        """
        ...


class FileLocks:
    """Locks as files of a folder: they bind the processes of one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, name: str) -> AbstractContextManager[Still]:
        """See Locks."""
        return exclusive(self._folder / f"{name}.lock")


@contextmanager
def exclusive(path: Path) -> Iterator[Still]:
    """Hold the lock file exclusively, waiting for whoever holds it; not to be taken twice by one holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield _held
    finally:
        os.close(handle)


def _held() -> None:
    """A lock on a file is held as long as its holder lives."""
