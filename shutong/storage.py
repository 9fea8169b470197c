"""Open the store of raw files and the tables where the settings say they lie: a folder, or a bucket with its keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.options import Secrets
from shutong.settings import SettingError, Settings
from warehouse.lock import FileLocks, Locks
from warehouse.store import LocalStore, ObjectStore

if TYPE_CHECKING:  # a process that takes pushes has no use for what reads tables
    from warehouse.backup import Place
    from warehouse.s3 import Bucket
    from warehouse.site import Site
    from warehouse.tables import Tables

_S3_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>[A-Za-z0-9._/-]*))?")
ACCESS_KEY, SECRET_KEY = "s3_access_key", "s3_secret_key"  # the names of the secrets


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of the warehouse lie. `work` is a folder of this machine; `bucket` None: `folder` holds all."""

    folder: Path
    work: Path
    bucket: Bucket | None
    catalog_url: str
    locks: Locks
    retain_days: int

    def store(self) -> ObjectStore:
        """Where raw files rest."""
        if self.bucket is None:
            return LocalStore(self.folder, self.locks)
        from warehouse.s3_store import BucketStore

        return BucketStore(self.bucket, self.work, self.locks, retain_days=self.retain_days)

    def tables(self) -> Tables:
        """The tables; made where they are not there yet."""
        from warehouse.tables import Tables

        return Tables(self.site(), self.catalog_url, self.locks)

    def site(self) -> Site:
        """Where table files rest."""
        if self.bucket is None:
            from warehouse.site import FolderSite

            return FolderSite(self.work)
        from warehouse.s3 import BucketSite

        return BucketSite(self.bucket.below("tables"), self.work)


def backups(settings: Settings, where: Places) -> Place:
    """Where backups lie, and which databases they are of."""
    from warehouse.backup import Place

    return Place(settings.storage.backups, settings.state_url, where.catalog_url)


def places(settings: Settings, secrets: Secrets) -> Places:
    """What the settings say, put together; SYS-SETTING for what cannot be used. Nothing is opened yet."""
    said, home = settings.storage, settings.home
    in_bucket = said.url.startswith("s3://")
    folder = home / "warehouse" if in_bucket or not said.url else _folder(said.url)
    shared = not settings.state_url.startswith("sqlite")
    catalog = said.catalog_url or (settings.state_url if in_bucket and shared else f"sqlite:///{home}/state/catalog.db")
    return Places(
        folder=folder,
        work=folder / "tables",
        bucket=_bucket(settings, secrets) if in_bucket else None,
        catalog_url=catalog,
        locks=_shared_locks(settings.state_url) if shared else FileLocks(folder / "locks"),
        retain_days=said.retain,
    )


def _shared_locks(url: str) -> Locks:
    from warehouse.state.locks import AdvisoryLocks

    return AdvisoryLocks(url)


def _folder(url: str) -> Path:
    if "://" in url.removeprefix("file://"):
        raise _refused("SHUTONG_WAREHOUSE_URL", url, "写目录或 s3://桶/前缀", "Write a folder or s3://bucket/prefix")
    return Path(url.removeprefix("file://")).expanduser().resolve()


def _bucket(settings: Settings, secrets: Secrets) -> Bucket:
    said = settings.storage
    found = _S3_URL.fullmatch(said.url)
    if found is None:
        raise _refused(
            "SHUTONG_WAREHOUSE_URL",
            said.url,
            "写 s3://桶/前缀，前缀只用字母、数字、点、横线、下划线与斜线",
            "Write s3://bucket/prefix, the prefix of letters, digits, dots, dashes, underscores and slashes only",
        )
    if not re.fullmatch(r"https?://[^/@\s]+", said.endpoint):
        raise _refused(
            "SHUTONG_S3_ENDPOINT",
            said.endpoint if "@" not in said.endpoint else "…@…",
            "写 https://主机:端口，不含路径与密码",
            "Write https://host:port, without a path or a password",
        )
    from warehouse.s3 import Bucket

    return Bucket(
        endpoint=said.endpoint,
        bucket=found["bucket"],
        prefix=(found["prefix"] or "").strip("/"),
        access_key=secrets.get(ACCESS_KEY),
        secret_key=secrets.get(SECRET_KEY),
        region=said.region,
        virtual=said.addressing == "virtual",
        ca=said.ca,
    )


def _refused(name: str, value: str, fix_zh: str, fix_en: str) -> SettingError:
    return SettingError(
        "SYS-SETTING",
        zh=f"{name}=“{value}”不能用",
        en=f"{name}='{value}' cannot be used",
        fix_zh=fix_zh,
        fix_en=fix_en,
    )
