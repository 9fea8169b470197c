"""Run by test_kills.py: kill the whole way from source to publication at named points or at random times, run it again.

It imports everything and does the first day, and forks afterwards: one slow start for all the kills. Every scenario
begins from that same first day, in the same folder, and is told as JSON: what a reader sees then.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

# What the steps import on the way; forked children have it already.
import pyiceberg.catalog.sql
from forks import done, struck, warmed
from small_deployment import (
    INSTANTS,
    LIBRARY,
    SMALL_STANDARD,
    TRACES,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    lay_out,
    opened,
    shown,
    write_small_standard,
)

import connectors.databases.source
import connectors.files.source
import quality.check
from schemas.points import POINTS
from shutong.wiring import Wired
from warehouse.publish import publish
from warehouse.serving import ServingStore

__all__ = ["connectors", "publish", "pyiceberg", "quality"]
RESOURCES = ("scjg.firms", "swj.taxpayers")
TABLES = (
    "std_scjg.firms", "std_swj.taxpayers", "qtn.scjg__firms", "qtn.swj__taxpayers",
    "base.legal_person", "base.legal_person_attr", "base.legal_person_history", "base.legal_person_xref",
)  # fmt: skip
# How the same command comes again: {name: (the run keeps its id, everything is read from the beginning)}.
AGAIN = {"the same run": (True, False), "the next run": (False, False), "by hand": (False, True)}
KILLS_BEFORE_THE_END = 5
STANDARDS = (SMALL_STANDARD, "legal_person@1")


def first_day(home: Path, standard: str) -> None:
    """Two resources, a first drop and a first state of the tax bureau's table, ingested."""
    lay_out(home)
    write_small_standard(home)
    add_resource(home, csv_source(), standard=standard, percent=60)
    add_resource(
        home,
        "{kind: sql, table: taxpayers, order_by: [id]}",
        "taxpayers",
        "swj",
        standard=standard,
        percent=60,
        more="connection: tax\nmap: {uscc: shxydm, ent_name: nsrmc, domicile: zcdz}\nread: {mode: snapshot_diff}\n",
    )
    (home / "connections.yaml").write_text('connections: {tax: {url: "sqlite:///{home}/tax.db"}}\n', encoding="utf-8")
    drop(home, "day-1.csv", [firm(n, f"公司{n}") for n in range(120)] + [["123", "坏代码", "2024-01-01", "杭州"]])
    _taxpayers(home, [(code(n), f"纳税人{n}", "税务登记地") for n in range(100, 160)])
    command(home, "day-1", everything=False)


def second_day(home: Path) -> None:
    """What the killed command finds: updates, new firms, old news, duplicates, wrong codes, short and torn rows."""
    rows = [firm(n, f"公司{n}改𠮷", "2025-03-01") for n in range(60, 140)]
    rows += [firm(n, f"旧闻{n}", "2020-01-01") for n in range(20)]
    rows += [firm(n, f"重复{n}", f"2025-0{1 + n % 5}-01") for n in range(130, 150) for _ in range(2)]
    rows += [[code(n)[:-1] + "*", "错码", "2025-01-01", "宁波"] for n in range(15)] + [["", "无码", "", ""]]
    rows += [[code(n), "短行"] for n in range(10)]
    drop(home, "day-2a.csv", rows[::2])
    torn = drop(home, "day-2b.csv", rows[1::2])
    with torn.open("a", encoding="utf-8", newline="") as file:
        file.write(f'{code(500)},"没写完')
    others = [(code(n), f"纳税人{n}新", "税务登记地") for n in range(90, 170)]
    _taxpayers(home, [*others, *others[:5], ("91330300", "错码", None), (None, "无码", None)])


def _taxpayers(home: Path, rows: list[tuple[str | None, ...]]) -> None:
    with sqlite3.connect(home / "tax.db") as database:
        database.execute("DROP TABLE IF EXISTS taxpayers")
        database.execute("CREATE TABLE taxpayers (id INTEGER PRIMARY KEY, shxydm TEXT, nsrmc TEXT, zcdz TEXT)")
        database.executemany("INSERT INTO taxpayers (shxydm, nsrmc, zcdz) VALUES (?, ?, ?)", rows)
    database.close()


def command(home: Path, run: str, *, everything: bool) -> None:
    """Pull, check and land both resources, merge and publish their library."""
    with opened(home) as wired:
        steps = wired.steps
        for resource in RESOURCES:
            steps.pull(resource, f"{run}-{resource}", everything=everything)
            steps.check(resource, f"{run}-{resource}")
            steps.land(resource, f"{run}-{resource}")
        steps.merge(LIBRARY, f"{run}-merge")
        steps.publish(LIBRARY, f"{run}-merge")


def seen(wired: Wired, home: Path, *, traces: bool) -> dict[str, object]:
    """All a reader sees, but for instants; `traces`: the ids of runs too."""
    state, without = wired.state, INSTANTS if traces else INSTANTS | TRACES
    rows = {table: shown(wired, table, without) for table in TABLES}
    serving = ServingStore(home / "serving", LIBRARY)
    releases = [(one.kind, one.changed, one.batch, dict(one.counts)) for one in state.releases()]
    told = {
        "rows": {table: len(said) for table, said in rows.items()},
        "hashes": {table: hashlib.sha256(repr(said).encode()).hexdigest() for table, said in rows.items()},
        "published": [serving.info().rows, serving.info().digest, serving.info().id],
        "releases": releases,
        "batches": {one: [[kept.batch, kept.rows] for kept in state.manifests(one)] for one in RESOURCES},
        "raw folders": len(wired.store.folders("land")),
        "checks": {one: sorted(_checks(wired, one)) for one in RESOURCES},
        "unseen snapshots": [
            table for table in TABLES if (head := wired.tables.head(table)) and head.snapshot != state.released(table)
        ],
    }
    if traces:
        told["runs"] = sorted([one.run_id, one.status, one.landed, one.quarantined] for one in state.runs())
    return json.loads(json.dumps(told))


