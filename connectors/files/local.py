"""Files in a folder of this machine, or of a network drive mounted on it."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from connectors.errors import SourceError
from connectors.files.place import Found, decoded, missing, no_file, no_folder, unreadable
from schemas.values import Check


class LocalPlace:
    """The files under `root`/`folder`; an absolute `folder` stands for itself."""

    def __init__(self, root: str, folder: str) -> None:
        self._top = Path(root) / folder
        self._odd: dict[str, str] = {}  # names that are no UTF-8 on disk → as the operating system wants them

    def path(self, name: str) -> str:
        """The path as a person would write it."""
        return str(self._top / name)

    def _real(self, name: str) -> Path:
        return self._top / self._odd.get(name, name)

    def listing(self, folder: str, *, deep: bool) -> Iterator[Found]:
        """The regular files of a folder; links are followed, each folder is entered once."""
        left, entered = [self._real(folder)], set()
        if not left[0].is_dir():
            raise no_folder(str(left[0])) if left[0].is_file() else self._missing(left[0])
        while left:
            here = left.pop()
            real = os.path.realpath(here)
            if real in entered:
                continue
            entered.add(real)
            try:
                with os.scandir(here) as entries:
                    for entry in entries:
                        if entry.is_dir():
                            left += [Path(entry.path)] if deep else []
                        elif entry.is_file():
                            yield self._found(Path(entry.path), entry.stat())
            except OSError as error:
                raise unreadable(str(here), error) from error

    def _found(self, path: Path, facts: os.stat_result) -> Found:
        name = path.relative_to(self._top).as_posix()
        if not name.isascii():
            shown = decoded(os.fsencode(name))
            if shown != name:
                self._odd[shown] = name
                name = shown
        return Found(name, facts.st_size, facts.st_mtime_ns)

    def stat(self, name: str) -> Found | None:
        """The file called `name`; SRC-FILE-FOLDER when that is a folder."""
        path = self._real(name)
        try:
            if not name.isascii() and not path.exists():
                # Written by an old program: the same name in the bytes of Chinese Windows.
                self._odd.setdefault(name, os.fsdecode(name.encode("gb18030")))
                path = self._real(name)
            facts = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._odd.pop(name, None)
            return None
        except OSError as error:
            raise unreadable(str(path), error) from error
        if stat.S_ISDIR(facts.st_mode):
            raise no_file(str(path))
        return Found(name, facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None

    def open(self, name: str) -> io.RawIOBase:
        """The file's bytes; seekable."""
        path = self._real(name)
        try:
            return path.open("rb", buffering=0)
        except OSError as error:
            raise unreadable(str(path), error) from error

    def absent(self, name: str) -> SourceError:
        """The error for a file that is not there."""
        return self._missing(self._real(name))

    def _missing(self, path: Path) -> SourceError:
        parent = path.parent
        while not parent.is_dir() and parent != parent.parent:
            parent = parent.parent
        try:
            names = [decoded(os.fsencode(entry.name)) for entry in parent.iterdir()]
        except OSError:
            names = []
        return missing(str(path), str(parent), names)

    def check(self) -> list[Check]:
        """Nothing to log in to."""
        return []

    def close(self) -> None:
        """Nothing is held."""
