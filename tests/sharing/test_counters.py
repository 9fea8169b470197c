"""Counters: what the records say, by the minute, hour and day, whoever reads and whatever happened to their file."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from books_town import called, on, record
from hypothesis import given, settings
from hypothesis import strategies as st
from sharing_town import FIRM, Town

from sharing import counters, segments
from sharing.counters import FILE, Counters
from sharing.ledger import Ledger

DAY = "2026-01-30"


@pytest.fixture(autouse=True)
def then(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, DAY)
    monkeypatch.setattr(counters, "today", lambda: DAY)


def totals(folder: Path) -> Counter[tuple[str, str, int]]:
    """What the ledger itself counts, day by day."""
    return Counter({(t.day, t.department or "", t.status): t.calls for t in Ledger(folder).totals()})


def counted(found) -> Counter[tuple[str, str, int]]:
    told: Counter[tuple[str, str, int]] = Counter()
    for one in found:
        told[one.at[:10], one.department, one.status] += one.calls + one.parts
    return told


def test_the_counts_are_those_of_the_records_at_every_precision(tmp_path: Path) -> None:
    record(tmp_path, [called(DAY, n, department="tax" if n % 3 else None) for n in range(40)], size=1 << 13)
    record(tmp_path, [called(DAY, n, status=404) for n in range(5)], close=False)
    one = Counters(tmp_path)
    for by, places in (("day", 10), ("hour", 13), ("minute", 16)):
        found = one.read(by)
        assert counted(found) == totals(tmp_path)
        assert {len(count.at) for count in found} == {places}
    assert sum(count.calls for count in one.read("hour", since=f"{DAY}T05", until=f"{DAY}T06")) == 2
    assert {count.department for count in one.read("day", department="tax")} == {"tax"}
    assert len(list(tmp_path.glob("*.calls"))) > 3


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, [called(DAY, n) for n in range(30)])
    record(tmp_path, [called(DAY, n) for n in range(30)], close=False)
    one = Counters(tmp_path)
    before = one.read("day")
    looked: list[tuple[str, int]] = []
    real = segments.scan
    monkeypatch.setattr(
        counters.segments,
        "scan",
        lambda path, at, **how: looked.append((path.name, at.records)) or real(path, at, **how),
    )
    assert one.read("day") == before
    assert looked == []
    more = record(tmp_path, [called(DAY, 1)], close=False)
    looked.clear()
    assert counted(one.read("day"))[DAY, "tax", 200] == 61
    assert looked == [(more[0].segment, 0)]


@pytest.mark.parametrize("harm", ["lost", "damaged", "emptied"])
def test_counters_that_are_lost_are_made_again_from_the_records(tmp_path: Path, harm: str) -> None:
    record(tmp_path, [called(DAY, n) for n in range(20)])
    one = Counters(tmp_path)
    before = one.read("minute")
    file = tmp_path / FILE
    for path in tmp_path.glob(FILE + "-*"):
        path.unlink()
    if harm == "lost":
        file.unlink()
    else:
        file.write_bytes(b"no database at all, " * 500 if harm == "damaged" else b"")
    assert one.read("minute") == before == Counters(tmp_path).read("minute")


def test_many_who_read_at_once_count_each_segment_once(tmp_path: Path) -> None:
    for _ in range(6):
        record(tmp_path, [called(DAY, n) for n in range(10)])
    found = []
    readers = [threading.Thread(target=lambda: found.append(counted(Counters(tmp_path).read("day")))) for _ in range(4)]
    for one in readers:
        one.start()
    for one in readers:
        one.join(60)
    assert found == [Counter({(DAY, "tax", 200): 60})] * 4
    with sqlite3.connect(tmp_path / FILE) as connection:
        assert connection.execute("SELECT sum(calls) FROM by_minute").fetchone() == (60,)
    connection.close()


def test_a_segment_left_open_is_kept_once_its_day_is_long_over_and_outlives_its_file(
    tmp_path: Path, monkeypatch
) -> None:
    record(tmp_path, [called(DAY, n) for n in range(7)], close=False)
    one = Counters(tmp_path)
    assert counted(one.read("day")) == {(DAY, "tax", 200): 7}
    monkeypatch.setattr(counters, "today", lambda: "2026-02-01")
    one.read("day")
    for path in tmp_path.glob("*.calls"):
        path.unlink()
    assert counted(one.read("day")) == {(DAY, "tax", 200): 7}
    monkeypatch.setattr(counters, "today", lambda: "2026-03-31")
    assert (one.read("minute"), len(one.read("hour"))) == ([], 7)


def test_usage_tells_hours_and_minutes_and_not_more_than_can_be_read(town: Town, monkeypatch) -> None:
    monkeypatch.undo()
    for _ in range(3):
        town.ask(f"/v1/libraries/legal_person/records/{FIRM}")
    for by, places in (("day", 10), ("hour", 13), ("minute", 16)):
        lines = town.ask(f"/v1/usage?days=2&by={by}").json()["calls"]
        asked = [line for line in lines if line["library"] == "legal_person"]
        assert sum(line["calls"] for line in asked) == sum(line["units"] for line in asked) == 3
        assert {len(line[by]) for line in asked} == {places}
    assert town.ask("/v1/usage?days=3&by=minute").json()["code"] == "SHR-PARAMETER"
    assert town.ask("/v1/usage?by=second").json()["code"] == "SHR-PARAMETER"


@settings(max_examples=8, deadline=timedelta(seconds=20))
@given(
    rounds=st.lists(
        st.tuples(st.lists(st.tuples(st.integers(0, 23), st.sampled_from(["tax", "bank", None]), st.booleans()), max_size=12),
                  st.booleans(), st.booleans()),
        max_size=5,
    )
)  # fmt: skip
def test_counts_stay_right_however_processes_come_and_go(tmp_path_factory, rounds) -> None:
    folder = tmp_path_factory.mktemp("any")
    readers = [Counters(folder), Counters(folder)]
    for calls, close, other in rounds:
        made = [called(DAY, n, department=who, repeats="x" if again else None) for n, who, again in calls]
        record(folder, made, size=1 << 12, close=close)
        found = readers[other].read("hour")
        assert +counted(found) == +totals(folder)
        assert sum(one.units for one in found) == sum(call.units for call in Ledger(folder).records())
