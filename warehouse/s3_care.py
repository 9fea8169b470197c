"""Look whether a bucket is fit to hold the warehouse, and make one that is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING

import orjson
import urllib3

from schemas.errors import ShutongError
from warehouse.errors import WarehouseError
from warehouse.faults import explained, no_bucket, skewed, unavailable
from warehouse.s3 import CONNECT_SECONDS, Bucket

if TYPE_CHECKING:
    from minio import Minio

SKEW_SECONDS = 300  # beyond which S3 services take no signature (AWS: 15 minutes, others less)
PARTS_DAYS = 7  # after which what an upload left unfinished goes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `error` says what is wrong and what to do; None: nothing is."""

    name: str
    zh: str
    en: str
    error: ShutongError | None = None


def check(bucket: Bucket, *, retain_days: int = 0) -> list[Finding]:
    """Whether the store answers, its clock agrees, the keys count, the bucket is there and can be written.

    The first failure that makes the rest moot ends the list. A file is written, read and removed again; it is under
    the deployment's prefix and never below `land/`.
    """
    found: list[Finding] = []
    steps: Sequence[Callable[[], Iterator[Finding]]] = (
        lambda: _reached(bucket),
        lambda: _bucket(bucket),
        lambda: _locked(bucket, retain_days),
        lambda: _written(bucket),
    )
    for step in steps:
        try:
            found += step()
        except ShutongError as error:
            found.append(Finding(error.code, error.zh, error.en, error))
            break
    return found


def prepare(bucket: Bucket, *, retain_days: int = 0) -> list[Finding]:
    """Make the bucket, with object lock where what is received must be kept; then `check` it.

    A bucket that is there is left as it is but for two things: uploads that were left unfinished go after a week, and
    over https:// whoever asks without it is refused.
    """
    client = bucket.client()
    with explained(bucket.url, bucket=True):
        if not client.bucket_exists(bucket.bucket):
            client.make_bucket(bucket.bucket, bucket.region, object_lock=retain_days > 0)
    _tidy(client, bucket)
    return check(bucket, retain_days=retain_days)


def _reached(bucket: Bucket) -> Iterator[Finding]:
    pool = urllib3.PoolManager(ca_certs=str(bucket.ca) if bucket.ca else None, cert_reqs="CERT_REQUIRED")
    with explained(bucket.endpoint, bucket=True):
        answer = pool.request("GET", bucket.endpoint, timeout=CONNECT_SECONDS, retries=False, redirect=False)
    said = answer.headers.get("Date")
    yield Finding("reached", f"对象存储 {bucket.endpoint} 可达", f"{bucket.endpoint} answers")
    if said is None:
        return
    apart = (datetime.now(UTC) - parsedate_to_datetime(said)) / timedelta(seconds=1)
    if abs(apart) > SKEW_SECONDS:
        raise skewed(bucket.endpoint)
    yield Finding("clock", f"时钟相差 {apart:.0f} 秒", f"the clocks differ by {apart:.0f} s")


def _bucket(bucket: Bucket) -> Iterator[Finding]:
    with explained(bucket.url, bucket=True):
        there = bucket.client().bucket_exists(bucket.bucket)
    if not there:
        raise no_bucket(bucket.url)
    yield Finding(
        "bucket", f"存储桶 {bucket.bucket} 存在，密钥有效", f"bucket {bucket.bucket} is there, the keys count"
    )


def _locked(bucket: Bucket, retain_days: int) -> Iterator[Finding]:
    from minio.error import S3Error

    client = bucket.client()
    versioned = locked = False
    try:
        versioned = client.get_bucket_versioning(bucket.bucket).status == "Enabled"
        locked = client.get_object_lock_config(bucket.bucket) is not None
    except S3Error:  # an answer of its own kind for: never configured
        locked = False
    if retain_days and not locked:
        error = _no_lock(bucket)
        yield Finding("lock", error.zh, error.en, error)
        return
    zh = f"版本控制：{'已启用' if versioned else '未启用'}；对象锁定：{'已启用' if locked else '未启用'}"
    en = f"versioning is {'on' if versioned else 'off'}, object lock is {'on' if locked else 'off'}"
    if versioned and not retain_days:
        zh += "；被删除的文件仍会占用空间，请为非当前版本设置生命周期"
        en += "; removed files go on taking room: have old versions expire"
    yield Finding("lock", zh, en)


def _written(bucket: Bucket) -> Iterator[Finding]:
    client, name = bucket.client(), bucket.key(f"probe/{uuid.uuid4().hex}").partition("/")[2]
    content = b"shutong"
    with explained(bucket.url, bucket=True):
        client.put_object(bucket.bucket, name, BytesIO(content), len(content))
        answer = client.get_object(bucket.bucket, name)
        try:
            same = answer.read() == content
        finally:
            answer.close()
            answer.release_conn()
            client.remove_object(bucket.bucket, name)
    if not same:
        raise unavailable(bucket.url)
    yield Finding("written", "写入、读取、删除均正常", "files can be written, read and removed")


def _tidy(client: Minio, bucket: Bucket) -> None:
    from minio.commonconfig import ENABLED, Filter
    from minio.error import MinioException
    from minio.lifecycleconfig import AbortIncompleteMultipartUpload, LifecycleConfig, Rule

    rule = Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id="shutong-unfinished-uploads",
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days_after_initiation=PARTS_DAYS),
    )
    try:
        if client.get_bucket_lifecycle(bucket.bucket) is None:
            client.set_bucket_lifecycle(bucket.bucket, LifecycleConfig([rule]))
        if bucket.secure:
            client.set_bucket_policy(bucket.bucket, orjson.dumps(_only_tls(bucket)).decode())
    except MinioException:  # not every store knows both; none of them is needed for anything else
        return


def _only_tls(bucket: Bucket) -> dict[str, object]:
    top = f"arn:aws:s3:::{bucket.bucket}"
    refused = {
        "Sid": "OnlyOverTls",
        "Effect": "Deny",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:*"],
        "Resource": [top, f"{top}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [refused]}


def _no_lock(bucket: Bucket) -> ShutongError:
    return WarehouseError(
        "WH-S3-NO-LOCK",
        zh=f"存储桶 {bucket.bucket} 未启用对象锁定，不能保证原始批次在保留期内不被删除",
        en=f"bucket {bucket.bucket} has no object lock: what was received could be removed before its time",
        fix_zh="对象锁定只能在建桶时启用：换一个新桶并执行 shutong store prepare，或设 SHUTONG_S3_RETAIN_DAYS=0",
        fix_en="Object lock can be had when a bucket is made only: name a new one and run shutong store prepare, or set"
        " SHUTONG_S3_RETAIN_DAYS=0",
    )
