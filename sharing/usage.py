"""What a department has used, by the day, the hour or the minute, as it is told over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from schemas.values import Json
from sharing.calls import SHANGHAI
from sharing.counters import By, Counters
from sharing.errors import MalformedError, UnavailableError
from sharing.ledger import Total

MOST_DAYS: Final[Mapping[By, int]] = {"day": 366, "hour": 31, "minute": 2}


def totals_of(counters: Counters, since: str) -> Sequence[Total]:
    """Calls since a day, ISO 8601, by day, department, subject, grant, status. Raises UnavailableError (SHR-STATE)."""
    try:
        counts = counters.read("day", since=since)
    except OSError as error:
        raise UnavailableError.state() from error
    return [
        Total(one.at, one.department or None, one.library or one.resource or None, one.grant or None, one.status,
              one.calls + one.parts, one.units)
        for one in counts
    ]  # fmt: skip


def used_of(counters: Counters, department: str, days: int, by: By) -> tuple[str, Sequence[Mapping[str, Json]]]:
    """Since which day, and the calls of a department by time, data, grant and status, the newest first.

    `days` back from today, this one included. Raises MalformedError (SHR-PARAMETER) for more than MOST_DAYS,
    UnavailableError (SHR-STATE) while the counters cannot be read.
    """
    if days > MOST_DAYS[by]:
        raise MalformedError.parameter("days")
    since = (datetime.now(SHANGHAI).date() - timedelta(days=days - 1)).isoformat()
    try:
        counts = counters.read(by, since=since, department=department)
    except OSError as error:
        raise UnavailableError.state() from error
    calls: Counter[tuple[str, str, str, str, int]] = Counter()
    units: Counter[tuple[str, str, str, str, int]] = Counter()
    for one in counts:
        place = (one.at, one.library, one.resource, one.grant, one.status)
        calls[place] += one.calls + one.parts
        units[place] += one.units
    told: list[Mapping[str, Json]] = []
    for place in sorted(calls, reverse=True):
        at, library, resource, grant, status = place
        if calls[place] or units[place]:
            when: dict[str, Json] = {"day": at[:10]} if by == "day" else {"day": at[:10], by: at}
            told.append(when | {"library": library or None, "resource": resource or None, "grant": grant or None,
                                "status": status, "calls": calls[place], "units": units[place]})  # fmt: skip
    return since, told
