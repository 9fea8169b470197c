"""Compacting a table changes its files and not its rows, whoever writes to it meanwhile and whenever it is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from land_factory import RESOURCE, Warehouse, in_a_process_of_its_own
from shelf import Shelf

from schemas.points import CARE
from warehouse import changed, compaction
from warehouse.compaction import Tended, compact, fold
from warehouse.errors import WarehouseError
from warehouse.land import landed_table, lock_name
from warehouse.library_state import LibraryState, Made, newest
from warehouse.site import name

TABLE = landed_table(RESOURCE)
POINTS = [point for point in CARE if point.startswith("compact.")]


class Place(Warehouse):
    """A warehouse in which single releases of one table are made."""

    def tended(self, table: str = TABLE, library: str | None = None) -> Tended:
        return Tended(table, ("k",), lambda: self.store.lock(lock_name(RESOURCE)), library)

    def change(self, rows: dict[str, int], gone: tuple[str, ...] = (), table: str = TABLE) -> int:
        """Put rows in the place of those with their keys, take others away, and release that."""
        data = pa.table({"k": pa.array(list(rows), pa.string()), "v": pa.array(list(rows.values()), pa.int64())})
        self.tables.ensure(table, data.schema)
        staged = self.tables.stage(table, data, sort=["k"])
        if gone:
            keys = pa.table({"k": [*rows, *gone]})
            staged = compaction.dataclasses.replace(staged, replaced=keys)
        snapshot = self.tables.commit(staged, key=("k",))
        assert snapshot is not None
        run = f"r{snapshot}"
        self.state.start_run(run, RESOURCE)
        self.state.commit_release(run, {table: self.tables.pin(table, snapshot)})
        return snapshot

    def rows(self, table: str = TABLE) -> dict[str, int]:
        read = self.tables.read(table, self.state.released(table)).to_pylist()
        found = {row["k"]: row["v"] for row in read}
        assert len(found) == len(read)
        head = self.tables.head(table)
        assert head is not None
        assert head.snapshot == self.state.released(table)
        theirs = self.tables.loaded(table).scan().to_arrow().to_pylist()
        assert {row["k"]: row["v"] for row in theirs} == found
        assert self.tables.row_count(table, head.snapshot) == len(found)
        return found

    def files(self, table: str = TABLE) -> tuple[int, int]:
        planned = self.tables.plan(table, self.state.released(table))
        return len(planned.data), len(planned.deletes)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MANY", 6)
    monkeypatch.setattr(compaction, "RANGE", 40)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Four changes that overlap, with rows taken away."""

    def make(folder: Path) -> None:
        made = Place(folder)
        for number in range(4):
            made.change({f"k{key:03}": number for key in range(number * 20, number * 20 + 40)}, (f"k{number:03}",))
        made.close()

    return Shelf(tmp_path_factory.mktemp("filled")).make(make)


@pytest.fixture
def full(shelf: Shelf) -> Iterator[Place]:
    made = Place(shelf.back())
    yield made
    made.close()


def test_compacting_sorts_all_rows_leaves_deleted_ones_out_and_is_released(full: Place) -> None:
    expected, before = full.rows(), full.state.released(TABLE)
    made = compact(full.state, full.tables, full.tended())
    assert (made.rows, made.files, made.before, made.changed) == (len(expected), 4, 7, True)
    assert (full.rows(), full.files()) == (expected, (4, 0))
    assert full.state.releases(1)[0].kind == "compact"
    assert full.tables.read(TABLE, before).num_rows == len(expected)
    planned = full.tables.plan(TABLE, full.state.released(TABLE))
    keys = [duckdb.read_parquet(name(one.file_path)).project("k").fetchall() for one in planned.data]
    assert sorted(keys) == [sorted(one) for one in sorted(keys)]
    assert [key for one in sorted(keys) for (key,) in one] == sorted(expected)


def test_what_is_in_order_is_left_alone_unless_asked_for(full: Place) -> None:
    compact(full.state, full.tables, full.tended())
    first = full.state.released(TABLE)
    assert not compact(full.state, full.tables, full.tended()).changed
    assert full.state.released(TABLE) == first
    assert compact(full.state, full.tables, full.tended(), always=True).changed
    nothing = Tended("std_market.none", ("k",), full.tended().alone)
    full.tables.ensure("std_market.none", pa.schema([("k", pa.string())]))
    assert not compact(full.state, full.tables, nothing, always=True).changed
    assert not fold(full.state, full.tables, Tended("no.table", ("k",), full.tended().alone))


