"""A rule that cannot be evaluated, or data it cannot be evaluated on, is an ERROR of that rule alone."""

from __future__ import annotations

import re
from datetime import date

import duckdb
import pyarrow as pa
import pytest
from quality_cases import TODAY, rule, table

from quality import limits
from quality.check import check, check_parts
from quality.divisions import guarded
from quality.errors import QualityError
from quality.gate import Gate
from quality.unanswered import unanswered

ANYTHING = Gate(max_percent=None)
FINE = rule("fine", "required", "name")
BLANK = dict.fromkeys(table([]).column_names[1:])
ROWS = [{**BLANK, "name": "a", "staff": 1}, {**BLANK, "staff": 0}]
TOLD = re.compile(r"\[(QUA-[A-Z-]+)\] .*[一-鿿].*；.*[一-鿿].* \| .*[a-z].*\. .*[a-z].*", re.DOTALL)
HUGE = rule("unlimited", "pattern", "name", regex="((a{1,1000}){1,1000}){1,1000}")
BAD = {
    "QUA-RULE-KIND": [rule("telepathy", "telepathy", "name")],
    "QUA-RULE-PARAMS": [
        rule("unknown_expectation", "expectation", "name", name="expect_column_values_to_be_nice"),
        rule("wrong_parameter", "expectation", "name", name="expect_column_values_to_match_regex", pattern="a"),
        rule("a_limit_in_words", "length", "name", max="three"),
    ],
    "QUA-RULE-CODES": [
        rule("no_such_list", "code", "sex", list="no_such_list@1"),
        rule("an_empty_list", "code", "sex", list="empty"),
    ],
    "QUA-RULE-CONDITION": [
        rule("syntax", "condition", "staff", sql="staff >> > 1"),
        rule("reads_a_file", "condition", "staff", sql="(SELECT true FROM '/etc/passwd')"),
    ],
    "QUA-EVAL-COLUMN": [
        rule("typo", "condition", "staff", sql="stuff > 1"),
        rule("vanished", "required", "no_longer_there"),
        rule("vanished_key", "unique", "no_longer_there"),
        rule("vanished_pair", "order", "no_longer_there", "name"),
        rule("vanished_identifier", "check_digit", "no_longer_there", kind="uscc"),
        rule("vanished_group", "count", "name", "gone", by=["name"], where='"gone" > 1', max=1),
    ],
    "QUA-EVAL-REGEX": [HUGE, rule("unfinished", "pattern", "name", regex="[a-")],
    "QUA-EVAL-TYPE": [
        rule("number", "condition", "name", sql="CAST(name AS INTEGER) > 0"),
        rule("not_boolean", "condition", "staff", sql="staff + 1"),
        rule("text_in_a_range", "range", "name", min=3),
        rule("length_of_a_number", "length", "staff", max=3),
        rule("overflow", "condition", "staff", sql="staff * 9223372036854775807 * 9223372036854775807 > 1"),
        rule("several", "count", "name", "staff", by=["name"], where="CAST(name AS INTEGER) > 0", max=1),
    ],
    "QUA-EVAL-ZERO": [
        rule("divides", "condition", "staff", sql='1 / "staff" > 1'),
        rule("remainder", "condition", "staff", sql='7 % "staff" = 1 OR "staff" IS NULL'),
        rule("divides_in_groups", "count", "name", "staff", by=["name"], where='1 // "staff" > 0', max=1),
    ],
}


def outcome(bad, rows=ROWS, codes=None, data=None):
    """How one rule came out beside another that is fine; the other must have answered."""
    given = table(rows) if data is None else data
    first, second = check(given, [bad, FINE], codes or {}, ANYTHING, TODAY).counts
    assert second.error is None
    assert second.rows == given["name"].null_count
    return first


def code_of(error):
    """The code of an error that says in both languages what happened and what to do."""
    told = TOLD.fullmatch(error or "")
    assert told, error
    return told[1]


