"""A system is read no faster, no later and no busier than its department allows."""

import datetime as dt
import sqlite3
from contextlib import closing

import pytest

from connectors import open_source
from connectors.errors import SourceError, SourceUnavailable
from connectors.manners import ZONE, Clock, Limited, read_limits
from connectors.rows import record_batch
from schemas.values import Batch, Position, Split


class Time:
    """A clock that only moves when somebody sleeps or works."""

    def __init__(self, at="23:00"):
        self.moment = dt.datetime.combine(dt.date(2026, 1, 5), dt.time.fromisoformat(at), ZONE)
        self.slept = 0.0

    def clock(self):
        return Clock(now=lambda: self.moment, monotonic=lambda: self.moment.timestamp(), sleep=self.sleep)  # noqa: PLW0108 - the moment moves

    def sleep(self, seconds):
        self.slept += seconds
        self.work(seconds)

    def work(self, seconds):
        self.moment += dt.timedelta(seconds=seconds)


class Table:
    """Ten batches of a thousand rows, each taking a second; every other one can be resumed after."""

    def __init__(self, time, active=()):
        self.time, self.busy, self.read_batches, self.closed = time, list(active), 0, False

    def active(self):
        return self.busy.pop(0) if self.busy else 0

    def plan(self, position):
        return [Split("t")]

    def read(self, split):
        for at in range(10):
            self.time.work(1)
            self.read_batches += 1
            rows = record_batch(["a"], [["x"] * 1000], 1 + at * 1000, {}).rows
            yield Batch(rows, Position({"at": at}) if at % 2 else None)

    def check(self):
        return []

    def close(self):
        self.closed = True


def rows(source):
    return sum(batch.rows.num_rows for split in source.plan(None) for batch in source.read(split))


def test_rows_come_no_faster_than_allowed():
    time = Time()
    began = time.moment
    assert rows(Limited(Table(time), read_limits({"rows_per_second": 200}), time.clock())) == 10_000
    assert (time.moment - began).total_seconds() == pytest.approx(50, abs=1)


def test_a_slow_system_is_not_slowed_further():
    time = Time()
    rows(Limited(Table(time), read_limits({"rows_per_second": 5000}), time.clock()))
    assert time.slept == 0


@pytest.mark.parametrize(("at", "may"), [("21:59", False), ("22:00", True), ("03:00", True), ("06:00", False)])
def test_a_window_over_midnight(at, may):
    time = Time(at)
    source = Limited(Table(time), read_limits({"window": "22:00-06:00"}), time.clock())
    if may:
        assert source.plan(None)
    else:
        with pytest.raises(SourceUnavailable, match=r"SRC-WINDOW.*22:00-06:00"):
            source.plan(None)


def test_when_the_window_closes_reading_ends_at_a_place_to_resume_from():
    time = Time("05:59:56")
    table = Table(time)
    source = Limited(table, read_limits({"window": "22:00-06:00"}), time.clock())
    batches = [batch for split in [Split("t"), Split("u")] for batch in source.read(split)]
    assert (len(batches), source.cut) == (4, True)
    assert batches[-1].position == Position({"at": 3})


def test_a_busy_system_is_waited_for_and_in_the_end_left_alone():
    time = Time()
    assert rows(Limited(Table(time, [30, 30, 3]), read_limits({"max_active": 10}), time.clock())) == 10_000
    assert time.slept == 10
    with pytest.raises(SourceUnavailable, match=r"SRC-BUSY.*30.*10"):
        rows(Limited(Table(time, [30] * 99), read_limits({"max_active": 10, "wait": 20}), time.clock()))


def test_the_checks_say_when_it_may_be_read_and_how_busy_it_is():
    time = Time("12:00")
    source = Limited(Table(time, [4]), read_limits({"max_active": 10, "window": "22:00-06:00"}), time.clock())
    assert [(line.name, line.ok) for line in source.check()] == [("window", True), ("load", True)]
    source.close()


def test_a_database_that_cannot_say_how_busy_it_is_is_read_and_the_check_says_so(tmp_path):
    with closing(sqlite3.connect(tmp_path / "t.db")) as db:
        db.execute("CREATE TABLE t (a TEXT)")
        db.execute("INSERT INTO t VALUES ('x')")
        db.commit()
    table = open_source("sql", {"table": "t"}, {"url": f"sqlite:///{tmp_path}/t.db"}, None)
    source = Limited(table, read_limits({"max_active": 5}))
    assert rows(source) == 1
    assert next(line for line in source.check() if line.name == "load").ok is False


@pytest.mark.parametrize("said", [{"window": "22"}, {"window": "06:00-06:00"}, {"rows_per_second": 0}, {"speed": 1}])
def test_a_limit_that_cannot_be_meant_is_named(said):
    with pytest.raises(SourceError, match=r"SRC-OPTION.*limits\."):
        read_limits(said)


def test_a_window_that_closes_with_the_last_batch_has_cut_nothing_off():
    time = Time("05:59:51")
    source = Limited(Table(time), read_limits({"window": "22:00-06:00"}), time.clock())
    assert (rows(source), source.cut) == (10_000, False)
    source.insist()
