"""A process killed at any point of pulling and landing, then run again, leaves what an undisturbed run leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from land_factory import RESOURCE, Warehouse
from land_kills import ANOTHER_AFTER
from shelf import Shelf

from schemas.points import POINTS
from warehouse.land import landed_table, quarantine_table

HERE = Path(__file__).parent
ELSEWHERE = {"pull.snapshot_written"}  # only sources that are compared with a snapshot come there
KILLED_AT = [
    point
    for point in POINTS
    if (point.startswith(("pull.", "land.")) and point not in ELSEWHERE) or point == "check.kept"
]
pytestmark = pytest.mark.kills


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    root = tmp_path_factory.mktemp("kills")
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "land_kills.py"), str(root), *KILLED_AT],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Shelf(root)


@cache
def seen(shelf: Shelf, case: str) -> dict[str, object]:
    """All a reader sees, but for the instants."""
    warehouse = Warehouse(shelf.back(case))
    try:
        return {
            "landed": warehouse.landed(),
            "quarantined": warehouse.quarantined(),
            "counts": [dict(one.counts) for one in warehouse.state.releases()],
            "position": warehouse.state.position(RESOURCE),
            "batches": [(one.batch, one.rows) for one in warehouse.state.manifests(RESOURCE)],
            "raw folders": len(warehouse.store.folders("land")),
        }
    finally:
        warehouse.close()


@pytest.mark.parametrize("point", KILLED_AT)
def test_killed_and_run_again_everything_is_as_if_undisturbed(shelf: Shelf, point: str) -> None:
    undisturbed, killed = seen(shelf, "never"), seen(shelf, point)
    assert killed == undisturbed
    assert len(undisturbed["landed"]) == 6
    assert len(undisturbed["quarantined"]) == 2
    assert undisturbed["counts"][0] == {"landed": 4, "quarantined": 1, "superseded": 3, "deleted": 1}


@pytest.mark.parametrize("point", KILLED_AT)
def test_no_snapshot_is_left_that_readers_do_not_see(shelf: Shelf, point: str) -> None:
    warehouse = Warehouse(shelf.back(point))
    for table in (landed_table(RESOURCE), quarantine_table(RESOURCE)):
        head = warehouse.tables.head(table)
        assert head is not None
        assert head.snapshot == warehouse.state.released(table)
    warehouse.close()


@pytest.mark.parametrize("point", [one for one in ANOTHER_AFTER if one != "land.released"])
def test_another_run_takes_nothing_over_from_one_that_died(shelf: Shelf, point: str) -> None:
    undisturbed, after = seen(shelf, "never-then-another"), seen(shelf, f"{point}-then-another")
    assert after["landed"] == undisturbed["landed"]
    assert after["quarantined"] == undisturbed["quarantined"]
    assert after["counts"] == undisturbed["counts"]


def test_what_a_run_released_before_it_died_stays(shelf: Shelf) -> None:
    warehouse = Warehouse(shelf.back("land.released-then-another"))
    names = {row["code"]: row["name"] for row in warehouse.landed()}
    warehouse.close()
    assert names == {"A0": "甲", "A1": "甲", "A3": "乙𠮷", "A4": "乙𠮷", "A5": "戊", "C1": "丁", "D1": "己"}
