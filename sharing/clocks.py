"""The statutory clocks 法定时限 of applications: when a step is due, what a stopped clock has left, who hears when."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

from schemas.calendar import Calendar
from schemas.lines import Node, read

LONGEST: Final = 250  # working days: about a year
LONGEST_VALIDITY: Final = 3660  # days
# 政务数据共享条例 (国务院令第 809 号): 1, 10 and 20 working days; the others are ours until a deployment says its own.
_DAYS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "unconditional": 1,
        "conditional": 10,
        "delivery": 20,
        "supplement": 10,
        "extension": 10,
        "consultation": 10,
        "mediation": 10,
        "ruling": 20,
    }
)
_KEYS = ("days", "escalate_to", "escalate_after", "supplements", "longest", "remind", "providers")


@dataclass(frozen=True, slots=True)
class SharingPolicy:
    """How long each step may take, in working days, and who hears of one that takes longer.

    `days` by step, `extension` being the most one may ask for; an overdue application goes to the first of
    `escalate_to` (roles or people), then to the next after each further `escalate_after` working days. `supplements`:
    how often more may be asked of an applicant; `longest` days a grant may last; `remind` days before its end its
    holder is told; `providers`: which department decides over a library or resource.
    """

    days: Mapping[str, int] = field(default_factory=lambda: _DAYS)
    escalate_to: tuple[str, ...] = ("lead", "data_manager")
    escalate_after: int = 3
    supplements: int = 1
    longest: int = 1096
    remind: int = 30
    providers: Mapping[str, str] = field(default_factory=dict)


def read_policy(path: Path, subjects: Collection[str] = ()) -> SharingPolicy:
    """`sharing.yaml` of a deployment; what it leaves out, or all of it, is as usual.

    `subjects` are the libraries and resources there are. StandardError: file and line.
    """
    usual = SharingPolicy()
    if not path.exists():
        return usual
    node = read(path).only(*_KEYS)
    days, said, named = dict(usual.days), node.node("days"), node.node("providers")
    if said is not None:
        said.only(*days)
        days |= {step: _number(said, step, usual.days[step], LONGEST) for step in days}
    if named is not None:
        named.only(*subjects)
    return SharingPolicy(
        days=days,
        escalate_to=tuple(node.texts("escalate_to")) if node.has("escalate_to") else usual.escalate_to,
        escalate_after=_number(node, "escalate_after", usual.escalate_after, LONGEST),
        supplements=_number(node, "supplements", usual.supplements, LONGEST),
        longest=_number(node, "longest", usual.longest, LONGEST_VALIDITY),
        remind=_number(node, "remind", usual.remind, LONGEST_VALIDITY),
        providers={} if named is None else {key: named.text(key) for key in named.keys()},  # noqa: SIM118 a Node
    )


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of a deployment: its calendar of working days and its policy."""

    calendar: Calendar
    policy: SharingPolicy

    def due(self, step: str, day: date) -> date:
        """The last day of a step that begins on `day`, which itself is not counted."""
        return self.calendar.after(day, self.policy.days[step])

    def left(self, due: date, day: date) -> int:
        """The working days a clock still has that is stopped on `day`; 0 for one that is overdue."""
        return self.calendar.between(day, due)

    def goes_on(self, left: int, day: date) -> date:
        """The last day of a clock that goes on from `day`. With nothing left it was overdue, and is again tomorrow."""
        return self.calendar.after(day, left)

    def longer(self, due: date, days: int) -> date:
        """The last day of a term with `days` more working days."""
        return self.calendar.after(due, days)

    def level(self, due: date, day: date, told: int) -> int | None:
        """The next level an overdue step goes up to after `told`, if its day has come."""
        late = self.calendar.between(due, day)
        if told >= len(self.policy.escalate_to) or late < 1 + told * self.policy.escalate_after:
            return None
        return told + 1


def _number(node: Node, key: str, usual: int, most: int) -> int:
    number = node.integer(key, default=usual)
    if not 1 <= number <= most:
        node.fail(
            key,
            zh=f"“{key}”应为 1 到 {most}",
            en=f"'{key}' should be 1 to {most}",
            fix_zh=f"例如 {key}: {usual}",
            fix_en=f"For example {key}: {usual}",
        )
    return number
