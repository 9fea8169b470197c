"""Run by test_taken_back.py: kill a process that goes back to an earlier release at each point, then let others work.

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
from shelf import Shelf

from warehouse.land import landed_table, lock_name, quarantine_table
from warehouse.rollback import Going, Target, roll_back

importlib.import_module("pyiceberg.io.pyarrow")
ALL = [
    (point, after)
    for point in ("rollback.head", "rollback.heads", "rollback.released")
    for after in ("again", "another")
]
SOME = [("rollback.head", "another"), ("rollback.heads", "again"), ("rollback.released", "another")]


def target(warehouse: Warehouse) -> Target:
    tables = (landed_table(RESOURCE), quarantine_table(RESOURCE))
    return Target(RESOURCE, tables, partial(warehouse.store.lock, lock_name(RESOURCE)))


def back(warehouse: Warehouse, number: int, run: str = "back-1") -> Going:
    return roll_back(warehouse.state, warehouse.tables, target(warehouse), number, run=run, who="mgr", why="误入库")


def going(folder: Path, run: str):
    def work() -> None:
        back(Warehouse(folder), 1, run)

    return work


def landed(folder: Path) -> None:
    made = Warehouse(folder)
    made.ingest(FIRST, "run-1")
    made.ingest(SECOND, "run-2")
    made.close()


def main(root: Path, cases: list[str]) -> None:
    shelf = Shelf(root)
    shelf.place.mkdir()
    assert in_a_process_of_its_own(partial(landed, shelf.place)) == 0
    shelf.keep()
    for case in cases:
        folder = shelf.back()
        point, _, after = case.partition("-then-")
        assert in_a_process_of_its_own(going(folder, "back-1"), die_at=point) == signal.SIGKILL
        work = going(folder, "back-2") if after == "again" else ingest(folder, THIRD, "run-3")
        assert in_a_process_of_its_own(work) == 0, case
        shelf.keep(case)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
