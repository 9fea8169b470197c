"""An office that receives checks and handles orders: what tests of orders arrange."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pyarrow as pa
import sqlalchemy as sa

from quality.orders import QualityOrders
from quality.orders_values import Actor, Order, OrderPolicy
from quality.store import QUALITY_RUN, QualityStore
from schemas.calendar import read_calendar
from schemas.standard import Rule
from schemas.values import RuleCount, Verdict
from warehouse.state.database import migrate, open_engine

ZONE = timezone(timedelta(hours=8))
RESOURCE, DEPARTMENT = "scjg.firms", "scjg"
POLICY = OrderPolicy()
MANAGER = Actor("chen", "bigdata", frozenset({"data_manager"}))
CHIEF = Actor("li", DEPARTMENT, frozenset({"lead"}))
CLERK = Actor("wang", DEPARTMENT, frozenset({"member"}))
STRANGER = Actor("zhao", "swj", frozenset({"lead"}))
RULES = {
    "code": Rule("code", "check_digit", ("uscc",), "代码校验", "The code's check digit"),
    "name": Rule("name", "required", ("name",), "名称必填", "A name is required"),
    "case": Rule("case", "repaired", ("name",), "名称已修复", "The name was repaired", severity="warning"),
}
_NONE = pa.table({"_row": pa.array([], pa.int64()), "rules": pa.array([], pa.list_(pa.string()))})


def at(day: int, hour: int = 9, month: int = 9, year: int = 2026) -> datetime:
    """An hour of a day, of September 2026 unless said otherwise."""
    return datetime(year, month, day, hour, tzinfo=ZONE)


def verdict(decision: str = "warn", errors=(), rows: int = 10, **violating: int) -> Verdict:
    """What a check found: rows violating, by rule; rules that are not named are clean."""
    counts = [
        RuleCount(name, rule.severity, 0, 0, "no such column")
        if name in errors
        else RuleCount(name, rule.severity, violating.get(name, 0), rows)
        for name, rule in RULES.items()
    ]
    return Verdict(rows, tuple(counts), _NONE, pa.array([], pa.int64()), decision, "有因", "for a reason", {})


class Office:
    """One state database with its checks and orders."""

    def __init__(self, url: str, *, migrated: bool = False) -> None:
        self.engine = open_engine(url)
        if not migrated:
            migrate(self.engine)
        self.checks = QualityStore(self.engine)
        self.orders = QualityOrders(self.engine, read_calendar())

    def record(self, run: str, when: datetime, found: Verdict | None = None, resource: str = RESOURCE, **rows) -> None:
        """A check is recorded, at a time that the test says, and nothing is made of it yet."""
        self.record_now(run, found or verdict(**rows), resource)
        same = sa.and_(QUALITY_RUN.c.resource == resource, QUALITY_RUN.c.run == run)
        with self.engine.begin() as connection:
            said = when.isoformat(timespec="microseconds")
            connection.execute(sa.update(QUALITY_RUN).where(same).values(checked_at=said))

    def record_now(self, run: str, found: Verdict, resource: str = RESOURCE) -> None:
        """A check is recorded at this moment."""
        self.checks.record(resource, DEPARTMENT, run, f"batch-{run}", list(RULES.values()), found)

    def check(self, run: str, when: datetime, found: Verdict | None = None, policy=POLICY, **rows) -> list[Order]:
        """A check is recorded and turned into orders."""
        self.record(run, when, found, **rows)
        return self.orders.settle(RESOURCE, policy, when)

    def live(self) -> list[Order]:
        """The orders that are not closed."""
        return self.orders.orders(states=("open", "assigned", "answered", "waived"))

    def path(self, order: Order | int) -> list[str]:
        """The events of an order."""
        return [one.event for one in self.orders.history(order if isinstance(order, int) else order.id)]

    def close(self) -> None:
        """Give back the connections."""
        self.engine.dispose()
