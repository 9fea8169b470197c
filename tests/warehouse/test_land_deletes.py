"""What a source deleted goes from the landed table with the same release, unless something newer speaks for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from land_factory import RESOURCE, Record, Warehouse, deletion, standardise

from schemas.values import ORDER
from warehouse.checked import kept_check
from warehouse.keep import received
from warehouse.land import Landing, land, landed_table

TABLE = landed_table(RESOURCE)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    made = Warehouse(tmp_path)
    yield made
    made.close()


def names(warehouse: Warehouse) -> dict[object, object]:
    return {row["code"]: row["name"] for row in warehouse.landed()}


def test_a_deletion_with_only_its_key_removes_the_landed_record_and_nothing_else(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("𠮷1", "2026-01-01", "甲"), Record("A2", None, "乙")], "run-1")
    assert warehouse.ingest([deletion("𠮷1"), Record("A3", None, "丙")], "run-2") == Landing(1, 0, 0, 1)
    assert names(warehouse) == {"A2": "乙", "A3": "丙"}
    run, release = warehouse.state.run("run-2"), warehouse.state.release()
    assert (run.landed, run.deleted) == (1, 1)
    assert release is not None
    assert release.changed == (TABLE,)


def test_a_batch_of_deletions_alone_is_one_snapshot_that_every_reader_understands(warehouse: Warehouse) -> None:
    warehouse.ingest([Record(f"A{n}", None, "甲") for n in range(5)], "run-1")
    assert warehouse.ingest([deletion("A1"), deletion("A3")], "run-2") == Landing(0, 0, 0, 2)
    head = warehouse.tables.head(TABLE)
    assert head is not None
    assert head.summary["added-position-deletes"] == "2"
    assert warehouse.tables.row_count(TABLE, head.snapshot) == 3
    scanned = warehouse.tables._load(TABLE).scan().to_arrow()
    assert sorted(scanned["code"].to_pylist()) == ["A0", "A2", "A4"]


def test_a_deletion_of_what_never_landed_is_superseded_and_writes_nothing(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("A1", None, "甲")], "run-1")
    before = warehouse.tables.head(TABLE)
    assert warehouse.ingest([deletion("B9")], "run-2") == Landing(0, 0, 1)
    assert warehouse.tables.head(TABLE) == before


def test_the_same_deletion_again_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("A1", None, "甲"), Record("A2", None, "乙")], "run-1")
    assert warehouse.ingest([deletion("A1")], "run-2") == Landing(0, 0, 0, 1)
    assert warehouse.ingest([deletion("A1")], "run-3") == Landing(0, 0, 0, 1)
    assert len(warehouse.state.releases()) == 2
    assert names(warehouse) == {"A2": "乙"}


def test_a_record_that_comes_back_after_its_deletion_lands_again(warehouse: Warehouse) -> None:
    first = [Record("A1", "2026-01-01", "甲")]
    warehouse.ingest(first, "run-1")
    warehouse.ingest([deletion("A1")], "run-2")
    assert names(warehouse) == {}
    again = warehouse.pull(first, "run-3")
    warehouse.check(again, first)
    assert warehouse.land(again, "run-3") == Landing(1, 0, 0)
    assert names(warehouse) == {"A1": "甲"}


def test_a_deletion_without_a_date_voids_what_stands_before_it_and_not_what_comes_after(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("A1", "2026-05-01", "旧"), Record("A2", "2026-05-01", "旧")], "run-1")
    batch = [
        *(Record("A1", "2026-06-01", "作废"), deletion("A1"), Record("A1", "2020-01-01", "重录")),
        *(Record("A2", "2026-06-01", "作废"), deletion("A2")),
    ]
    assert warehouse.ingest(batch, "run-2") == Landing(1, 0, 3, 1)
    assert names(warehouse) == {"A1": "重录"}


def test_a_deletion_with_a_date_yields_to_a_newer_record_wherever_it_stands(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("A1", "2026-03-01", "新"), Record("A2", "2026-01-01", "旧")], "run-1")
    batch = [deletion("A1", "2026-02-01"), Record("A2", "2026-03-01", "更新"), deletion("A2", "2026-02-01")]
    assert warehouse.ingest(batch, "run-2") == Landing(1, 0, 2)
    assert names(warehouse) == {"A1": "新", "A2": "更新"}


def test_a_deletion_without_a_key_is_quarantined(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("A1", None, "甲")], "run-1")
    assert warehouse.ingest([deletion(None), deletion("A1")], "run-2") == Landing(0, 1, 0, 1)
    (row,) = warehouse.quarantined()
    assert row["rules"] == ["WH-KEY-NULL"]


OPERATIONS = st.lists(
    st.builds(
        Record,
        code=st.sampled_from(["𠮷1", "A2", "B3"]),
        day=st.sampled_from([None, "2026-01-01", "2026-01-02"]),
        name=st.sampled_from(["甲", "乙"]),
        gone=st.sampled_from([False, False, True]),
    ),
    max_size=7,
)


@settings(
    max_examples=60 if os.environ.get("SHUTONG_PROVE") else 4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(OPERATIONS, min_size=1, max_size=3))
def test_whatever_comes_in_whatever_order_every_row_has_one_fate(history: list[list[Record]]) -> None:
    expected: dict[str | None, Record] = {}
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder))
        for number, drawn in enumerate(history):
            records = [replace(one, name=f"{one.name}{number}") for one in drawn]
            counts = warehouse.ingest(records, f"run-{number}")
            if records:
                assert counts == simulate(expected, records)
        assert names(warehouse) == {code: one.name for code, one in expected.items()}
        warehouse.close()


def simulate(landed: dict[str | None, Record], records: list[Record]) -> Landing:
    """Row by row in plain Python: what one batch does to what is landed."""
    winners: dict[str | None, tuple[Record, bool]] = {}
    for one in records:
        rival, voided = winners.get(one.code, (None, False))
        if one.gone and one.day is None:
            winners[one.code] = (one, True)
        elif rival is None or (one.day or "") >= (rival.day or ""):
            winners[one.code] = (one, voided)
    changed = removed = 0
    for code, (one, voided) in winners.items():
        have = landed.get(code)
        if have is not None and not voided and (one.day or "") < (have.day or ""):
            continue
        if one.gone and have is not None:
            del landed[code]
            removed += 1
        elif not one.gone and one != have:
            landed[code] = one
            changed += 1
    return Landing(changed, 0, len(records) - changed - removed, removed)


def test_the_order_a_source_gives_its_changes_counts_before_any_field(warehouse: Warehouse) -> None:
    def come(run: str, *changes: tuple[Record, str]) -> Landing:
        records = [one for one, _ in changes]
        manifest = warehouse.pull(records, run)
        table, verdict = standardise(received(warehouse.store, manifest), records)
        said = table.append_column(ORDER, pa.array([order for _, order in changes], pa.string()))
        warehouse.keep(manifest, said, verdict)
        return land(
            warehouse.store, warehouse.state, warehouse.tables, manifest, kept_check(warehouse.store, manifest),
            resource=RESOURCE, key=("code",), order=(ORDER,),
        )  # fmt: skip

    first = ((Record("A1", None, "二"), "t2"), (Record("A1", None, "一"), "t1"), (Record("A2", None, "一"), "t1"))
    assert come("run-1", *first) == Landing(2, 0, 1)
    late = ((deletion("A1"), "t1"), (deletion("A2"), "t3"), (Record("A2", None, "旧"), "t2"))
    assert come("run-2", *late) == Landing(0, 0, 2, 1)
    assert names(warehouse) == {"A1": "二"}
    assert come("run-3", (Record("A1", None, "二"), "t5")) == Landing(1, 0, 0)
    assert come("run-4", (Record("A1", None, "四"), "t4")) == Landing(0, 0, 1)
