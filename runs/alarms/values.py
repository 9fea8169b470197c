"""An alarm, a message about it to one person, a silence: the rows of the tables as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

from runs.alarms.conditions import Condition
from runs.alarms.messages import What
from runs.alarms.people import Channel
from warehouse.clock import SHANGHAI


@dataclass(frozen=True, slots=True)
class Alarm:
    """A condition from when it was first seen until it was gone; `ended_at` None: it lasts."""

    id: int
    condition: Condition
    opened_at: str
    ended_at: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person over one channel; `delivery` stays the same when it is sent again.

    `state`: waiting (tried again at `next_at`), sent, refused (the address takes no mail), dropped (nobody to tell).
    """

    id: int
    alarm: int
    person: str
    channel: Channel
    what: What
    number: int
    subject: str
    body: str
    delivery: str
    created_at: str
    state: Literal["waiting", "sent", "refused", "dropped"]
    attempts: int
    next_at: str
    sent_at: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Silence:
    """No messages of that kind, about resources of that pattern, to that person (None: any) until then.

    `who` made it, `lifted_by` ended it before its time (None: nobody did, or it was not noted then).
    """

    id: int
    kind: str | None
    resource: str | None
    person: str | None
    until: str
    who: str
    why: str
    made_at: str
    lifted_at: str | None
    lifted_by: str | None = None

    def covers(self, condition: Condition, person: str) -> bool:
        """Whether it keeps that person from hearing of that condition."""
        return (
            self.kind in (None, condition.kind)
            and self.person in (None, person)
            and (self.resource is None or fnmatchcase(condition.resource, self.resource))
        )


def written(at: datetime) -> str:
    """An instant as alarms write it down: ISO 8601 of Asia/Shanghai, fixed width, so that text order is time order."""
    return at.astimezone(SHANGHAI).isoformat(timespec="microseconds")
