"""The examples of every rule, from the files in `examples`, taken through standardising and the real check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
from ruamel.yaml import YAML

from quality.check import check
from quality.gate import Gate
from quality.rowsets import needed, reference_table, references, violators
from schemas.code_lists import available, lists, load, relation, spellings
from schemas.load import find_standard, known_standards
from schemas.mapping import resolve, standardise
from schemas.standard import Field, Rule, Standard, bind

TODAY = date(2025, 6, 30)
EXAMPLES = Path(__file__).parent / "examples"
STANDARDS = tuple(sorted(known_standards()))
IMPLIED = {"required", "length", "understood", "code", "repaired", "reject"}
Record = Mapping[str, str | None]


@dataclass(frozen=True)
class Example:
    """Some rows in the order received, and which of them, from 1 on, violate the rule."""

    rows: tuple[Record, ...]
    wrong: tuple[int, ...] = ()
    reject: str | None = None


@dataclass(frozen=True)
class Spec:
    """What the file of a standard says: a right record, what other relations hold, examples of each written rule."""

    standard: Standard
    record: Record
    given: Mapping[str, Sequence[Record]]
    rules: Mapping[str, tuple[tuple[Example, ...], tuple[Example, ...]]]
    right: Sequence[Mapping[str, object]]


@cache
def spec(name: str) -> Spec:
    """The examples of a standard (`name@version`)."""
    said = YAML(typ="base").load((EXAMPLES / f"{name.partition('@')[0]}.yaml").read_text("utf-8"))
    record = {key: value or None for key, value in said["record"].items()}
    rules = {
        rule: (
            tuple(_example(record, one, wrong=False) for one in both["keeps"]),
            tuple(_example(record, one, wrong=True) for one in both["breaks"]),
        )
        for rule, both in said["rules"].items()
    }
    return Spec(find_standard(name), record, said.get("given") or {}, rules, said.get("right", ()))


def _example(record: Record, said: Mapping[str, object], *, wrong: bool) -> Example:
    """One row that differs from the right record, or several (`rows`), repeated `times`; `wrong` those that violate."""
    changes = said.get("rows", [said])
    times = int(str(said.get("times", 1)))
    rows = [{**record, **{key: value or None for key, value in one.items()}} for one in changes] * times
    places = [int(one) for one in said.get("wrong", ["1"] if wrong else [])]
    every = [place + turn * len(changes) for turn in range(times) for place in places]
    return Example(tuple(rows), tuple(sorted(every)))


def examples(name: str, rule: Rule) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """What keeps a rule and what breaks it: as the file says, or what the rule's field implies."""
    known = spec(name)
    if rule.id in known.rules:
        return known.rules[rule.id]
    right = known.record
    if rule.kind == "reject":
        return (Example((right,)),), (Example((right,), (1,), str(rule.params["reject"])),)
    field = known.standard.field(rule.columns[0].removesuffix("__bad").removesuffix("__repaired"))
    keeps, breaks = implied_example(rule, field)
    return (Example(({**right, **keeps},)),), (Example(({**right, **breaks},), (1,)),)


def implied_example(rule: Rule, field: Field) -> tuple[Record, Record]:
    """What keeps and breaks a rule that a field's type, length or codes imply."""
    name = field.name
    if rule.kind == "required":
        return {}, {name: "暂无"}
    if rule.kind == "length":
        assert field.length
        return {name: "字" * field.length}, {name: "字" * (field.length + 1)}
    if rule.kind == "understood":
        return {}, {name: "不详"}
    if rule.kind == "code":
        assert field.codes
        codes = load(field.codes)
        return {name: next(iter(codes.codes.values()))[0] if codes.complete else None}, {name: "@@"}
    assert rule.kind == "repaired", f"{rule.id} ({rule.kind}) has no example"
    return {}, {name: _repaired(field)}


