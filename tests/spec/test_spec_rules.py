"""Every rule of every standard, with examples that keep it and examples that break it, through the real check."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from spec_examples import (
    EXAMPLES,
    IMPLIED,
    STANDARDS,
    TODAY,
    Beyond,
    Example,
    Record,
    every_rule,
    examples,
    spec,
    violated,
)

from quality.rowsets import references
from quality.suite import suite
from schemas.code_lists import available, lists
from schemas.load import find_standard
from schemas.rules import INDICATORS

RULES = [(name, rule.id) for name in STANDARDS for rule in find_standard(name).rules]
RIGHT = [(name, str(one["what"])) for name in STANDARDS for one in spec(name).right]
WORDS_FOR_NOTHING = [None, "", "N/A", "暂无", "无", "\u3000", "11111111"]
Violated = Callable[[str, Record, str | None], set[str]]


def key(name: str, record: Record, reject: str | None) -> tuple[object, ...]:
    return name, tuple(record.items()), reject


@pytest.fixture(scope="module")
def rules_of() -> Violated:
    """(standard, record, reject) → the rules about one row it violates; a standard's records are checked in one go."""
    found: dict[tuple[object, ...], set[str]] = {}
    asked: set[str] = set()

    def look_up(name: str, record: Record, reject: str | None) -> set[str]:
        if name not in asked:
            asked.add(name)  # once, even if it fails
            records = list(every_record(name))
            outcome = violated(spec(name).standard, [one for one, _ in records], [one for _, one in records])
            for (one, why), rules in zip(records, outcome, strict=True):
                found[key(name, one, why)] = rules
        return found[key(name, record, reject)]

    return look_up


def every_record(name: str) -> Iterator[tuple[Record, str | None]]:
    known = spec(name)
    yield known.record, None
    for rule in every_rule(known.standard):
        for one in (*examples(name, rule)[0], *examples(name, rule)[1]) if not rule.beyond else ():
            yield one.rows[0], one.reject
    for special in known.right:
        yield special_case(name, str(special["what"])), None
    if name == "legal_person@1":
        yield {**known.record, "uscc": str(known.record["uscc"]).lower()}, None
        for nothing in WORDS_FOR_NOTHING:
            yield {**known.record, "uscc": nothing}, None


def special_case(name: str, what: str) -> Record:
    changes = next(one["row"] for one in spec(name).right if one["what"] == what)
    return {**spec(name).record, **{field: value or None for field, value in changes.items()}}


@pytest.fixture(scope="module")
def beyond() -> Iterator[Callable[[str], Beyond]]:
    made: dict[str, Beyond] = {}

    def once(name: str) -> Beyond:
        if name not in made:
            made[name] = Beyond(spec(name))
        return made[name]

    yield once
    for one in made.values():
        one.close()


@pytest.mark.parametrize(("name", "rule"), RULES, ids=[f"{name}:{rule}" for name, rule in RULES])
def test_a_rule_is_violated_by_what_breaks_it_and_not_by_what_keeps_it(name, rule, rules_of, beyond) -> None:
    wanted = next(one for one in spec(name).standard.rules if one.id == rule)
    keeps, breaks = examples(name, wanted)
    assert keeps
    assert breaks
    for one in (*keeps, *breaks):
        assert found(name, wanted, one, rules_of, beyond) == one.wrong, one.rows


def found(name, rule, example: Example, rules_of, beyond) -> tuple[int, ...]:
    if rule.beyond:
        return beyond(name).violators(rule.id, example.rows)
    assert len(example.rows) == 1
    return (1,) if rule.id in rules_of(name, example.rows[0], example.reject) else ()


@pytest.mark.parametrize("name", STANDARDS)
def test_a_right_record_violates_nothing(name, rules_of, beyond) -> None:
    record = spec(name).record
    assert set(record) == {field.name for field in spec(name).standard.fields}
    assert rules_of(name, record, None) == set()
    assert {rule: rows for rule in beyond(name).rules if (rows := beyond(name).violators(rule, [record]))} == {}


@pytest.mark.parametrize("name", STANDARDS)
def test_every_written_rule_has_examples_and_no_example_is_left_over(name: str) -> None:
    rules = {rule.id: rule for rule in spec(name).standard.rules}
    assert set(spec(name).rules) == {one for one, rule in rules.items() if rule.kind not in IMPLIED}


def test_every_standard_has_examples_and_no_file_is_left_over() -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == {name.partition("@")[0] for name in STANDARDS}


@pytest.mark.parametrize("name", STANDARDS)
def test_every_rule_says_in_two_languages_what_is_wrong_and_what_to_do(name: str) -> None:
    standard = spec(name).standard
    rules = every_rule(standard)
    assert len(rules) == len(standard.rules)
    assert [one.id for one in rules if not (one.zh and one.en and one.fix_zh and one.fix_en)] == []
    assert [one.id for one in rules if one.indicator not in INDICATORS] == []
    assert [one.id for one in rules if one.zh.isascii() or "，" in one.en] == []
    codes = {one: frozenset(found.codes) for one, found in lists(standard, rules).items()}
    assert len(suite(rules, codes, TODAY).expectations) == len(rules)


@pytest.mark.parametrize("name", STANDARDS)
def test_what_other_relations_are_asked_for_is_there(name: str) -> None:
    for relation, columns in references(spec(name).standard.rules).items():
        if f"{relation}@1" in STANDARDS:
            assert columns <= {field.name for field in find_standard(f"{relation}@1").fields}
        elif relation in available():
            assert columns <= {"code", "zh", "en", "valid_from", "valid_to"}
        else:
            assert relation == "dishonest_person"  # a deployment's own reference table


@pytest.mark.parametrize(("name", "what"), RIGHT, ids=[what for _, what in RIGHT])
def test_what_is_valid_though_unusual_is_not_refused(name, what, rules_of, beyond) -> None:
    record = special_case(name, what)
    rules = next(one["of"] for one in spec(name).right if one["what"] == what)
    known = {one.id: one for one in spec(name).standard.rules}
    violated_here = rules_of(name, record, None)
    assert rules
    for rule in rules:
        assert rule in known
        assert not beyond(name).violators(rule, [record]) if known[rule].beyond else rule not in violated_here


def test_a_code_put_right_by_normalising_counts_as_wrong_and_as_repaired(rules_of) -> None:
    record = spec("legal_person@1").record
    lower = {**record, "uscc": str(record["uscc"]).lower()}
    assert rules_of("legal_person@1", lower, None) == {"uscc_check", "uscc_repaired"}


@pytest.mark.parametrize("nothing", WORDS_FOR_NOTHING)
def test_an_organisation_without_a_code_fails_the_check_of_the_code_alone(nothing, rules_of) -> None:
    assert rules_of("legal_person@1", {**spec("legal_person@1").record, "uscc": nothing}, None) == {"uscc_check"}
