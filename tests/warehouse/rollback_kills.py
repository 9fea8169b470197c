"""Run by test_rollback.py: kill a process that goes back to an earlier release at each point, then let others work.

It imports everything first and forks afterwards, before any thread exists: one start for all the kills.
"""

from __future__ import annotations

import importlib
import signal
import sys
from functools import partial
from pathlib import Path

from land_factory import RESOURCE, Warehouse, in_a_process_of_its_own
from land_kills import FIRST, SECOND, THIRD, ingest

from warehouse.land import landed_table, lock_name, quarantine_table
from warehouse.rollback import Going, Target, roll_back

importlib.import_module("pyiceberg.io.pyarrow")
POINTS = ("rollback.head", "rollback.heads", "rollback.released")


def target(warehouse: Warehouse) -> Target:
    tables = (landed_table(RESOURCE), quarantine_table(RESOURCE))
    return Target(RESOURCE, tables, partial(warehouse.store.lock, lock_name(RESOURCE)))


def back(warehouse: Warehouse, number: int, run: str = "back-1") -> Going:
    return roll_back(warehouse.state, warehouse.tables, target(warehouse), number, run=run, who="mgr", why="误入库")


def going(folder: Path, run: str):
    def work() -> None:
        back(Warehouse(folder), 1, run)

    return work


def main(root: Path) -> None:
    for point in POINTS:
        for after in ("again", "another"):
            folder = root / f"{point}-then-{after}"
            assert in_a_process_of_its_own(ingest(folder, FIRST, "run-1")) == 0
            assert in_a_process_of_its_own(ingest(folder, SECOND, "run-2")) == 0
            assert in_a_process_of_its_own(going(folder, "back-1"), die_at=point) == signal.SIGKILL
            work = going(folder, "back-2") if after == "again" else ingest(folder, THIRD, "run-3")
            assert in_a_process_of_its_own(work) == 0, folder


if __name__ == "__main__":
    main(Path(sys.argv[1]))
