"""Checking a batch finds exactly the rows that plain Python finds, decides on them, and says so without values."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quality_cases import CASES, CODES, GOOD, ROWS, TODAY, rule, table, truth

from quality.check import check, check_parts
from quality.errors import QualityError
from quality.gate import Gate
from quality.suite import suite

ANYTHING = Gate(max_percent=None)


def run(rows, rules, gate=ANYTHING, codes=CODES):
    return check(table(rows), rules, codes, gate, TODAY)


def plain(**values):
    empty = dict.fromkeys(
        ("_reject", "name", "name__repaired", "sex", "raw:代码", "born", "born__bad", "seen", "staff", "money")
    )
    return {**empty, **values}


def violated(verdict):
    return {one["_row"]: one["rules"] for one in verdict.violations.to_pylist()}


@settings(
    max_examples=80 if os.environ.get("SHUTONG_PROVE") else 3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(ROWS, max_size=40))
def test_every_kind_finds_exactly_the_rows_that_plain_python_finds(rows):
    rules = [one for one, _ in CASES]
    verdict = run(rows, rules)
    expected = truth(rows)
    assert {one.rule: one.rows for one in verdict.counts} == {name: len(bad) for name, bad in expected.items()}
    assert [one.error for one in verdict.counts] == [None] * len(rules)
    by_row = {place: [one.id for one in rules if place in expected[one.id]] for place in range(1, len(rows) + 1)}
    assert violated(verdict) == {place: ids for place, ids in by_row.items() if ids}
    errors = {one.id for one in rules if one.severity == "error"}
    assert verdict.quarantine.to_pylist() == [place for place, ids in by_row.items() if errors & set(ids)]
    assert verdict.violations.schema.field("rules").type == pa.list_(pa.dictionary(pa.int16(), pa.string()))
    assert (verdict.rows, verdict.quarantine.type) == (len(rows), pa.int64())


def test_evaluated_counts_the_rows_a_rule_looked_at():
    rows = [plain(name="a", born=date(2000, 1, 1)), plain(seen=date(2000, 1, 1)), plain(name="b", sex="1")]
    verdict = run(rows, [one for one, _ in CASES])
    looked = {one.rule: one.evaluated for one in verdict.counts}
    assert (looked["name_required"], looked["name_length"], looked["sex_code"]) == (3, 2, 1)
    assert (looked["born_before_seen"], looked["code_present"], looked["code_valid"]) == (0, 3, 0)


def test_all_violations_are_listed_however_many_rows_there_are():
    verdict = run([plain()] * 5_000, [rule("name_required", "required", "name")])
    assert verdict.violations.num_rows == len(verdict.quarantine) == 5_000
    listed = verdict.results["results"][0]["result"]["partial_unexpected_index_list"]
    assert listed == [{"_row": place} for place in range(1, 21)]


def test_row_numbers_need_not_be_in_order():
    rows = table([plain(name="a"), plain(), plain()]).set_column(0, "_row", pa.array([9, 7, 3], pa.int64()))
    verdict = check(rows, [rule("name_required", "required", "name")], {}, ANYTHING, TODAY)
    assert violated(verdict) == {3: ["name_required"], 7: ["name_required"]}


def test_a_rule_about_rows_that_could_not_be_read_looked_at_every_row():
    rows = [plain(_reject="row_shape"), plain(), plain(), plain(_reject="bad_bytes")]
    found = run(rows, [rule("row_shape", "reject", "_reject", reject="row_shape")]).counts[0]
    assert (found.rows, found.evaluated) == (1, 4)


def test_rows_that_a_reader_rejected_are_still_checked_as_far_as_they_go():
    rows = [plain(_reject="row_shape", **{"raw:代码": "12"}), plain(_reject="row_shape", **{"raw:代码": GOOD[0]})]
    rules = [
        rule("row_shape", "reject", "_reject", reject="row_shape"),
        rule("code", "check_digit", "raw:代码", kind="uscc", empty_fails=True),
    ]
    assert violated(run(rows, rules)) == {1: ["row_shape", "code"], 2: ["row_shape"]}


def test_a_forgiven_error_is_counted_but_does_not_quarantine():
    rules = [
        rule("code", "check_digit", "raw:代码", kind="uscc", empty_fails=True, forgiven_by="repaired"),
        rule("repaired", "repaired", "name__repaired", severity="warning"),
    ]
    rows = [plain(name__repaired=True), plain(), plain(**{"raw:代码": GOOD[0]})]
    verdict = run(rows, rules)
    assert violated(verdict) == {1: ["code", "repaired"], 2: ["code"]}
    assert verdict.quarantine.to_pylist() == [2]


def test_a_warning_never_quarantines():
    verdict = run([plain()], [rule("name_required", "required", "name", severity="warning")])
    assert (len(verdict.quarantine), verdict.decision) == (0, "warn")
    assert "name_required" in verdict.reason_zh
    assert "1 rows" in verdict.reason_en


@pytest.mark.parametrize(
    "broken",
    [
        rule("broken", "required", "absent"),
        rule("broken", "condition", "name", sql="CAST(name AS INTEGER) > 1"),
        rule("broken", "condition", "staff", sql="staff + 1"),
        rule("broken", "condition", "staff", sql="absent > 1"),
        rule("broken", "pattern", "name", regex="("),
        rule("broken", "range", "name", min=3),
        rule("broken", "check_digit", "absent", kind="uscc"),
    ],
    ids=lambda one: f"{one.kind}-{one.params}",
)
def test_a_rule_that_cannot_be_evaluated_holds_the_batch_and_leaves_the_others_alone(broken):
    fine = rule("name_required", "required", "name")
    verdict = run([plain(name="330106199001011234"), plain()], [broken, fine])
    first, second = verdict.counts
    assert first.error
    assert "330106199001011234" not in first.error + json.dumps(verdict.results)
    assert (second.rows, second.error) == (1, None)
    assert violated(verdict) == {2: ["name_required"]}
    assert verdict.decision == "hold"
    assert "broken" in verdict.reason_zh
    assert "broken" in verdict.reason_en


def test_a_warning_that_cannot_be_evaluated_does_not_hold():
    verdict = run([plain(name="a")], [rule("broken", "required", "absent", severity="warning")])
    assert (verdict.decision, verdict.counts[0].rows) == ("warn", 0)
    assert verdict.counts[0].error


def test_an_empty_batch_passes():
    verdict = run([], [one for one, _ in CASES], Gate(keys=("name",), must_pass=("name_required",)))
    assert (verdict.decision, verdict.rows, verdict.violations.num_rows) == ("pass", 0, 0)
    assert {one.rows for one in verdict.counts} == {0}


def test_a_batch_without_rules_passes():
    assert run([plain()], []).decision == "pass"


def test_a_key_column_without_a_value_holds_the_batch():
    rows = [plain(name="a"), plain(name="b")]
    verdict = run(rows, [rule("name_required", "required", "name")], Gate(keys=("name", "sex")))
    assert verdict.decision == "hold"
    assert "sex" in verdict.reason_zh
    assert "name" not in verdict.reason_en


def test_results_are_json_in_the_order_of_the_rules_and_hold_no_values():
    rows = [plain(name="张三丰老先生", **{"raw:代码": "330106199001011234"})]
    rules = [rule("z", "length", "name", max=2), rule("a", "check_digit", "raw:代码", kind="citizen_id")]
    results = run(rows, rules).results
    text = json.dumps(results, ensure_ascii=False)
    assert "张三丰" not in text
    assert "330106199001011234" not in text
    assert [one["expectation_config"]["meta"]["rule"] for one in results["results"]] == ["z", "a"]
    assert [one["success"] for one in results["results"]] == [False, False]
    meta = results["results"][0]["expectation_config"]["meta"]
    assert meta == {"rule": "z", "severity": "error", "indicator": "0104"}


def test_a_column_with_a_double_quote_in_its_name_is_judged_as_any_other():
    odd, rows = 'raw:面积"m2"', ["12345", "1", None]
    given = table([plain() for _ in rows]).append_column(odd, pa.array(rows, pa.string()))
    rules = [
        rule("length", "length", odd, min=2, max=4),
        rule("least", "length", odd, min=2),
        rule("condition", "condition", odd, "name", sql='"raw:面积""m2""" <> \'1\' AND "name" IS NULL'),
    ]
    verdict = check(given, rules, CODES, ANYTHING, TODAY)
    assert {one.rule: (one.rows, one.error) for one in verdict.counts} == {
        "length": (2, None),
        "least": (1, None),
        "condition": (1, None),
    }


