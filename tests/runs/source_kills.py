"""Run by test_source_kills.py: kill the reading of every kind of departmental system at random times, read again.

Like ingest_kills.py it imports everything and forks after a first day, here of a folder of files that no kill concerns.
What is killed is the pull or, as in `make prove`, the whole way to the table; it tells what is durable then.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import time
from functools import partial
from pathlib import Path

# What reading imports on the way; forked children have it already.
import asyncssh
import httpx
import pyarrow.csv
import pymysql
import sqlalchemy.dialects.mysql.pymysql
import sqlalchemy.dialects.postgresql.psycopg
from forks import done, struck, warmed
from places import EACH, PARTS, PLACES, Arranged, as_json, rows
from small_deployment import csv_source, drop, opened

import connectors.databases.mysql
import connectors.databases.source
import connectors.files.sftp
import connectors.files.source
import connectors.services.rest
import runs.steps
from runs.accept import Pushed, accept
from shutong.wiring import Wired
from warehouse.keep import keep_pieces, received

__all__ = ["asyncssh", "connectors", "httpx", "pyarrow", "pymysql", "sqlalchemy"]
RESOURCE = "scjg.firms"
KILLS_IN_A_ROW = 4


def command(arranged: Arranged, home: Path, run: str, *, whole: bool) -> None:
    """Pull, one piece for each part; the department pushes first where it is the one that calls. Then check and land."""
    runs.steps.keep_pieces = partial(keep_pieces, piece_rows=EACH)
    with opened(home, **arranged.secrets) as wired:
        for part in range(PARTS if arranged.pushed else 0):
            body = as_json(part)
            batch = Pushed(f"b{part}", "application/json", body, hashlib.sha256(body).hexdigest())
            accept(wired.store, wired.state, wired.deployment.resource(RESOURCE), batch)
        for step in (wired.steps.pull, wired.steps.check, wired.steps.land)[: 3 if whole else 1]:
            step(RESOURCE, run)


def first_day(home: Path, *, whole: bool) -> None:
    """What every kind does in the same way, once, over files."""
    arranged = Arranged(csv_source())
    arranged.deployment(home)
    drop(home, "day-1.csv", rows(0))
    command(arranged, home, "day-1", whole=whole)


def kept(wired: Wired) -> dict[str, object]:
    """The rows as received, in the order they came, and how many folders hold them."""
    manifests = list(reversed(wired.state.manifests(RESOURCE)))
    tables = [received(wired.store, one) for one in manifests]
    return {
        "received": [list(row.values()) for table in tables for row in table.to_pylist()],
        "pieces": [one.rows for one in manifests],
        "folders": len(wired.store.folders("land")),
    }


def again(arranged: Arranged, *, whole: bool) -> bool:
    """Whether another run can be expected to move nothing: a pull alone of a whole table always brings something."""
    return whole or arranged.remembers


def finish(arranged: Arranged, home: Path, run: str, told: Path, *, whole: bool) -> None:
    """Run to the end, tell what is there, and whether one more run moves anything."""
    command(arranged, home, run, whole=whole)
    with opened(home, **arranged.secrets) as wired:
        said = kept(wired)
        if whole:
            from mode_kills import seen

            said["tables"] = seen(wired)
        releases = len(wired.state.releases(10**6))
    moved = False
    if again(arranged, whole=whole):
        command(arranged, home, f"{run}-once-more", whole=whole)
        with opened(home, **arranged.secrets) as wired:
            moved = len(wired.state.releases(10**6)) != releases
            if arranged.remembers:
                moved |= kept(wired) != {name: said[name] for name in said if name != "tables"}
    told.write_text(json.dumps({"seen": said, "moved": moved}, default=str), encoding="utf-8")


class Scenarios:
    """One kind of system, and a deployment below `root` that has taken nothing of it at the start of each scenario."""

    def __init__(self, arranged: Arranged, root: Path, chance: random.Random, *, whole: bool) -> None:
        self._arranged, self._root, self._chance, self._whole = arranged, root, chance, whole
        self._home, self._first = root / "home", root / "first"
        assert done(lambda: arranged.deployment(self._home)) == 0
        shutil.copytree(self._home, self._first)
        start = time.monotonic()
        self._finish("day-1", "never")
        self._lasts = (time.monotonic() - start) / (1 + again(arranged, whole=whole))

    def _restore(self) -> None:
        shutil.rmtree(self._home)
        shutil.copytree(self._first, self._home)

    def _finish(self, run: str, name: str) -> None:
        told = self._root / f"{name}.json"
        ended = done(lambda: finish(self._arranged, self._home, run, told, whole=self._whole))
        assert ended == 0, (self._root.name, name)

    def at_random(self, number: int, most: int) -> int:
        """Killed some times in a row, run by run or the same run again, then to the end; how many met their target."""
        self._restore()
        same, kills = bool(number % 2), 0
        for attempt in range(min(KILLS_IN_A_ROW, most)):
            run = "day-1" if same else f"day-1-{attempt}"
            met, lived = struck(
                lambda run=run: command(self._arranged, self._home, run, whole=self._whole),
                self._chance.uniform(0.02, self._lasts),
            )
            if not met:  # those before it did a part: only the first tells how long all lasts
                self._lasts = min(self._lasts, lived) if attempt == 0 else self._lasts
                break
            kills += 1
        self._finish("day-1" if same else "day-1-again", f"random {number}")
        return kills


def main(root: Path, seed: int, kills: int, kinds: list[str], *, whole: bool) -> None:
    """For each kind of system an undisturbed run, then at least that many kills."""
    warmed(lambda: first_day(root / "first day", whole=whole))
    for name in kinds:
        folder = root / name
        folder.mkdir(parents=True)
        with PLACES[name]() as arranged:
            scenarios = Scenarios(arranged, folder, random.Random(f"{seed} {name}"), whole=whole)
            met = number = 0
            while met < kills:
                met += scenarios.at_random(number, kills - met)
                number += 1
        (folder / "kills.txt").write_text(str(met))


if __name__ == "__main__":
    whole = sys.argv[4] == "whole"
    if whole:
        import pyiceberg.catalog.sql

        import quality.check

        __all__ += ["pyiceberg", "quality"]
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[5:], whole=whole)
