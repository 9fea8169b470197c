"""Readers of changes, whenever they read and whatever is published meanwhile, have each state exactly."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import serving_log
from warehouse.serving import ServingStore
from warehouse.serving_build import Plan, build
from warehouse.serving_care import switch
from warehouse.serving_changes import Changes, apply
from warehouse.serving_file import generation_file
from warehouse.serving_log import ChangeLog, ForgottenError, NoLogError, note

SCHEMA = pa.schema([(name, pa.string()) for name in ("uscc", "name", "_sources")])
KEYS = st.sampled_from([f"K{n}" for n in range(8)] + ["长" * 120, "长" * 120 + "久"])
NAME = st.sampled_from(["甲", "乙", "𠮷", ""])
PUBLISH = st.tuples(
    st.just("publish"), st.dictionaries(KEYS, NAME, max_size=5), st.sets(KEYS, max_size=3), st.booleans()
)
STEPS = st.lists(st.one_of(PUBLISH, st.tuples(st.just("read"), st.integers(1, 3))), max_size=10)


class Shop:
    """A library that is published again and again, and what its state was at each generation."""

    def __init__(self, folder: Path, rows: dict[str, str]) -> None:
        self.folder, self.number, self.states = folder, 0, {}
        self.rows: dict[str, str] = {}
        self.publish(rows, anew=True)
        self.store = ServingStore(folder, "firms", check_every=0.0)
        self.log = ChangeLog(self.store)

    def publish(self, upserts: dict[str, str], gone: set[str] = frozenset(), *, anew: bool = False) -> None:
        self.number += 1
        self.rows = {key: name for key, name in self.rows.items() if key not in gone} | upserts
        self.states[self.number] = dict(self.rows)
        said = Plan(library="firms", key="uscc", generation=self.number, embedded=("_sources",),
                    snapshot=str(self.number), published_at="2026-11-22T08:00:00+08:00")  # fmt: skip
        with duckdb.connect() as connection:
            came = self.rows if anew else upserts
            told = [{"uscc": key, "name": name, "_sources": "{}"} for key, name in came.items()]
            connection.register("came", pa.Table.from_pylist(told, schema=SCHEMA))
            connection.register("went", pa.table({"key": pa.array(sorted(gone), pa.string())}))
            if anew:
                build(self.folder, connection, "came", said)
            else:
                apply(self.folder, Changes(connection, "came", "went"), said)
        note(self.folder / "firms", self.number)
        switch(self.folder, "firms", self.number)


class Reader:
    """Follows a shop page by page, and holds what it was told."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        span, view = shop.log.begin()
        self.epoch, self.since, self.upto, self.after = span.epoch, view.info.id, 0, b""
        self.held = dict(shop.states[self.since])
        self.seen: set[bytes] = set()

    def read(self, limit: int) -> bool:
        """One page; True when a window is at its end."""
        if not self.upto:
            self.upto, self.after, self.seen = self.shop.store.info().id, b"", set()
        found, done = self.shop.log.between(self.epoch, self.since, self.upto, self.after, limit)
        for one in found:
            assert one.place not in self.seen, "twice in a window"
            self.seen.add(one.place)
            self.after = one.place
            if (one.now or one.was) is None:  # came and went in between
                continue
            key = str((one.now or one.was)["uscc"])
            assert (None if one.was is None else one.was["name"]) == self.shop.states[self.since].get(key)
            self.held.pop(key, None)
            if one.now is not None:
                self.held[key] = str(one.now["name"])
        if done:
            assert self.held == self.shop.states[self.upto]
            self.since, self.upto = self.upto, 0
        return done


def test_a_record_that_came_and_went_within_a_window_is_neither_there_before_nor_after(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"K1": "甲"})
    reader = Reader(shop)
    shop.publish({"K2": "乙", "K3": "丙"})
    shop.publish({}, {"K2"})
    assert not reader.read(1)
    assert reader.held == {"K1": "甲"}
    assert reader.read(1)
    assert reader.held == shop.rows == {"K1": "甲", "K3": "丙"}


