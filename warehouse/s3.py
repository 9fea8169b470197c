"""A prefix of a bucket in an S3 store: how it is reached by Arrow, by DuckDB, by pyiceberg and by the SDK."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import duckdb
import pyarrow.fs as pafs
import urllib3

from warehouse import duck
from warehouse.errors import WarehouseError
from warehouse.faults import explained, no_bucket
from warehouse.sql import literal
from warehouse.store import ObjectStore

if TYPE_CHECKING:
    from minio import Minio

SECONDS = 30.0  # a request that has not answered by then is given up
CONNECT_SECONDS = 10.0
ATTEMPTS = 3
_CA = "shutong.s3.ca"  # beside the properties of pyiceberg's own


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where it is and who asks. `endpoint` begins with http:// or https://; `ca` is a PEM file of an authority."""

    endpoint: str
    bucket: str
    prefix: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    virtual: bool = False  # whether the bucket is part of the host's name, as some clouds want it
    ca: Path | None = None

    @property
    def url(self) -> str:
        """Its name: s3://bucket/prefix."""
        return f"s3://{self.key('').rstrip('/')}"

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.endpoint).netloc

    def key(self, path: str) -> str:
        """A file's name as Arrow has it: bucket/prefix/path."""
        return "/".join(part for part in (self.bucket, self.prefix.strip("/"), path) if part)

    def below(self, part: str) -> Bucket:
        """The same bucket, further down."""
        return replace(self, prefix="/".join(one for one in (self.prefix.strip("/"), part) if one))

    def files(self) -> pafs.S3FileSystem:
        """Arrow's file system over the whole store, the same one for all who ask in this process."""
        return _files(replace(self, bucket="", prefix=""))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """While the block lasts, what fails with the bucket is told as one of our errors."""
        try:
            with explained(self.url, bucket=True):
                yield
        except WarehouseError as error:
            if error.code == "WH-FILE-MISSING" and not self._there():
                raise no_bucket(self.url) from error
            raise

    def _there(self) -> bool:
        """Whether there is the bucket itself: who asks for one file's head is not told what is missing."""
        with explained(self.url, bucket=True):
            return bool(self.files().get_file_info(self.bucket).type == pafs.FileType.Directory)

    def client(self, pool_of: type[urllib3.PoolManager] = urllib3.PoolManager) -> Minio:
        """The SDK, which sends what it sends through such a pool; WH-DRIVER where it is not installed."""
        try:
            from minio import Minio
        except ImportError as absent:
            raise no_driver("minio") from absent
        pool = pool_of(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SECONDS),
            retries=urllib3.Retry(total=ATTEMPTS, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(self.ca) if self.ca else None,
        )
        made = Minio(
            self.host, self.access_key, self.secret_key, secure=self.secure, region=self.region, http_client=pool
        )
        if self.virtual:
            made.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        return made


@lru_cache(maxsize=8)
def _files(bucket: Bucket) -> pafs.S3FileSystem:
    return pafs.S3FileSystem(
        access_key=bucket.access_key,
        secret_key=bucket.secret_key,
        region=bucket.region,
        scheme="https" if bucket.secure else "http",
        endpoint_override=bucket.host,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        force_virtual_addressing=bucket.virtual,
        tls_ca_file_path=str(bucket.ca) if bucket.ca else None,
    )


def no_driver(package: str) -> WarehouseError:
    """A package the bucket needs is not installed."""
    return WarehouseError(
        "WH-DRIVER",
        zh=f"访问对象存储需要 {package}，尚未安装",
        en=f"the object store needs {package}, which is not installed",
        fix_zh="执行 pip install 'shutong[s3]'",
        fix_en="Run: pip install 'shutong[s3]'",
    )


