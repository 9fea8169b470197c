"""Killed anywhere on the way from source to publication and run again, the outcome is that of an undisturbed run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ingest_kills import AGAIN, TABLES

from schemas.points import POINTS

HERE = Path(__file__).parent
SEED = 1
RANDOM_KILLS = 200
PROVE = os.environ.get("SHUTONG_PROVE") == "1"
pytestmark = [pytest.mark.kills, pytest.mark.timeout(600)]


def scenarios(root: Path, seed: int, kills: int, patience: float) -> dict[str, dict]:
    """What `ingest_kills.py` tells of each scenario, by name; the random kills need it to have found living targets."""
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "ingest_kills.py"), str(root), str(seed), str(kills)],
        env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {path.stem: json.loads(path.read_text()) for path in root.glob("*, *.json")} | {
        "summary": json.loads((root / "summary.json").read_text())
    }


def as_if_undisturbed(told: dict[str, dict], name: str) -> None:
    again = name.rpartition(", ")[2]
    undisturbed, killed = told[f"never, {again}"], told[name]
    assert killed["seen"] == undisturbed["seen"]
    assert killed["seen"]["unseen snapshots"] == []
    assert killed["moved"] is False


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return scenarios(tmp_path_factory.mktemp("kills") / "run", SEED, 0, 580)


@pytest.mark.parametrize("again", AGAIN)
def test_the_undisturbed_command_has_something_to_lose(told, again):
    seen = told[f"never, {again}"]["seen"]
    assert set(seen["rows"]) == set(TABLES)
    assert all(seen["rows"].values())
    assert seen["rows"]["std_scjg.firms"] == 150
    assert seen["rows"]["base.legal_person"] == 170
    assert seen["published"][0] == 170
    assert seen["unseen snapshots"] == []
    assert told[f"never, {again}"]["moved"] is False


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_the_point_and_run_again_everything_is_as_if_undisturbed(told, point):
    names = [name for name in told if name.startswith(f"{point}, ")]
    assert names, f"{point} was never reached"
    for name in names:
        as_if_undisturbed(told, name)


@pytest.mark.prove
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not PROVE, reason="make prove runs the full counts")
def test_killed_two_hundred_times_at_random_everything_is_as_if_undisturbed(tmp_path):
    told = scenarios(tmp_path / "run", 20241231, RANDOM_KILLS, 2900)
    assert told.pop("summary")["random kills"] >= RANDOM_KILLS
    for point in POINTS:
        for again in AGAIN:
            as_if_undisturbed(told, f"{point}, {again}")
    at_random = [name for name in told if name.startswith("random ")]
    assert at_random
    for name in at_random:
        as_if_undisturbed(told, name)
