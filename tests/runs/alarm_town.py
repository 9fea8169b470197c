"""A small deployment with people, whose runs, batches and clock a test sets; its postman keeps what was sent."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import sqlalchemy as sa
from small_deployment import add_resource, csv_source, lay_out, write_small_standard

from quality.gate_store import DECISION
from quality.orders import QualityOrders
from quality.store import QUALITY_RUN
from runs.alarms.people import read_people
from runs.alarms.store import Alarms
from runs.alarms.watch import Watch, conditions, look
from runs.resources import load_resources
from schemas.calendar import read_calendar
from warehouse.state import State
from warehouse.state.schema import PIECE, RUN

ZONE = timezone(timedelta(hours=8))
FIRMS, LIBRARY = "scjg.firms", "legal_person"


def at(day: int, hour: int = 9, minute: int = 0) -> datetime:
    """An hour of a day of September 2026."""
    return datetime(2026, 9, day, hour, minute, tzinfo=ZONE)


class Postman:
    """Takes messages, or says why not."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []
        self.error: Exception | None = None
        self.asked = 0

    def send(self, message, person) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.taken.append((person.id, message.what, message.subject))

    def close(self) -> None:
        pass


class Town:
    """A small deployment with people, whose runs and clock a test sets."""

    def __init__(self, home, people: str, schedule: str = "") -> None:
        lay_out(home)
        standard = write_small_standard(home)
        path = add_resource(home, csv_source(), standard=standard, more=schedule)
        os.utime(path, (at(1, 0).timestamp(),) * 2)
        (home / "people.yaml").write_text(people, encoding="utf-8")
        self.state = State(f"sqlite:///{home}/state.db")
        self.engine = self.state.engine
        self.post = Postman()
        self.watch = Watch(
            self.engine,
            load_resources(home),
            QualityOrders(self.engine, read_calendar()),
            Alarms(self.engine),
            read_people(home / "people.yaml", {"scjg", "swj"}),
            {"mail": self.post},
        )

    @property
    def alarms(self) -> Alarms:
        return self.watch.alarms

    def run(self, name: str, when: datetime, status: str = "done", resource: str = FIRMS, error=None) -> None:
        """A run that came to an end."""
        said = when.isoformat(timespec="microseconds")
        values = {"run_id": name, "resource": resource, "step": "land", "status": status, "trigger": "schedule"}
        with self.engine.begin() as connection:
            connection.execute(sa.insert(RUN).values(**values, started_at=said, finished_at=said, error=error))

    def batch(self, name: str, run: str, when: datetime) -> None:
        """A run whose batch was held."""
        self.run(run, when, "held")
        told = {"department": "scjg", "rows": 1, "quarantined": 0, "reason_zh": "", "reason_en": "", "results": "{}"}
        told |= {"checked_at": when.isoformat(timespec="microseconds"), "decision": "hold"}
        with self.engine.begin() as connection:
            connection.execute(sa.insert(PIECE).values(run=run, place=0, resource=FIRMS, batch=name))
            connection.execute(sa.insert(QUALITY_RUN).values(resource=FIRMS, run=run, batch=name, **told))

    def status(self, run: str, status: str) -> None:
        """Let a run have another status."""
        with self.engine.begin() as connection:
            connection.execute(sa.update(RUN).where(RUN.c.run_id == run).values(status=status))

    def decided(self, batch: str, run: str, when: datetime) -> None:
        """Let a data manager refuse a batch."""
        told = {"resource": FIRMS, "batch": batch, "run": run, "rows": 1, "at": when.isoformat(), "who": "chen"}
        told |= {"why": "测试", "held_zh": "", "held_en": "", "decision": "reject"}
        with self.engine.begin() as connection:
            connection.execute(sa.insert(DECISION).values(told))

    def look(self, when: datetime) -> list[tuple[str, str]]:
        """One round; (person, what) of the messages it sent."""
        before = len(self.post.taken)
        look(self.watch, lambda: when)
        return [(person, what) for person, what, _ in self.post.taken[before:]]

    def kinds(self, when: datetime) -> list[tuple[str, str]]:
        """What is wrong at that time: kind and resource."""
        return [(one.kind, one.resource) for one in conditions(self.watch, when)]
