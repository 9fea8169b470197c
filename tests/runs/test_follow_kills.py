"""Killed at any time while others write, followers of PostgreSQL and MariaDB end with what the source has."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from killing import killed, told
from present import needs

from infra.testing import mariadb, postgres

SEED, KILLS, PROVEN_KILLS = 7, 10, 100
PASSWORD = "plain"
pytestmark = [pytest.mark.kills, pytest.mark.timeout(600)]


@contextlib.contextmanager
def server(kind: str):
    """The address of a server that writes a log of changes."""
    module = {"postgresql": postgres, "mariadb": mariadb}[kind]
    needs(module)
    logged = {"wal_level": "logical"} if kind == "postgresql" else "expire-logs-days = 7\n"
    with module.running(PASSWORD, settings=logged) as running:
        yield running.url()


def ends_with_what_the_source_has(home: Path, kind: str, seed: int, kills: int, patience: float) -> None:
    with server(kind) as url:
        killed("follow_kills.py", home, url, seed, kills, patience=patience)
    said = told(home)["told"]
    assert said["kills"] == kills
    assert said["landed"] == said["source"]
    assert len(said["landed"]) > 20
    assert said["published"]
    assert said["behind"] < 1 << 20
    assert {one["code"] for one in said["failed"]} <= {"RUN-INTERRUPTED"}


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_killed_followers_end_with_what_the_source_has(tmp_path, kind):
    ends_with_what_the_source_has(tmp_path, kind, SEED, KILLS, 300)


@pytest.mark.prove
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_killed_a_hundred_times_followers_end_with_what_the_source_has(tmp_path, kind):
    ends_with_what_the_source_has(tmp_path, kind, 20250301, PROVEN_KILLS, 2900)
