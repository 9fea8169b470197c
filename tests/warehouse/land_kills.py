"""Run by test_land_kills.py: for each point, kill a process there, then run again, each from the same first landing.

It imports everything first and forks afterwards, before any thread exists: one start for all the kills.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from land_factory import Record, Warehouse, deletion, in_a_process_of_its_own
from shelf import Shelf

FIRST = [Record(f"A{n}", "2026-01-01", "甲") for n in range(6)] + [Record("B0", None, "𠮷", ok=False)]
SECOND = [
    *(Record(f"A{n}", "2026-02-01", "乙𠮷") for n in range(3, 6)),
    Record("A0", "2025-01-01", "旧"),
    Record("A1", "2026-01-01", "甲"),
    Record("C1", None, "丙"),
    Record("C1", "2026-03-01", "丁"),
    Record("B1", None, "坏", ok=False),
    deletion("A2"),
]
THIRD = [Record("A5", "2026-03-01", "戊"), Record("D1", None, "己"), Record("B2", None, "坏", ok=False)]
ANOTHER_AFTER = ["pull.committed", "land.quarantine_committed", "land.passed_committed", "land.released"]


def ingest(folder: Path, records: list[Record], run: str):
    def work() -> None:
        Warehouse(folder).ingest(records, run)

    return work


def main(root: Path, points: list[str]) -> None:
    shelf = Shelf(root)
    folder = shelf.place
    folder.mkdir()
    assert in_a_process_of_its_own(ingest(folder, FIRST, "run-1")) == 0
    shelf.keep()
    for point in ["never", *points]:
        shelf.back()
        killed = in_a_process_of_its_own(ingest(folder, SECOND, "run-2"), die_at=None if point == "never" else point)
        assert killed == (0 if point == "never" else signal.SIGKILL), (point, killed)
        assert in_a_process_of_its_own(ingest(folder, SECOND, "run-2")) == 0
        assert in_a_process_of_its_own(ingest(folder, SECOND, "run-2-again")) == 0
        shelf.keep(point)
    for point in ["never", *ANOTHER_AFTER]:
        shelf.back()
        if point != "never":
            assert in_a_process_of_its_own(ingest(folder, SECOND, "run-2"), die_at=point) == signal.SIGKILL
        assert in_a_process_of_its_own(ingest(folder, THIRD, "run-3")) == 0
        shelf.keep(f"{point}-then-another")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
