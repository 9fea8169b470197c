"""What a work order 质量工单 is: its states, the steps it took, who may act on it, and how a resource wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Literal

State = Literal["open", "assigned", "answered", "verified", "closed", "waived"]
Kind = Literal["rule", "held", "drift"]
Event = Literal[
    "opened", "reopened", "assigned", "answered", "failed_again", "verified", "closed", "waived", "waiver_ended",
    "escalated", "withdrawn",
]  # fmt: skip

LIVE: tuple[State, ...] = ("open", "assigned", "answered")  # somebody has to do something
HELD, DRIFT = "@held", "@drift"  # in place of a rule
LEAD, DATA_MANAGER = "lead", "data_manager"  # 部门负责人, 数据管理员
CALLER, ANALYST, AUDITOR, APPROVER = "caller", "analyst", "auditor", "approver"  # 查询, 分析, 审计, 审批
ROLES = ("member", CALLER, ANALYST, AUDITOR, APPROVER, LEAD, DATA_MANAGER)
WIDE = frozenset({ANALYST, AUDITOR, DATA_MANAGER})  # roles of people who may belong to no department
SYSTEM = "system"
_SHANGHAI = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    """How findings of a resource become orders.

    `days` are the working days a department has, by severity; `least` the least severity that makes an order (None:
    none does). An overdue order goes to the first of `escalate_to` (roles or people), and to the next one after each
    further `escalate_after` working days.
    """

    days: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"error": 5, "warning": 20}))
    least: Literal["error", "warning"] | None = "error"
    escalate_to: tuple[str, ...] = (LEAD, DATA_MANAGER)
    escalate_after: int = 5

    def wants(self, severity: str) -> bool:
        """Whether a violated rule of that severity makes an order."""
        return severity in {"error": ("error",), "warning": ("error", "warning"), None: ()}[self.least]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `id` stands in the history; `roles` are some of ROLES."""

    id: str
    department: str
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Order:
    """One order to a source department, about one rule of one resource.

    `rule` is a rule's id, HELD or DRIFT; resource, `last_run`, `last_batch` and rule lead to the failing rows, which
    stand in quarantine and not here. Dates are ISO 8601; `due` is the last day of the term, `answer_until` the day
    until which an answered order waits for the batch that proves it. `recurrences` counts the checks that found it
    again; `escalated` is the level it came to; `previous` the order on the same rule that had been closed before.
    """

    id: int
    resource: str
    department: str
    rule: str
    kind: Kind
    severity: str
    state: State
    zh: str
    en: str
    opened_at: str
    due: str
    days: int
    answer_until: str | None
    waived_until: str | None
    assignee: str
    rows: int
    recurrences: int
    first_run: str
    first_batch: str
    last_run: str
    last_batch: str
    last_seen_at: str
    proven_by: str | None
    closed_at: str | None
    escalated: int
    previous: int | None

    @property
    def term(self) -> date:
        """The day after which it is overdue."""
        return date.fromisoformat(max(self.due, self.answer_until or ""))

    def overdue(self, day: date) -> bool:
        """Whether somebody should have acted by then and the next good batch has not come."""
        return self.state in LIVE and day > self.term


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order: from which state to which, when, by whom, why, and the run that shows it."""

    id: int
    order: int
    at: str
    event: Event
    before: State | None
    state: State
    who: str
    why: str
    run: str | None


@dataclass(frozen=True, slots=True)
class Escalation:
    """An order that came to a level, and to whom it goes: a role or a person."""

    order: Order
    level: int
    to: str


def written(at: datetime) -> str:
    """An instant as orders write it down: ISO 8601 of Asia/Shanghai, fixed width, so that text order is time order."""
    return at.astimezone(_SHANGHAI).isoformat(timespec="microseconds")


def day_of(at: datetime) -> date:
    """The day an instant falls on in Asia/Shanghai."""
    return at.astimezone(_SHANGHAI).date()
