"""An object store in a bucket: raw evidence put whole, never written over, kept as long as the office must keep it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import urllib3

from warehouse.clock import now
from warehouse.errors import WarehouseError
from warehouse.faults import explained
from warehouse.lock import Locks, Still
from warehouse.s3 import Bucket

if TYPE_CHECKING:
    from minio import Minio
    from minio.retention import Retention

PART_BYTES = 16 << 20  # of an upload in parts, of which two are in memory
EVIDENCE, DERIVED = "land/", "checked"  # what was received lies below land/, beside what the checks made of it
LINK_DAYS = 7  # no signed address lives longer
_MARK = "x-amz-meta-shutong"


class BucketStore:
    """See ObjectStore. `work` is a local folder for files on their way.

    With `retain_days` the bucket, which must have object lock, keeps what was received for so long, whoever asks to
    have it removed.
    """

    def __init__(self, bucket: Bucket, work: Path, locks: Locks, *, retain_days: int = 0) -> None:
        self._bucket, self._locks, self._retain_days = bucket, locks, retain_days
        self._work = work.absolute() / "sending"
        self._work.mkdir(parents=True, exist_ok=True)
        self._client = bucket.client()
        self._creator = bucket.client(_OnlyNew)

    @contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """See ObjectStore; WH-FILE-THERE when there is a file of that path."""
        here = self._work / uuid.uuid4().hex
        try:
            with self._bucket.explained():
                with here.open("xb") as stream:
                    yield stream
                with here.open("rb") as stream:
                    self._send(self._creator, path, stream, here.stat().st_size)
        finally:
            here.unlink(missing_ok=True)

    def put(self, path: str, content: bytes) -> None:
        """See ObjectStore."""
        with self._bucket.explained():
            self._send(self._client, path, io.BytesIO(content), len(content))

    def _send(self, client: Minio, path: str, stream: BinaryIO, size: int) -> None:
        from minio.error import S3Error

        mark = uuid.uuid4().hex
        try:
            client.put_object(
                self._bucket.bucket,
                self._name(path),
                stream,
                size,
                metadata={_MARK: mark},
                part_size=PART_BYTES,
                num_parallel_uploads=2,
                retention=self._retention(path),
            )
        except S3Error as error:
            if error.code != "PreconditionFailed":
                raise
            # The answer to an earlier attempt may have been lost on the way: then the file that is there is this one.
            there = self._client.stat_object(self._bucket.bucket, self._name(path)).metadata or {}
            if there.get(_MARK) != mark:
                raise _there(path) from error

    def _retention(self, path: str) -> Retention | None:
        if not self._retain_days or not path.startswith(EVIDENCE) or PurePosixPath(path).name.startswith(DERIVED):
            return None
        from minio.retention import Retention

        return Retention("COMPLIANCE", now() + timedelta(days=self._retain_days))

    def get(self, path: str) -> bytes:
        """See ObjectStore."""
        with self._bucket.explained(), self.open(path) as stream:
            return stream.read()

    def open(self, path: str) -> BinaryIO:
        """See ObjectStore."""
        with self._bucket.explained(), explained(path, bucket=True):
            return cast("BinaryIO", self._bucket.files().open_input_file(self._bucket.key(path)))

    def exists(self, path: str) -> bool:
        """See ObjectStore."""
        with self._bucket.explained():
            return bool(self._bucket.files().get_file_info(self._bucket.key(path)).is_file)

    def local(self, path: str) -> None:
        """See ObjectStore."""

    def address(self, path: str) -> tuple[str, str]:
        """See ObjectStore."""
        return self._bucket.endpoint, f"s3://{self._bucket.key(path)}"

    def link(self, path: str, seconds: int) -> str:
        """See ObjectStore."""
        lasts = timedelta(seconds=min(seconds, LINK_DAYS * 86_400))
        with self._bucket.explained():
            return self._client.presigned_get_object(self._bucket.bucket, self._name(path), lasts)

    def folders(self, prefix: str) -> list[str]:
        """See ObjectStore."""
        top = self._name("")
        below = (name.removeprefix(top).lstrip("/") for name in self._names(f"{prefix}/"))
        return sorted({PurePosixPath(one).parent.as_posix() for one in below})

    def remove(self, path: str) -> None:
        """See ObjectStore."""
        from minio.deleteobjects import DeleteObject

        names = [self._name(path), *self._names(f"{path}/")]
        with self._bucket.explained():
            failed = list(self._client.remove_objects(self._bucket.bucket, [DeleteObject(one) for one in names]))
            if failed:
                raise OSError(f"{failed[0].code} {failed[0].message}")

    def lock(self, name: str) -> AbstractContextManager[Still]:
        """See ObjectStore."""
        return self._locks.hold(name)

    def _names(self, prefix: str) -> list[str]:
        with self._bucket.explained():
            found = self._client.list_objects(self._bucket.bucket, self._name(prefix), recursive=True)
            return [one.object_name for one in found if one.object_name and not one.is_dir]

    def _name(self, path: str) -> str:
        """The object's name in its bucket."""
        if ".." in PurePosixPath(path).parts or path.startswith("/"):
            raise _outside(path)
        return self._bucket.key(path).removeprefix(f"{self._bucket.bucket}/")


class _OnlyNew(urllib3.PoolManager):
    """Sends files under the condition that there is none of that name, which the SDK has no word for."""

    def urlopen(self, method: str, url: str, *said: Any, **more: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401
        in_parts = "uploadId=" in url
        if (method == "PUT" and not in_parts) or (method == "POST" and in_parts):
            more["headers"] = {**(more.get("headers") or {}), "If-None-Match": "*"}
        return super().urlopen(method, url, *said, **more)


def _there(path: str) -> WarehouseError:
    return WarehouseError(
        "WH-FILE-THERE",
        zh=f"仓库中已有文件 {path}，不会覆盖",
        en=f"the warehouse has a file {path} already and does not write over it",
        fix_zh="重新运行该次接入：未完成的残留会先被清理",
        fix_en="Run the ingest again: what an unfinished one left is removed first",
    )


def _outside(path: str) -> WarehouseError:
    return WarehouseError(
        "WH-PATH",
        zh=f"路径 {path} 不在仓库之内",
        en=f"the path {path} leaves the warehouse",
        fix_zh="检查部门、资源和运行编号的写法",
        fix_en="Check how department, resource and run are spelt",
    )
