"""A library remembers: a record as it stood, what changed between two times, and what waits for a human."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_merge import BOTH, FIRST, LANDED, SECOND, STANDARD, deployment, firm, land

from warehouse import history
from warehouse.errors import WarehouseError
from warehouse.held import became, decide, held
from warehouse.library_state import LibraryState
from warehouse.merge import merge, newest
from warehouse.said import explain

LIBRARY = "legal_person"
ONE, TWO, THREE = (firm(n)["uscc"] for n in (1, 2, 3))


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Three days: two firms; one moves and a third comes; the first goes, and a row belongs to nobody for certain."""
    state, tables = deployment(tmp_path_factory.mktemp("history"))
    days = []
    torn = {"subject_id": "P2", "reg_no": firm(3)["reg_no"], "dom": "两可", "_landed_at": LANDED}
    for registry, tax in (
        ([firm(1, dom="旧址"), firm(2, subject_id="P2")], []),
        ([firm(1, dom="新址"), firm(2, subject_id="P2"), firm(3)], []),
        ([firm(2, subject_id="P2"), firm(3)], [torn]),
    ):
        for one, rows in ((FIRST, registry), (SECOND, tax)):
            land(state, tables, one.table, rows, f"run-{len(days)}-{one.resource}")
        days.append((merge(state, tables, LIBRARY, STANDARD, BOTH), newest(state, LIBRARY).at))
    yield state, tables, days
    tables.close()
    state.close()


def test_only_the_first_merge_builds_everything(town):
    assert [made.whole for made, _ in town[2]] == [True, False, False]
    assert [made.records for made, _ in town[2]] == [2, 3, 2]
    state, _, _ = town
    made = newest(state, LIBRARY)
    assert LibraryState(state.engine).pinned(FIRST.table) == {made.inputs[FIRST.table]}


def test_a_record_is_shown_as_it_stood(town):
    state, tables, days = town
    first, second, third = (at for _, at in days)

    def address(at):
        record = history.show(state, tables, LIBRARY, ONE, at)
        return record["dom"] if record else None

    assert [address(at) for at in (first, second, third, None)] == ["旧址", "新址", None, None]
    assert [row["uscc"] for row in history.whole(state, tables, LIBRARY, first).to_pylist()] == [ONE, TWO]
    assert history.show(state, tables, LIBRARY, THREE, first) is None


def test_what_changed_between_two_times_is_told_field_by_field(town):
    state, tables, ((_, first), (_, second), (_, third)) = town
    rows = history.changes(state, tables, LIBRARY, first, second).to_pylist()
    told = [(one["key"], one["event"], one["field"], one["before"], one["after"]) for one in rows]
    assert told[0] == (ONE, "changed", "dom", "旧址", "新址")
    assert {(one[0], one[1]) for one in told[1:]} == {(THREE, "added")}
    gone = history.changes(state, tables, LIBRARY, first, third).to_pylist()
    assert {(one["key"], one["event"]) for one in gone} == {(ONE, "removed"), (THREE, "added")}
    assert history.changes(state, tables, LIBRARY, third, third).num_rows == 0


def test_a_time_before_the_first_merge_and_a_time_that_is_none_are_explained(town):
    state, tables, _ = town
    for ask, code in (
        (lambda: history.show(state, tables, LIBRARY, ONE, "2020-01-01"), "WH-BEFORE-HISTORY"),
        (lambda: history.show(state, tables, "other", ONE), "WH-NEVER-MERGED"),
        (lambda: history.instant("昨天"), "WH-TIME"),
    ):
        with pytest.raises(WarehouseError) as told:
            ask()
        assert told.value.code == code
    assert history.instant("2026-11-23") == "2026-11-23T23:59:59.999999+08:00"
    assert history.instant("2026-11-23", ends=False) == "2026-11-23T00:00:00.000000+08:00"
    assert history.instant("2026-11-23T00:00Z") == "2026-11-23T08:00:00.000000+08:00"


def test_what_waits_is_listed_decided_and_then_merged_and_a_changed_key_keeps_its_history(town):
    state, tables, ((_, first), *_) = town
    (one,) = held(state, tables, LIBRARY)
    assert (one.reason, one.candidates, one.resource, one.rows) == ("contradiction", (TWO, THREE), "tax.payers", 1)
    assert one.said == {"subject_id": "P2", "reg_no": firm(3)["reg_no"]}
    for number, key, code in (("none", TWO, "WH-HELD-UNKNOWN"), (one.id, ONE, "WH-HELD-KEY")):
        with pytest.raises(WarehouseError) as told:
            decide(state, tables, LIBRARY, number, key, who="甲", why="试")
        assert told.value.code == code
    decide(state, tables, LIBRARY, one.id, THREE, who="甲", why="查过档案")
    assert held(state, tables, LIBRARY) == []
    assert not merge(state, tables, LIBRARY, STANDARD, BOTH).whole
    assert history.show(state, tables, LIBRARY, THREE)["dom"] == "两可"

    assert became(state, LIBRARY, TWO, "NEW", who="甲", why="换码")
    assert merge(state, tables, LIBRARY, STANDARD, BOTH).records == 2
    assert history.show(state, tables, LIBRARY, TWO)["uscc"] == "NEW"
    assert history.show(state, tables, LIBRARY, "NEW", first)["uscc"] == TWO
    assert {row["key"] for row in explain(state, tables, LIBRARY, TWO)} == {"NEW"}
    assert not became(state, LIBRARY, THREE, "NEW", who="甲", why="两家并一家？")
    assert [waiting.reason for waiting in held(state, tables, LIBRARY)] == ["joined"]
    assert LibraryState(state.engine).words(LIBRARY).changes == {(TWO, "NEW"), (THREE, "NEW")}


def test_a_rule_that_changes_builds_everything_anew_and_history_tells_what_it_changed(tmp_path):
    state, tables = deployment(tmp_path)
    land(state, tables, FIRST.table, [firm(1, dom="市监所说")], "run-1")
    land(state, tables, SECOND.table, [firm(1, dom="税务所说")], "run-2")
    merge(state, tables, LIBRARY, STANDARD, BOTH)
    before = newest(state, LIBRARY).at
    fields = [replace(one, authority=("registry",)) if one.name == "dom" else one for one in STANDARD.fields]
    assert merge(state, tables, LIBRARY, replace(STANDARD, fields=tuple(fields)), BOTH).whole
    assert history.show(state, tables, LIBRARY, ONE)["dom"] == "市监所说"
    assert history.show(state, tables, LIBRARY, ONE, before)["dom"] == "税务所说"
    tables.close()
    state.close()
