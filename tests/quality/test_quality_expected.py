"""Expectations a data manager names: those that may be named are Great Expectations' own, and count as it says."""

from __future__ import annotations

import pyarrow as pa
import pytest
from quality_cases import TODAY

from quality.check import check
from quality.engine import validate  # noqa: F401 - sets up the import of Great Expectations
from quality.gate import Gate
from schemas.expected import EXPECTATIONS
from schemas.standard import Rule

import great_expectations.expectations as gxe  # isort: skip

TABLE = pa.table(
    {
        "_row": pa.array([1, 2, 3, 4], pa.int64()),
        "_reject": pa.nulls(4, pa.string()),
        "kind": ["甲", "乙", "丙x", None],
        "low": [1, 2, 3, None],
        "high": [2, 2, 1, 5],
        "mid": [1, 2, 6, 5],
        "day": ["2024-01-01", "2024-02-30", "x", None],
        "far": pa.array(["1.5", "1.5", "99", "1.5"]).cast(pa.decimal128(24, 6)),
    }
)
CASES = [
    ("expect_column_values_to_be_between", "low", {"min_value": 2}, [1]),
    ("expect_column_values_to_be_in_set", "kind", {"value_set": ["甲", "乙"]}, [3]),
    ("expect_column_values_to_not_be_in_set", "kind", {"value_set": ["甲"]}, [1]),
    ("expect_column_values_to_be_null", "kind", {}, [1, 2, 3]),
    ("expect_column_values_to_not_be_null", "kind", {}, [4]),
    ("expect_column_value_lengths_to_be_between", "kind", {"max_value": 1}, [3]),
    ("expect_column_value_lengths_to_equal", "kind", {"value": 1.0}, [3]),
    ("expect_column_values_to_match_regex", "kind", {"regex": "^.$"}, [3]),
    ("expect_column_values_to_not_match_regex", "kind", {"regex": "x"}, [3]),
    ("expect_column_values_to_match_regex_list", "kind", {"regex_list": ["甲", "x"], "match_on": "any"}, [2]),
    ("expect_column_values_to_not_match_regex_list", "kind", {"regex_list": ["甲", "x"]}, [1, 3]),
    ("expect_column_values_to_match_like_pattern", "kind", {"like_pattern": "%x"}, [1, 2]),
    ("expect_column_values_to_not_match_like_pattern", "kind", {"like_pattern": "%x"}, [3]),
    ("expect_column_values_to_match_like_pattern_list", "kind", {"like_pattern_list": ["%x", "甲"]}, [2]),
    ("expect_column_values_to_not_match_like_pattern_list", "kind", {"like_pattern_list": ["%x", "甲"]}, [1, 3]),
    (
        "expect_column_pair_values_a_to_be_greater_than_b",
        "high low",
        {"ignore_row_if": "either_value_is_missing"},
        [2, 3],
    ),
    ("expect_column_pair_values_to_be_equal", "high mid", {}, [1, 3]),
    ("expect_column_pair_values_to_be_in_set", "high mid", {"value_pairs_set": [[2, 2], [5, 5]]}, [1, 3]),
    ("expect_multicolumn_sum_to_equal", "high mid", {"sum_total": 4.0}, [1, 3, 4]),
    ("expect_multicolumn_values_to_be_equal", "high mid", {}, [1, 3]),
    ("expect_select_column_values_to_be_unique_within_record", "high mid", {}, [2, 4]),
    ("expect_column_values_to_be_dateutil_parseable", "day", {}, [2, 3]),
    ("expect_column_values_to_match_strftime_format", "day", {"strftime_format": "%Y-%m-%d"}, [2, 3]),
    ("expect_column_values_to_be_json_parseable", "kind", {}, [1, 2, 3]),
    ("expect_column_values_to_be_increasing", "high", {"strictly": True}, [2, 3]),
    ("expect_column_values_to_be_decreasing", "mid", {}, [2, 3]),
    ("expect_column_values_to_not_be_outliers", "far", {"method": "iqr", "multiplier": 1.5}, [3]),
]


def test_every_expectation_that_may_be_named_has_a_case() -> None:
    assert [name for name, *_ in CASES] == list(EXPECTATIONS)


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_an_expectation_that_may_be_named_is_there_with_its_parameters(name: str) -> None:
    chosen = getattr(gxe, "".join(map(str.capitalize, name.split("_"))))
    assert set(EXPECTATIONS[name].params) <= set(chosen.__fields__)
    own = {key for key, field in chosen.__fields__.items() if field.required} - {
        "column",
        "column_A",
        "column_B",
        "column_list",
    }
    assert own <= set(EXPECTATIONS[name].needed)


def test_named_expectations_find_their_rows() -> None:
    rules = [
        Rule(f"r{place}", "expectation", tuple(columns.split()), "一", "one", params={"name": name, **params})
        for place, (name, columns, params, _) in enumerate(CASES)
    ]
    verdict = check(TABLE, rules, {}, Gate(), TODAY)
    assert [(one.rule, one.error) for one in verdict.counts if one.error] == []
    found: dict[str, list[int]] = {rule.id: [] for rule in rules}
    for row in verdict.violations.to_pylist():
        for rule in row["rules"]:
            found[rule].append(row["_row"])
    wanted = {f"r{place}": rows for place, (*_, rows) in enumerate(CASES)}
    assert {CASES[int(one[1:])][0]: rows for one, rows in found.items() if rows != wanted[one]} == {}


def test_named_expectations_that_cannot_be_evaluated_leave_the_others_alone() -> None:
    named = [
        ("day", "match_strftime_format", {"strftime_format": "%Y"}, None),
        ("high", "match_strftime_format", {"strftime_format": "%Y"}, "QUA-EVAL-TYPE"),
        ("mid", "be_dateutil_parseable", {}, "QUA-EVAL-TYPE"),
        ("gone", "be_json_parseable", {}, "QUA-EVAL-COLUMN"),
        ("kind", "be_increasing", {}, "QUA-EVAL-TYPE"),
        ("gone", "be_decreasing", {}, "QUA-EVAL-COLUMN"),
        ("day", "be_json_parseable", {}, None),
        ("kind", "not_be_outliers", {"method": "iqr"}, "QUA-EVAL-TYPE"),
        ("gone", "not_be_outliers", {"method": "std"}, "QUA-EVAL-COLUMN"),
        ("far", "not_be_outliers", {"method": "std", "multiplier": 1.0}, None),
    ]
    rules = [
        Rule(
            f"r{place}",
            "expectation",
            (column,),
            "一",
            "one",
            params={"name": f"expect_column_values_to_{name}", **more},
        )
        for place, (column, name, more, _) in enumerate(named)
    ]
    verdict = check(TABLE, [*rules, Rule("fine", "required", ("kind",), "一", "one")], {}, Gate(), TODAY)
    found = [one.error and one.error.partition("]")[0].removeprefix("[") for one in verdict.counts]
    assert found == [*(code for *_, code in named), None]
    assert [one.rows for one in verdict.counts if not one.error] == [3, 3, 1, 1]