def test_rules_that_cannot_be_evaluated_are_errors_of_those_rules_alone():
    rules = [FINE, *(one for some in BAD.values() for one in some), rule("fine_too", "unique", "staff")]
    verdict = check(table([{**BLANK, "name": "x", "staff": 0}, *ROWS]), rules, {"empty": frozenset()}, ANYTHING, TODAY)
    told = {one.rule: one for one in verdict.counts}
    assert [one.rule for one in verdict.counts] == [one.id for one in rules]
    assert (told["fine"].rows, told["fine"].evaluated, told["fine"].error) == (1, 3, None)
    assert (told["fine_too"].rows, told["fine_too"].evaluated, told["fine_too"].error) == (2, 3, None)
    wrong = {one.rule: one for one in verdict.counts if one.error}
    assert {name: code_of(one.error) for name, one in wrong.items()} == {
        one.id: code for code, some in BAD.items() for one in some
    }
    assert {(one.rows, one.evaluated) for one in wrong.values()} == {(0, 0)}
    assert {rule for row in verdict.violations["rules"].to_pylist() for rule in row} == {"fine", "fine_too"}
    assert verdict.decision == "hold"
    assert verdict.results["success"] is False


def test_a_batch_is_judged_although_none_of_its_rules_can_be():
    verdict = check(table(ROWS), [rule("telepathy", "telepathy", "name", severity="warning")], {}, ANYTHING, TODAY)
    assert code_of(verdict.counts[0].error) == "QUA-RULE-KIND"
    assert (verdict.rows, verdict.decision) == (2, "warn")


def test_what_nobody_foresaw_is_told_as_it_was_said():
    error = unanswered("odd", "the engine says no")
    assert isinstance(error, QualityError)
    assert code_of(str(error)) == "QUA-EVAL"
    assert "the engine says no" in error.zh


@pytest.mark.parametrize(
    ("sql", "rows"),
    [('1 / nullif("staff", 0) > 1', 1), ('CASE WHEN "staff" <> 0 THEN 1 / "staff" > 1 END', 1), ('"staff" / 2 > 0', 1)],
)
def test_a_division_that_keeps_away_from_zero_is_evaluated(sql, rows):
    found = outcome(rule("divides", "condition", "staff", sql=sql))
    assert (found.rows, found.error) == (rows, None)


def test_a_condition_reads_the_same_with_and_without_its_guard():
    row = {"a": 7, "b": 2, "到": date(2024, 1, 2), "rel.c": 3}
    with duckdb.connect() as connection:
        connection.register("t", pa.Table.from_pylist([row]))
        for sql in (
            "a / b = 3.5 AND \"到\" = DATE '2024-01-02'",
            "a // b % 2 = 1 OR 'a/b' = ''",
            'mod(a, "rel.c") = 1',
        ):
            assert guarded(sql) != sql
            assert connection.execute(f"SELECT {sql}, {guarded(sql)} FROM t").fetchall() == [(True, True)]
    with pytest.raises(QualityError, match="QUA-RULE-CONDITION"):
        guarded("a/(" * 6 + "b" + ")" * 6 + " > 1")


def test_patterns_that_explode_elsewhere_take_no_time_here():
    # Each of them takes a backtracking engine longer than the age of the universe; RE2 and DuckDB walk the text once.
    rows = [{**BLANK, "name": "a" * 50_000 + "!"}, {**BLANK, "name": "a"}]
    rules = [
        rule("kernel", "pattern", "name", regex="^(a+)+$"),
        rule("kernel_alternatives", "pattern", "name", regex="^(a|a?)+$"),
        rule("sql", "condition", "name", sql="regexp_matches(\"name\", '^(a+)+$')"),
        rule("sql_whole", "condition", "name", sql="regexp_full_match(\"name\", '(a|aa)+')"),
        rule("sql_replaced", "condition", "name", sql="regexp_replace(\"name\", '^(a+)+$', '') = ''"),
    ]
    verdict = check(table(rows), [*rules, FINE], {}, ANYTHING, TODAY)
    assert {one.rule: (one.rows, one.error) for one in verdict.counts} == {
        **{one.id: (1, None) for one in rules},
        "fine": (0, None),
    }


def test_a_rule_that_does_not_end_is_stopped(monkeypatch):
    monkeypatch.setattr(limits, "RULE", 0.3)
    monkeypatch.setattr("quality.check.rowsets.violators", lambda _rule, _table: "SELECT sum(a.range + b.range)"
                        " FROM range(10_000_000) a, range(10_000_000) b")  # fmt: skip
    found = outcome(rule("endless", "count", "staff", max=1))
    assert code_of(found.error) == "QUA-EVAL-TIME"


def test_a_code_list_with_codes_is_looked_up():
    listed = rule("listed", "code", "sex", list="sex")
    found = outcome(listed, [{**BLANK, "sex": "1"}, {**BLANK, "sex": "2"}, BLANK], {"sex": frozenset("2")})
    assert (found.rows, found.evaluated) == (1, 2)


