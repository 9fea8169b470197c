"""One wide scan answers what Great Expectations' own queries answer: counts, values, indexes, for whole suites."""

from __future__ import annotations

import os

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quality_cases import BLANK, CASES, CODES, GOOD, ROWS, TODAY, WRONG, rule, table, truth

import quality.fused
from quality.check import _with_marks
from quality.dialect import lend
from quality.engine import validate
from quality.stages import TABLE, set_up
from quality.suite import suite

import great_expectations as gx  # isort: skip
import great_expectations.expectations as gxe  # isort: skip
from great_expectations.expectations.row_conditions import Column  # isort: skip

COMPLETE = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["_row"],
    "partial_unexpected_count": 200,
    "include_unexpected_rows": True,
}


def results(rows, rules, wanted=None, result_format=COMPLETE, *, fused=True, marks=True):
    data = table(rows)
    with duckdb.connect(":memory:") as connection, lend(connection) as url:
        set_up(connection, CODES, rules, TODAY)
        connection.register(TABLE, _with_marks(data, rules, TODAY) if marks else data)
        made = wanted or suite(rules, CODES, TODAY)
        result, engine = validate(url, TABLE, made, result_format, fused=fused)
    return {one.expectation_config.meta["rule"]: one for one in result.results}, engine


def told(one):
    """What a result says, whatever the order in which rows were met."""
    figures = ("element_count", "missing_count", "unexpected_count", "unexpected_percent", "observed_value")
    said = {name: one.result.get(name) for name in figures}
    if not said["element_count"]:
        said["unexpected_count"] = 0  # stock SQL adds up nothing and says None
    said["values"] = sorted(map(repr, one.result.get("unexpected_list") or []))
    said["indexes"] = sorted(map(repr, one.result.get("unexpected_index_list") or []))
    said["rows"] = sorted(row["_row"] for row in one.result.get("unexpected_rows") or [])
    return one.success, said


@settings(
    max_examples=60 if os.environ.get("SHUTONG_PROVE") else 3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(ROWS, min_size=1, max_size=40), st.sets(st.sampled_from(range(len(CASES))), min_size=1))
def test_fused_stock_and_plain_python_agree(rows, chosen):
    cases = [CASES[place] for place in sorted(chosen)]
    rules = [one for one, _ in cases]
    fused, engine = results(rows, rules)
    stock, _ = results(rows, rules, fused=False)
    expected = truth(rows, cases)
    assert engine.scans == 1
    for name, bad in expected.items():
        assert told(fused[name]) == told(stock[name]), name
        assert fused[name].result["unexpected_count"] == len(bad), name
        assert sorted(one["_row"] for one in fused[name].result["unexpected_index_list"]) == bad


@pytest.mark.parametrize("result_format", ["BOOLEAN_ONLY", "BASIC", "SUMMARY"])
def test_every_result_format_agrees_with_stock(result_format):
    rows = [dict.fromkeys(table([]).column_names[1:]) | {"name": name} for name in ("a", "𠮷𠮷𠮷𠮷", None, "１")]
    rules = [one for one, _ in CASES]
    fused, engine = results(rows, rules, result_format=result_format)
    stock, _ = results(rows, rules, result_format=result_format, fused=False)
    assert {name: told(one) for name, one in fused.items()} == {name: told(one) for name, one in stock.items()}
    assert engine.scans == 1


def test_samples_are_the_first_rows_by_number():
    rows = [dict.fromkeys(table([]).column_names[1:]) | {"name": f"名字{place:03}"} for place in range(300)]
    fused, _ = results(rows, [rule("short", "length", "name", max=3)], result_format="SUMMARY")
    assert fused["short"].result["partial_unexpected_list"] == [f"名字{place:03}" for place in range(20)]


def test_identifiers_come_out_the_same_without_the_columns_made_in_advance():
    codes = [*GOOD, *WRONG, *BLANK, "\t", None]
    rows = [dict.fromkeys(table([]).column_names[1:]) | {"raw:代码": code} for code in codes]
    rules = [
        rule("valid", "check_digit", "raw:代码", kind="uscc"),
        rule("present", "check_digit", "raw:代码", kind="uscc", empty_fails=True),
    ]
    quick, _ = results(rows, rules)
    in_sql, _ = results(rows, rules, marks=False)
    assert {name: told(one)[1]["indexes"] for name, one in quick.items()} == {
        name: told(one)[1]["indexes"] for name, one in in_sql.items()
    }


def others():
    """Core expectations beyond our kinds: a scan must answer them like stock, or leave them alone."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=3),
        gxe.ExpectColumnValuesToBeUnique(column="name"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["name", "sex"]),
        gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(column_list=["born", "seen"]),
        gxe.ExpectColumnMaxToBeBetween(column="staff", max_value=3),
        gxe.ExpectColumnMeanToBeBetween(column="staff", max_value=3),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="born", column_B="seen", ignore_row_if="both_values_are_missing"),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="sex", column_B="name", ignore_row_if="neither"),
        gxe.ExpectMulticolumnSumToEqual(
            column_list=["staff", "money"], sum_total=2, ignore_row_if="any_value_is_missing"
        ),
        gxe.ExpectColumnValuesToNotBeNull(column="name", mostly=0.5),
        gxe.ExpectColumnValuesToBeNull(column="seen"),
        gxe.ExpectColumnValuesToNotBeNull(column="name", row_condition=Column("sex") == "1"),
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex="^a"),
        gxe.ExpectColumnValuesToMatchRegexList(column="name", regex_list=["^a", "2$"], match_on="any"),
        gxe.ExpectColumnValuesToMatchLikePattern(column="name", like_pattern="a%"),
        gxe.ExpectColumnValueLengthsToEqual(column="name", value=2),
        gxe.ExpectColumnValuesToBeInSet(column="staff", value_set=[1, 2]),
        gxe.ExpectColumnDistinctValuesToBeInSet(column="sex", value_set=["1"]),
        gxe.ExpectColumnValueZScoresToBeLessThan(column="staff", threshold=1, double_sided=True),
    ]


@settings(
    max_examples=30 if os.environ.get("SHUTONG_PROVE") else 2,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(ROWS, min_size=5, max_size=25))
def test_other_core_expectations_agree_with_stock(rows):
    outcomes = []
    for fused in (True, False):
        made = others()
        for place, one in enumerate(made):
            one.meta = {"rule": f"{place} {type(one).__name__}"}
        found, _ = results(rows, [], gx.ExpectationSuite(name="others", expectations=made), fused=fused)
        outcomes.append({name: told(one) for name, one in found.items()})
    assert outcomes[0] == outcomes[1]


def test_a_scan_that_fails_leaves_everything_to_stock(monkeypatch):
    def broken(self, conditions):
        raise duckdb.BinderException("this DuckDB does not do that")

    monkeypatch.setattr(quality.fused.Scanner, "scan", broken)
    rows = [dict.fromkeys(table([]).column_names[1:])]
    rules = [one for one, _ in CASES]
    fallen, _ = results(rows, rules)
    stock, _ = results(rows, rules, fused=False)
    assert {name: told(one) for name, one in fallen.items()} == {name: told(one) for name, one in stock.items()}
