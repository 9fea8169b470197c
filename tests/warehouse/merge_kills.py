"""Run by test_merge.py: for each point, kill a process there that merges and publishes, and keep what it leaves.

It imports everything first and forks afterwards, before any thread exists: one start for all the kills.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path

from land_factory import in_a_process_of_its_own
from shelf import Shelf
from test_merge import BOTH, STANDARD, deployment

from warehouse.merge import merge
from warehouse.publish import publish


def work(folder: Path) -> None:
    state, tables = deployment(folder)
    merge(state, tables, "legal_person", STANDARD, BOTH)
    publish(state, tables, folder / "serving", "legal_person", STANDARD)


def main(root: Path, points: list[str]) -> None:
    shelf = Shelf(root)
    for point in points:
        assert in_a_process_of_its_own(partial(work, shelf.back()), die_at=point) == signal.SIGKILL, point
        shelf.keep(point)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
