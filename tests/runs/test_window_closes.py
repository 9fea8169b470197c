"""A window that closes in the middle of a read never makes a record that was not read look deleted, or read."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import replace

import pytest
from departmental_table import change, firm, reads, system
from small_deployment import code, landed, lay_out, opened, write_small_standard

from connectors import SourceUnavailable
from connectors.manners import ZONE, Clock, Limited, read_limits
from runs.followed import InFull
from runs.steps import Steps
from schemas.values import Position

FIRMS = "scjg.firms"
RANGES = "{kind: sql, table: ent, split_rows: 10}"
GROWING = "{kind: sql, table: ent, split_rows: 10, cursor: {column: id, lag: 0}}"


@pytest.fixture
def home(tmp_path):
    lay_out(tmp_path)
    write_small_standard(tmp_path)
    return tmp_path


def table_of_forty(home):
    table = system(home, ", id INTEGER PRIMARY KEY")
    change(table, rows=[(*firm(n), n) for n in range(40)])
    return table


def closing_after(looks):
    """A clock that says 23:00 so many times, then 07:00."""
    seen = iter(range(looks))
    return Clock(now=lambda: dt.datetime(2026, 1, 5, 7 if next(seen, None) is None else 23, tzinfo=ZONE))


def limited(source, looks):
    return Limited(source, read_limits({"window": "22:00-06:00"}), closing_after(looks))


def steps(wired, *looks):
    """Steps whose first source has the first clock, every later one the last."""
    plain, left = wired.parts.open_source, list(looks)

    def opened_source(asked):
        return limited(plain(asked), left.pop(0) if len(left) > 1 else left[0])

    return Steps(replace(wired.parts, open_source=opened_source))


def test_a_snapshot_that_was_not_read_to_its_end_deletes_nothing(home):
    table = table_of_forty(home)
    reads(home, "{mode: snapshot_diff, max_deletes: 100}", RANGES)
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        change(table, f"DELETE FROM ent WHERE uniscid = '{code(5)}'")
        with pytest.raises(SourceUnavailable, match=r"SRC-WINDOW.*every record"):
            steps(wired, 2).ingest(FIRMS, "r2")
        assert set(landed(wired)) == {code(n) for n in range(40)}
        assert steps(wired, 99).ingest(FIRMS, "r3").deleted == 1


def test_keys_that_were_not_swept_are_not_deleted(home):
    table_of_forty(home)
    reads(home, "{deletes: {detect: key_sweep, every: 1m}, max_deletes: 100}", GROWING)
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        with pytest.raises(SourceUnavailable, match="SRC-WINDOW"):
            steps(wired, 99, 2).ingest(FIRMS, "r2", everything=True)
        assert len(landed(wired)) == 40


def test_the_sweep_waits_for_the_next_run_when_the_window_closes_before_it(home):
    table = table_of_forty(home)
    reads(home, "{deletes: {detect: key_sweep, every: 1m}, max_deletes: 100}", GROWING)
    with opened(home) as wired:
        assert steps(wired, 2).ingest(FIRMS, "r1").landed < 40
        change(table, f"DELETE FROM ent WHERE uniscid = '{code(5)}'")
        steps(wired, 99).ingest(FIRMS, "r2")
        assert set(landed(wired)) == {code(n) for n in range(40) if n != 5}


class Feed:
    def start(self):
        return Position({"log": {"at": 1}})


def test_changes_are_not_followed_before_everything_was_read(home):
    table_of_forty(home)
    reads(home, "", RANGES)
    with opened(home) as wired:
        resource = wired.deployment.resource(FIRMS)

        def read(looks):
            with closing(InFull(limited(wired.open_source(resource), looks), Feed(), None)) as source:
                return [batch for split in source.plan(None) for batch in source.read(split)]

        assert read(99)[-1].position == Position({"log": {"at": 1}, "~since": None})
        with pytest.raises(SourceUnavailable, match="SRC-WINDOW"):
            read(2)


def test_a_full_read_goes_on_where_the_window_closed(home):
    table_of_forty(home)
    reads(home, "", RANGES)
    with opened(home) as wired:
        first = steps(wired, 2).ingest(FIRMS, "r1").landed
        assert 0 < first < 40
        steps(wired, 99).ingest(FIRMS, "r2")
        assert len(landed(wired)) == 40
