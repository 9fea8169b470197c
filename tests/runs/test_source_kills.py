"""Whatever kind of system is read, killed at any time and run again, everything of it is there once and in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from killing import as_if_undisturbed, killed, told
from places import EACH, PARTS, PLACES

from infra.testing import mariadb, postgres, sshd

SEED, KILLS, PROVEN_KILLS = 3, 10, 100
pytestmark = [pytest.mark.kills, pytest.mark.timeout(1200)]


def there(kind: str) -> bool:
    """Whether the server of this kind is installed."""
    try:
        {"postgres": postgres.binaries, "mariadb": mariadb.binaries}.get(kind, list)()
    except FileNotFoundError:
        return False
    return kind != "sftp" or Path(sshd.SERVER).exists()


TRIED = [kind for kind in PLACES if os.environ.get("CI") == "true" or there(kind)]
MISSING = pytest.mark.skip(reason="the server of this kind is not installed")
KINDS = [kind if kind in TRIED else pytest.param(kind, marks=MISSING) for kind in PLACES]


def scenarios(root: Path, seed: int, kills: int, way: str, *kinds: str, patience: float) -> dict[str, dict[str, dict]]:
    """What `source_kills.py` tells, by kind and scenario."""
    killed("source_kills.py", root, seed, kills, way, *kinds, patience=patience)
    return {kind: told(root / kind) for kind in kinds}


def every_row_is_there_once(said: dict[str, dict]) -> None:
    as_if_undisturbed(said)
    for name, one in said.items():
        assert one["seen"]["folders"] == len(one["seen"]["pieces"]), name


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict]]:
    return scenarios(tmp_path_factory.mktemp("source-kills"), SEED, KILLS, "pull", *TRIED, patience=1150)


@pytest.mark.parametrize("kind", KINDS)
def test_the_undisturbed_pull_has_something_to_lose(each, kind):
    seen = each[kind]["never"]["seen"]
    assert len(seen["received"]) == PARTS * (EACH + 1)
    assert len(seen["pieces"]) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_pull_killed_again_and_again_brings_every_row_once(each, kind):
    every_row_is_there_once(each[kind])


@pytest.mark.prove
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_a_hundred_times_on_the_whole_way_the_tables_are_as_if_undisturbed(tmp_path, kind):
    said = scenarios(tmp_path, 20250401, PROVEN_KILLS, "whole", kind, patience=2900)[kind]
    assert said["never"]["seen"]["tables"]["landed"]
    every_row_is_there_once(said)
