"""Whatever kind of system is read, killed at any time and run again, everything of it is there once and in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import EACH, PARTS, PLACES

from infra.testing import mariadb, postgres, sshd

HERE = Path(__file__).parent
PROVE = os.environ.get("SHUTONG_PROVE") == "1"
SEED, KILLS, PROVEN_KILLS = 3, 2, 100
pytestmark = [pytest.mark.kills, pytest.mark.timeout(600)]


def there(kind: str) -> bool:
    """Whether the server of this kind is installed."""
    try:
        {"postgres": postgres.binaries, "mariadb": mariadb.binaries}.get(kind, list)()
    except FileNotFoundError:
        return False
    return kind != "sftp" or Path(sshd.SERVER).exists()


KINDS = [kind for kind in PLACES if os.environ.get("CI") == "true" or there(kind)]


def scenarios(root: Path, seed: int, kills: int, way: str, patience: float) -> dict[str, dict[str, dict]]:
    """What `source_kills.py` tells, by kind and scenario."""
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "source_kills.py"), str(root), str(seed), str(kills), way, *KINDS],
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
        assert killed["seen"]["folders"] == len(killed["seen"]["pieces"]), name
        assert not killed["moved"], name


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict]]:
    return scenarios(tmp_path_factory.mktemp("source-kills"), SEED, KILLS, "pull", 580)


@pytest.mark.parametrize("kind", KINDS)
def test_the_undisturbed_pull_has_something_to_lose(told, kind):
    seen = told[kind]["never"]["seen"]
    assert len(seen["received"]) == PARTS * (EACH + 1)
    assert len(seen["pieces"]) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_pull_killed_again_and_again_brings_every_row_once(told, kind):
    as_if_undisturbed(told[kind])


@pytest.mark.prove
@pytest.mark.timeout(9000)
@pytest.mark.skipif(not PROVE, reason="make prove runs the full counts")
def test_killed_a_hundred_times_on_the_whole_way_the_tables_are_as_if_undisturbed(tmp_path):
    for kind, told in scenarios(tmp_path, 20250401, PROVEN_KILLS, "whole", 8900).items():
        assert told["never"]["seen"]["tables"]["landed"], kind
        as_if_undisturbed(told)
