"""Say what went wrong with a disk, a bucket or a catalog, and what to do, whatever library noticed it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from schemas.errors import ShutongError
from warehouse.errors import WarehouseError

FULL = (errno.ENOSPC, errno.EDQUOT)
# Each library has its own words: Arrow NAMES_OF_THE_SDK, DuckDB HTTP codes, the SDK of S3 NamesOfTheService.
_FULL = re.compile(r"No space left|disk is full|disk full|Disk quota exceeded|could not extend file", re.IGNORECASE)
_BUCKET = re.compile(r"NO_?SUCH_?BUCKET|bucket does not exist", re.IGNORECASE)
_SKEW = re.compile(r"TIME_?TOO_?SKEWED", re.IGNORECASE)
_REFUSED = re.compile(
    r"ACCESS_?DENIED|INVALID_?ACCESS_?KEY|SIGNATURE_?DOES_?NOT_?MATCH|INVALID_?CLIENT_?TOKEN|INVALID_?TOKEN"
    r"|EXPIRED_?TOKEN|HTTP[^0-9]*40[13]\b|Authentication Failure"
    r"|HTTP[^0-9]*400\b.{0,9} during Head(Object|Bucket)",  # it has no body to say so: the token expired
    re.IGNORECASE,
)
_MISSING = re.compile(r"NO_?SUCH_?KEY|HTTP[^0-9]*404\b|No files found|No such file|Path does not exist", re.IGNORECASE)
_BUSY = re.compile(
    r"HTTP[^0-9]*(408|429|5\d\d)\b|SLOW_?DOWN|SERVICE_?UNAVAILABLE|INTERNAL_?(FAILURE|ERROR)|REQUEST_?TIMEOUT"
    r"|NETWORK_CONNECTION|curlCode|Could not (connect|establish)|Connection (refused|reset|aborted)|timed? ?out"
    r"|transfer closed|partial file|IncompleteRead|Content-Length|broken pipe|Max retries",
    re.IGNORECASE,
)
_DAMAGED = re.compile(
    r"parquet|magic bytes|thrift|snappy|zstd|corrupt|page header|too small|metadata length|decompress", re.IGNORECASE
)
_OF_DUCKDB = ("IOException", "InvalidInputException", "SerializationException")
_LOCKED = re.compile(r"locked|busy|lock timeout|LockNotAvailable|deadlock", re.IGNORECASE)


class DiskFullError(WarehouseError):
    """There is no room for what is written; the same call works once there is."""

    retryable: ClassVar[bool] = True


class UnavailableError(WarehouseError):
    """The bucket or the catalog does not answer just now; the same call may succeed later."""

    retryable: ClassVar[bool] = True


@contextmanager
def explained(where: str, *, bucket: bool = False) -> Iterator[None]:
    """Raise what fails with the files at `where` while the block lasts as one of ours; other errors pass as they are.

    Nothing a library said is repeated: answers of a bucket may name the access key.
    """
    try:
        yield
    except ShutongError:
        raise
    except Exception as error:
        ours = _of_files(where, error, bucket=bucket)
        if ours is None:
            raise
        raise ours from error


@contextmanager
def room(where: str) -> Iterator[None]:
    """Raise as ours what fails because the disk of `where` is full, be it a file, what is spilled or a database."""
    try:
        yield
    except ShutongError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not _is_library(error, "duckdb", "pyarrow", "sqlalchemy", "sqlite3"):
            raise
        if getattr(error, "errno", None) not in FULL and not _FULL.search(str(error)):
            raise
        raise full(where) from error


@contextmanager
def catalog_explained() -> Iterator[None]:
    """The same as `explained` for the database that lists the tables."""
    import sqlalchemy as sa

    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        if isinstance(error, (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError)):
            raise
        raise _of_catalog(str(getattr(error, "orig", None) or error)) from error


def full(where: str) -> DiskFullError:
    """There is no room where files are written."""
    return DiskFullError(
        "WH-DISK-FULL",
        zh=f"{where} 所在的磁盘已满",
        en=f"the disk of {where} is full",
        fix_zh="请清理磁盘或扩容后重新运行；已确认的批次不受影响，写了一半的不会计入",
        fix_en="Make room on the disk or enlarge it, then run again; batches that count are safe, half-written ones do"
        " not count.",
    )


def missing(path: str) -> WarehouseError:
    """A file the warehouse should have is not there."""
    return WarehouseError(
        "WH-FILE-MISSING",
        zh=f"仓库中没有文件 {path}",
        en=f"the warehouse has no file {path}",
        fix_zh="从备份恢复该文件，或重新采集该资源",
        fix_en="Restore it from a backup, or pull the resource again",
    )


def no_bucket(where: str) -> WarehouseError:
    """There is no such bucket."""
    return WarehouseError(
        "WH-S3-BUCKET",
        zh=f"对象存储 {where} 的存储桶不存在",
        en=f"the bucket of {where} does not exist",
        fix_zh="检查 SHUTONG_WAREHOUSE_URL；新部署先执行 shutong store prepare 建桶",
        fix_en="Check SHUTONG_WAREHOUSE_URL; for a new deployment make it with: shutong store prepare",
    )


def refused(where: str) -> WarehouseError:
    """The store does not take the keys."""
    return WarehouseError(
        "WH-S3-REFUSED",
        zh=f"对象存储 {where} 拒绝访问：密钥错误、已过期或权限不足",
        en=f"the object store refuses access to {where}: the keys are wrong, have expired or may not do this",
        fix_zh="用 shutong secret set s3_access_key 与 s3_secret_key 更新密钥，再执行 shutong store check",
        fix_en="Renew the secrets s3_access_key and s3_secret_key with shutong secret set, then run: shutong store"
        " check",
    )


def skewed(where: str) -> WarehouseError:
    """The clocks of both machines differ too much for a signature to count."""
    return WarehouseError(
        "WH-S3-CLOCK",
        zh=f"本机时钟与对象存储 {where} 相差过大，签名无效",
        en=f"the clock of this machine differs too much from the object store's ({where}): no signature counts",
        fix_zh="校准本机或存储服务器的时钟（NTP）后重试",
        fix_en="Set the clock of this machine or of the store right (NTP), then try again",
    )


def unavailable(where: str) -> UnavailableError:
    """The store does not answer, or not to the end."""
    return UnavailableError(
        "WH-S3-UNAVAILABLE",
        zh=f"对象存储 {where} 暂时不可用，或应答中断",
        en=f"the object store of {where} does not answer just now, or broke off",
        fix_zh="稍后重试；已发布的数据不受影响。持续出现时用 shutong store check 检查",
        fix_en="Try again later, what is released is safe; when it goes on, look with: shutong store check",
    )


def damaged(where: str) -> WarehouseError:
    """A file cannot be read as what it should be."""
    return WarehouseError(
        "WH-FILE-DAMAGED",
        zh=f"{where} 中有文件已损坏，不是完整的 Parquet",
        en=f"a file of {where} is damaged: it is no whole Parquet file",
        fix_zh="从备份恢复该文件；原始批次仍在时可重新检查并落库",
        fix_en="Restore the file from a backup; where the raw batch is still there, check and land it again",
    )


def _of_files(where: str, error: Exception, *, bucket: bool) -> WarehouseError | None:  # noqa: PLR0911 (a line each)
    if not _about_files(error):
        return None
    text = _words(error)
    if (isinstance(error, OSError) and error.errno in FULL) or _FULL.search(text):
        return full(where)
    if bucket:
        # The worse comes first: an answer may hold words of several kinds.
        for words, made in ((_BUCKET, no_bucket), (_SKEW, skewed), (_REFUSED, refused)):
            if words.search(text):
                return made(where)
        if not _MISSING.search(text) and (_BUSY.search(text) or _of_network(error)):
            return unavailable(where)
    if isinstance(error, FileNotFoundError) or _MISSING.search(text):
        return missing(where)
    if _is_library(error, "duckdb", "pyarrow") and _DAMAGED.search(text):
        return damaged(where)
    return None


def _about_files(error: Exception) -> bool:
    if _is_library(error, "duckdb"):  # whose other errors, such as one of memory, may speak of Parquet as well
        return any(kind.__name__ in _OF_DUCKDB for kind in type(error).__mro__)
    return isinstance(error, OSError) or _is_library(error, "pyarrow", "minio", "urllib3")


def _of_network(error: Exception) -> bool:
    return _is_library(error, "urllib3") or isinstance(error, (ConnectionError, TimeoutError))


def _is_library(error: Exception, *libraries: str) -> bool:
    return any(kind.__module__.lstrip("_").partition(".")[0] in libraries for kind in type(error).__mro__)


def _words(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return f"{getattr(error, 'code', '')} {error}" + (f" HTTP {status}" if status else "")


def _of_catalog(text: str) -> WarehouseError:
    if _FULL.search(text):
        return full("catalog")
    if _LOCKED.search(text):
        return UnavailableError(
            "WH-CATALOG-LOCKED",
            zh="表目录数据库被其他进程锁定",
            en="the catalog database is locked by another process",
            fix_zh="稍后重试；长期锁定时检查是否有挂起的进程或备份",
            fix_en="Try again later; when it lasts, look for a process or a backup that hangs",
        )
    return UnavailableError(
        "WH-CATALOG-GONE",
        zh="无法访问表目录数据库",
        en="the catalog database cannot be reached",
        fix_zh="检查 SHUTONG_CATALOG_URL、数据库服务与网络后重试；SQLite 文件损坏或丢失时从备份恢复",
        fix_en="Check SHUTONG_CATALOG_URL, the database server and the network, then try again; restore a damaged or"
        " lost SQLite file from a backup",
    )
