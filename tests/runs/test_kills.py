"""Killed anywhere on the way from source to publication and run again, the outcome is that of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingest_kills import AGAIN, TABLES
from killing import as_if_undisturbed, killed, told

from schemas.points import POINTS

SEED, KILLS, PROVEN_KILLS = 1, 10, 67  # the last in each way the command can come again
pytestmark = [pytest.mark.kills, pytest.mark.timeout(1200)]


def scenarios(root: Path, seed: int, kills: int, *only: str, patience: float) -> dict[str, dict]:
    """What `ingest_kills.py` tells of each scenario, by name; the random kills need it to have found living targets."""
    killed("ingest_kills.py", root, seed, kills, *only, patience=patience)
    return told(root)


def as_if_nobody_killed(each: dict[str, dict], name: str) -> None:
    undisturbed = f"never, {name.rpartition(', ')[2]}"
    as_if_undisturbed({one: each[one] for one in (undisturbed, name)}, undisturbed)
    assert each[name]["seen"]["unseen snapshots"] == []


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return scenarios(tmp_path_factory.mktemp("kills") / "run", SEED, KILLS, patience=1150)


@pytest.mark.parametrize("again", AGAIN)
def test_the_undisturbed_command_has_something_to_lose(each, again):
    seen = each[f"never, {again}"]["seen"]
    assert set(seen["rows"]) == set(TABLES)
    # Every row here has a key of its own, so that the cross-walk has nothing to say; tests/warehouse/test_merge.py
    # kills merges whose rows have none.
    assert [table for table, rows in seen["rows"].items() if not rows] == ["base.legal_person_xref"]
    assert seen["rows"]["std_scjg.firms"] == 150
    assert seen["rows"]["base.legal_person"] == 170
    assert seen["published"][0] == 170
    assert seen["unseen snapshots"] == []
    assert each[f"never, {again}"]["moved"] is False


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_the_point_and_run_again_everything_is_as_if_undisturbed(each, point):
    names = [name for name in each if name.startswith(f"{point}, ")]
    assert names, f"{point} was never reached"
    for name in names:
        as_if_nobody_killed(each, name)


def as_if_nobody_killed_at_random(each: dict[str, dict], kills: int) -> None:
    assert each["summary"]["random kills"] >= kills
    at_random = [name for name in each if name.startswith("random ")]
    assert at_random
    for name in at_random:
        as_if_nobody_killed(each, name)


def test_killed_at_random_everything_is_as_if_undisturbed(each):
    as_if_nobody_killed_at_random(each, KILLS)


@pytest.mark.prove
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("again", AGAIN)
def test_killed_two_hundred_times_at_random_everything_is_as_if_undisturbed(tmp_path, again):
    each = scenarios(tmp_path / "run", 20241231, PROVEN_KILLS, again, patience=2900)
    for point in POINTS:
        as_if_nobody_killed(each, f"{point}, {again}")
    as_if_nobody_killed_at_random(each, PROVEN_KILLS)
