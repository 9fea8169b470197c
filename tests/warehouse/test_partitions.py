"""Files divided by year, month, province or city: rows land, move and go as ever, and every reader sees the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
import readers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from land_factory import RESOURCE, Record, Warehouse, deletion
from land_kills import FIRST, SECOND
from pairs import ENDS, assert_released, fresh
from pyiceberg.expressions import EqualTo

from schemas.partition import Partition
from warehouse import landing_files
from warehouse.compaction import Tended, compact, fold
from warehouse.land import landed_table, lock_name
from warehouse.sql_views import Keep, Shown, View, reading

TABLE = landed_table(RESOURCE)
MONTH, YEAR = Partition("day", "month"), Partition("day", "year")
PROVINCE, CITY = Partition("code", "province"), Partition("code", "city")
KINDS = [None, MONTH, YEAR, PROVINCE, CITY]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    made = Warehouse(tmp_path)
    yield made
    made.close()


def files(one: Warehouse) -> list[list[object]]:
    """What each file of the released table says of its partition."""
    planned = one.tables.plan(TABLE, one.state.released(TABLE))
    return sorted(([file.spec_id, *file.partition] for file in planned.data), key=str)


def tended(one: Warehouse) -> Tended:
    return Tended(TABLE, ("code",), partial(one.store.lock, lock_name(RESOURCE)))


def names(one: Warehouse) -> dict[str, str]:
    return {row["code"]: row["name"] for row in one.landed()}


def assert_alike(one: Warehouse, *others) -> None:
    """Other readers see what we see."""
    made = readers.Made(one.tables, TABLE, one.state.released(TABLE), one.tables.folder)
    ours = sorted(readers.ours(made).to_pylist(), key=str)
    for reader in (readers.pyiceberg, *others):
        assert sorted(reader(made).to_pylist(), key=str) == ours, reader.__name__


@pytest.mark.parametrize("kind", ENDS)
def test_a_record_moves_to_the_files_of_its_month_and_is_gone_from_those_before(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bucket = request.getfixturevalue("bucket_server") if "bucket" in kind else None
    database = request.getfixturevalue("database_server") if "postgres" in kind else None
    one = fresh(kind, tmp_path, bucket, database).open()
    one.partition = MONTH
    try:
        one.ingest([*FIRST, Record("N", None, "无")], "run-1")
        assert files(one) == [[1, 672], [1, None]]  # months since 1970
        one.ingest(SECOND, "run-2")
        assert names(one) == {
            "A0": "甲", "A1": "甲", "A3": "乙𠮷", "A4": "乙𠮷", "A5": "乙𠮷", "C1": "丁", "N": "无",
        }  # fmt: skip
        assert files(one) == [[1, 672], [1, 673], [1, 674], [1, None]]
        assert_alike(one)
        assert_released(one)
    finally:
        one.close()


def test_divisions_are_told_by_their_first_digits_and_every_reader_sees_all(warehouse: Warehouse) -> None:
    warehouse.partition = CITY
    warehouse.ingest([Record(one, None, "甲") for one in ("330100", "330102", "330200", "110101", "3", "")], "run-1")
    assert files(warehouse) == [[1, ""], [1, "1101"], [1, "3"], [1, "3301"], [1, "3302"]]
    warehouse.ingest([Record("330102", None, "乙"), deletion("110101")], "run-2")
    assert names(warehouse) == {"330100": "甲", "330102": "乙", "330200": "甲", "3": "甲", "": "甲"}
    assert_alike(warehouse, readers.iceberg_scan, readers.polars, readers.sail)


def test_texts_too_long_for_the_statistics_of_a_file_are_told_apart_by_their_rows(warehouse: Warehouse) -> None:
    warehouse.partition, long = PROVINCE, "33" + "丙" * 10_000
    warehouse.ingest([Record(one, None, "甲") for one in (long, "11" + long, "110000")], "run-1")
    assert files(warehouse) == [[1, "11"], [1, "33"]]
    assert compact(warehouse.state, warehouse.tables, tended(warehouse), always=True).changed
    assert files(warehouse) == [[1, "11"], [1, "33"]]
    table = warehouse.tables.loaded(TABLE)
    assert table.scan(row_filter=EqualTo("code", long)).to_arrow().num_rows == 1
    assert_alike(warehouse, readers.iceberg_scan, readers.polars)


def test_another_division_holds_for_new_files_and_old_ones_stay_readable(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, kind in enumerate([None, MONTH, PROVINCE, None, YEAR], 1):
        warehouse.partition = kind
        warehouse.ingest(
            [Record(f"{number}0", "2026-01-05", "新"), Record("99", f"2026-01-0{number}", "各次")], f"r{number}"
        )
    assert {tuple(one) for one in files(warehouse)} == {(0,), (1, 672), (2, "30"), (2, "99"), (3, 56)}
    assert names(warehouse) == {**{f"{number}0": "新" for number in range(1, 6)}, "99": "各次"}
    assert_alike(warehouse, readers.iceberg_scan, readers.polars, readers.sail)
    compact(warehouse.state, warehouse.tables, tended(warehouse), always=True)
    assert files(warehouse) == [[3, 56]]  # what lay otherwise beside what lay so already
    assert_alike(warehouse, readers.iceberg_scan)
    warehouse.partition = None
    warehouse.ingest([Record("99", "2026-01-09", "后来")], "r6")
    monkeypatch.setattr("warehouse.compaction.RANGE", 3)
    compact(warehouse.state, warehouse.tables, tended(warehouse), always=True)
    assert files(warehouse) == [[0]] * 3  # by ranges of the key, as what was never divided
    assert names(warehouse) == {**{f"{number}0": "新" for number in range(1, 6)}, "99": "后来"}


@pytest.mark.prove
def test_spark_with_the_reference_implementation_sees_what_we_see(warehouse: Warehouse) -> None:
    for number, kind in enumerate([None, MONTH, CITY], 1):
        warehouse.partition = kind
        said = [
            Record(f"{key}0100", f"2026-0{1 + key % 3}-0{number}", f"第{number}批") for key in range(10 * number, 45)
        ]
        warehouse.ingest(said, f"run-{number}")
    assert_alike(warehouse, readers.iceberg_scan, readers.sail, readers.spark)
    warehouse.ingest([deletion("400100", "2026-12-01")], "run-4")
    assert len(warehouse.landed()) == 34


def test_compaction_leaves_one_file_in_order_for_each_partition(warehouse: Warehouse) -> None:
    warehouse.partition = MONTH
    for number in range(4):
        warehouse.ingest(
            [Record(f"{key}", f"2026-0{1 + key % 3}-1{number}", f"第{number}批") for key in range(12)], f"run-{number}"
        )
    before = warehouse.landed()
    done = compact(warehouse.state, warehouse.tables, tended(warehouse), always=True)
    assert (done.files, done.rows) == (3, 12)
    assert warehouse.landed() == before
    assert files(warehouse) == [[1, 672], [1, 673], [1, 674]]
    assert_alike(warehouse, readers.iceberg_scan)
    assert not compact(warehouse.state, warehouse.tables, tended(warehouse)).changed


def test_small_files_are_joined_within_their_partition_once_they_are_many_for_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.compaction.MANY", 3)
    warehouse.partition = PROVINCE
    for number in range(2):
        warehouse.ingest([Record(f"{one}{number}", None, "甲") for one in (11, 33)], f"run-{number}")
    assert not fold(warehouse.state, warehouse.tables, tended(warehouse))  # four files, but in two partitions
    for number in range(2, 4):
        warehouse.ingest([Record(f"{one}{number}", None, "甲") for one in (11, 33)], f"run-{number}")
    assert fold(warehouse.state, warehouse.tables, tended(warehouse))
    assert files(warehouse) == [[1, "11"], [1, "33"]]
    assert len(warehouse.landed()) == 8


def test_planning_passes_over_the_files_of_other_partitions(warehouse: Warehouse) -> None:
    warehouse.partition = MONTH
    warehouse.ingest([Record(f"{month:02}", f"2026-{month:02}-05", "甲") for month in range(1, 13)], "run-1")
    table = warehouse.tables._load(TABLE)
    assert len(list(table.scan().plan_files())) == 12
    assert len(list(table.scan(row_filter="day >= '2026-11-01'").plan_files())) == 2
    released = warehouse.state.released(TABLE)
    assert len(warehouse.tables.plan(TABLE, released, "day >= '2026-11-01' and day < '2026-12-01'").data) == 1
    found = warehouse.tables.relation(TABLE, released, ["code"], "day = '2026-03-05'")
    with warehouse.tables.connect() as connection:
        assert connection.execute(f"SELECT * FROM {found}").fetchall() == [("03",)]


def test_what_an_analyst_may_not_see_is_not_opened_where_it_lies_in_files_of_its_own(warehouse: Warehouse) -> None:
    warehouse.partition = PROVINCE
    warehouse.ingest([Record(f"{one}0100", None, "甲") for one in (11, 12, 33, 34)], "run-1")

    def seen(*keep: Keep) -> tuple[list[str], int]:
        view = View("market.base", TABLE, (Shown("code"),), keep)
        query = reading(warehouse.tables, view, warehouse.state.released(TABLE), ["code"]).sql
        with warehouse.tables.connect() as connection:
            return sorted(code for (code,) in connection.execute(query).fetchall()), query.count(".parquet'")

    assert seen(Keep("code", ("110100",))) == (["110100"], 1)
    assert seen(Keep("code", ("110100",), ("33", "3401"))) == (["110100", "330100", "340100"], 3)
    assert seen(Keep("code", (), ("1",)), Keep("name", ("乙",))) == ([], 0)
    assert seen(Keep("code", (), ("", "9"))) == (["110100", "120100", "330100", "340100"], 4)
    assert seen(Keep("day", ("2026-01-01",))) == ([], 4)
    assert seen(Keep("elsewhere", ("x",))) == ([], 4)


def test_many_partitions_are_written_some_at_a_time_and_little_waits(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing_files, "AT_ONCE", 5)
    monkeypatch.setattr(landing_files, "WAITING", 300)
    warehouse.partition = PROVINCE
    said = [Record(f"{number:03}", None, f"名{number}") for number in range(240)]
    warehouse.ingest(said, "run-1")
    assert len(files(warehouse)) == 24
    assert names(warehouse) == {one.code: one.name for one in said}


def test_rows_without_the_column_are_divided_once_there_is_one(warehouse: Warehouse) -> None:
    name, plain = "t.late", pa.schema([("k", pa.string())])
    warehouse.tables.ensure(name, plain)
    warehouse.tables.divide(name, MONTH)
    warehouse.tables.upsert(name, pa.table({"k": ["a"]}), key=["k"])
    warehouse.tables.ensure(name, plain.append(pa.field("day", pa.date32())))
    warehouse.tables.divide(name, MONTH)
    dated = pa.table({"k": ["b", "c"], "day": pa.array([date(2026, 1, 1), None], pa.date32())})
    warehouse.tables.upsert(name, dated, key=["k"])
    warehouse.tables.upsert(name, pa.table({"k": ["a", "d"]}), key=["k"])
    head = warehouse.tables.head(name).snapshot
    said = [[one.spec_id, *one.partition] for one in warehouse.tables.plan(name, head).data]
    assert sorted(said, key=str) == [[0], [1, 672], [1, None], [1, None]]
    assert {row["k"] for row in warehouse.tables.read(name, head).to_pylist()} == set("abcd")


RECORDS = st.lists(
    st.builds(
        Record,
        st.sampled_from(["1101", "1102", "3301", "330109", "33", "𠮷"]),
        st.sampled_from(["2025-12-31", "2026-01-01", "2026-02-28"]),
        st.sampled_from(["甲", "乙"]),
    ),
    min_size=1, max_size=5, unique_by=lambda one: one.code,
)  # fmt: skip


@settings(max_examples=int(os.environ.get("PARTITIONS", "2")), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(KINDS), RECORDS, st.booleans()), min_size=2, max_size=5))
def test_whatever_lands_however_divided_the_newest_of_each_key_stands_once(tmp_path_factory, steps) -> None:
    one = Warehouse(tmp_path_factory.mktemp("divided"))
    stands: dict[str, tuple[str, str]] = {}
    for number, (kind, records, tidied) in enumerate(steps):
        one.partition = kind
        one.ingest(records, f"run-{number}")
        for said in records:
            if said.code not in stands or said.day >= stands[said.code][0]:
                stands[said.code] = (said.day, said.name)
        if tidied:
            compact(one.state, one.tables, tended(one), always=True)
    assert names(one) == {code: name for code, (_, name) in stands.items()}
    assert len(one.landed()) == len(stands)
    assert_alike(one, readers.iceberg_scan)
    one.close()
