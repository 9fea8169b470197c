"""What landing makes of rows: one fate each, the newer wins, both tables change at once."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from land_factory import FIELDS, RESOURCE, Record, Warehouse, batches, standardise

from schemas.points import POINTS
from warehouse import land as landing_of
from warehouse.checked import kept_check
from warehouse.errors import WarehouseError
from warehouse.keep import keep, received
from warehouse.land import Landing, land, landed_table, quarantine_table
from warehouse.store import LocalStore


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    made = Warehouse(tmp_path)
    yield made
    made.close()


RECORDS = st.lists(
    st.builds(
        Record,
        code=st.sampled_from(["𠮷1", "A2", "a2", "B3"]),
        day=st.sampled_from([None, "2026-01-01", "2026-01-02", "2026-01-03"]),
        name=st.sampled_from(["甲", "乙", "𠮷"]),
        ok=st.sampled_from([True, True, True, False]),
    ),
    max_size=7,
)


@settings(
    max_examples=60 if os.environ.get("SHUTONG_PROVE") else 4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(RECORDS, min_size=1, max_size=3))
def test_the_newer_wins_within_and_across_batches(history: list[list[Record]]) -> None:
    expected: dict[str | None, Record] = {}
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder))
        earlier: list[list[Record]] = []
        for number, drawn in enumerate(history):
            records = [replace(one, name=f"{one.name}{number}") for one in drawn]  # each batch a new one
            counts = warehouse.ingest(records, f"run-{number}")
            if records or not earlier:
                assert counts == simulate(expected, records)
            earlier.append(records)
        found = {row["code"]: (row["day"] and str(row["day"]), row["name"]) for row in warehouse.landed()}
        assert found == {code: (one.day, one.name) for code, one in expected.items()}
        assert len(warehouse.quarantined()) == sum(not one.ok for records in earlier for one in records)
        warehouse.close()


def simulate(landed: dict[str | None, Record], records: list[Record]) -> Landing:
    """Row by row in plain Python: what one batch does to what is landed."""
    winners: dict[str | None, Record] = {}
    for one in (one for one in records if one.ok):
        if one.code not in winners or (one.day or "") >= (winners[one.code].day or ""):
            winners[one.code] = one
    changed = 0
    for code, one in winners.items():
        have = landed.get(code)
        if have is None or ((one.day or "") >= (have.day or "") and one != have):
            landed[code] = one
            changed += 1
    bad = sum(not one.ok for one in records)
    return Landing(changed, bad, len(records) - bad - changed)


def test_every_row_is_counted_once_and_both_tables_become_visible_together(warehouse: Warehouse) -> None:
    records = [Record("A1", "2026-01-01", "甲"), Record("A1", "2026-01-02", "乙"), Record("B", None, "坏", ok=False)]
    assert warehouse.ingest(records, "run-1") == Landing(1, 1, 1)
    release = warehouse.state.release()
    assert release is not None
    assert release.changed == (quarantine_table(RESOURCE), landed_table(RESOURCE))
    run = warehouse.state.run("run-1")
    assert (run.landed, run.quarantined, run.superseded) == (1, 1, 1)


def test_a_landed_row_says_where_it_came_from_and_what_was_repaired(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("𠮷1", "2026-01-01", "名"), Record("X2", None, "名")], "run-1")
    batch = warehouse.state.manifests(RESOURCE)[0].batch
    plain, repaired = sorted(warehouse.landed(), key=lambda row: row["_row"])
    lineage = {name: plain[name] for name in ("_department", "_resource", "_run", "_batch", "_row", "_raw")}
    assert lineage == {
        "_department": "market",
        "_resource": "base",
        "_run": "run-1",
        "_batch": batch,
        "_row": 1,
        "_raw": None,
    }
    assert json.loads(repaired["_raw"]) == {"code": "x2"}


def test_a_quarantined_row_keeps_what_was_received_and_every_rule(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("X\"1'𠮷", None, "坏\n\\", ok=False)], "run-1")
    (row,) = warehouse.quarantined()
    assert row["rules"] == ["r1", "r2"]
    assert json.loads(row["received"]) == {"编号": "x\"1'𠮷", "日期": None, "名称": "坏\n\\", "_line": None}
    assert json.loads(row["standardised"]) == {"code": "X\"1'𠮷", "day": None, "name": "坏\n\\"}
    assert row["key"] == "X\"1'𠮷"


def test_the_same_batch_again_writes_nothing_and_gives_the_same_counts(warehouse: Warehouse) -> None:
    records = [Record("A1", None, "甲"), Record("A1", None, "甲"), Record("B", None, "坏", ok=False)]
    first = warehouse.ingest(records, "run-1")
    before = [warehouse.tables.head(table) for table in (landed_table(RESOURCE), quarantine_table(RESOURCE))]
    assert warehouse.ingest(records, "run-2") == first
    after = [warehouse.tables.head(table) for table in (landed_table(RESOURCE), quarantine_table(RESOURCE))]
    assert after == before
    assert len(warehouse.state.releases()) == 1


def test_exact_copies_of_landed_rows_are_superseded_without_a_new_snapshot(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("A1", "2026-01-01", "甲"), Record("A2", None, "乙")], "run-1")
    before = warehouse.tables.head(landed_table(RESOURCE))
    assert warehouse.ingest([Record("A2", None, "乙")], "run-2") == Landing(0, 0, 1)
    assert warehouse.tables.head(landed_table(RESOURCE)) == before


def test_a_source_that_returns_to_what_it_said_before_is_believed(warehouse: Warehouse) -> None:
    one, other = [Record("A1", None, "甲")], [Record("A1", None, "乙")]
    for number, records in enumerate([one, other, one]):
        assert warehouse.ingest([*records, Record("B", None, "坏", ok=False)], f"run-{number}") == Landing(1, 1, 0)
    assert [row["name"] for row in warehouse.landed()] == ["甲"]
    assert len(warehouse.quarantined()) == 2


def test_a_passed_row_without_a_key_is_quarantined_and_not_lost(warehouse: Warehouse) -> None:
    assert warehouse.ingest([Record(None, None, "甲"), Record("A", None, "乙")], "run-1") == Landing(1, 1, 0)
    assert [row["rules"] for row in warehouse.quarantined()] == [["WH-KEY-NULL"]]


def test_a_batch_without_rows_lands(warehouse: Warehouse) -> None:
    assert warehouse.ingest([], "run-1") == Landing(0, 0, 0)
    assert warehouse.landed() == []
    assert warehouse.ingest([Record("A", None, "甲")], "run-2") == Landing(1, 0, 0)


def test_a_checked_table_that_lost_a_row_is_refused(warehouse: Warehouse) -> None:
    records = [Record("A", None, "甲"), Record("B", None, "乙")]
    manifest = warehouse.pull(records, "run-1")
    table, verdict = standardise(received(warehouse.store, manifest).slice(0, 1), records[:1])
    warehouse.keep(manifest, table, verdict)
    with pytest.raises(WarehouseError, match="WH-ROWS-LOST"):
        warehouse.land(manifest)


def test_landing_before_checking_says_what_to_do(warehouse: Warehouse) -> None:
    manifest = warehouse.pull([Record("A", None, "甲")], "run-1")
    with pytest.raises(WarehouseError, match="WH-CHECK-MISSING"):
        warehouse.land(manifest)


def test_a_check_kept_again_takes_the_place_of_the_first(warehouse: Warehouse) -> None:
    records = [Record("A", None, "甲", ok=False)]
    manifest = warehouse.pull(records, "run-1")
    warehouse.check(manifest, records)
    warehouse.check(manifest, [replace(records[0], ok=True)])
    kept = kept_check(warehouse.store, manifest)
    assert kept.verdict().quarantine.to_pylist() == []
    assert kept.counts[0].rows == 0


def test_a_field_delivered_later_lands_and_leaves_earlier_rows_alone(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("A", None, "甲"), Record("B", None, "乙")], "run-1")
    records = [Record("A", None, "甲"), Record("B", None, "丙")]
    manifest = warehouse.pull(records, "run-2")
    table, verdict = standardise(received(warehouse.store, manifest), records)
    wider = table.append_column("capital", pa.array([None, 7.5]).cast(pa.float64()).cast(pa.decimal128(24, 6)))
    warehouse.keep(manifest, wider, verdict, {**FIELDS, "capital": "注册资本"})
    counts = land(
        warehouse.store,
        warehouse.state,
        warehouse.tables,
        manifest,
        kept_check(warehouse.store, manifest),
        resource=RESOURCE,
        key=("code",),
        order=("capital",),
    )
    assert counts == Landing(1, 0, 1)
    assert [(row["code"], str(row["capital"])) for row in warehouse.landed()] == [("A", "None"), ("B", "7.500000")]


def test_source_columns_that_differ_by_case_alone_are_kept_apart(warehouse: Warehouse) -> None:
    records = [Record("A", None, "甲", ok=False)]
    warehouse.state.start_run("run-1", RESOURCE)
    (batch,) = batches(records, 1)
    rows = batch.rows.append_column("ID", pa.array(["1"])).append_column("id", pa.array(["2"]))
    manifest = keep(warehouse.store, warehouse.state, RESOURCE, "run-1", [replace(batch, rows=rows)])
    warehouse.check(manifest, records)
    warehouse.land(manifest)
    received_values = json.loads(warehouse.quarantined()[0]["received"])
    assert (received_values["ID"], received_values["id"]) == ("1", "2")


def test_the_points_a_test_may_kill_at_are_those_of_the_steps() -> None:
    assert {point.partition(".")[0] for point in POINTS} >= {"pull", "check", "land"}


class Elsewhere(LocalStore):
    """A store whose files no library can open by name."""

    def local(self, path: str) -> Path | None:
        return None


def test_a_check_kept_elsewhere_lands_like_one_on_this_machine(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.store = Elsewhere(warehouse.store.folder)
    counts = warehouse.ingest([Record("A", None, "甲"), Record("B", None, "乙", ok=False)], "run-1")
    assert (counts.landed, counts.quarantined) == (1, 1)
    assert [row["name"] for row in warehouse.landed()] == ["甲"]


def test_rows_that_do_not_fit_into_the_memory_of_a_landing_land_all_the_same(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing_of, "MEMORY", "24MB")
    records = [Record(f"A{number:06}", None, f"名称{number}" * 20) for number in range(60_000, 0, -1)]
    manifest = warehouse.pull(records, "run-1", cut=60_000)
    warehouse.check(manifest, records)
    assert warehouse.land(manifest) == Landing(60_000, 0, 0)
    names = warehouse.tables.read(landed_table(RESOURCE), warehouse.state.released(landed_table(RESOURCE)), ["code"])
    assert sorted(names["code"].to_pylist()) == sorted(one.code for one in records)