@settings(max_examples=200 if os.environ.get("SHUTONG_PROVE") else 3, deadline=None)
@given(st.dictionaries(KEYS, NAME, max_size=8), STEPS)
def test_a_reader_has_every_state_exactly_whatever_is_published_while_it_reads(tmp_path_factory, rows, steps):
    shop = Shop(tmp_path_factory.mktemp("log"), rows)
    reader = Reader(shop)
    for step in steps:
        if step[0] == "read":
            reader.read(step[1])
        else:
            shop.publish(step[1], step[2], anew=step[3])
    while not reader.read(3) or reader.since < shop.number:
        pass
    assert reader.held == shop.rows


def test_nothing_is_logged_before_somebody_asks(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"K1": "甲"})
    shop.publish({"K2": "乙"})
    assert not (tmp_path / "firms" / serving_log.FILE).exists()
    span, view = shop.log.begin()
    assert (span.floor, view.info.id) == (2, 2)
    assert shop.log.begin()[0] == span
    assert list((tmp_path / "firms").glob("changes.sqlite.*")) == []


def test_what_is_built_anew_with_the_same_rows_changes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {f"K{n}": "甲" for n in range(300)})
    span, _ = shop.log.begin()
    shop.publish({}, anew=True)
    assert shop.log.between(span.epoch, 1, 2, b"", 10) == ([], True)
    shop.publish({"K7": "乙"}, {"K9"}, anew=True)
    found, done = shop.log.between(span.epoch, 1, 3, b"", 10)
    assert ([one.place for one in found], done) == ([b"K7", b"K9"], True)
    assert (found[0].was, found[0].now["name"], found[1].now) == ({"uscc": "K7", "name": "甲"}, "乙", None)


def test_a_publisher_that_died_before_the_switch_leaves_nothing_behind(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"K1": "甲"})
    reader = Reader(shop)
    shop.publish({"K2": "乙"})
    (tmp_path / "firms" / "CURRENT").write_text("1\n", "ascii")  # as if it had died then
    del shop.states[2]
    shop.number, shop.rows = 1, {"K1": "甲"}
    generation_file(tmp_path / "firms", 2).unlink()
    shop.publish({"K3": "丙"})
    assert reader.read(9)
    assert reader.held == {"K1": "甲", "K3": "丙"}


def test_a_generation_that_went_by_unseen_makes_readers_begin_anew(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"K1": "甲"})
    reader = Reader(shop)
    log = tmp_path / "firms" / serving_log.FILE
    log.rename(log.with_suffix(".away"))
    shop.publish({"K2": "乙"})
    log.with_suffix(".away").rename(log)
    with pytest.raises(ForgottenError):
        reader.read(9)
    shop.publish({"K3": "丙"})
    with pytest.raises(ForgottenError):
        reader.read(9)
    assert shop.log.begin()[0].floor == 3
    log.unlink()
    with pytest.raises(NoLogError):
        reader.read(9)
    later = Reader(shop)
    assert later.epoch != reader.epoch
    with pytest.raises(ForgottenError):
        reader.read(9)


def test_too_much_and_too_old_is_forgotten_and_a_broken_log_stops_no_publication(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path, {"K1": "甲"})
    reader = Reader(shop)
    monkeypatch.setattr(serving_log, "MOST_KEPT", 2)
    for n in range(3):
        shop.publish({"K2": str(n)})
    assert shop.log.begin()[0].floor == 2
    with pytest.raises(ForgottenError):
        reader.read(9)
    late = Reader(shop)
    monkeypatch.setattr(serving_log, "MOST_CHANGED", 1)
    shop.publish({"K5": "甲", "K6": "乙"})
    with pytest.raises(ForgottenError):
        late.read(9)
    log = tmp_path / "firms" / serving_log.FILE
    with sqlite3.connect(log) as broken:
        broken.execute("DROP TABLE generation")
    shop.publish({"K7": "甲"})
    assert shop.store.refresh().id == shop.number
