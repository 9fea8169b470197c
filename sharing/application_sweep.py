"""Do what the clock asks for: overdue applications go up, what nobody supplied lapses, holders hear of an end."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import sqlalchemy as sa

from quality.orders_values import DATA_MANAGER, day_of
from sharing import application_store as store
from sharing.application_store import AUTOMATIC, clock, moved
from sharing.application_tables import EVENT
from sharing.application_values import Application, GrantVersion, Notice
from sharing.applications import Applications

EXPIRING = "expiring"


def sweep(applications: Applications, at: datetime) -> list[Notice]:
    """What somebody must be told now, each thing once; safe to call from several processes, and again after a crash."""
    day, told = day_of(at), list[Notice]()
    with applications.store.reading() as connection:
        late = [one.id for one in store.applications(connection, live=True) if one.overdue(day)]
        ending = [one.id for one in store.newest(connection) if ends_soon(one, day, applications.clocks.policy.remind)]
        said = {grant: _said(connection, grant) for grant in ending}
    for number in late:
        with applications.store.changing() as connection:
            one = store.application(connection, number)
            if one.overdue(day):
                told += _late(applications, connection, one, at)
    for grant in [one for one in ending if not said[one]]:
        with applications.store.changing() as connection:
            if not _said(connection, grant):
                told.append(_ending(connection, store.newest(connection, grant)[0], at))
    return told


def _late(applications: Applications, connection: sa.Connection, one: Application, at: datetime) -> list[Notice]:
    clocks, day = applications.clocks, day_of(at)
    if one.state == "supplementing":
        lapsed = moved(connection, one, "lapsed", AUTOMATIC, "逾期未补正 | not supplied in time", at,
                       clock("lapsed", None))  # fmt: skip
        return [Notice("lapsed", lapsed, 0, one.department)]
    level = clocks.level(date.fromisoformat(str(one.due)), day, one.escalated)
    if level is None:
        return []
    to = DATA_MANAGER if one.is_authoritys_turn else clocks.policy.escalate_to[level - 1]
    up = moved(connection, one, "escalated", AUTOMATIC, f"{level} → {to}", at, {"escalated": level})
    return [Notice("overdue", up, level, to)]


def ends_soon(grant: GrantVersion, day: date, remind: int) -> bool:
    """Whether a grant that counts has its last day within `remind` days."""
    until = str(grant.terms["until"])
    return grant.state == "active" and day.isoformat() <= until <= (day + timedelta(days=remind)).isoformat()


def _said(connection: sa.Connection, grant: str) -> bool:
    last = store.newest(connection, grant)[0]
    same = sa.and_(
        EVENT.c.application == last.application, EVENT.c.event == EXPIRING, EVENT.c.why.startswith(_why(last))
    )
    return connection.execute(sa.select(EVENT.c.id).where(same)).first() is not None


def _why(grant: GrantVersion) -> str:
    return f"{grant.id} → {grant.terms['until']}"


def _ending(connection: sa.Connection, grant: GrantVersion, at: datetime) -> Notice:
    about = store.application(connection, grant.application)
    store.record(connection, about, EXPIRING, about.state, AUTOMATIC, _why(grant), at)
    return Notice("expiring", about, 0, grant.department)