def test_a_column_of_nothing_but_nulls_fails_when_the_identifier_must_be_there():
    results = run([plain()], [rule("code", "check_digit", "raw:代码", kind="uscc", empty_fails=True)]).results
    assert results["results"][0]["success"] is False


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (rule("r", "telepathy", "name"), "QUA-RULE-KIND"),
        (rule("r", "length", "name"), "QUA-RULE-PARAMS"),
        (rule("r", "length", "name", max="3"), "QUA-RULE-PARAMS"),
        (rule("r", "code", "sex"), "QUA-RULE-PARAMS"),
        (rule("r", "code", "sex", list="no_such_list@1"), "QUA-RULE-CODES"),
        (rule("r", "check_digit", "name", kind="vin"), "QUA-RULE-PARAMS"),
        (rule("r", "order", "born"), "QUA-RULE-PARAMS"),
        (rule("r", "range", "staff"), "QUA-RULE-PARAMS"),
        (rule("r", "range", "born", min="last year"), "QUA-RULE-PARAMS"),
        (rule("r", "required", "name", "sex"), "QUA-RULE-PARAMS"),
        (rule("r", "condition", "name", sql="(SELECT true)"), "QUA-RULE-CONDITION"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_before_anything_runs(bad, code):
    with pytest.raises(QualityError) as refusal:
        suite([bad], CODES, TODAY)
    assert refusal.value.code == code
    assert refusal.value.fix_zh
    assert refusal.value.fix_en


def test_two_rules_with_one_id_are_refused():
    with pytest.raises(QualityError, match="QUA-RULE-ID"):
        run([plain()], [rule("r", "required", "name"), rule("r", "required", "sex")])


@pytest.mark.parametrize("numbers", [[1, 1], [1, None]])
def test_a_table_with_unusable_row_numbers_is_refused(numbers):
    rows = table([plain(), plain()]).set_column(0, "_row", pa.array(numbers, pa.int64()))
    with pytest.raises(QualityError, match="QUA-TABLE"):
        check(rows, [], {}, ANYTHING, TODAY)


def test_two_equal_rules_with_different_ids_both_report():
    verdict = run([plain()], [rule("one", "required", "name"), rule("two", "required", "name")])
    assert violated(verdict) == {1: ["one", "two"]}


def test_checking_prints_nothing_warns_of_nothing_and_writes_nothing(tmp_path):
    script = (
        "import pyarrow as pa, datetime as d\n"
        "from quality.check import check\nfrom quality.gate import Gate\nfrom schemas.standard import Rule\n"
        "t = pa.table({'_row': pa.array([1], pa.int64()), 'a': pa.array([None], pa.string())})\n"
        "v = check(t, [Rule('r', 'required', ('a',), '', ''), Rule('x', 'required', ('b',), '', '')], {}, Gate(), d.date.today())\n"
        "assert v.decision == 'hold' and len(v.quarantine) == 1\n"
    )
    root = str(pytest.importorskip("quality").__path__[0]).rpartition("/")[0]
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": root, "HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [*tmp_path.rglob("*")] == [home]


def test_gate_store_and_package_do_not_load_great_expectations():
    script = (
        "import sys, quality, quality.gate, quality.store, quality.condition, quality.errors\n"
        "assert not any(name.startswith(('great_expectations', 'pandas')) for name in sys.modules)\n"
    )
    root = str(pytest.importorskip("quality").__path__[0]).rpartition("/")[0]
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": root}, check=True)


def test_even_an_accepted_condition_could_not_read_a_file(monkeypatch, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    monkeypatch.setattr("quality.suite.accept", str.strip)
    monkeypatch.setattr("quality.expectations.guarded", str.strip)
    sql = f"EXISTS (SELECT 1 FROM read_text('{secret}'))"
    verdict = run([plain()], [rule("reaches_out", "condition", "name", sql=sql)])
    assert "disabled by configuration" in verdict.counts[0].error
    assert verdict.decision == "hold"


@settings(
    max_examples=40 if os.environ.get("SHUTONG_PROVE") else 2,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(ROWS, max_size=40), st.integers(1, 15), st.booleans())
def test_a_batch_that_comes_in_parts_is_judged_like_the_whole(rows, size, backwards):
    rules = [one for one, _ in CASES] + [
        rule("broken_somewhere", "condition", "name", sql="CAST(name AS INTEGER) > 1", severity="warning"),
        rule("broken_everywhere", "pattern", "name", regex="(", severity="warning"),
    ]
    whole = table(rows)
    parts = [whole.slice(at, size) for at in range(0, len(rows), size)]
    gate = Gate(max_percent=30, keys=("name", "born"))
    at_once = check(whole, rules, CODES, gate, TODAY)
    in_parts = check_parts(parts[:: -1 if backwards else 1], whole.schema, rules, CODES, gate, TODAY)
    for name in ("rows", "counts", "violations", "quarantine", "decision", "reason_zh", "reason_en"):
        assert getattr(in_parts, name) == getattr(at_once, name), name
    told = [json.dumps(one.results["results"], sort_keys=True) for one in (at_once, in_parts)]
    assert told[0] == told[1]


def test_a_row_number_that_comes_again_in_a_later_part_is_refused():
    whole = table([plain(), plain(), plain()])
    parts = [whole, whole.slice(1, 1)]
    with pytest.raises(QualityError, match="QUA-TABLE"):
        check_parts(parts, whole.schema, [rule("name_required", "required", "name")], {}, ANYTHING, TODAY)


def test_what_breaks_while_parts_come_is_what_the_caller_sees():
    def parts():
        yield table([plain()])
        raise ConnectionError("the disk is gone")

    with pytest.raises(ConnectionError, match="the disk is gone"):
        check_parts(parts(), table([]).schema, [rule("name_required", "required", "name")], {}, ANYTHING, TODAY)


def test_parts_are_gone_through_even_when_there_is_no_rule():
    whole = table([plain(), plain()])
    verdict = check_parts([whole.slice(0, 1), whole.slice(1)], whole.schema, [], {}, ANYTHING, TODAY)
    assert (verdict.rows, verdict.decision) == (2, "pass")
