"""Merging through keyed twins of data files comes to what rebuilding everything comes to, whatever becomes of them."""

from __future__ import annotations

import os
from datetime import UTC
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shelf import Shelf
from test_merge import deployment
from test_merge_delta import STEP, WHO, A, B, Town

from shutong.settings import read
from warehouse import history, keyed, keyed_care, keyed_rows, merge_delta
from warehouse.compaction import Tended, compact

CARE = st.one_of(
    st.tuples(st.just("compact"), st.integers(0, 3), st.none()),
    st.tuples(st.just("twins"), st.booleans(), st.none()),
    st.tuples(st.just("hurt"), st.integers(0, 99), st.integers(0, 9999)),
)


@pytest.fixture(scope="module", autouse=True)
def files_of_any_size():
    """Twins for the smallest files, and asked for however many rows."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keyed_care, "LEAST", 1)
        patched.setattr(keyed_rows, "SHARE", 0)
        yield


class Twinned(Town):
    """The same towns, whose library is merged through twins that are lost, hurt, or of files since compacted."""

    def act(self, kind, one, other):
        if kind == "compact":
            self.compact(one)
        elif kind == "twins":
            keyed_care.tend(self.state, self.tables, "small", on=one)
        elif kind == "hurt":
            self.hurt(one, other)
        else:
            super().act(kind, one, other)
            keyed_care.tend(self.state, self.tables, "small")

    def compact(self, which):
        table, sort, library = [*((one.table, "id", None) for one in WHO), ("base.small", "uscc", "small")][which]
        if self.tables.exists(table) and self.state.released(table) is not None:
            alone = partial(self.tables.lock, "merge-small")
            compact(self.state, self.tables, Tended(table, (sort,), alone, library), always=True)

    def hurt(self, which, where):
        """Change a bit of some file of some twin, or cut the file off."""
        files = sorted(one for one in (self.tables.folder / "keyed").rglob("*") if one.is_file())
        if files:
            file = files[which % len(files)]
            told = bytearray(file.read_bytes())
            if told and where % 2:
                told[where % len(told)] ^= 1 << where % 8
            file.write_bytes(told if where % 2 else told[: where % (len(told) + 1)])


@settings(max_examples=int(os.environ.get("MERGES", "2")), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(STEP, STEP, CARE), min_size=3, max_size=7))
def test_changes_merged_through_keyed_twins_equal_a_rebuild(tmp_path_factory, steps):
    town = Twinned(tmp_path_factory.mktemp("town"))
    for step in steps:
        town.act(*step)
        town.merge()
    town.check()
    for at, rows in town.seen.items():
        assert history.whole(town.state, town.tables, "small", at).to_pylist() == rows
    town.close()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Two firms of two departments, merged, with twins."""

    def make(folder):
        town = Twinned(folder)
        for step in (("upsert", 0, [A, B]), ("upsert", 1, [A])):
            town.act(*step)
        town.merge()
        keyed_care.tend(town.state, town.tables, "small")
        town.close()

    return Shelf(tmp_path_factory.mktemp("twins")).make(make)


@pytest.fixture
def town(shelf):
    town = Twinned(shelf.back())
    town.day = 2
    yield town
    town.close()


def test_a_merge_with_twins_reads_only_the_files_that_came(town, monkeypatch):
    stood = {one.file_path for one in town.tables.plan(WHO[0].table, town.state.released(WHO[0].table)).data}
    read_as_files, query = [], keyed_rows.Pair._query
    monkeypatch.setattr(
        keyed_rows.Pair,
        "_query",
        lambda self, files, *more: (read_as_files.extend(files), query(self, files, *more))[1],
    )
    Town.act(town, "upsert", 0, [A | {"dom": "迁址"}])
    assert not town.merge().whole
    assert len(read_as_files) == 1
    assert not stood & {one.file_path for one in read_as_files}
    town.check()


def test_what_is_damaged_is_not_believed_and_is_made_anew(town):
    for name in ("seal", "records", "ends", "found-0"):
        for file in (town.tables.folder / "keyed" / "small").rglob(name):
            file.write_bytes(bytes(one ^ 1 for one in file.read_bytes()))
        Town.act(town, "upsert", 0, [A | {"ent_name": f"更名 {name}"}])
        assert not town.merge().whole
        assert {row["uscc"]: row["ent_name"] for row in town.rows("small")}["A"] == f"更名 {name}"
        assert keyed_care.tend(town.state, town.tables, "small").made >= 2
        assert keyed_care.tend(town.state, town.tables, "small") == keyed_care.Twinned(0, 0, 0)
    town.check()