def test_a_column_of_nothing_but_nulls_is_looked_at_by_no_rule_but_the_required_one():
    for kind, params in {"length": {"max": 1}, "pattern": {"regex": "^a$"}, "code": {"list": "sex"}}.items():
        assert outcome(rule("nulls", kind, "sex", **params), codes={"sex": frozenset("1")}).evaluated == 0
    assert outcome(rule("nulls", "required", "sex")).rows == 2


@pytest.mark.parametrize("kind", ["required", "unique"])
def test_no_rows_violate_nothing(kind):
    assert outcome(rule("none", kind, "sex"), rows=[]).rows == 0


def test_without_rows_the_rules_that_cannot_be_evaluated_are_errors_all_the_same():
    rules = [FINE, rule("typo", "condition", "staff", sql="stuff > 1"), HUGE]
    verdict = check(table([]), rules, {}, ANYTHING, TODAY)
    assert [bool(one.error) for one in verdict.counts] == [False, True, True]


def test_a_value_of_a_megabyte_and_more_is_judged_like_any_other():
    rows = [{**BLANK, "name": "a" * (1 << 21)}, {**BLANK, "name": "b"}, {**BLANK, "name": "名" * (1 << 20)}]
    assert outcome(rule("long", "length", "name", max=5), rows).rows == 2
    assert outcome(rule("shape", "pattern", "name", regex="a[a-z]*a$"), rows).rows == 2
    assert outcome(rule("same", "unique", "name"), rows * 2).rows == 6


def test_a_text_of_a_megabyte_is_no_date_and_that_is_soon_said():
    rows = [{**BLANK, "name": "1 " * 500_000}, {**BLANK, "name": "2024-01-01"}, {**BLANK, "name": "[" * 1_000_000}]
    wanted = {
        "be_dateutil_parseable": {},
        "match_strftime_format": {"strftime_format": "%Y-%m-%d"},
        "be_json_parseable": {},
    }
    rules = [
        rule(one, "expectation", "name", name=f"expect_column_values_to_{one}", **more) for one, more in wanted.items()
    ]
    verdict = check(table(rows), [*rules, FINE], {}, ANYTHING, TODAY)
    assert [(one.rows, one.error) for one in verdict.counts] == [(2, None), (2, None), (3, None), (0, None)]


def test_bytes_that_are_not_utf_8_are_an_error_of_the_rules_that_read_them():
    broken = pa.Array.from_buffers(pa.string(), 2, [*pa.array(["ab", "cd"]).buffers()[:2], pa.py_buffer(b"\xff\xfecd")])
    data = table(ROWS).set_column(table([]).column_names.index("sex"), "sex", broken)
    reading = [
        rule("kernel", "pattern", "sex", regex="(c|x)d"),
        rule("length", "length", "sex", max=1),
        rule("listed", "code", "sex", list="sex"),
        rule("identifier", "check_digit", "sex", kind="uscc"),
        rule("identifier_present", "check_digit", "sex", kind="uscc", empty_fails=True),
        rule("identifier_where", "check_digit", "sex", "staff", kind="uscc", when='"staff" >= 0'),
        rule("sql", "condition", "sex", sql="\"sex\" > 'a'"),
        rule("key", "unique", "sex"),
        rule("key_where", "unique", "sex", "staff", by=["sex"], where='"staff" >= 0'),
        rule("beside", "order", "sex", "name"),
    ]
    others = [FINE, rule("there", "required", "sex"), rule("other_key", "unique", "staff", "name", where='"staff" > 0')]
    verdict = check(data, [*reading, *others], {"sex": frozenset("1")}, ANYTHING, TODAY)
    told = {one.rule: one.error and code_of(one.error) for one in verdict.counts}
    assert told == {**{one.id: "QUA-EVAL-BYTES" for one in reading}, **{one.id: None for one in others}}


def test_a_part_that_breaks_a_rule_breaks_it_for_the_whole():
    whole = table([{**BLANK, "name": "1"}, {**BLANK, "name": "x"}, {**BLANK, "name": "2"}])
    bad = rule("number", "condition", "name", sql="CAST(name AS INTEGER) > 5")
    pieces = [whole.slice(at, 1) for at in range(3)]
    verdict = check_parts(pieces, whole.schema, [bad, FINE], {}, ANYTHING, TODAY)
    assert [bool(one.error) for one in verdict.counts] == [True, False]
    assert (verdict.counts[0].rows, verdict.violations.num_rows) == (0, 0)
