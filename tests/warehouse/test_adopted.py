"""A checked file becomes its table's as it stands: every reader sees only the rows that landed, however often."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from land_factory import RESOURCE, Record, Warehouse, deletion

from warehouse import scan, site
from warehouse.checked import kept_check
from warehouse.land import Landing, landed_table

TABLE = landed_table(RESOURCE)
MOST = [
    *(Record(f"A{number}", "2026-01-02", "甲") for number in range(6)),
    Record("A0", "2026-01-01", "旧"),
    Record("B1", None, "坏", ok=False),
    Record(None, None, "无"),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    made = Warehouse(tmp_path)
    yield made
    made.close()


def data_files(warehouse: Warehouse) -> list[Path]:
    table = warehouse.tables._load(TABLE)
    return [Path(site.name(one.file_path)) for one in scan.plan(table, warehouse.state.released(TABLE)).data]


def checked_file(warehouse: Warehouse, number: int = 0) -> Path:
    kept = kept_check(warehouse.store, warehouse.state.manifests(RESOURCE)[number])
    return warehouse.store.folder / kept.files[0]


def test_where_most_rows_land_the_checked_file_is_the_tables_and_no_row_is_written_twice(warehouse: Warehouse) -> None:
    assert warehouse.ingest(MOST, "run-1") == Landing(6, 2, 1)
    (file,) = data_files(warehouse)
    assert file.samefile(checked_file(warehouse))
    head = warehouse.tables.head(TABLE)
    assert head is not None
    assert (head.summary["added-records"], head.summary["added-position-deletes"]) == ("9", "3")
    assert warehouse.tables.row_count(TABLE, head.snapshot) == 6


def test_rows_that_did_not_land_are_seen_by_no_reader(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.ingest(MOST, "run-1")
    warehouse.ingest([Record("A1", "2026-02-01", "乙"), Record("A1", "2025-01-01", "旧"), deletion("A2")], "run-2")
    table = warehouse.tables._load(TABLE)
    ours = {row["code"]: row["name"] for row in warehouse.landed()}
    theirs = {row["code"]: row["name"] for row in table.scan().to_arrow().to_pylist()}
    assert ours == theirs == {"A0": "甲", "A1": "乙", "A3": "甲", "A4": "甲", "A5": "甲"}
    assert table.scan().count() == 5
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # else it warns that another package would be faster
    assert sorted(pl.scan_iceberg(table).collect()["code"].to_list()) == sorted(ours)


def test_where_few_rows_land_only_those_are_written(warehouse: Warehouse) -> None:
    warehouse.ingest(MOST, "run-1")
    again = [*MOST[:6], Record("C1", None, "丙")]
    assert warehouse.ingest(again, "run-2") == Landing(1, 0, 6)
    added = next(file for file in data_files(warehouse) if not file.samefile(checked_file(warehouse, 1)))
    assert pq.read_metadata(added).num_rows == 1
    ids = [one.metadata[b"PARQUET:field_id"] for one in pq.read_schema(added)]
    assert ids == [one.metadata[b"PARQUET:field_id"] for one in pq.read_schema(checked_file(warehouse))]


def test_a_file_whose_columns_are_not_the_tables_any_more_is_written_anew(warehouse: Warehouse) -> None:
    first = warehouse.pull(MOST, "run-1")
    warehouse.check(first, MOST)
    other = warehouse.tables.shape(TABLE, kept_check(warehouse.store, first).schema)
    warehouse.tables.ensure(TABLE, other.remove(0))  # meanwhile the table was made with other ids
    assert warehouse.land(first, "run-1") == Landing(6, 2, 1)
    assert not data_files(warehouse)[0].samefile(checked_file(warehouse))
    assert {row["code"] for row in warehouse.landed()} == {f"A{number}" for number in range(6)}
    assert warehouse.ingest([Record("A1", "2026-03-01", "丙")], "run-2") == Landing(1, 0, 0)


def test_a_disk_without_second_names_gets_a_copy(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_source: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(site.os, "link", refused)
    assert warehouse.ingest(MOST, "run-1") == Landing(6, 2, 1)
    assert not data_files(warehouse)[0].samefile(checked_file(warehouse))
    assert len(warehouse.landed()) == 6


def test_an_old_checked_file_is_young_when_it_is_adopted_so_that_no_sweep_takes_it(warehouse: Warehouse) -> None:
    manifest = warehouse.pull(MOST, "run-1")
    warehouse.check(manifest, MOST)
    os.utime(checked_file(warehouse), (0, 0))
    warehouse.land(manifest)
    assert data_files(warehouse)[0].stat().st_mtime > 1_000_000_000


def test_checked_again_after_landing_the_table_keeps_its_rows(warehouse: Warehouse) -> None:
    warehouse.ingest(MOST, "run-1")
    before = warehouse.landed()
    warehouse.check(warehouse.state.manifests(RESOURCE)[0], MOST)
    assert warehouse.landed() == before
