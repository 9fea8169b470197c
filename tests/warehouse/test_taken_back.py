"""Going back to an earlier release: all its tables or none, forward again, killed, at once, and after it expired."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from land_factory import RESOURCE, Record, Warehouse
from land_kills import FIRST, SECOND, THIRD
from pairs import ENDS, assert_released, fresh
from rollback_kills import ALL, SOME, back, landed, target
from shelf import Shelf

from warehouse.compaction import Tended, compact
from warehouse.errors import WarehouseError
from warehouse.land import Landing, landed_table, quarantine_table
from warehouse.rollback import choices, plan
from warehouse.state.rollbacks import Rollbacks
from warehouse.upkeep import Kept, expire

HERE = Path(__file__).parent
TABLES = (landed_table(RESOURCE), quarantine_table(RESOURCE))
BEFORE = {f"A{n}": "甲" for n in range(6)}
AFTER = {"A0": "甲", "A1": "甲", "A3": "乙𠮷", "A4": "乙𠮷", "A5": "乙𠮷", "C1": "丁"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("two-releases")).make(landed)


@pytest.fixture
def warehouse(shelf: Shelf) -> Iterator[Warehouse]:
    made = Warehouse(shelf.back())
    yield made
    made.close()


def names(warehouse: Warehouse) -> dict[str, str]:
    return {row["code"]: row["name"] for row in warehouse.landed()}


@pytest.mark.parametrize("kind", ENDS)
def test_both_tables_go_back_the_batch_lands_again_and_forward_is_a_way_too(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bucket = request.getfixturevalue("bucket_server") if "bucket" in kind else None
    database = request.getfixturevalue("database_server") if "postgres" in kind else None
    one = fresh(kind, tmp_path, bucket, database).open()
    try:
        one.ingest(FIRST, "run-1")
        second = one.ingest(SECOND, "run-2")
        going = back(one, 1)
        assert (names(one), len(one.quarantined())) == (BEFORE, 1)
        assert [(each.rows_now, each.rows_then) for each in going.tables] == [(6, 6), (2, 1)]
        assert [each.run for each in going.effects.undone] == ["run-2"]
        assert_released(one)
        assert one.ingest(SECOND, "run-2") == second
        assert names(one) == AFTER
        back(one, 1, "back-2")
        assert [each.id for each in back(one, 2, "back-3").effects.restored] == [2]
        assert (names(one), len(one.quarantined())) == (AFTER, 2)
        assert one.ingest(SECOND, "run-2") == second
        assert one.state.release().id == 6
        assert_released(one)
    finally:
        one.close()


def test_what_would_change_is_told_and_nothing_is_changed(warehouse: Warehouse) -> None:
    said = plan(warehouse.state, warehouse.tables, target(warehouse), 1)
    assert said.changes
    assert said.release is None
    assert {one.table: (one.rows_now, one.rows_then) for one in said.tables} == {TABLES[0]: (6, 6), TABLES[1]: (2, 1)}
    assert names(warehouse) == AFTER
    assert not plan(warehouse.state, warehouse.tables, target(warehouse), 2).changes


def test_releases_are_listed_with_their_rows_and_what_readers_see(warehouse: Warehouse) -> None:
    back(warehouse, 1)
    found = choices(warehouse.state, warehouse.tables, target(warehouse))
    assert [(one.release.id, one.release.kind, one.current, one.gone) for one in found] == [
        (3, "rollback", True, False), (2, "land-undone-3", False, False), (1, "land", False, False),
    ]  # fmt: skip
    assert [list(one.rows.values()) for one in found] == [[6, 1], [6, 2], [6, 1]]


def test_a_compaction_has_no_rows_of_its_own_that_could_be_taken_back(warehouse: Warehouse) -> None:
    tended = Tended(TABLES[0], ("code",), target(warehouse).alone)
    assert compact(warehouse.state, warehouse.tables, tended, always=True).changed
    assert [one.id for one in back(warehouse, 1).effects.undone] == [2]
    found = choices(warehouse.state, warehouse.tables, target(warehouse))
    assert [one.release.kind for one in found] == ["rollback", "compact", "land-undone-4", "land"]
    back(warehouse, 3, "back-2")
    assert (names(warehouse), warehouse.state.release(2).kind) == (AFTER, "land")


def test_who_did_it_and_why_is_kept_and_the_run_taken_back_says_so(warehouse: Warehouse) -> None:
    back(warehouse, 1)
    [said] = Rollbacks(warehouse.state.engine).history(RESOURCE)
    assert (said.back_to, said.run, said.who, said.why) == (1, "back-1", "mgr", "误入库")
    made = warehouse.state.run("back-1")
    assert (made.resource, made.status, made.trigger) == (RESOURCE, "done", "rollback")
    warehouse.state.finish_run("run-2")
    back(warehouse, 2, "back-2")
    back(warehouse, 1, "back-3")
    assert warehouse.state.run("run-2").status == "undone"
    back(warehouse, 2, "back-4")
    assert warehouse.state.run("run-2").status == "done"


def test_going_back_twice_is_once_and_other_resources_stay(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("Z", None, "别")], "run-3", resource="tax.other")
    back(warehouse, 1)
    again = back(warehouse, 1, "back-2")
    assert (again.changes, again.release, warehouse.state.release().id) == (False, None, 4)
    assert [row["code"] for row in warehouse.landed("tax.other")] == ["Z"]


def test_a_quarantine_that_was_not_there_yet_is_not_there_again(tmp_path: Path) -> None:
    one = Warehouse(tmp_path)
    one.ingest([Record("A", None, "甲")], "run-1")
    one.ingest([Record("B", None, "乙", ok=False)], "run-2")
    assert len(one.quarantined()) == 1
    back(one, 1)
    assert one.quarantined() == []
    assert TABLES[1] not in one.state.release().tables
    one.ingest([Record("C", None, "丙", ok=False)], "run-3")
    assert [row["_batch"] for row in one.quarantined()] == [one.state.manifests(run="run-3")[0].batch]
    one.close()


def test_after_going_back_landing_goes_on_and_its_history_is_what_forward_means(warehouse: Warehouse) -> None:
    back(warehouse, 1)
    warehouse.ingest(THIRD, "run-3")  # release 4
    assert names(warehouse) == {**BEFORE, "A5": "戊", "D1": "己"}
    done = back(warehouse, 2, "back-2")
    assert [one.run for one in done.effects.undone] == ["run-3"]
    assert names(warehouse) == AFTER
    done = back(warehouse, 4, "back-3")
    assert ([one.run for one in done.effects.undone], [one.run for one in done.effects.restored]) == (
        ["run-2"], ["run-3"],
    )  # fmt: skip
    assert names(warehouse) == {**BEFORE, "A5": "戊", "D1": "己"}


def test_what_expired_cannot_be_had_and_what_can_is_said(warehouse: Warehouse) -> None:
    for number in range(3, 7):
        warehouse.ingest([Record("E", f"2026-0{number}-01", "庚")], f"run-{number}")
    warehouse.state.unpin_releases(keep=2)
    assert expire(warehouse.state, warehouse.tables, TABLES[0]) > 0
    with pytest.raises(WarehouseError, match="WH-ROLLBACK-GONE") as caught:
        back(warehouse, 1)
    assert "5" in caught.value.fix_zh
    assert "5" in caught.value.fix_en
    assert len(names(warehouse)) == 7
    assert [one.gone for one in choices(warehouse.state, warehouse.tables, target(warehouse))].count(False) == 2
    back(warehouse, 5)
    assert_released(warehouse)


def test_releases_of_long_ago_or_never_are_refused(warehouse: Warehouse) -> None:
    warehouse.ingest([Record("Z", None, "别")], "run-3", resource="tax.other")
    with pytest.raises(WarehouseError, match="WH-ROLLBACK-UNKNOWN"):
        back(warehouse, 99)
    theirs = plan(warehouse.state, warehouse.tables, target(warehouse), 3)
    assert not theirs.changes
    other = target(warehouse).__class__("tax.other", ("std_tax.other",), target(warehouse).alone)
    with pytest.raises(WarehouseError, match="WH-ROLLBACK-EARLY"):
        plan(warehouse.state, warehouse.tables, other, 2)


def test_expiry_keeps_what_going_back_within_the_configured_number_needs(warehouse: Warehouse) -> None:
    back(warehouse, 1)
    kept = Kept(releases=2, days=1)
    warehouse.state.unpin_releases(kept.releases, kept.days)
    for table in TABLES:
        expire(warehouse.state, warehouse.tables, table)
    back(warehouse, 2, "back-2")
    assert names(warehouse) == AFTER


def test_two_at_once_and_a_landing_beside_them_end_in_one_of_the_orders(warehouse: Warehouse) -> None:
    errors: list[Exception] = []
    begin = threading.Barrier(3)

    def work(act) -> None:
        one = Warehouse(warehouse.store.folder)
        try:
            begin.wait(30)
            act(one)
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)
        finally:
            one.close()

    acts = [
        lambda one: back(one, 1, "back-1"),
        lambda one: back(one, 1, "back-2"),
        lambda one: one.ingest(THIRD, "run-3"),
    ]
    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert_released(warehouse)
    third = {"A5": "戊", "D1": "己"}
    assert names(warehouse) in (BEFORE, BEFORE | third)


@pytest.mark.kills
@pytest.mark.parametrize("cases", [SOME, pytest.param(ALL, marks=pytest.mark.prove)], ids=["some", "all"])
def test_killed_at_any_point_readers_have_a_whole_release_and_work_goes_on(
    cases: list[tuple[str, str]], tmp_path: Path
) -> None:
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    command = [sys.executable, str(HERE / "rollback_kills.py"), str(tmp_path), *map("-then-".join, cases)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    third = {"A5": "戊", "D1": "己"}
    for point, after in cases:
        one = Warehouse(Shelf(tmp_path).back(f"{point}-then-{after}"))
        stood = BEFORE if after == "again" or point == "rollback.released" else AFTER
        assert names(one) == (stood if after == "again" else stood | third), (point, after)
        assert_released(one)
        assert len(one.quarantined()) == 1 + (after == "another") + (stood is AFTER), (point, after)
        assert isinstance(one.ingest(SECOND, "run-2"), Landing)
        one.close()
