"""Whatever anybody tries in whatever order, an application takes no step the law does not know, and no clock is wrong."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from application_office import AUTHORITY, BOUND, CLERK, PROVIDER, STRANGER, WHY, Bureau, on, opened
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sharing.application_sweep import sweep
from sharing.errors import SharingError
from warehouse.state.database import open_engine

ACTORS = st.sampled_from([CLERK, PROVIDER, AUTHORITY, STRANGER])
# 国务院办公厅关于2026年部分节假日安排的通知, written down here once more.
OFF = {(9, 25), (9, 26), (9, 27), *((10, day) for day in range(1, 8))}
WORKED = {(9, 20), (10, 10)}
# Who may take which step from where, and where it leads: said here on its own.
LEADS = {
    ("pending", "ask_supplement"): ("market", "supplementing"),
    ("pending", "approve"): ("market", "approved"),
    ("pending", "refuse"): ("market", "refused"),
    ("pending", "withdraw"): ("tax", "withdrawn"),
    ("supplementing", "supply"): ("tax", "pending"),
    ("supplementing", "withdraw"): ("tax", "withdrawn"),
    ("approved", "deliver"): ("market", "delivered"),
    ("refused", "dispute"): ("tax", "consultation"),
    ("approved", "dispute"): ("tax", "consultation"),
    ("delivered", "dispute"): ("tax", "consultation"),
    ("consultation", "approve"): ("market", "approved"),
    ("consultation", "refer"): ("tax market", "mediation"),
    ("consultation", "withdraw"): ("tax", "before"),
    ("mediation", "approve"): ("bigdata", "approved"),
    ("mediation", "refer"): ("bigdata", "ruling"),
    ("mediation", "withdraw"): ("tax", "before"),
    ("ruling", "approve"): ("bigdata", "approved"),
    ("ruling", "refuse"): ("bigdata", "before"),
    ("ruling", "withdraw"): ("tax", "before"),
}
TERM = {"pending": 10, "supplementing": 10, "approved": 20, "consultation": 10, "mediation": 10, "ruling": 20}


def works(day: date) -> bool:
    """A working day of autumn 2026."""
    return (day.month, day.day) in WORKED or (day.weekday() < 5 and (day.month, day.day) not in OFF)


def ends(day: date, days: int) -> date:
    """The day on which so many working days after `day` are over, counted one by one."""
    while days:
        day += timedelta(1)
        days -= works(day)
    return day


class Life(RuleBasedStateMachine):
    """One application of the tax department for data of the market department that are not served yet."""

    @initialize(part=st.booleans())
    def begin(self, part: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=SPACE))
        shutil.copy(SPACE / "empty.db", self.folder / "state.db")
        self.bureau = Bureau(open_engine(f"sqlite:///{self.folder}/state.db"))
        self.day = date(2026, 9, 14)
        self.number = self.bureau.file(BOUND, "market.later", on(self.day)).id
        self.part = replace(BOUND, fields=("uscc",)) if part else None
        self.state, self.before, self.granted = "pending", "", False
        self.due, self.left = ends(self.day, 10), 0
        self.supplements = self.level = 0
        self.grants = 0

    def go(self, state: str, left: int | None = None) -> None:
        """The model's step: another state, whose clock begins, or goes on with what was left."""
        self.state, self.level = state, 0
        days = TERM.get(state) if left is None else left
        self.due = None if days is None else ends(self.day, days)

    def remaining(self) -> int:
        """Working days until the clock that runs is over."""
        return sum(works(self.day + timedelta(n)) for n in range(1, (self.due - self.day).days + 1)) if self.due else 0

    @rule(days=st.integers(1, 12))
    def time_passes(self, days: int) -> None:
        self.day += timedelta(days)
        self.day = min(self.day, date(2026, 12, 20))
        told = sweep(self.bureau.all, on(self.day))
        assert len(told) <= 1
        if self.due is None or self.day <= self.due:
            assert told == []
        elif self.state == "supplementing":
            assert told[0].kind == "lapsed"
            self.go("lapsed")
        else:
            late = sum(works(self.due + timedelta(n)) for n in range(1, (self.day - self.due).days + 1))
            goes_up = self.level < 2 and late >= 1 + 3 * self.level
            assert [one.level for one in told] == ([self.level + 1] if goes_up else [])
            self.level += goes_up
        assert told or sweep(self.bureau.all, on(self.day)) == []

    @rule(by=ACTORS, act=st.sampled_from(sorted({act for _, act in LEADS})))
    def somebody_acts(self, by, act: str) -> None:
        who, leads = LEADS.get((self.state, act), ("", ""))
        legal = by.department in who.split()
        legal &= not (act == "ask_supplement" and self.supplements)
        legal &= not (act == "dispute" and (self.before or (self.granted and self.part is None)))
        terms = None if self.before else self.part
        try:
            self.do(by, act, terms)
            done = True
        except SharingError:
            done = False
        assert done is bool(legal), (self.state, act, by.id)
        if done:
            self.follow(act, leads)

    def do(self, by, act: str, terms) -> None:
        """The step itself."""
        every, number, when = self.bureau.all, self.number, on(self.day, 10)
        if act == "approve":
            every.approve(number, by, WHY, when, terms)
        elif act == "refuse":
            every.refuse(number, by, WHY, "某法第一条", when)
        else:
            getattr(every, act)(number, by, WHY, when)

    def follow(self, act: str, leads: str) -> None:
        """The model after a legal step."""
        left = self.remaining()
        if act == "ask_supplement":
            level = self.level
            self.left, self.supplements = left, 1
            self.go(leads)
            self.level = level
        elif act == "supply":
            level = self.level
            self.go(leads, self.left)
            self.level = level
        elif act == "dispute":
            self.before, self.left = self.state, left
            self.go(leads)
        elif leads == "before":
            self.go(self.before, self.left if self.before == "approved" else None)
        else:
            self.go(leads)
        if act == "approve":
            self.granted, self.grants = True, self.grants + 1

    @invariant()
    def it_stands_as_the_model_says(self) -> None:
        one, history = self.bureau.all.one(self.number)
        assert (one.state, one.due) == (self.state, self.due.isoformat() if self.due else None)
        assert one.escalated == self.level
        assert history[-1].state == one.state
        assert all(after.before in (None, before.state) for before, after in pairwise(history))
        found = self.bureau.grants.find()
        assert [grant.version for grant in found] == ([self.grants] if self.grants else [])
        assert all("never" not in grant.terms["fields"] for grant in found)

    def teardown(self) -> None:
        if hasattr(self, "bureau"):
            self.bureau.engine.dispose()
            shutil.rmtree(self.folder)


SPACE = Path()


@pytest.mark.parametrize("examples", [20, pytest.param(2000, marks=pytest.mark.prove)])
def test_no_order_of_events_takes_an_illegal_step_or_a_wrong_clock(tmp_path, examples):
    global SPACE  # noqa: PLW0603 - a machine has no fixtures
    SPACE = tmp_path
    opened(f"sqlite:///{tmp_path}/empty.db").dispose()
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Life,
        settings=settings(max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=checks),
    )
