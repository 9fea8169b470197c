"""Where table files lie: a local folder, or a bucket of an S3 store, behind the same few verbs."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import duckdb

from warehouse import duck
from warehouse.durable import sync
from warehouse.faults import explained
from warehouse.store import ObjectStore

SCHEME = "file://"
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)  # another disk, or one without second names


class Site(Protocol):
    """Files by name: a path, or `s3://bucket/key`. `root` is the name everything lies below.

    `work` is a local folder for what is spilled, and for files on their way. `properties` are pyiceberg's.
    """

    root: str
    work: Path
    properties: Mapping[str, str]

    def explained(self) -> AbstractContextManager[None]:
        """While the block lasts, what fails with the files is told as one of our errors."""
        ...

    def connect(self, memory: str | None = None) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A DuckDB that reads the files by their names; what fails there while the block lasts is explained."""
        ...

    def new(self, name: str) -> AbstractContextManager[Path]:
        """Where to write a new file, which has its name, durable, when the block ends; removed there, none appears."""
        ...

    def take(self, store: ObjectStore, path: str, name: str) -> None:
        """Give a file of the store a second name, or make a copy of it; durable."""
        ...

    def size(self, name: str) -> int:
        """How many bytes a file has."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    def below(self, name: str, before: float) -> Iterator[str]:
        """The files below a name that were written before that instant (seconds since 1970), sorted."""
        ...


class FolderSite:
    """Files in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.work = folder.absolute()
        self.work.mkdir(parents=True, exist_ok=True)
        self.root = str(self.work)
        self.properties: Mapping[str, str] = {}

    def explained(self) -> AbstractContextManager[None]:
        """See Site."""
        return explained(self.root)

    @contextmanager
    def connect(self, memory: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """See Site."""
        with self.explained(), duck.connect(self.work / "spill", memory=memory) as connection:
            yield connection

    @contextmanager
    def new(self, name: str) -> Iterator[Path]:
        """See Site."""
        target = Path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.explained():
            try:
                yield target
                if target.exists():
                    sync(target)
            except BaseException:
                target.unlink(missing_ok=True)
                raise

    def take(self, store: ObjectStore, path: str, name: str) -> None:
        """See Site."""
        with self.new(name) as target:
            local = store.local(path)
            if local is None or not _linked(local, target):
                with store.open(path) as stream, target.open("xb") as file:
                    shutil.copyfileobj(stream, file)

    def size(self, name: str) -> int:
        """See Site."""
        return Path(name).stat().st_size

    def remove(self, name: str) -> None:
        """See Site."""
        Path(name).unlink(missing_ok=True)

    def below(self, name: str, before: float) -> Iterator[str]:
        """See Site."""
        for file in sorted(Path(name).rglob("*")):
            if file.is_file() and file.stat().st_mtime < before:
                yield str(file)


def _linked(local: Path, target: Path) -> bool:
    try:
        os.utime(local)  # young, so that no sweep takes it before it is committed
        os.link(local, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def size_of(site: Site, name: str) -> int | None:
    """How many bytes a file has; None when it is not there."""
    try:
        return site.size(name)
    except (FileNotFoundError, TypeError):  # a bucket knows no size of what is not there
        return None


def name(location: str) -> str:
    """What DuckDB calls a file, of what Iceberg calls it."""
    return location.removeprefix(SCHEME)


def location(name: str) -> str:
    """What Iceberg calls a file, of what DuckDB calls it."""
    return name if "://" in name else SCHEME + name
