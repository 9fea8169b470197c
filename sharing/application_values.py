"""What an application 共享申请 is: its states, what may be done in which of them and by whom, and its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from quality.orders_values import DATA_MANAGER, LEAD, SYSTEM, Actor
from schemas.standard import Standard
from schemas.values import Json
from sharing.roles import may

__all__ = ["DATA_MANAGER", "LEAD", "SYSTEM", "Actor"]

State = Literal[
    "pending", "supplementing", "approved", "delivered", "refused", "withdrawn", "lapsed",
    "consultation", "mediation", "ruling",
]  # fmt: skip
Party = Literal["applicant", "provider", "authority", "parties"]
Act = Literal[
    "ask_supplement", "supply", "approve", "refuse", "withdraw", "deliver", "ask_extension", "decide_extension",
    "dispute", "refer",
]  # fmt: skip
DISPUTE: Final[tuple[State, ...]] = ("consultation", "mediation", "ruling")
# The clock that runs in a state; no other state has one.
STEPS: Final[Mapping[State, str]] = {
    "pending": "conditional",
    "supplementing": "supplement",
    "approved": "delivery",
    "consultation": "consultation",
    "mediation": "mediation",
    "ruling": "ruling",
}
# Whose turn it is in a state, so that it is they who hear of its clock first.
ON_TURN: Final[Mapping[State, Party]] = {
    "pending": "provider",
    "approved": "provider",
    "consultation": "provider",
    "mediation": "authority",
    "ruling": "authority",
}
# What may be done in which state by whom: the whole of the state machine.
MAY: Final[Mapping[Act, Mapping[State, Party]]] = {
    "ask_supplement": {"pending": "provider"},
    "supply": {"supplementing": "applicant"},
    "approve": {
        "pending": "provider", "consultation": "provider", "mediation": "authority", "ruling": "authority",
    },
    "refuse": {"pending": "provider", "ruling": "authority"},
    "withdraw": {
        "pending": "applicant", "supplementing": "applicant", "consultation": "applicant", "mediation": "applicant",
        "ruling": "applicant",
    },
    "deliver": {"approved": "provider"},
    "ask_extension": {"pending": "provider", "approved": "provider"},
    "decide_extension": {"pending": "authority", "approved": "authority"},
    "dispute": {"refused": "applicant", "approved": "applicant", "delivered": "applicant"},
    "refer": {"consultation": "parties", "mediation": "authority"},
}  # fmt: skip
WHO: Final[Mapping[Party | Literal["department"], tuple[str, str]]] = {
    "department": ("登记在某个部门的人员", "people of a department"),
    "applicant": ("申请部门的人员", "people of the department that applies"),
    "provider": ("提供部门负责人（lead）或审批人（approver）", "a lead or approver of the department that provides"),
    "authority": ("数据主管部门（data_manager）", "the data authority (data_manager)"),
    "parties": ("申请部门的人员或提供部门负责人", "the applicant's people or the provider's lead"),
}


STATES: Final[Mapping[str, str]] = {
    "pending": "待决定",
    "supplementing": "待补正",
    "approved": "已同意，待提供",
    "delivered": "已提供",
    "refused": "不予共享",
    "withdrawn": "已撤回",
    "lapsed": "逾期未补正",
    "consultation": "争议：协商",
    "mediation": "争议：调解",
    "ruling": "争议：裁定",
}
GRANT_STATES: Final[Mapping[str, str]] = {"active": "有效", "suspended": "暂停", "revoked": "已撤销"}


@dataclass(frozen=True, slots=True)
class Subject:
    """A library or resource that can be applied for.

    `provider` decides; empty, the data authority does. `served`: its records can be asked for already, so that what
    is approved is delivered.
    """

    name: str
    provider: str
    standard: Standard
    served: bool


@dataclass(frozen=True, slots=True)
class Purpose:
    """What data is wanted for: 事项编码, the matter's name, the legal basis."""

    matter_code: str
    matter: str
    basis: str


@dataclass(frozen=True, slots=True)
class Application:
    """One application; `asked` and `granted` as JSON of Terms.

    `sharing` is U, C or N, the strictest of what is asked. `due` is the last day of the clock that runs, None when
    none does; `left` the working days of one that is stopped. `extension` are the days asked for and not yet decided.
    `disputed_from` is the state a dispute came from, for good: there is one dispute.
    """

    id: int
    department: str
    client: str | None
    subject: str
    provider: str
    sharing: str
    matter_code: str
    matter: str
    basis: str
    asked: Mapping[str, Json]
    granted: Mapping[str, Json] | None
    renews: str | None
    grant: str | None
    state: State
    filed_at: str
    due: str | None
    left: int | None
    supplements: int
    extension: int | None
    extended: bool
    disputed_from: State | None
    escalated: int

    @property
    def purpose(self) -> Purpose:
        """What the data is wanted for."""
        return Purpose(self.matter_code, self.matter, self.basis)

    def overdue(self, day: date) -> bool:
        """Whether somebody should have acted by then."""
        return self.due is not None and day.isoformat() > self.due

    @property
    def is_authoritys_turn(self) -> bool:
        """Whether it is the data authority that should act now."""
        return ON_TURN.get(self.state) == "authority" or not self.provider

    def concerns(self, department: str) -> bool:
        """Whether it is that department's application or data."""
        return department in {self.department, self.provider} - {""}

    def is_party(self, party: Party, by: Actor) -> bool:
        """Whether somebody acts for that party; where no department provides, the data authority does."""
        if party == "authority" or (party == "provider" and not self.provider):
            return may(by, "application.rule", self.provider)
        if party == "provider":
            return may(by, "application.decide", self.provider)
        if party == "applicant":
            # A key has no roles: it acts for its department.
            return by.department == self.department and (not by.roles or may(by, "application.file", self.department))
        return self.is_party("applicant", by) or self.is_party("provider", by)


@dataclass(frozen=True, slots=True)
class Event:
    """One step of an application: from which state to which, when, by whom, why, on what legal basis, due when."""

    id: int
    application: int
    at: str
    event: str
    before: State | None
    state: State
    who: str
    department: str
    why: str
    basis: str | None
    due: str | None


@dataclass(frozen=True, slots=True)
class GrantVersion:
    """A version of a grant; `event` made it: issued, renewed, widened, extended, suspended, resumed, revoked."""

    id: str
    version: int
    application: int
    department: str
    client: str | None
    subject: str
    provider: str
    matter: str
    basis: str
    terms: Mapping[str, Json]
    state: Literal["active", "suspended", "revoked"]
    event: str
    at: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something somebody must be told: an application that is overdue, at a level, or a grant that ends soon."""

    kind: Literal["overdue", "lapsed", "expiring"]
    application: Application
    level: int
    to: str
