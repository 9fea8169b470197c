"""Every injected mess is found by exactly the rules it violates, and nothing right is refused: recall and precision."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pytest
from exact_messes import Entry, log, tails
from exact_records import RECORDS
from exact_town import TODAY, Town, relations

from quality.check import check_parts
from quality.gate import Gate
from quality.rowsets import references
from schemas.code_lists import lists, spellings
from schemas.load import find_standard
from schemas.mapping import resolve, standardise
from schemas.standard import Standard, bind

SEEDS = range(1, 21)
IMPLIED = {"required", "length", "understood", "code", "repaired"}  # of a field; `make prove` breaks each of these too
TAILS = {"id_no_excel_tail": ("population", "id_no"), "uscc_excel_tail": ("legal_person", "uscc")}
EVERY = os.environ.get("SHUTONG_PROVE") == "1"


def raw(rows: Sequence[dict[str, str]]) -> pa.Table:
    """The records as received, `_row` from 1."""
    names = ("_reject", "_detail", "_line", *(name for name in rows[0] if name != "_reject"))
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    return pa.table({"_row": pa.array(range(1, len(rows) + 1), pa.int64()), **columns})


def found(
    standard: Standard, rows: Sequence[dict[str, str]], towns: list[Town], about: str | None = None
) -> list[set[str]]:
    """The rules that the real check says each record violates: all, or those that look at one field."""
    received = raw(rows)
    mapping = resolve(standard, received.column_names[4:], {})
    assert set(mapping) == set(received.column_names[4:]) == {one.name for one in standard.fields}
    table = standardise(received, standard, mapping, spellings(standard), TODAY).table
    rules = bind(standard, mapping, references={name for rule in standard.rules for name in rule.relations})
    assert len(rules) == len(standard.rules)
    if about:
        rules = tuple(one for one in rules if {about, f"raw:{about}", f"{about}__repaired"} & {*one.columns})
    codes = {name: frozenset(one.codes) for name, one in lists(standard, rules).items()}
    known = relations(towns)
    given = {name: known[name].select(sorted(columns)) for name, columns in references(rules).items()}
    verdict = check_parts([table], table.schema, rules, codes, Gate(), TODAY, given)
    assert not [one for one in verdict.counts if one.error]
    said = {one["_row"]: set(one["rules"]) for one in verdict.violations.to_pylist()}
    counted = Counter(rule for rules in said.values() for rule in rules)
    assert {one.rule: one.rows for one in verdict.counts if one.rows} == counted
    return [said.get(place, set()) for place in range(1, len(rows) + 1)]


def differences(entries: Sequence[Entry], said: Sequence[set[str]]) -> list[tuple[str, str]]:
    """Where the check and the log differ: what was done, and the rules that only one of them names."""
    logged = [(one.what, rules) for one in entries for rules in one.rules]
    return [
        (what, f"missed {sorted(rules - got)}, wrongly {sorted(got - rules)}")
        for (what, rules), got in zip(logged, said, strict=True)
        if rules != got
    ]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_the_check_names_for_each_record_exactly_the_rules_that_its_mess_violates(name: str) -> None:
    standard = find_standard(f"{name}@1")
    towns = [Town(seed) for seed in SEEDS]
    entries = [one for town in towns for one in log(name, town, every=EVERY)]
    tails(name, entries)
    said = found(standard, [row for one in entries for row in one.rows], towns)
    assert differences(entries, said) == []
    unbroken = {rule.id for rule in standard.rules if rule.kind not in IMPLIED} - set().union(*said)
    assert unbroken <= TAILS.keys()


@pytest.mark.parametrize("rule", TAILS)
def test_numbers_that_excel_cut_are_named_once_they_are_more_than_one_in_a_hundred(rule: str) -> None:
    name, field = TAILS[rule]
    town = Town(1)
    rows = [RECORDS[name](town) for _ in range(300)]
    for place in (7, 70, 170, 299):
        number = rows[place][field]
        rows[place] |= {field: number[:15] + "000" if name == "population" else f"91330106{place:07d}000"}
    standard = find_standard(f"{name}@1")
    assert [place for place, said in enumerate(found(standard, rows, [town], field)) if rule in said] == [
        7,
        70,
        170,
        299,
    ]
    few = [one for place, one in enumerate(rows) if place not in (70, 170)]  # two of 298
    assert not [said for said in found(standard, few, [town], field) if rule in said]
