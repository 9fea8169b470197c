"""Killed while it folds, compacts, backs up or restores, and called again, care changes no row that anybody reads."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from forks import done, struck
from small_deployment import (
    SMALL_STANDARD,
    add_resource,
    code,
    csv_source,
    landed,
    lay_out,
    opened,
    write_small_standard,
)

from runs.care import join_small_files, of_resource
from runs.nightly import Nightly
from shutong.commands.warehouse import backups_of
from shutong.wiring import Wired
from warehouse import backup, compaction

FIRMS, TABLE = "scjg.firms", "std_scjg.firms"
SEED, KILLS, PROVEN_KILLS = 11, 5, 60
pytestmark = pytest.mark.kills


class Town:
    """A deployment whose table changes, and what it must hold."""

    def __init__(self, home: Path) -> None:
        self.home, self.truth, self._number = home, dict[str, str](), 0

    def change(self) -> None:
        """A few firms more, one of them new over what was there; a commit and a release each."""
        with opened(self.home) as wired:
            for _ in range(2):
                self._number += 1
                rows = {code(0): f"第{self._number}次", code(self._number): "甲𠮷"}
                data = pa.table({"uscc": list(rows), "ent_name": list(rows.values())})
                wired.tables.ensure(TABLE, data.schema)
                snapshot = wired.tables.upsert(TABLE, data, key=["uscc"])
                assert snapshot is not None
                wired.state.start_run(f"r{snapshot}", FIRMS)
                wired.state.commit_release(f"r{snapshot}", {TABLE: wired.tables.pin(TABLE, snapshot)})
                self.truth |= rows

    def holds(self) -> None:
        """Every row once, as it was written, and no snapshot that readers do not see."""
        with opened(self.home) as wired:
            assert landed(wired) == self.truth
            released = wired.state.released(TABLE)
            assert wired.tables.row_count(TABLE, released) == len(self.truth)

    def work(self, name: str) -> Callable[[], None]:
        """One kind of care over the deployment, in whatever process it is called."""
        act = {"fold": fold, "compact": compact, "backup": back_up}.get(name)

        def acting() -> None:
            if act is None:
                restore(self.home)
                return
            with opened(self.home) as wired:
                act(wired, self.home)

        return acting


def fold(wired: Wired, _home: Path) -> None:
    join_small_files(wired.state, wired.tables, of_resource(wired.store, wired.deployment.resource(FIRMS)))


def compact(wired: Wired, _home: Path) -> None:
    list(Nightly(wired.parts).compact(always=True))


def back_up(wired: Wired, home: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHUTONG_HOME", str(home))
        Nightly(wired.parts, backups_of(wired.deployment.settings)[0]).back_up()


def restore(home: Path) -> None:
    with opened(home) as wired:
        settings = wired.deployment.settings
    place, where = backups_of(settings)
    one = backup.chosen(place)
    backup.restore(place, one, where.site())
    with opened(home) as wired:
        backup.settle(wired.state, wired.store, wired.tables, one)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = lay_out(tmp_path_factory.mktemp("care"))
    write_small_standard(home)
    add_resource(home, csv_source(), standard=SMALL_STANDARD)
    return home


@pytest.fixture(scope="module")
def town(deployment: Path) -> Town:
    return Town(deployment)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MANY", 1)


def dying(point: str, work: Callable[[], None]) -> int:
    """Do the work in a process that kills itself at a point; its exit status."""

    def act() -> None:
        def heard(event: str, args: tuple[object, ...]) -> None:
            if (event, args) == ("shutong.point", (point,)):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(heard)
        work()

    return done(act)


@pytest.mark.parametrize("point", ["fold.written", "backup.dumped", "backup.written", "restore.loaded"])
def test_killed_at_the_point_and_called_again_the_rows_are_what_they_were(town: Town, point: str) -> None:
    town.change()
    name = point.partition(".")[0]
    if name == "restore":
        town.work("backup")()
    assert dying(point, town.work(name)) == signal.SIGKILL
    if name != "restore":  # half restored, catalog and state are of two times until it is called again
        town.holds()
    town.work(name)()
    town.holds()
    backups = town.home / "backups"
    assert name != "backup" or not list(backups.glob("*.part"))


def at_random(town: Town, kills: int, seed: int) -> None:
    """Care killed at random instants, so often that it hit living processes so many times, and called again."""
    chance, died, patience = random.Random(seed), 0, dict.fromkeys(("fold", "compact", "backup", "restore"), 0.8)
    while died < kills:
        name = chance.choice(list(patience))
        town.change()
        if name == "restore":
            town.work("backup")()
        alive, took = struck(town.work(name), chance.uniform(0, patience[name]))
        died += alive
        if not alive:
            patience[name] = max(0.05, 0.9 * took)
        town.work(name)()
        town.holds()


def test_killed_at_random_and_called_again_the_rows_are_what_they_were(town: Town) -> None:
    at_random(town, KILLS, SEED)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_killed_at_random_many_times_the_rows_are_what_they_were(town: Town) -> None:
    at_random(town, PROVEN_KILLS, SEED + 1)