def test_what_lands_while_a_table_is_compacted_counts(full: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = full.rows()

    def meanwhile(point: str) -> None:
        if point == "compact.written":
            full.change({"k050": 77, "new": 78}, ("k060", "new2"))
            full.change({"new": 79, "k051": 80})

    monkeypatch.setattr(compaction, "reached", meanwhile)
    compact(full.state, full.tables, full.tended())
    del expected["k060"]
    assert full.rows() == expected | {"k050": 77, "new": 79, "k051": 80}
    assert full.files() == (6, 1)
    full.change({"k050": 81}, ("new",))
    assert full.rows()["k050"] == 81


def test_contents_replaced_meanwhile_are_compacted_in_their_turn(full: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [True]

    def meanwhile(point: str) -> None:
        if point == "compact.written" and left:
            left.clear()
            snapshot = full.tables.replace(TABLE, pa.table({"k": ["a", "b"], "v": [1, 2]}))
            full.state.commit_release("whole", {TABLE: full.tables.pin(TABLE, snapshot)})

    monkeypatch.setattr(compaction, "reached", meanwhile)
    assert compact(full.state, full.tables, full.tended()).rows == 2
    assert full.rows() == {"a": 1, "b": 2}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_and_called_again_it_ends_in_the_same_table(full: Place, point: str) -> None:
    expected, folder = full.rows(), full.tables.folder.parent
    full.close()

    def work() -> None:
        mine = Place(folder)
        compact(mine.state, mine.tables, mine.tended())

    assert in_a_process_of_its_own(work, die_at=point) == 9
    if point != "compact.committed":
        assert full.rows() == expected
    written = {one.name for one in (folder / "tables").rglob("*-sorted.parquet")}
    compact(full.state, full.tables, full.tended())
    assert (full.rows(), full.files()) == (expected, (4, 0))
    if point in ("compact.range", "compact.written"):
        there = {Path(one.file_path).name for one in full.tables.plan(TABLE, full.state.released(TABLE)).data}
        assert written <= there
    assert not list((folder / "tables" / "compact").iterdir())


def test_small_files_are_joined_once_they_are_many_and_changes_can_still_be_told(place: Place) -> None:
    expected: dict[str, int] = {}
    folded = 0
    for number in range(9):
        rows = {f"k{number}": number, "k0": number}
        place.change(rows)
        expected |= rows
        before = place.state.released(TABLE)
        folded += fold(place.state, place.tables, place.tended())
        assert place.rows() == expected
        assert sum(place.files()) <= 7
        assert before is not None
        old, new = before, place.change({"last": number})
        found = changed.between(place.tables, TABLE, old, new)
        assert found is not None
        with place.tables.connect() as connection:
            assert connection.execute(f"SELECT k, v FROM {found.came}").fetchall() == [("last", number)]
        expected["last"] = number
    assert folded >= 2


def test_large_files_stay_when_small_ones_are_joined(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.change({f"k{key:04}": key for key in range(2000)})
    size = place.tables.plan(TABLE, place.state.released(TABLE)).data[0]
    monkeypatch.setattr(compaction, "SMALL", size.file_size_in_bytes)
    for number in range(4):
        place.change({f"k{number:04}": -1, f"k{number + 1:04}": -2}, (f"k{number + 100:04}",))
    expected = place.rows()
    assert fold(place.state, place.tables, place.tended())
    assert (place.rows(), place.files()) == (expected, (2, 1))
    assert size.file_path in {one.file_path for one in place.tables.plan(TABLE, place.state.released(TABLE)).data}


def test_a_library_knows_the_merge_its_compacted_records_come_from(place: Place) -> None:
    table = "base.legal_person"
    snapshot = place.change({"a": 1, "b": 2}, table=table)
    memory = LibraryState(place.state.engine)
    memory.record(Made("legal_person", "m1", snapshot, "2026-01-01", {}, {TABLE: 7}, {}))
    compact(place.state, place.tables, place.tended(table, "legal_person"))
    assert place.state.released(table) != snapshot
    found = newest(place.state, "legal_person")
    assert found is not None
    assert (found.at, found.inputs) == ("2026-01-01", {TABLE: 7})


def test_what_was_written_wrong_never_takes_the_place_of_what_is_right(
    full: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = full.rows()
    seals = iter([(1, 1), (1, 2)])
    monkeypatch.setattr(compaction, "_seal", lambda *_: next(seals))
    with pytest.raises(WarehouseError, match="WH-COMPACT-DIFFERS"):
        compact(full.state, full.tables, full.tended())
    assert full.rows() == expected
    assert not list(full.tables.folder.rglob("*-sorted.parquet"))
