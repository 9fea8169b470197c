"""The four pairs of place and catalog that behave alike: folder or bucket, SQLite or PostgreSQL."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from land_factory import RESOURCE, Warehouse

from infra.testing.postgres import Postgres
from infra.testing.seaweed import Seaweed
from warehouse.land import landed_table, quarantine_table
from warehouse.s3 import Bucket
from warehouse.state import State

PAIRS = [f"{place}-{catalog}" for place in ("folder", "bucket") for catalog in ("sqlite", "postgres")]
ENDS = [PAIRS[0], *(pytest.param(one, marks=pytest.mark.prove) for one in PAIRS[1:3]), PAIRS[3]]  # the others: proven
HERE = Path(__file__).parent
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


@cache
def _migrated(server: Postgres) -> str:
    """A database that was migrated, for others to be copies of."""
    with server.connect() as connection:
        connection.execute("CREATE DATABASE migrated")
    state = State(server.url("migrated"))
    state.migrate()
    state.close()
    return "migrated"


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
            connection.execute(f"CREATE DATABASE lake_{number} TEMPLATE {_migrated(database_server)}")
        url = database_server.url(f"lake_{number}")
    return Pair(folder, bucket, url)


def run_kills(
    plan: Path,
    pairs: Mapping[str, Pair],
    *,
    points: Sequence[str] = (),
    kills: int = 0,
    seed: int = 0,
    patience: float = 240,
) -> dict[str, dict[str, str]]:
    """Run pair_kills.py: killed at the points, or so often at random; what it tells of each pair."""
    plan.write_bytes(pickle.dumps({"pairs": dict(pairs), "points": list(points), "kills": kills, "seed": seed}))
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    command = [sys.executable, str(HERE / "pair_kills.py"), str(plan)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, timeout=patience, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(plan.with_suffix(".json").read_text())


def assert_released(warehouse) -> None:
    """No snapshot is left that readers do not see."""
    for table in (landed_table(RESOURCE), quarantine_table(RESOURCE)):
        head = warehouse.tables.head(table)
        assert (head.snapshot if head else None) == warehouse.state.released(table)
