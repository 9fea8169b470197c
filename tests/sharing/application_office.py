"""An office where departments apply for data and decide about it: what tests of applications arrange."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import sqlalchemy as sa

from schemas.calendar import read_calendar
from schemas.standard import Field, Standard
from sharing.application_values import Actor, Application, Purpose, Subject
from sharing.applications import Applications
from sharing.clocks import Clocks, SharingPolicy
from sharing.grant_acts import GrantActs
from sharing.grant_terms import Terms
from warehouse.state.database import migrate, open_engine

ZONE = timezone(timedelta(hours=8))
FIRMS = Standard(
    "legal_person", 1, "法人", "Legal persons",
    (
        Field("uscc", "统一社会信用代码", "USCC", type="uscc"),
        Field("ent_name", "名称", "Name"),
        Field("division", "行政区划", "Division"),
        Field("phone", "联系电话", "Phone", level=3, mask="phone"),
        Field("capital", "注册资本", "Capital", type="decimal", share="C"),
        Field("never", "不予共享字段", "Never shared", share="N"),
    ),
    (), ("uscc",), library="legal_person",
)  # fmt: skip
SUBJECTS = {
    "legal_person": Subject("legal_person", "market", FIRMS, served=True),
    "market.later": Subject("market.later", "market", FIRMS, served=False),
    "orphan": Subject("orphan", "", FIRMS, served=True),
}
PURPOSE = Purpose("330107004000", "税务登记", "税收征收管理法第十五条")
CLERK = Actor("zhou", "tax", frozenset({"member"}))
TAX_LEAD = Actor("qian", "tax", frozenset({"lead"}))
PROVIDER = Actor("li", "market", frozenset({"lead"}))
PROVIDER_CLERK = Actor("wang", "market", frozenset({"member"}))
AUTHORITY = Actor("chen", "bigdata", frozenset({"data_manager"}))
STRANGER = Actor("zhao", "school", frozenset({"lead"}))
EVERYBODY = (CLERK, TAX_LEAD, PROVIDER, PROVIDER_CLERK, AUTHORITY, STRANGER)
FREE = Terms(("uscc", "ent_name"), "2027-06-30")
BOUND = Terms(("uscc", "ent_name", "capital"), "2027-06-30", rows={"division": ("3301*",)}, per_day=1000)
WHY = "核对企业登记信息"


def at(day: int, month: int = 9, hour: int = 9, year: int = 2026) -> datetime:
    """An hour of a day, of September 2026 unless said otherwise."""
    return datetime(year, month, day, hour, tzinfo=ZONE)


def on(day: date, hour: int = 9) -> datetime:
    """An hour of that day."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=ZONE)


class Bureau:
    """One state database with its applications and grants."""

    def __init__(
        self, engine: sa.Engine, bump: Path | None = None, policy: SharingPolicy | None = None, subjects=SUBJECTS
    ) -> None:
        self.engine = engine
        self.clocks = Clocks(read_calendar(), policy or SharingPolicy())
        self.all = Applications(engine, self.clocks, subjects, bump)
        self.grants = GrantActs(self.all)

    def file(self, asked: Terms = BOUND, subject: str = "legal_person", when: datetime | None = None, **more):
        """An application of the tax department, on 1 September 2026 unless said otherwise."""
        return self.all.file(more.pop("by", CLERK), subject, asked, PURPOSE, when or at(1), **more)

    def events(self, one: Application | int) -> list[str]:
        """What happened to an application."""
        return [event.event for event in self.all.one(one if isinstance(one, int) else one.id)[1]]


def opened(url: str) -> sa.Engine:
    """A migrated state database."""
    engine = open_engine(url)
    migrate(engine)
    return engine
