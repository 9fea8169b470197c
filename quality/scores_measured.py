"""From the verdict on a batch, and what is known beside it, to the measures that scores are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from quality.scores_values import About, Facts, Measure, version_of
from schemas.standard import Field, Rule
from schemas.values import BAD, RECEIVED, REPAIRED, Verdict

PERSONAL = 3  # level of DB33/T 2351 from which a field needs a mask
_NUMBERS = ("integer", "decimal", "capital")


def measured(rules: Sequence[Rule], verdict: Verdict, facts: Facts) -> tuple[Measure, ...]:
    """Every measure of one check; rules of severity info say what was put right and count for themselves alone."""
    sums: dict[tuple[About, str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(about: About, name: str, measure: str, met: int, base: int, errors: int = 0, version: str = "") -> None:  # noqa: PLR0917
        if base or errors:
            found = sums[about, name, measure, version]
            found[0], found[1], found[2] = found[0] + met, found[1] + base, found[2] + errors

    by_id = {rule.id: rule for rule in rules}
    fields = {source: name for name, source in facts.columns.items()}
    for count in verdict.counts:
        rule = by_id[count.rule]
        measure = f"{rule.indicator}/{rule.kind}"
        told = (count.evaluated - count.rows, count.evaluated, int(count.error is not None))
        add("rule", rule.id, measure, *told, version_of(rule))
        if count.severity != "info":
            add("all", "", measure, *told)
            for name in dict.fromkeys(_fields(rule, fields)):
                add("field", name, measure, *told)
    for name, measure, met, base in _known(rules, verdict, facts):
        add("field" if name else "all", name, measure, met, base)
    return tuple(Measure(*key, *values) for key, values in sorted(sums.items()))


def _fields(rule: Rule, fields: dict[str, str]) -> Iterator[str]:
    """The fields a rule speaks of; structural rules speak of none."""
    for column in rule.columns:
        if column.startswith(RECEIVED):
            source = column.removeprefix(RECEIVED)
            yield fields.get(source, source)
        elif not column.startswith("_"):
            yield column.removesuffix(BAD).removesuffix(REPAIRED)


def _known(rules: Sequence[Rule], verdict: Verdict, facts: Facts) -> Iterator[tuple[str, str, int, int]]:
    """What no rule judges: (field or nothing, measure, met, base)."""
    for name in (*(one.name for one in facts.fields), *facts.missing):
        there = int(name not in facts.missing)
        yield "", "0102/columns", there, 1
        yield name, "0102/columns", there, 1
    for one in facts.fields:
        met, base = described(one)
        yield "", "0103/metadata", met, base
        yield one.name, "0103/metadata", met, base
        if one.level >= PERSONAL:
            yield "", "0106/masked", int(one.mask is not None), 1
            yield one.name, "0106/masked", int(one.mask is not None), 1
    if facts.records is not None:
        torn = {rule.id for rule in rules if rule.kind == "reject"}
        unread = sum(count.rows for count in verdict.counts if count.rule in torn)
        yield "", "0202/records", max(facts.records - unread, 0), facts.records
        yield "", "0305/quarantined", facts.records - len(verdict.quarantine), facts.records
    if facts.deliveries is not None:
        yield "", "0502/deliveries", *facts.deliveries


def described(one: Field) -> tuple[int, int]:
    """How much of what a catalogue entry needs is said of a field: names, source, authority, length, unit or codes."""
    needed = [bool(one.zh), bool(one.en), bool(one.source)]
    if one.type == "text":
        needed.append(one.length is not None)
    if one.type == "code":
        needed.append(one.codes is not None)
    if one.type in _NUMBERS:
        needed.append(one.unit is not None)
    return sum(needed), len(needed)
