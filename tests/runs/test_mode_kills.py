"""However a source is read again, each of its changes is applied once, whenever and however often a run is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import as_if_undisturbed, killed, told
from mode_kills import KINDS

SEED, KILLS, PROVEN_KILLS = 7, 10, 100
pytestmark = [pytest.mark.kills, pytest.mark.timeout(1200)]


def scenarios(root: Path, seed: int, kills: int, *kinds: str, patience: float) -> dict[str, dict[str, dict]]:
    """What `mode_kills.py` tells, by kind and scenario."""
    killed("mode_kills.py", root, seed, kills, *kinds, patience=patience)
    return {kind: told(root / kind) for kind in kinds}


def every_change_is_applied_once(said: dict[str, dict]) -> None:
    as_if_undisturbed(said)
    for name, one in said.items():
        assert one["seen"]["snapshot"], name
        assert not one["seen"]["unseen"], name


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict]]:
    return scenarios(tmp_path_factory.mktemp("mode-kills"), SEED, KILLS, *KINDS, patience=1150)


@pytest.mark.parametrize("kind", KINDS)
def test_the_undisturbed_second_day_has_something_to_lose(each, kind):
    applied = each[kind]["never"]["seen"]["applied"]
    assert applied["landed"] > 120
    assert applied["quarantined"] > 0
    assert (applied["deleted"] > 0) == (kind in {"snapshot_diff", "key_sweep"})


@pytest.mark.parametrize("kind", KINDS)
def test_killed_again_and_again_every_change_is_applied_once(each, kind):
    every_change_is_applied_once(each[kind])


@pytest.mark.prove
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_a_hundred_times_every_change_is_applied_once(tmp_path, kind):
    every_change_is_applied_once(scenarios(tmp_path, 20250301, PROVEN_KILLS, kind, patience=2900)[kind])
