"""Killed at any time while others write, followers of PostgreSQL and MariaDB end with what the source has."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.testing import mariadb, postgres

HERE = Path(__file__).parent
PROVE = os.environ.get("SHUTONG_PROVE") == "1"
SEED, KILLS, PROVEN_KILLS = 7, 3, 100
PASSWORD = "plain"
pytestmark = [pytest.mark.kills, pytest.mark.timeout(600)]


@contextlib.contextmanager
def server(kind: str):
    """The address of a server that writes a log of changes."""
    module = {"postgresql": postgres, "mariadb": mariadb}[kind]
    try:
        module.binaries()
    except FileNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{kind} is not installed")
    logged = {"wal_level": "logical"} if kind == "postgresql" else "expire-logs-days = 7\n"
    with module.running(PASSWORD, settings=logged) as running:
        yield running.url()


def told(home: Path, url: str, seed: int, kills: int, patience: float) -> dict:
    """What `follow_kills.py` tells."""
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "follow_kills.py"), str(home), url, str(seed), str(kills)],
        env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((home / "told.json").read_text())


def as_at_the_source(said: dict) -> None:
    assert said["landed"] == said["source"]
    assert len(said["landed"]) > 20
    assert said["published"]
    assert said["behind"] < 1 << 20
    assert {one["code"] for one in said["failed"]} <= {"RUN-INTERRUPTED"}


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_killed_followers_end_with_what_the_source_has(tmp_path, kind):
    with server(kind) as url:
        as_at_the_source(told(tmp_path / "home", url, SEED, KILLS, 300))


@pytest.mark.prove
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not PROVE, reason="make prove runs the full counts")
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_killed_a_hundred_times_followers_end_with_what_the_source_has(tmp_path, kind):
    with server(kind) as url:
        as_at_the_source(told(tmp_path / "home", url, 20250301, PROVEN_KILLS, 2900))
