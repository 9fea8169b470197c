"""A process killed while it lands into a bucket or through PostgreSQL, then run again, leaves what it would have left."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from land_factory import RESOURCE
from pair_kills import EACH, SHARED
from pairs import PAIRS, Pair, fresh

from warehouse.land import landed_table, quarantine_table

HERE = Path(__file__).parent
POINTS = ["land.quarantine_committed", "land.files_written"]
SEED, PROVEN_KILLS = 7, 52  # the last for each pair
pytestmark = [pytest.mark.kills]


def run(plan: Path, pairs: Mapping[str, Pair], kills: int, patience: float) -> dict[str, dict[str, str]]:
    plan.write_bytes(pickle.dumps({"pairs": dict(pairs), "points": POINTS, "kills": kills, "seed": SEED}))
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    command = [sys.executable, str(HERE / "pair_kills.py"), str(plan)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, timeout=patience, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(plan.with_suffix(".json").read_text())


def test_killed_in_a_bucket_and_run_again_all_is_there_and_writers_at_once_lose_nothing(
    tmp_path: Path, bucket_server, database_server
) -> None:
    pair = fresh("bucket-postgres", tmp_path / "work", bucket_server, database_server)
    run(tmp_path / "plan", {"bucket-postgres": pair}, 0, 240)
    warehouse = pair.open()
    try:
        found = {row["code"]: row["name"] for row in warehouse.landed()}
        assert found == {"A0": "甲", "A1": "甲", "A3": "乙𠮷", "A4": "乙𠮷", "A5": "戊", "C1": "丁", "D1": "己"}
        assert len(warehouse.quarantined()) == 3
        assert len(warehouse.store.folders("land")) == 3
        assert_released(warehouse)
        head = warehouse.tables.head(SHARED)
        keys = warehouse.tables.read(SHARED, head.snapshot, ["k"])["k"].to_pylist()
        assert sorted(keys) == sorted(["both", *(f"{me}{n}" for me in "ab" for n in range(EACH))])
    finally:
        warehouse.close()


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_killed_at_random_in_every_pair_nothing_is_lost_or_doubled(
    tmp_path: Path, bucket_server, database_server
) -> None:
    pairs = {kind: fresh(kind, tmp_path / kind, bucket_server, database_server) for kind in PAIRS}
    truths = run(tmp_path / "plan", pairs, PROVEN_KILLS, 3500)
    for kind, truth in truths.items():
        warehouse = pairs[kind].open()
        assert {row["code"]: row["name"] for row in warehouse.landed()} == truth, kind
        assert len(warehouse.landed()) == len(truth), kind
        assert_released(warehouse)
        warehouse.close()


def assert_released(warehouse) -> None:
    """No snapshot is left that readers do not see."""
    for table in (landed_table(RESOURCE), quarantine_table(RESOURCE)):
        head = warehouse.tables.head(table)
        assert (head.snapshot if head else None) == warehouse.state.released(table)
