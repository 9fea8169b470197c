"""A batch is judged alike whether its suite was asked before in this process or not, and nothing of another is left."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quality_cases import CASES, CODES, ROWS, TODAY, rule, table

from quality import stages
from quality.check import check, check_parts
from quality.gate import Gate

ANYTHING = Gate(max_percent=None)
RULES = [
    *(one for one, _ in CASES),
    rule("once", "unique", "name"),
    rule("few", "count", "sex", max=2),
]
FEW = [rule("short", "length", "name", max=3), rule("sex_code", "code", "sex", list="sex")]


@pytest.fixture(autouse=True)
def nothing_asked_before():
    stages._KEPT.clear()


def run(rows, rules=RULES, codes=CODES, today=TODAY):
    return check(table(rows), rules, codes, ANYTHING, today)


def told(verdict):
    """The verdict, but for the moment at which Great Expectations was asked."""
    results = {name: one for name, one in verdict.results.items() if name != "meta"}
    meta = {name: one for name, one in verdict.results["meta"].items() if name != "batch_markers"}
    return replace(verdict, results={**results, "meta": meta})


def named(**values):
    return {**dict.fromkeys(one for one in table([]).column_names if one != "_row"), **values}


@settings(
    max_examples=50 if os.environ.get("SHUTONG_PROVE") else 2,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(ROWS, max_size=30), st.lists(ROWS, max_size=30))
def test_a_batch_that_follows_another_is_judged_as_if_it_came_first(before, rows):
    stages._KEPT.clear()
    alone = run(rows)
    assert not [one.error for one in alone.counts if one.error]
    stages._KEPT.clear()
    run(before)
    (kept,) = stages._KEPT.values()
    assert told(run(rows)) == told(alone)
    assert [*stages._KEPT.values()] == [kept]


def test_a_batch_without_rows_and_one_without_parts_may_come_first_or_later():
    empty, full = run([]), run([named(name="name")])
    assert told(run([])) == told(empty)
    assert told(run([named(name="name")])) == told(full)
    assert check_parts([], table([]).schema, RULES, CODES, ANYTHING, TODAY).counts == empty.counts


def test_other_rules_codes_days_and_columns_are_asked_anew():
    rows = [named(name="name", sex="3")]
    assert [one.rows for one in run(rows, FEW).counts] == [1, 1]
    assert [one.rows for one in run(rows, FEW, {"sex": frozenset({"3"})}).counts] == [1, 0]
    assert [one.rows for one in run(rows, [replace(FEW[0], params={"max": 4}), FEW[1]]).counts] == [0, 1]
    born = [rule("born", "range", "born", max="today")]
    later = [named(born=TODAY + timedelta(days=1))]
    found = [run(later, born, today=day).counts[0].rows for day in (TODAY, TODAY + timedelta(days=1))]
    assert found == [1, 0]
    narrow = pa.table({"_row": [1], "name": [7]})
    verdict = check(narrow, FEW, CODES, ANYTHING, TODAY)
    assert all(one.error for one in verdict.counts)


def test_what_cannot_be_evaluated_in_a_later_batch_is_an_error_there_alone():
    broken = pa.Array.from_buffers(pa.string(), 1, [*pa.array(["ab"]).buffers()[:2], pa.py_buffer(b"\xff\xfe")])
    first = told(run([named(name="name")], FEW))
    at = table([]).column_names.index("name")
    verdict = check(table([named(sex="3")]).set_column(at, "name", broken), FEW, CODES, ANYTHING, TODAY)
    assert [one.rows for one in verdict.counts] == [0, 1]
    assert [bool(one.error) for one in verdict.counts] == [True, False]
    assert "UTF-8" in verdict.counts[0].error
    assert verdict.results["success"] is False
    assert told(run([named(name="name")], FEW)) == first


def test_parts_that_break_off_say_so_in_a_later_batch_too():
    run([], FEW)

    def parts():
        yield table([named(name="name")])
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        check_parts(parts(), table([]).schema, FEW, CODES, ANYTHING, TODAY)
    assert [one.rows for one in run([named(name="name")], FEW).counts] == [1, 0]


def test_relations_of_one_batch_are_not_there_for_the_next():
    rules = [rule("known", "reference", "name", to=["firms"], match={"name": ["id"]}, expect="exists")]
    schema = table([]).schema

    def rows(*ids):
        firms = {"firms": pa.table({"id": pa.array(ids, pa.string())})}
        return check_parts([table([named(name="a")])], schema, rules, CODES, ANYTHING, TODAY, firms).counts[0]

    assert [rows("a").rows, rows("b").rows, rows("a").rows] == [0, 1, 0]
    absent = check_parts([table([named(name="a")])], schema, rules, CODES, ANYTHING, TODAY).counts[0]
    assert absent.error


def test_checks_at_the_same_time_do_not_meet():
    batches = [[named(name="n" * length, sex="3")] * length for length in range(1, 5)]
    together = threading.Barrier(len(batches))

    def checked(rows):
        together.wait()
        return [[one.rows for one in run(rows, FEW).counts] for _ in range(3)]

    run([], FEW)
    with ThreadPoolExecutor(len(batches)) as pool:
        found = list(pool.map(checked, batches))
    assert found == [[[len(rows) if len(rows) > 3 else 0, len(rows)]] * 3 for rows in batches]
    assert len(stages._KEPT) == 1


def test_the_stages_of_many_resources_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(stages, "MOST", 2)
    for most in range(4):
        run([], [rule("short", "length", "name", max=most)])
    assert len(stages._KEPT) == 2
    monkeypatch.setattr(stages, "LARGE", 0)
    run([named(name="name")], FEW)
    assert len(stages._KEPT) == 2
