"""Write Iceberg metadata so that it outlives a power cut: every file is synced before the catalog may name it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from pyarrow.fs import FileSystem
from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from warehouse.durable import sync
from warehouse.s3 import bucket


class _SyncedStream:
    """A stream that syncs its file when it is closed."""

    def __init__(self, stream: OutputStream, path: Path) -> None:
        self._stream, self._path, self._open = stream, path, True

    def write(self, b: bytes) -> int:
        return self._stream.write(b)

    def tell(self) -> int:
        position: int = self._stream.tell()
        return position

    def close(self) -> None:
        self._stream.close()
        if self._open:
            self._open = False
            sync(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _SyncedFile(PyArrowFile):
    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: FBT001, FBT002 (pyiceberg's signature)
        return _SyncedStream(super().create(overwrite), Path(self._path))


class DurableFileIO(PyArrowFileIO):
    """Arrow's file access with a sync after each local file written; pyiceberg loads it by name (`py-io-impl`)."""

    def new_output(self, location: str) -> PyArrowFile:
        """A file to write to: synced when closed on a disk, whole or absent in a bucket."""
        scheme, netloc, path = self.parse_location(location, self.properties)
        kind = _SyncedFile if scheme == "file" else PyArrowFile
        return kind(location, path, self.fs_by_scheme(scheme, netloc))

    def _initialize_fs(self, scheme: str, netloc: str | None = None) -> FileSystem:
        if scheme != "s3":
            return super()._initialize_fs(scheme, netloc)
        return bucket(self.properties).files()
