"""The four pairs of place and catalog that behave alike: folder or bucket, SQLite or PostgreSQL."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from land_factory import Warehouse

from infra.testing.postgres import Postgres
from infra.testing.seaweed import Seaweed
from warehouse.s3 import Bucket

PAIRS = [f"{place}-{catalog}" for place in ("folder", "bucket") for catalog in ("sqlite", "postgres")]
_numbers = itertools.count()


@dataclass(frozen=True)
class Pair:
    """One place and one catalog, as long as nobody else uses them; may be sent to another process."""

    folder: Path
    bucket: Bucket | None
    url: str | None

    def open(self) -> Warehouse:
        return Warehouse(self.folder, self.bucket, self.url)


def bucket_of(server: Seaweed, name: str, **changed) -> Bucket:
    said = {"access_key": server.access_key, "secret_key": server.secret_key, "endpoint": server.endpoint}
    return Bucket(**{**said, "bucket": name, "prefix": "数通/lake", **changed})


def fresh(kind: str, folder: Path, bucket_server: Seaweed | None, database_server: Postgres | None) -> Pair:
    """A place of that kind that nobody has used."""
    place, _, catalog = kind.partition("-")
    number, bucket, url = next(_numbers), None, None
    folder.mkdir(parents=True, exist_ok=True)
    if place == "bucket":
        bucket = bucket_of(bucket_server, f"lake-{number}")
        bucket.client().make_bucket(bucket.bucket)
    if catalog == "postgres":
        with database_server.connect() as connection:
            connection.execute(f"CREATE DATABASE lake_{number}")
        url = database_server.url(f"lake_{number}")
    return Pair(folder, bucket, url)
