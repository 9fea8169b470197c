"""A rule that cannot be evaluated, or data it cannot be evaluated on, is an ERROR of that rule alone."""

from __future__ import annotations

import pyarrow as pa
import pytest
from quality_cases import TODAY, rule, table

from quality import check as checking
from quality.check import check, check_parts
from quality.errors import QualityError
from quality.gate import Gate

ANYTHING = Gate(max_percent=None)
FINE = rule("fine", "required", "name")
BLANK = dict.fromkeys(table([]).column_names[1:])
ROWS = [{**BLANK, "name": "a", "staff": 1}, {**BLANK, "staff": 0}]


def outcome(bad, rows=ROWS, codes=None, data=None):
    """How one rule came out beside another that is fine; the other must have answered."""
    given = table(rows) if data is None else data
    first, second = check(given, [bad, FINE], codes or {}, ANYTHING, TODAY).counts
    assert second.error is None
    assert second.rows == given["name"].null_count
    return first


@pytest.mark.parametrize(
    "bad",
    [
        rule("typo", "condition", "staff", sql="stuff > 1"),
        rule("explodes", "pattern", "name", regex="((a{1,1000}){1,1000}){1,1000}"),
        rule("unfinished", "pattern", "name", regex="[a-"),
        rule("vanished", "required", "no_longer_there"),
        rule("vanished_key", "unique", "no_longer_there"),
        rule("number", "condition", "name", sql="CAST(name AS INTEGER) > 0"),
        rule("several", "count", "name", "staff", by=["name"], where="CAST(name AS INTEGER) > 0", max=1),
    ],
    ids=lambda one: one.id,
)
def test_a_rule_that_cannot_be_evaluated_is_an_error_of_that_rule_alone(bad):
    found = outcome(bad)
    assert found.error
    assert (found.rows, found.evaluated) == (0, 0)


def test_a_division_by_zero_is_not_known_and_violates_nothing():
    assert outcome(rule("divides", "condition", "staff", sql="1 / staff > 1")).rows == 1  # 1 / 1 is not above 1


def test_a_missing_code_list_is_refused_by_name_and_an_empty_one_holds_no_code():
    listed = rule("listed", "code", "sex", list="sex")
    with pytest.raises(QualityError, match="QUA-RULE-CODES"):
        outcome(listed)
    rows = [{**BLANK, "sex": "1"}, BLANK]
    assert (found := outcome(listed, rows, {"sex": frozenset()})).rows == 1
    assert found.evaluated == 1


def test_a_column_of_nothing_but_nulls_is_looked_at_by_no_rule_but_the_required_one():
    for kind, params in {"length": {"max": 1}, "pattern": {"regex": "^a$"}, "code": {"list": "sex"}}.items():
        assert outcome(rule("nulls", kind, "sex", **params), codes={"sex": frozenset("1")}).evaluated == 0
    assert outcome(rule("nulls", "required", "sex")).rows == 2


@pytest.mark.parametrize("kind", ["required", "unique"])
def test_no_rows_violate_nothing(kind):
    assert outcome(rule("none", kind, "sex"), rows=[]).rows == 0


def test_a_value_of_a_megabyte_and_more_is_judged_like_any_other():
    rows = [{**BLANK, "name": "a" * (1 << 21)}, {**BLANK, "name": "b"}, {**BLANK, "name": "名" * (1 << 20)}]
    assert outcome(rule("long", "length", "name", max=5), rows).rows == 2
    assert outcome(rule("shape", "pattern", "name", regex="a[a-z]*a$"), rows).rows == 2
    assert outcome(rule("same", "unique", "name"), rows * 2).rows == 6


def test_bytes_that_are_not_utf_8_are_an_error_of_the_rules_that_read_them():
    broken = pa.Array.from_buffers(pa.string(), 2, [*pa.array(["ab", "cd"]).buffers()[:2], pa.py_buffer(b"\xff\xfecd")])
    data = table(ROWS).set_column(table([]).column_names.index("sex"), "sex", broken)
    assert outcome(rule("bytes", "pattern", "sex", regex="(c|x)d"), data=data).error
    assert outcome(rule("bytes", "length", "sex", max=1), data=data).error


def test_a_part_that_breaks_a_rule_breaks_it_for_the_whole(monkeypatch):
    monkeypatch.setattr(checking, "SAMPLE", 1)
    whole = table([{**BLANK, "name": "1"}, {**BLANK, "name": "x"}, {**BLANK, "name": "2"}])
    bad = rule("number", "condition", "name", sql="CAST(name AS INTEGER) > 5")
    pieces = [whole.slice(at, 1) for at in range(3)]
    verdict = check_parts(pieces, whole.schema, [bad, FINE], {}, ANYTHING, TODAY)
    assert [bool(one.error) for one in verdict.counts] == [True, False]
    assert (verdict.counts[0].rows, verdict.violations.num_rows) == (0, 0)