class BucketSite:
    """Table files in a bucket (see warehouse.site.Site): written here first, then sent whole."""

    def __init__(self, bucket: Bucket, work: Path) -> None:
        self._bucket = bucket
        self.work = work.absolute()
        self.work.mkdir(parents=True, exist_ok=True)
        self.root = bucket.url
        self.properties: Mapping[str, str] = {
            "s3.endpoint": bucket.endpoint,
            "s3.region": bucket.region,
            "s3.access-key-id": bucket.access_key,
            "s3.secret-access-key": bucket.secret_key,
            "s3.force-virtual-addressing": str(bucket.virtual).lower(),
            _CA: str(bucket.ca or ""),
        }

    @contextmanager
    def connect(self, memory: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """See Site."""
        file = extension()
        with (
            self.explained(),
            duck.connect(self.work / "spill", memory=memory, unsigned=file is not None) as connection,
        ):
            if file is None:
                _by_arrow(connection, self._bucket)
            else:
                _by_extension(connection, self._bucket, file)
            yield connection

    @contextmanager
    def new(self, name: str) -> Iterator[Path]:
        """See Site."""
        folder = self.work / "sending"
        folder.mkdir(parents=True, exist_ok=True)
        here = folder / f"{uuid.uuid4().hex}.parquet"
        try:
            with self.explained():
                yield here
                if here.exists():
                    with here.open("rb") as file, self._bucket.files().open_output_stream(_key(name)) as stream:
                        shutil.copyfileobj(file, stream, 8 << 20)
        finally:
            here.unlink(missing_ok=True)

    def take(self, store: ObjectStore, path: str, name: str) -> None:
        """See Site."""
        there = store.address(path)
        if there is not None and there[0] == self._bucket.endpoint:
            with self.explained():
                self._bucket.files().copy_file(_key(there[1]), _key(name))
            return
        with self.new(name) as here, store.open(path) as stream, here.open("xb") as file:
            shutil.copyfileobj(stream, file)

    def size(self, name: str) -> int:
        """See Site."""
        with self.explained():
            return int(self._bucket.files().get_file_info(_key(name)).size)

    def remove(self, name: str) -> None:
        """See Site."""
        with self.explained():
            bucket, _, key = _key(name).partition("/")
            self._bucket.client().remove_object(bucket, key)

    def below(self, name: str, before: float) -> Iterator[str]:
        """See Site."""
        selector = pafs.FileSelector(_key(name), allow_not_found=True, recursive=True)
        with self.explained():
            found = self._bucket.files().get_file_info(selector)
        for one in sorted(found, key=lambda info: info.path):
            if one.type == pafs.FileType.File and one.mtime_ns / 1e9 < before:
                yield f"s3://{one.path}"

    def explained(self) -> AbstractContextManager[None]:
        """See Site."""
        return self._bucket.explained()


def bucket(properties: Mapping[str, str]) -> Bucket:
    """The store that a site's `properties` speak of, whichever bucket of it."""
    return Bucket(
        properties["s3.endpoint"],
        "",
        "",
        properties["s3.access-key-id"],
        properties["s3.secret-access-key"],
        properties["s3.region"],
        properties["s3.force-virtual-addressing"] == "true",
        Path(properties[_CA]) if properties[_CA] else None,
    )


def _key(name: str) -> str:
    return name.removeprefix("s3://")


@cache
def extension() -> Path | None:
    """DuckDB's own extension for S3, where it is installed for the very version and its signature is right.

    Looking at the signature takes a tenth of a second of computing: once in a process.
    """
    try:
        import duckdb_extension_httpfs  # type: ignore[import-untyped]
    except ImportError:
        return None
    folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / "httpfs.duckdb_extension"
    if not file.exists():
        return None
    with duck.connect() as connection:
        connection.execute(f"LOAD {literal(str(file))}")
    return file


def _by_extension(connection: duckdb.DuckDBPyConnection, bucket: Bucket, file: Path) -> None:
    """Let DuckDB read by its own extension."""
    connection.execute(f"LOAD {literal(str(file))}")
    connection.execute(f"SET http_timeout = {int(SECONDS)}; SET http_retries = {ATTEMPTS}")
    if bucket.ca:
        connection.execute(f"SET ca_cert_file = {literal(str(bucket.ca))}; SET enable_server_cert_verification = true")
    said = {
        "KEY_ID": bucket.access_key,
        "SECRET": bucket.secret_key,
        "REGION": bucket.region,
        "ENDPOINT": bucket.host,
        "URL_STYLE": "vhost" if bucket.virtual else "path",
        "SCOPE": f"s3://{bucket.bucket}",
    }
    listed = ", ".join(f"{name} {literal(value)}" for name, value in said.items())
    with suppress(duckdb.Error):  # whose words would repeat the statement
        connection.execute(f"CREATE SECRET (TYPE s3, USE_SSL {str(bucket.secure).lower()}, {listed})")


def _by_arrow(connection: duckdb.DuckDBPyConnection, bucket: Bucket) -> None:
    """Let DuckDB read through Arrow's file system: slower, with nothing to install."""
    from fsspec.implementations.arrow import ArrowFSWrapper  # type: ignore[import-untyped]

    class Named(ArrowFSWrapper):  # type: ignore[misc]
        protocol = "s3"

    connection.register_filesystem(Named(bucket.files(), skip_instance_cache=True))
