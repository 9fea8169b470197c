"""The rules the demo's standards must have 规则名册: a rule that disappears is a difference, whether or not it fires.

`python -m shutong.demo.roster` writes roster.csv anew from the standards; review what changed before committing it.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from schemas.load import find_standard
from schemas.standard import Standard

PATH = Path(__file__).with_name("roster.csv")
STANDARDS = ("legal_person@1", "population@1")


def read_roster() -> dict[str, set[str]]:
    """Standard → ids of its rules, as reviewed."""
    roster: dict[str, set[str]] = {}
    with PATH.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            roster.setdefault(line["standard"], set()).add(line["rule"])
    return roster


def compare(standards: Iterable[Standard]) -> list[str]:
    """Every rule that the deployment's standards lack or have besides, as one line in both languages."""
    roster, lines = read_roster(), []
    for standard in {one.id: one for one in standards}.values():
        there, wanted = {rule.id for rule in standard.rules}, roster.get(standard.id, set())
        lines += [f"{standard.id} {rule}: 缺少此规则 | the rule is missing" for rule in sorted(wanted - there)]
        lines += [f"{standard.id} {rule}: 名册中没有 | not on the roster" for rule in sorted(there - wanted)]
    return lines


def main() -> int:
    """Write the roster from the standards that ship."""
    with PATH.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("standard", "rule"))
        for name in STANDARDS:
            writer.writerows((name, rule.id) for rule in find_standard(name).rules)
    return 0


if __name__ == "__main__":
    sys.exit(main())