def _repaired(field: Field) -> str:
    """A spelling that means something, but not as it should be written."""
    if field.codes:
        spellings_known = load(field.codes).spellings
        others = (spelling for spelling, code in spellings_known.items() if spelling != code)
        return next(others, "\u3000" + next(iter(spellings_known)))
    return {
        "uscc": "91330106589876549k",
        "org_code": "58987654-9",
        "citizen_id": "11010519491231002x",
        "date": "2012年3月1日",
        "datetime": "2012年3月1日 10:11:12",
        "boolean": "１",
        "integer": "１２",
        "decimal": "１２.５",
        "capital": "５０００万元人民币",
    }.get(field.type, "\u3000Ａ１")


def standardised(
    standard: Standard, rows: Sequence[Record], rejects: Sequence[str | None] = (), only: Sequence[str] = ()
) -> pa.Table:
    """The rows as the standard reads them, `_row` from 1; a field no row has is delivered empty; `only` some fields."""
    raw = {
        "_row": pa.array(range(1, len(rows) + 1), pa.int64()),
        "_reject": pa.array(rejects or [None] * len(rows), pa.string()),
        "_detail": pa.nulls(len(rows), pa.string()),
        "_line": pa.nulls(len(rows), pa.string()),
    }
    columns = [field.name for field in standard.fields]
    raw |= {name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns}
    mapping = {name: column for name, column in resolve(standard, columns, {}).items() if name in (only or columns)}
    return standardise(pa.table(raw), standard, mapping, spellings(standard), TODAY).table


def every_rule(standard: Standard) -> tuple[Rule, ...]:
    """The standard's rules bound to all of its fields, those that look beyond their row among them."""
    mapping = {field.name: field.name for field in standard.fields}
    return bind(standard, mapping, references={one for rule in standard.rules for one in rule.relations})


def violated(standard: Standard, rows: Sequence[Record], rejects: Sequence[str | None]) -> list[set[str]]:
    """The rules about one row that each row violates, all of them through the real check at once."""
    table = standardised(standard, rows, rejects)
    rules = [rule for rule in every_rule(standard) if not rule.beyond]
    listed = {name: frozenset(one.codes) for name, one in lists(standard, rules).items()}
    verdict = check(table, rules, listed, Gate(), TODAY)
    assert not [count for count in verdict.counts if count.error], [one for one in verdict.counts if one.error]
    found = dict(zip(verdict.violations["_row"].to_pylist(), verdict.violations["rules"].to_pylist(), strict=True))
    return [set(found.get(row, ())) for row in range(1, len(rows) + 1)]


class Beyond:
    """Evaluates the rules of one standard that look beyond their row, over what other relations are given."""

    def __init__(self, known: Spec) -> None:
        self._standard = known.standard
        self.rules = {rule.id: rule for rule in every_rule(known.standard) if rule.beyond}
        self.given = {
            name: _relation(name, known.given[name]).select(sorted(columns))
            for name, columns in references(self.rules.values()).items()
        }
        self._connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
        self._connection.execute("SET TimeZone = 'Asia/Shanghai'")
        for name, relation_given in self.given.items():
            self._connection.register(reference_table(name), relation_given)

    def violators(self, rule: str, rows: Sequence[Record]) -> tuple[int, ...]:
        """Which of the rows, from 1 on, violate the rule."""
        wanted = self.rules[rule]
        table = standardised(self._standard, rows, only=wanted.columns)
        self._connection.register("checked", table.select(list(needed(wanted))))
        return tuple(sorted(row for (row,) in self._connection.execute(violators(wanted)).fetchall()))

    def close(self) -> None:
        """Give back the connection."""
        self._connection.close()


def _relation(name: str, given: Sequence[Record]) -> pa.Table:
    if name in available():
        return relation(load(name))
    if f"{name}@1" in STANDARDS:
        return standardised(find_standard(f"{name}@1"), given)
    return pa.Table.from_pylist([dict(one) for one in given])
