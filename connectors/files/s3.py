"""Objects in a bucket of any S3 store, through Arrow's file system."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pyarrow.fs as pafs

from connectors.errors import SourceChanged, SourceError, SourceRefused, SourceUnavailable
from connectors.files.place import Found, changing, gone, missing, no_file, unreadable
from connectors.files.place_ahead import AHEAD, Ahead
from connectors.options import Options, Secrets, secret, wrong
from schemas.values import Check

OPTIONS = ("endpoint", "bucket", "prefix", "region", "access_key_secret", "secret_key_secret", "timeout", "addressing")
_ATTEMPTS = 3
_REFUSED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_CLIENT_TOKEN_ID",
    "HTTP status 403",
)
_REFUSED_SKEW = ("REQUEST_TIME_TOO_SKEWED", "RequestTimeTooSkewed")
T = TypeVar("T")


def open_s3(options: Options, folder: str, secrets: Secrets) -> S3Place:
    """The place that `connection.s3` and `folder` describe; connects when it is first used."""
    endpoint = options.text("endpoint")
    scheme, _, host = endpoint.rpartition("://")
    if scheme not in ("http", "https") or not host.strip("/"):
        raise wrong("connection.s3.endpoint", "须以 https:// 或 http:// 开头", "must begin with https:// or http://")
    top = posixpath.normpath(posixpath.join(options.text("bucket"), options.text("prefix", "."), folder.lstrip("/")))

    def connect() -> pafs.S3FileSystem:
        seconds = options.span("timeout", "30s").total_seconds()
        return pafs.S3FileSystem(
            access_key=secret(secrets, options.text("access_key_secret")),
            secret_key=secret(secrets, options.text("secret_key_secret")),
            region=options.text("region", "us-east-1"),
            scheme=scheme,
            endpoint_override=host.strip("/"),
            connect_timeout=min(seconds, 10.0),
            request_timeout=seconds,
            retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
            force_virtual_addressing=options.choice("addressing", "path", ("path", "virtual")) == "virtual",
        )

    names = options.text("access_key_secret"), options.text("secret_key_secret")
    return S3Place(connect, host.strip("/"), top, names)


class S3Place:
    """The objects under one prefix of a bucket. An object appears whole or not at all, so none is half written."""

    def __init__(self, connect: Callable[[], pafs.S3FileSystem], host: str, top: str, names: tuple[str, str]) -> None:
        self._connect, self._host, self._top, self._names = connect, host, top, names
        self._store: pafs.S3FileSystem | None = None
        self._pool: ThreadPoolExecutor | None = None

    def path(self, name: str) -> str:
        """The object as an s3:// address."""
        return f"s3://{posixpath.normpath(posixpath.join(self._top, name))}"

    def _ask(self, name: str, call: Callable[[pafs.S3FileSystem], T]) -> T:
        """The outcome of a call about `name`; what fails is our error."""
        try:
            if self._store is None:
                self._store = self._connect()
            return call(self._store)
        except OSError as error:
            raise self._explained(name, error) from error

    def _key(self, name: str) -> str:
        return posixpath.normpath(posixpath.join(self._top, name))

    def listing(self, folder: str, *, deep: bool) -> Iterator[Found]:
        """The objects under a prefix; a prefix without objects counts as missing."""
        selector = pafs.FileSelector(self._key(folder), allow_not_found=True, recursive=deep)
        infos = self._ask(folder, lambda store: store.get_file_info(selector))
        if (
            not infos
            and self._ask(folder, lambda store: store.get_file_info(self._key(folder))).type == pafs.FileType.NotFound
        ):
            raise self.absent(folder)
        for info in infos:
            if info.type == pafs.FileType.File:
                yield Found(posixpath.relpath(info.path, self._top), info.size, info.mtime_ns)

    def stat(self, name: str) -> Found | None:
        """The object called `name`; SRC-FILE-FOLDER when only objects below it are there."""
        info = self._ask(name, lambda store: store.get_file_info(self._key(name)))
        if info.type == pafs.FileType.Directory:
            raise no_file(self.path(name))
        return Found(name, info.size, info.mtime_ns) if info.type == pafs.FileType.File else None

    def absent(self, name: str) -> SourceError:
        """SRC-FILE-MISSING, or SRC-S3-BUCKET when not even the bucket is there."""
        bucket = self._top.split("/", 1)[0]
        if self._ask("", lambda store: store.get_file_info(bucket)).type == pafs.FileType.NotFound:
            return self._no_bucket(bucket)
        parent = posixpath.dirname(self._key(name)) or bucket
        selector = pafs.FileSelector(parent, allow_not_found=True)
        names = [info.base_name for info in self._ask("", lambda store: store.get_file_info(selector))]
        return missing(self.path(name), f"s3://{parent}", names)

    def open(self, name: str) -> io.RawIOBase:
        """The object's bytes, forwards, read ahead."""
        file = self._ask(name, lambda store: store.open_input_file(self._key(name)))
        tag = file.metadata().get("ETag")
        self._pool = self._pool or ThreadPoolExecutor(AHEAD + 1, "shutong-s3")
        pool = self._pool

        def got(future: Future[bytes]) -> bytes:
            try:
                return future.result()
            except OSError as error:
                raise self._explained(name, error) from error

        def ended() -> None:
            # The parts were asked for one by one: they are of one object only if it is still the same.
            again = self._ask(name, lambda store: store.open_input_file(self._key(name)))
            with again:
                if again.metadata().get("ETag") != tag:
                    raise changing(self.path(name))

        def ask(offset: int, size: int) -> Future[bytes]:
            return pool.submit(file.read_at, size, offset)

        return Ahead(file.size(), ask, got, ended=ended, release=file.close)

    def check(self) -> list[Check]:
        """Whether the store answers, lets us in, and has the bucket."""
        bucket = self._top.split("/", 1)[0]
        try:
            if self._ask("", lambda store: store.get_file_info(bucket)).type == pafs.FileType.NotFound:
                raise self._no_bucket(bucket)
        except SourceError as error:
            return [Check("login", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")]
        return [
            Check("login", ok=True, zh=f"已连接 {self._host}，桶 {bucket}", en=f"{self._host} has the bucket {bucket}")
        ]

    def close(self) -> None:
        """Let go of the store; may be called twice."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._store = self._pool = None

    def _explained(self, name: str, error: OSError) -> SourceError:
        said = str(error)
        if isinstance(error, FileNotFoundError):
            return gone(self.path(name))
        if "NO_SUCH_BUCKET" in said:
            return self._no_bucket(self._top.split("/", 1)[0])
        if any(mark in said for mark in _REFUSED_SKEW):
            return SourceRefused(
                "SRC-S3-CLOCK",
                zh=f"{self._host} 拒绝请求：双方时钟相差过大",
                en=f"{self._host} refuses the request: its clock and ours are too far apart",
                fix_zh="请校准本机与对方的时钟（NTP）",
                fix_en="Set both clocks right (NTP).",
            )
        if any(mark in said for mark in _REFUSED):
            access, key = self._names
            return SourceRefused(
                "SRC-S3-LOGIN",
                zh=f"{self._host} 拒绝访问 {self.path(name)}",
                en=f"{self._host} refuses access to {self.path(name)}",
                fix_zh=f"请核对密钥 {access} 与 {key}，并请来源部门授予该桶的 ListBucket 与 GetObject 权限",
                fix_en=f"Check the secrets {access} and {key}; ask the department to permit ListBucket and GetObject.",
            )
        if "NETWORK_CONNECTION" in said or "curlCode" in said or "timeout" in said.lower():
            return SourceUnavailable(
                "SRC-S3-UNREACHABLE",
                zh=f"{self._host} 没有应答或连接中断",
                en=f"{self._host} does not answer, or the connection was lost",
                fix_zh="请检查 endpoint、网络和对方服务；恢复后重新运行，已采集的文件不会重复采集",
                fix_en="Check the endpoint, the network and their server, then run again; files taken already are not"
                " taken twice.",
            )
        return unreadable(self.path(name), OSError(error.errno, said))

    def _no_bucket(self, bucket: str) -> SourceError:
        return SourceChanged(
            "SRC-S3-BUCKET",
            zh=f"{self._host} 上没有桶 {bucket}",
            en=f"{self._host} has no bucket {bucket}",
            fix_zh="请更正 connection.s3.bucket，或请来源部门建桶并授权",
            fix_en="Correct connection.s3.bucket, or ask the department to make the bucket and permit access.",
        )
