"""Every rule of the two standards, each with a record that keeps it and one that breaks it, through the real check."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from spec_records import FIRM, FIRM_EXAMPLES, PERSON, PERSON_EXAMPLES, Record, implied_example, violated

from schemas.load import find_standard
from schemas.standard import Rule, Standard

STANDARDS = {"legal_person@1": (FIRM, FIRM_EXAMPLES), "population@1": (PERSON, PERSON_EXAMPLES)}
CASES = [(name, rule.id) for name in STANDARDS for rule in find_standard(name).rules]
WORDS_FOR_NOTHING = [None, "", "N/A", "暂无", "无", "\u3000", "11111111"]
LOWER = {**FIRM, "uscc": str(FIRM["uscc"]).lower()}
MORE: dict[str, list[Record]] = {
    "legal_person@1": [FIRM, LOWER, *({**FIRM, "uscc": nothing} for nothing in WORDS_FOR_NOTHING)],
    "population@1": [PERSON],
}
Violated = Callable[[str, Record, str | None], set[str]]


def examples(standard: Standard, rule: Rule) -> tuple[Record, Record, str | None]:
    """The record that keeps the rule, the one that breaks it, and the reader's reject mark on the latter."""
    right, written = STANDARDS[standard.id]
    if rule.kind == "reject":
        return right, right, str(rule.params["reject"])
    if rule.id in written:
        keeps, breaks = written[rule.id]
    else:
        name = rule.columns[0].removesuffix("__bad").removesuffix("__repaired")
        keeps, breaks = implied_example(rule, standard.field(name))
    return {**right, **keeps}, {**right, **breaks}, None


@pytest.fixture(scope="module")
def rules_of() -> Violated:
    """(standard, record, reject) → the rules it violates; all records of a standard are checked in one go."""
    found: dict[tuple[object, ...], set[str]] = {}
    for name in STANDARDS:
        standard = find_standard(name)
        records: list[tuple[Record, str | None]] = [(record, None) for record in MORE[name]]
        for rule in standard.rules:
            keeps, breaks, reject = examples(standard, rule)
            records += [(keeps, None), (breaks, reject)]
        outcome = violated(standard, [record for record, _ in records], [reject for _, reject in records])
        for (record, reject), rules in zip(records, outcome, strict=True):
            found[name, tuple(record.items()), reject] = rules
    return lambda standard, record, reject: found[standard, tuple(record.items()), reject]


@pytest.mark.parametrize(("name", "rule"), CASES, ids=[f"{name}:{rule}" for name, rule in CASES])
def test_a_rule_is_violated_by_what_breaks_it_and_not_by_what_keeps_it(
    name: str, rule: str, rules_of: Violated
) -> None:
    standard = find_standard(name)
    keeps, breaks, reject = examples(standard, next(one for one in standard.rules if one.id == rule))
    assert rule not in rules_of(name, keeps, None)
    assert rule in rules_of(name, breaks, reject)


@pytest.mark.parametrize("name", STANDARDS)
def test_a_right_record_violates_nothing(name: str, rules_of: Violated) -> None:
    assert rules_of(name, STANDARDS[name][0], None) == set()


@pytest.mark.parametrize("name", STANDARDS)
def test_every_written_rule_has_an_example_of_its_own_and_no_example_is_left_over(name: str) -> None:
    rules = {rule.id: rule for rule in find_standard(name).rules}
    implied = {"required", "length", "understood", "code", "repaired", "reject"}
    assert set(STANDARDS[name][1]) == {one for one, rule in rules.items() if rule.kind not in implied}


def test_a_code_put_right_by_normalising_counts_as_wrong_and_as_repaired(rules_of: Violated) -> None:
    assert rules_of("legal_person@1", LOWER, None) == {"uscc_check", "uscc_repaired"}


@pytest.mark.parametrize("nothing", WORDS_FOR_NOTHING)
def test_an_organisation_without_a_code_fails_the_check_of_the_code_alone(
    nothing: str | None, rules_of: Violated
) -> None:
    assert rules_of("legal_person@1", {**FIRM, "uscc": nothing}, None) == {"uscc_check"}
