"""Upkeep after each landing: snapshots stay few, and what releases, libraries and publications need stays readable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from land_factory import RESOURCE, Warehouse

from warehouse import upkeep
from warehouse.errors import WarehouseError
from warehouse.land import landed_table
from warehouse.library_state import LibraryState, Made
from warehouse.state.schema import RELEASE
from warehouse.tables import Tables
from warehouse.upkeep import Kept, tidy

TABLE = landed_table(RESOURCE)
KEPT = Kept(releases=2, days=2)


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    monkeypatch.setattr(upkeep, "SNAPSHOTS", 5)
    monkeypatch.setattr(upkeep, "FEWER", 2)
    made = Warehouse(tmp_path)
    yield made
    made.close()


def release(warehouse: Warehouse, number: int) -> int:
    """One more row in the table, released; the snapshot."""
    tables, run = warehouse.tables, f"r{number}"
    tables.ensure(TABLE, pa.schema([("k", pa.string())]))
    snapshot = tables.append(TABLE, pa.table({"k": [str(number)]}))
    assert snapshot is not None
    warehouse.state.start_run(run, RESOURCE)
    warehouse.state.commit_release(run, {TABLE: tables.pin(TABLE, snapshot)})
    return snapshot


def readable(tables: Tables, snapshot: int) -> bool:
    try:
        tables.read(TABLE, snapshot)
    except WarehouseError as error:
        return error.code != "WH-SNAPSHOT-GONE"
    return True


def test_however_many_releases_there_are_a_table_keeps_few_snapshots(warehouse: Warehouse) -> None:
    made = []
    for number in range(14):
        made.append(release(warehouse, number))
        tidy(warehouse.state, warehouse.tables, [TABLE, "base.none"], KEPT)
        assert warehouse.tables.snapshot_count(TABLE) <= 5
    assert [readable(warehouse.tables, one) for one in made[-2:]] == [True, True]
    assert not readable(warehouse.tables, made[0])
    assert warehouse.tables.row_count(TABLE, made[-1]) == 14


def test_what_a_day_ended_with_what_is_published_and_what_a_library_was_merged_from_stays(warehouse: Warehouse) -> None:
    made = [release(warehouse, number) for number in range(8)]
    state, base = warehouse.state, "base.legal_person"
    with state.engine.begin() as connection:
        for number, day in ((1, "2026-01-01"), (2, "2026-01-02"), (3, "2026-01-02")):
            said = sa.update(RELEASE).where(RELEASE.c.id == number).values(created_at=f"{day}T08:00:00+08:00")
            connection.execute(said)
    state.commit_publication("legal_person", 1, 2, 10)
    merged = Made("legal_person", "m1", made[4], "2026-01-03", {}, {TABLE: made[4]}, {})
    LibraryState(state.engine).record(merged)
    state.commit_release("m1", {base: warehouse.tables.pin(TABLE, made[7])}, kind="merge")
    assert tidy(state, warehouse.tables, [TABLE], Kept(releases=1, days=2)) == 2
    assert [readable(warehouse.tables, one) for one in made] == [False, True, True, False, True, True, True, True]


def test_upkeep_that_fails_fails_nothing_else(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        release(warehouse, number)

    def gone(*_: object) -> None:
        raise WarehouseError("WH-STATE-GONE", zh="无", en="gone", fix_zh="等", fix_en="Wait")

    monkeypatch.setattr(warehouse.state, "unpin_releases", gone)
    assert tidy(warehouse.state, warehouse.tables, [TABLE], KEPT) == 0
    monkeypatch.undo()
    assert warehouse.tables.snapshot_count(TABLE) == 8
