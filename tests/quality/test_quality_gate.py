"""The gate holds a batch for a reason that a person can check: the figures are in the words, in both languages."""

from __future__ import annotations

import pytest

from quality.gate import Gate, judge
from schemas.values import RuleCount

CLEAN = RuleCount("name_required", "error", 0, 100)
BAD = RuleCount("name_required", "error", 6, 100)
WARNED = RuleCount("name_repaired", "warning", 30, 100)


@pytest.mark.parametrize(("quarantined", "decision"), [(5, "warn"), (6, "hold")])
def test_more_than_the_percentage_holds(quarantined, decision):
    assert judge(Gate(max_percent=5.0), 100, quarantined, [BAD]).decision == decision


@pytest.mark.parametrize(("quarantined", "decision"), [(5, "warn"), (6, "hold")])
def test_more_than_the_number_of_rows_holds(quarantined, decision):
    assert judge(Gate(max_percent=None, max_rows=5), 1_000_000, quarantined, [BAD]).decision == decision


def test_without_limits_any_number_of_rows_may_be_quarantined():
    assert judge(Gate(max_percent=None), 100, 100, [BAD]).decision == "warn"


def test_the_reason_for_holding_has_the_figures_in_both_languages():
    judgement = judge(Gate(), 190_220, 12_345, [BAD])
    for words in (judgement.zh, judgement.en):
        assert "190,220" in words
        assert "12,345" in words
        assert "6.49%" in words
        assert "5%" in words


def test_every_reason_for_holding_is_given():
    judgement = judge(Gate(max_rows=1, must_pass=("name_required",)), 100, 6, [BAD], ["uscc"])
    assert judgement.decision == "hold"
    for part in ("6.00%", "1 行", "name_required", "uscc"):
        assert part in judgement.zh
    assert judgement.zh.count("；") == judgement.en.count("; ") == 3


def test_a_rule_that_must_pass_holds_whatever_its_severity():
    judgement = judge(Gate(must_pass=("name_repaired",)), 100, 0, [WARNED])
    assert judgement.decision == "hold"
    assert "30 rows" in judgement.en


def test_a_rule_that_must_pass_but_was_not_evaluated_holds():
    failed = RuleCount("name_repaired", "warning", 0, 0, "no such column")
    assert judge(Gate(must_pass=("name_repaired",)), 100, 0, [failed]).decision == "hold"
    assert judge(Gate(must_pass=("absent",)), 100, 0, [CLEAN]).decision == "hold"


def test_an_error_rule_that_was_not_evaluated_holds_and_a_warning_does_not():
    assert judge(Gate(), 100, 0, [RuleCount("r", "error", 0, 0, "boom")]).decision == "hold"
    assert judge(Gate(), 100, 0, [RuleCount("r", "warning", 0, 0, "boom")]).decision == "warn"


def test_warnings_alone_pass_with_a_remark():
    judgement = judge(Gate(), 100, 0, [CLEAN, WARNED])
    assert judgement.decision == "warn"
    assert "name_repaired" in judgement.zh


def test_information_is_no_remark():
    assert judge(Gate(), 100, 0, [RuleCount("r", "info", 100, 100)]).decision == "pass"


def test_a_clean_batch_passes_with_its_size():
    judgement = judge(Gate(), 1_000, 0, [CLEAN])
    assert judgement.decision == "pass"
    assert "1,000" in judgement.zh
    assert "1,000" in judgement.en


def test_an_empty_batch_passes_even_past_keys_and_must_pass():
    assert judge(Gate(must_pass=("absent",)), 0, 0, [], ["uscc"]).decision == "pass"


def test_an_empty_key_column_holds():
    judgement = judge(Gate(keys=("uscc",)), 100, 0, [CLEAN], ["uscc"])
    assert judgement.decision == "hold"
    assert "uscc" in judgement.en
