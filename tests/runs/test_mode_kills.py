"""However a source is read again, each of its changes is applied once, whenever and however often a run is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mode_kills import KINDS

HERE = Path(__file__).parent
PROVE = os.environ.get("SHUTONG_PROVE") == "1"
SEED, KILLS, PROVEN_KILLS = 7, 3, 100
pytestmark = [pytest.mark.kills, pytest.mark.timeout(600)]


def scenarios(root: Path, seed: int, kills: int, patience: float) -> dict[str, dict[str, dict]]:
    """What `mode_kills.py` tells, by kind and scenario."""
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "mode_kills.py"), str(root), str(seed), str(kills), *KINDS],
        env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {kind: {path.stem: json.loads(path.read_text()) for path in (root / kind).glob("*.json")} for kind in KINDS}


def as_if_undisturbed(told: dict[str, dict]) -> None:
    undisturbed = told["never"]
    assert len(told) > 1
    for name, killed in told.items():
        assert killed["seen"] == undisturbed["seen"], name
        assert killed["seen"]["snapshot"], name
        assert not killed["seen"]["unseen"], name
        assert not killed["moved"], name


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict]]:
    return scenarios(tmp_path_factory.mktemp("mode-kills"), SEED, KILLS, 580)


@pytest.mark.parametrize("kind", KINDS)
def test_the_undisturbed_second_day_has_something_to_lose(told, kind):
    applied = told[kind]["never"]["seen"]["applied"]
    assert applied["landed"] > 120
    assert applied["quarantined"] > 0
    assert (applied["deleted"] > 0) == (kind in {"snapshot_diff", "key_sweep"})


@pytest.mark.parametrize("kind", KINDS)
def test_killed_again_and_again_every_change_is_applied_once(told, kind):
    as_if_undisturbed(told[kind])


@pytest.mark.prove
@pytest.mark.timeout(6000)
@pytest.mark.skipif(not PROVE, reason="make prove runs the full counts")
def test_killed_a_hundred_times_every_change_is_applied_once(tmp_path):
    for told in scenarios(tmp_path, 20250301, PROVEN_KILLS, 5900).values():
        as_if_undisturbed(told)
