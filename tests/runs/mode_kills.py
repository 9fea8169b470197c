"""Run by test_mode_kills.py: kill the way from source to table at random times, for every way a source is read again.

Like ingest_kills.py it imports everything and forks after a first day. Each kind has a deployment of its own with
one resource, a first day that is in the tables, and a second day of new, changed and deleted records to be killed at.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

# What the steps import on the way; forked children have it already.
import pyiceberg.catalog.sql
from departmental_table import CHANGING, MAP, TABLE, change, delete, firm, system
from forks import done, struck, warmed
from small_deployment import SMALL_STANDARD, add_resource, drop, lay_out, opened, shown, write_small_standard
from small_deployment import firm as delivered

import connectors.databases.source
import connectors.files.source
import quality.check
import runs.steps
from runs.modes import SNAPSHOT
from shutong.wiring import Wired
from warehouse.keep import keep_pieces

__all__ = ["connectors", "pyiceberg", "quality"]
RESOURCE = "scjg.firms"
PIECE = 25  # rows: several pieces in each pull that can be cut
BY_RUN = frozenset({"_run", "_batch", "_row", "_landed_at", "landed_at"})  # which run brought a row is chance
KILLS_IN_A_ROW = 5
ROWS = 120


class Kind:
    """One way a source is read again: `resource` is its YAML; `first` and `second` are the days at the department."""

    def __init__(self, source: str, read: str, first: Callable[[Path], None], second: Callable[[Path], None]) -> None:
        self.source, self.read, self.first, self.second = source, read, first, second

    def first_day(self, home: Path) -> None:
        """A deployment with the first day in its tables."""
        lay_out(home)
        write_small_standard(home)
        self.first(home)
        more = f"connection: db\n{MAP}" if "sql" in self.source else ""
        more += f"read: {self.read}\n" if self.read else ""
        add_resource(home, self.source, standard=SMALL_STANDARD, percent=90, more=more)
        command(home, "day-1")


def _table(more: str = "") -> Callable[[Path], None]:
    def first(home: Path) -> None:
        counted = bool(more)
        rows = [firm(n, f"公司{n}𠮷", "2024-01-01", *([n] if counted else [])) for n in range(ROWS)]
        change(system(home, more), rows=rows)

    return first


def _changed(home: Path, *, counted: bool) -> None:
    """Deleted, changed, new and wrong records; a counting column grows with each change."""
    table = home / "db.db"
    delete(table, *range(0, 30, 2))
    for number in range(40, 60):
        grown = f", changed = {1000 + number}" if counted else ""
        code = firm(number)[0]
        change(
            table, f"UPDATE ent SET entname = '改名{number}', apprdate = '2025-01-01'{grown} WHERE uniscid = '{code}'"
        )
    new = [firm(n, f"新{n}", "2025-01-01", *([2000 + n] if counted else [])) for n in range(200, 240)]
    wrong = [("错码", f"错{n}", "2025-01-01", "宁波", *([3000 + n] if counted else [])) for n in range(5)]
    change(table, rows=[*new, *wrong, firm(300, "末", "2025-01-01", *([9999] if counted else []))])


def _drops(home: Path) -> None:
    drop(home, "day-1.csv", [delivered(n, f"公司{n}𠮷") for n in range(ROWS)])


def _more_drops(home: Path) -> None:
    for file in range(4):
        rows = [delivered(n, f"改{file}", f"2025-0{file + 1}-01") for n in range(file * 20, file * 20 + 40)]
        drop(home, f"day-2{file}.csv", [*rows, ["错码", "错", "2025-01-01", "宁波"], [rows[0][0], "短"]])


KINDS = {
    "csv": Kind('{kind: csv, folder: "{home}/drops"}', "", _drops, _more_drops),
    "cursor": Kind(CHANGING, "", _table(", changed INTEGER"), partial(_changed, counted=True)),
    "snapshot_diff": Kind(TABLE, "{mode: snapshot_diff, max_deletes: 40}", _table(), partial(_changed, counted=False)),
    "key_sweep": Kind(
        CHANGING,
        "{deletes: {detect: key_sweep}, max_deletes: 40}",
        _table(", changed INTEGER"),
        partial(_changed, counted=True),
    ),
}


def command(home: Path, run: str) -> None:
    """Pull, check and land, small pieces each."""
    runs.steps.keep_pieces = partial(keep_pieces, piece_rows=PIECE)
    with opened(home) as wired:
        for step in (wired.steps.pull, wired.steps.check, wired.steps.land):
            step(RESOURCE, run)


def seen(wired: Wired) -> dict[str, object]:
    """The tables as released, how often anything in them was changed, and whether what was remembered is there."""
    resource, state = wired.deployment.resource(RESOURCE), wired.state
    counts = [one.counts for one in state.releases(10**6) if one.kind == "land"]
    position = state.position(RESOURCE)
    snapshot = position.cursor.get(SNAPSHOT) if position else None
    tables = (resource.table, resource.quarantine)
    return {
        "landed": shown(wired, resource.table, BY_RUN),
        "quarantined": [[one["rules"], one["received"]] for one in shown(wired, resource.quarantine, BY_RUN)],
        "applied": {name: sum(one[name] for one in counts) for name in ("landed", "quarantined", "deleted")},
        "snapshot": snapshot is None or wired.store.exists(snapshot["file"]),
        "unseen": [t for t in tables if (head := wired.tables.head(t)) and head.snapshot != state.released(t)],
        "unfinished": [one.run_id for one in state.runs(RESOURCE) if one.status == "running" and one.step == "land"],
    }


def finish(home: Path, run: str, told: Path) -> None:
    """Run to the end, tell what is there, and whether one more run moves anything."""
    start = time.monotonic()
    command(home, run)
    lasted = time.monotonic() - start
    with opened(home) as wired:
        said, releases = seen(wired), len(wired.state.releases(10**6))
    command(home, f"{run}-once-more")
    with opened(home) as wired:
        moved = len(wired.state.releases(10**6)) != releases
    told.write_text(json.dumps({"seen": said, "moved": moved, "seconds": lasted}, default=str))


def at_random(root: Path, number: int, lasts: float, chance: random.Random, most: int) -> tuple[int, float]:
    """Killed some times in a row, run by run or the same run again, then to the end.

    How many kills met their target, and how long an undisturbed command lasts at most, as far as is known.
    """
    home = root / "home"
    shutil.rmtree(home)
    shutil.copytree(root / "first", home)
    same, kills = bool(number % 2), 0
    for attempt in range(min(KILLS_IN_A_ROW, most)):
        run = "day-2" if same else f"day-2-{attempt}"
        met, lived = struck(lambda run=run: command(home, run), chance.uniform(0.02, lasts * 1.1))
        if not met:  # those before it did a part: only the first tells how long all lasts
            lasts = min(lasts, lived) if attempt == 0 else lasts
            break
        kills += 1
    run = "day-2" if same else "day-2-again"
    assert done(lambda: finish(home, run, root / f"random {number}.json")) == 0, (root.name, number)
    return kills, lasts


def main(root: Path, seed: int, kills: int, kinds: list[str]) -> None:
    """For each kind an undisturbed second day, then at least that many kills."""
    for name in kinds:
        folder, kind, chance = root / name, KINDS[name], random.Random(f"{seed} {name}")
        home = folder / "home"
        folder.mkdir(parents=True)
        warmed(lambda home=home, kind=kind: kind.first_day(home))
        kind.second(home)
        shutil.copytree(home, folder / "first")
        never = folder / "never.json"
        assert done(lambda home=home, never=never: finish(home, "day-2", never)) == 0, name
        lasts = json.loads(never.read_text())["seconds"]
        met = number = 0
        while met < kills:
            more, lasts = at_random(folder, number, lasts, chance, kills - met)
            met, number = met + more, number + 1
        (folder / "kills.txt").write_text(str(met))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
