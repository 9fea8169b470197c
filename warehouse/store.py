"""Where files rest: a folder today, a bucket through the same few verbs; nothing is ever seen half-written."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from warehouse.durable import sync
from warehouse.errors import WarehouseError
from warehouse.faults import FULL, explained, full, missing
from warehouse.lock import FileLocks, Locks, Still


class ObjectStore(Protocol):
    """Files by relative path (`land/market/base/…`), each whole or absent."""

    def create(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A stream to a new file, which appears under its path, durable, when the block ends without an error."""
        ...

    def put(self, path: str, content: bytes) -> None:
        """Write a file whole, in the place of one that was there."""
        ...

    def get(self, path: str) -> bytes:
        """A file's bytes; WH-FILE-MISSING when there is none."""
        ...

    def open(self, path: str) -> BinaryIO:
        """A seekable stream for reading; WH-FILE-MISSING when there is none."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file at that path."""
        ...

    def local(self, path: str) -> Path | None:
        """Where the file lies on this machine, for a library that opens files by name; None when it lies elsewhere."""
        ...

    def address(self, path: str) -> tuple[str, str] | None:
        """The endpoint of the bucket the file lies in, and its s3:// name there; None when it lies in no bucket."""
        ...

    def link(self, path: str, seconds: int) -> str | None:
        """An address from which whoever has it can download the file for so long; None where there is no server."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """The folders that hold files anywhere below the prefix, sorted."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all it holds; nothing there is no error."""
        ...

    def lock(self, name: str) -> AbstractContextManager[Still]:
        """Work alone under that name, over all processes that use the store."""
        ...


class LocalStore:
    """An object store in a local folder: temporary file, sync, rename, sync of the folder."""

    def __init__(self, folder: Path, locks: Locks | None = None) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._locks = locks or FileLocks(self.folder / "locks")

    @contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """See ObjectStore."""
        target = self._at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.rename(target)
            sync(target)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise full(str(self.folder)) from error
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, path: str, content: bytes) -> None:
        """See ObjectStore."""
        with self.create(path) as stream:
            stream.write(content)

    def get(self, path: str) -> bytes:
        """See ObjectStore."""
        with self.open(path) as stream:
            return stream.read()

    def open(self, path: str) -> BinaryIO:
        """See ObjectStore."""
        try:
            return self._at(path).open("rb")
        except FileNotFoundError as error:
            raise missing(path) from error

    def exists(self, path: str) -> bool:
        """See ObjectStore."""
        return self._at(path).is_file()

    def local(self, path: str) -> Path | None:
        """See ObjectStore."""
        return self._at(path)

    def address(self, path: str) -> None:
        """See ObjectStore."""

    def link(self, path: str, seconds: int) -> None:
        """See ObjectStore."""

    def folders(self, prefix: str) -> list[str]:
        """See ObjectStore."""
        files = (one for one in self._at(prefix).rglob("*") if one.is_file())
        return sorted({one.parent.relative_to(self.folder).as_posix() for one in files})

    def remove(self, path: str) -> None:
        """See ObjectStore."""
        target = self._at(path)
        if target.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)

    def lock(self, name: str) -> AbstractContextManager[Still]:
        """See ObjectStore."""
        return self._locks.hold(name)

    def _at(self, path: str) -> Path:
        target = (self.folder / path).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            raise WarehouseError(
                "WH-PATH",
                zh=f"路径 {path} 不在仓库之内",
                en=f"the path {path} leaves the warehouse",
                fix_zh="检查部门、资源和运行编号的写法",
                fix_en="Check how department, resource and run are spelt",
            )
        return target


@contextmanager
def reading(store: ObjectStore, path: str) -> Iterator[BinaryIO]:
    """A file to read from while the block lasts; what is wrong with it is explained, also when reading finds it."""
    with explained(path, bucket=store.address(path) is not None), store.open(path) as stream:
        yield stream


@contextmanager
def on_this_machine(store: ObjectStore, paths: Sequence[str]) -> Iterator[Mapping[str, Path]]:
    """Every file where it can be opened by name: where it lies, or a copy that goes when the block ends."""
    with ExitStack() as stack:
        found = {path: store.local(path) for path in paths}
        elsewhere = [path for path, there in found.items() if there is None]
        if elsewhere:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="shutong-copies-")))
            for number, path in enumerate(elsewhere):
                found[path] = folder / f"{number}.parquet"
                with reading(store, path) as stream, (folder / f"{number}.parquet").open("wb") as file:
                    shutil.copyfileobj(stream, file)
        yield {path: there for path, there in found.items() if there is not None}