def test_twins_as_an_earlier_version_made_them_are_not_read_and_are_made_anew(town, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(keyed, "FORMAT", keyed.FORMAT - 1)
        keyed_care.tend(town.state, town.tables, "small", on=False)
        assert keyed_care.tend(town.state, town.tables, "small").made == 3
    plan = town.tables.plan(WHO[0].table, town.state.released(WHO[0].table))
    lens = keyed_rows.lens_of(town.standard, WHO[0], plan.schema)
    folder = keyed_rows.folder_of(town.tables.folder, "small", WHO[0].table)
    assert not keyed_rows.twins(folder, plan.data, lens).there
    Town.act(town, "upsert", 0, [A | {"dom": "迁址"}])
    assert not town.merge().whole
    assert keyed_care.tend(town.state, town.tables, "small").made == 4
    assert keyed_rows.twins(folder, plan.data, lens).there
    town.check()


def test_a_twin_left_half_is_no_twin_and_the_next_round_goes_on(town, monkeypatch):
    def killed(_point):
        raise KeyboardInterrupt

    Town.act(town, "upsert", 2, [B])
    town.merge()
    with monkeypatch.context() as dying:
        dying.setattr(keyed, "reached", killed)
        with pytest.raises(KeyboardInterrupt):
            keyed_care.tend(town.state, town.tables, "small")
    half = list((town.tables.folder / "keyed").rglob(f"*{keyed.BUILDING}"))
    assert len(half) == 1
    assert keyed_care.tend(town.state, town.tables, "small").made == 2
    assert not half[0].exists()


def test_a_rebuild_has_new_twins_and_those_of_files_that_are_gone_go(town, monkeypatch):
    monkeypatch.setattr(merge_delta, "FEW", 0)
    monkeypatch.setattr(merge_delta, "_SHARE", 10**9)
    Town.act(town, "upsert", 0, [A | {"dom": "迁址"}])
    assert town.merge().whole
    told = keyed_care.tend(town.state, town.tables, "small")
    assert (told.made, told.removed) == (2, 1)
    town.check()


def test_switched_off_there_are_no_twins(town):
    assert read({"SHUTONG_KEYED_TWINS": "off"}).storage.keyed_twins is False
    assert keyed_care.tend(town.state, town.tables, "small", on=False).removed == 3
    assert not list((town.tables.folder / "keyed").rglob("*"))


SCHEMA = {
    "text": (pa.string(), st.text() | st.just("长" * 30_000)),
    "date": (pa.date32(), st.dates()),
    "at": (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "stamp": (pa.timestamp("us"), st.datetimes()),
    "time": (pa.time64("us"), st.times()),
    "money": (pa.decimal128(24, 6), st.decimals(-(10**17), 10**17, places=6)),
    "count": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "ratio": (pa.float64(), st.floats(allow_nan=False)),
    "flag": (pa.bool_(), st.booleans()),
    "bytes": (pa.binary(), st.binary()),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, (_, values) in SCHEMA.items()}), min_size=1, max_size=9
)


@settings(max_examples=int(os.environ.get("MERGES", "2")), deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_rows_come_out_of_a_twin_as_they_were(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    state, tables = deployment(folder)
    table = pa.Table.from_pylist(rows, schema=pa.schema([(name, kind) for name, (kind, _) in SCHEMA.items()]))
    tables.ensure("std.rows", table.schema)
    plan = tables.plan("std.rows", tables.append("std.rows", table))
    lens = keyed.Lens(plan.schema, tuple(SCHEMA), f"FROM {keyed.SOURCE}", {keyed.OWN: '"text"'})
    with tables.connect() as connection:
        twin = keyed.build(connection, folder, plan.data[0], lens)
        wanted = keyed_rows.Wanted(twin, np.arange(len(rows)), (True, True))
        (said,) = keyed_rows.fetch(connection, lens, [wanted], "found")
        columns = ", ".join(f'"{name}"' for name in SCHEMA)
        found, there = (
            connection.execute(f"SELECT {columns} FROM {source}").to_arrow_table()
            for source in (f"({said}) ORDER BY file_row_number", keyed_rows.scan.relation(plan))
        )
        assert found.to_pylist() == there.to_pylist()
        text = rows[0]["text"]
        hashed = connection.execute("SELECT hash(?::VARCHAR) AS h", [text]).fetchnumpy()["h"]
        assert text is None or 0 in twin.find(keyed.OWN, hashed)
    tables.close()
    state.close()
