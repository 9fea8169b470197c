"""The ledger 台账: what Shutong must arrive at, worked out from the truth and the log of defects, never by Shutong."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from shutong.demo.defects import BY_ID
from shutong.demo.rows import LANDED, LAYOUTS, QUARANTINED, SUPERSEDED, Layout, Row, Value, canonical

AUTHORITY: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # library → field → departments, first first; "" = the rest
    "legal_person": {"": ("scjg", "mzj", "swj"), "tax_no": ("swj",), "phone": ("swj", "scjg", "mzj")},
    "population": {"": ("gongan",)},
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What must become of one resource's records: each of `pulled` has one fate; `rules` counts rows per rule.

    `digest` is over the landed rows: `fields` of each row, the key first, as canonical text (see `digest`).
    """

    pulled: int
    landed: int
    quarantined: int
    superseded: int
    rules: dict[str, int]
    fields: list[str]
    digest: str


@dataclass(frozen=True, slots=True)
class ExpectedLibrary:
    """What a base library must hold: how many records, and one of them field by field, each with its department."""

    records: int
    key: str
    sample: dict[str, str | None]
    source: dict[str, str]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything the generator did and expects.

    `defects` lists each damaged record: resource, defect, key, source column → (what was true, what is kept).
    `untaken` are files that must not be read because they have no `.ok`. `round` counts the later changes applied;
    after a change `drops` has what the next run of a resource must make of it: a new file by itself, or the whole table
    read again, of which only what changed lands (its digest is over those rows).
    """

    seed: int
    sizes: dict[str, int]
    round: int
    resources: dict[str, Expected]
    libraries: dict[str, ExpectedLibrary]
    defects: list[dict[str, object]] = field(default_factory=list)
    untaken: list[str] = field(default_factory=list)
    drops: dict[str, Expected] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Keep the ledger as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """The ledger kept at `path`."""
        kept = json.loads(path.read_text(encoding="utf-8"))
        kept["resources"] = {name: Expected(**one) for name, one in kept["resources"].items()}
        kept["drops"] = {name: Expected(**one) for name, one in kept["drops"].items()}
        kept["libraries"] = {name: ExpectedLibrary(**one) for name, one in kept["libraries"].items()}
        return cls(**kept)


def digest(rows: Iterable[Sequence[Value]]) -> str:
    """SHA-256 over rows in canonical form, in any order.

    Each row is a JSON array of texts and nulls without spaces (dates YYYY-MM-DD, numbers without trailing zeros), the
    rows sorted by code point, each ended by a line feed, as UTF-8.
    """
    lines = sorted(json.dumps(canonical(row), ensure_ascii=False, separators=(",", ":")) for row in rows)
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def expect(rows: Sequence[Row], layout: Layout) -> Expected:
    """What must become of those rows, whose fates are settled."""
    fates = Counter(row.fate for row in rows)
    rules = Counter(rule for row in rows for rule in row.rules)
    fields = [layout.key, *(name for name in layout.fields if name != layout.key)]
    landed = [[row.expected[name] for name in fields] for row in rows if row.fate == LANDED]
    return Expected(
        pulled=len(rows),
        landed=fates[LANDED],
        quarantined=fates[QUARANTINED],
        superseded=fates[SUPERSEDED],
        rules=dict(sorted(rules.items())),
        fields=fields,
        digest=digest(landed),
    )


def merged(copies: Mapping[str, Sequence[Row]], library: str) -> ExpectedLibrary:
    """The library those copies make; its sample is a record that departments disagree on, where there is one."""
    records: dict[Value, dict[str, dict[str, Value]]] = {}
    layouts = [layout for layout in LAYOUTS if layout.library == library]
    for layout in layouts:
        for row in copies[layout.resource]:
            if row.fate == LANDED:
                records.setdefault(row.expected[layout.key], {})[layout.department] = row.expected
    chosen = max(sorted(records, key=str), key=lambda key: (len(records[key]), _disagree(records[key])))
    fields = dict.fromkeys(name for layout in layouts for name in layout.fields)
    sample, source = {}, {}
    for name in fields:
        for department in AUTHORITY[library].get(name, AUTHORITY[library][""]):
            value = records[chosen].get(department, {}).get(name)
            if value is not None:
                sample[name], source[name] = canonical([value])[0], department
                break
    return ExpectedLibrary(len(records), layouts[0].key, sample, source)


def _disagree(said: Mapping[str, Mapping[str, Value]]) -> int:
    heard: dict[str, set[Value]] = {}
    for values in said.values():
        for name, value in values.items():
            heard.setdefault(name, set()).add(value)
    return sum(len(values) > 1 for values in heard.values())


def compare(ledger: Ledger, observed: Mapping[str, object]) -> list[str]:
    """Every difference as one line in both languages; empty when all agrees.

    `observed` has the shape of the ledger:
    {"resources": {id: {pulled, landed, quarantined, superseded, rules, digest}},
     "libraries": {name: {"records": n, "sample": {field: value}}}}. Values may be text, dates,
    decimals or booleans. A part left out is a difference.
    """
    lines: list[str] = []
    seen = _part(observed, "resources")
    for resource, expected in ledger.resources.items():
        one = _part(seen, resource)
        for what in ("pulled", "landed", "quarantined", "superseded", "digest"):
            _differ(lines, f"{resource} {what}", getattr(expected, what), one.get(what))
        rules = _part(one, "rules")
        for rule in sorted({*expected.rules, *rules}):
            _differ(lines, f"{resource} {rule}", expected.rules.get(rule, 0), rules.get(rule, 0))
    lines += [f"{name}: 台账中没有此资源 | not in the ledger" for name in seen if name not in ledger.resources]
    for library, wanted in ledger.libraries.items():
        got = _part(_part(observed, "libraries"), library)
        _differ(lines, f"{library} records", wanted.records, got.get("records"))
        sample = _part(got, "sample")
        for name, value in wanted.sample.items():
            _differ(lines, f"{library} {name}", value, _shown(sample.get(name)))
    return lines


def _part(observed: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = observed.get(name)
    return part if isinstance(part, Mapping) else {}


def _shown(value: object) -> object:
    return canonical([value])[0] if isinstance(value, str | int | date | Decimal) else value


def _differ(lines: list[str], what: str, wanted: object, got: object) -> None:
    if wanted != got:
        lines.append(f"{what}: 应为 {wanted}，实为 {got} | expected {wanted}, got {got}")


def log(
    rows: Sequence[Row], layout: Layout, truth: Mapping[Value, Mapping[str, str | None]]
) -> list[dict[str, object]]:
    """What was done to each damaged row: the true cell and the kept one for every column that differs."""
    entries: list[dict[str, object]] = []
    for row in rows:
        if not row.defects:
            continue
        key = row.expected[layout.key]
        was = truth[key]
        kind = BY_ID[row.defects[0]]
        entries.append(
            {
                "resource": layout.resource,
                "defect": kind.id,
                "zh": kind.zh,
                "en": kind.en,
                "key": key,
                "fate": row.fate,
                "rules": sorted(row.rules),
                "line": row.form,
                "cells": {name: [was[name], kept] for name, kept in row.received.items() if was[name] != kept},
            }
        )
    return entries