def _checks(wired: Wired, resource: str) -> list[list[object]]:
    return [[one.batch, one.rows, one.quarantined, one.decision] for one in wired.quality.history(resource)]


def snapshots(wired: Wired) -> list[object]:
    """What moves when anything is added."""
    release, published = wired.state.release(), wired.state.publication(LIBRARY)
    return [release.id, {name: pin.snapshot for name, pin in release.tables.items()}, published.generation]


def finish(home: Path, run: str, *, everything: bool, traces: bool, told: Path, counted: Path | None = None) -> None:
    """Run to the end, tell what is there, then run once more over the same input and tell what that moved."""
    if counted is not None:
        points: Counter[str] = Counter()
        sys.addaudithook(lambda event, args: points.update(args) if event == "shutong.point" else None)
    start = time.monotonic()
    command(home, run, everything=everything)
    lasted = time.monotonic() - start
    if counted is not None:
        counted.write_text(json.dumps(points))
    with opened(home) as wired:
        said = seen(wired, home, traces=traces)
        before = snapshots(wired)
        command(home, f"{run}-once-more", everything=everything)
        told.write_text(json.dumps({"seen": said, "moved": snapshots(wired) != before, "seconds": lasted}))


def killed_at(point: str, nth: int, work: Callable[[], None]) -> Callable[[], None]:
    """The work, ended by SIGKILL where it reaches `point` for the `nth` time."""

    def doomed() -> None:
        left = nth

        def hook(event: str, args: tuple[object, ...]) -> None:
            nonlocal left
            if event == "shutong.point" and args == (point,):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()

    return doomed


class Scenarios:
    """Scenarios below `root`, each from the same first day in the same folder (tables know where they lie)."""

    def __init__(self, root: Path, standard: str) -> None:
        self.root, self.home, self._first = root, root / "home", root / "first"
        warmed(lambda: first_day(self.home, standard))
        second_day(self.home)
        shutil.copytree(self.home, self._first)
        self.counted: dict[str, Counter[str]] = {}
        self.lasts: dict[str, float] = {}

    def restore(self) -> None:
        """Back to the first day's evening."""
        shutil.rmtree(self.home)
        shutil.copytree(self._first, self.home)

    def undisturbed(self, again: str) -> None:
        """The command as it goes when nobody kills it."""
        same, everything = AGAIN[again]
        counted = self.root / "counted.json"
        self.restore()
        told = self.root / f"never, {again}.json"
        ended = done(lambda: finish(self.home, "day-2", everything=everything, traces=same, told=told, counted=counted))
        assert ended == 0, again
        self.counted[again] = Counter(json.loads(counted.read_text()))
        self.lasts[again] = json.loads(told.read_text())["seconds"]

    def at_point(self, point: str, again: str, chance: random.Random) -> None:
        """Killed once at the point, then the command again."""
        same, everything = AGAIN[again]
        times = self.counted[again][point]
        assert times, f"{point} is never reached"
        self.restore()
        doomed = killed_at(point, chance.randint(1, times), lambda: command(self.home, "day-2", everything=everything))
        status = done(doomed)
        assert status == signal.SIGKILL, (point, again, status)
        run = "day-2" if same else "day-2-again"
        told = self.root / f"{point}, {again}.json"
        assert done(lambda: finish(self.home, run, everything=everything, traces=same, told=told)) == 0, (point, again)

    def at_random(self, number: int, again: str, chance: random.Random, most: int) -> int:
        """Killed at random times some times in a row, then to the end; how many kills met a living process."""
        same, everything = AGAIN[again]
        self.restore()
        kills = 0
        for attempt in range(min(KILLS_BEFORE_THE_END, most)):
            run = "day-2" if same else f"day-2-{attempt}"
            met, lived = struck(
                lambda run=run: command(self.home, run, everything=everything),
                chance.uniform(0, self.lasts[again] * 1.1),
            )
            if not met:  # those before it did a part: only the first tells how long all lasts
                self.lasts[again] = min(self.lasts[again], lived) if attempt == 0 else self.lasts[again]
                break
            kills += 1
        run = "day-2" if same else "day-2-again"
        told = self.root / f"random {number}, {again}.json"
        assert done(lambda: finish(self.home, run, everything=everything, traces=same, told=told)) == 0, number
        return kills


def main(root: Path, seed: int, kills: int, only: str | None) -> None:
    """Every point once, in turn in each way the command can come again, or all of them in one; then kills at random."""
    root.mkdir(exist_ok=True)
    ways, chance = [only] if only else list(AGAIN), random.Random(f"{seed} {only}" if only else seed)
    scenarios = Scenarios(root, STANDARDS[only is not None])
    for again in ways:
        scenarios.undisturbed(again)
    for number, point in enumerate(POINTS):
        scenarios.at_point(point, ways[(number + seed) % len(ways)], chance)
    number = met = 0
    while met < kills:
        met += scenarios.at_random(number, ways[number % len(ways)], chance, kills - met)
        number += 1
    (root / "summary.json").write_text(json.dumps({"random kills": met, "seconds": scenarios.lasts}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
