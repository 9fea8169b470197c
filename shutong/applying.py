"""Applications for data of a deployment: what can be applied for, who decides, which clocks run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from quality.orders_values import DATA_MANAGER, day_of, written
from runs.alarms.conditions import Condition
from schemas.calendar import read_calendar
from sharing.application_sweep import ends_soon, sweep
from sharing.application_values import Application, Subject
from sharing.applications import Applications
from sharing.calls import SHANGHAI
from sharing.clocks import Clocks, SharingPolicy, read_policy
from sharing.grant_acts import GrantActs
from sharing.grant_register import BUMP_FILE
from shutong.deployment import Deployment

if TYPE_CHECKING:
    import sqlalchemy as sa


def applications_of(deployment: Deployment, engine: sa.Engine) -> Applications:
    """The applications of a deployment, by its calendar.csv and sharing.yaml. Raises StandardError, SetupError."""
    home = deployment.home
    policy = read_policy(home / "sharing.yaml", [one.id for one in deployment.resources] + list(deployment.libraries))
    for department in policy.providers.values():
        deployment.department(department)
    clocks = Clocks(read_calendar(home / "calendar.csv"), policy)
    return Applications(engine, clocks, subjects(deployment, policy), home / "meter" / BUMP_FILE)


def subjects(deployment: Deployment, policy: SharingPolicy) -> Mapping[str, Subject]:
    """Every resource and library.

    A resource's own department decides about it; about a library the one whose resources alone are merged into it,
    else the data authority, unless `providers` of sharing.yaml names another.
    """
    found = {
        one.id: Subject(one.id, policy.providers.get(one.id, one.department), one.standard, one.serve is not None)
        for one in deployment.resources
    }
    for name, standard in deployment.libraries.items():
        sources = {one.department for one in deployment.resources if one.standard.library == name}
        only = sources.pop() if len(sources) == 1 else ""
        found[name] = Subject(name, policy.providers.get(name, only), standard, served=True)
    return found


def waiting(applications: Applications, at: datetime) -> list[Condition]:
    """Let the clock act on applications, and say which ones are overdue, to the level that each has come to, and which
    grants end soon.
    """
    sweep(applications, at)
    late: dict[tuple[str, str, int, str], list[Application]] = {}
    to = applications.clocks.policy.escalate_to
    for one in applications.find():
        if not one.overdue(day_of(at)):
            continue
        late.setdefault((one.subject, one.provider, 0, ""), []).append(one)
        for level in range(1, one.escalated + 1):
            whom = DATA_MANAGER if one.is_authoritys_turn else to[min(level, len(to)) - 1]
            late.setdefault((one.subject, one.provider, level, whom), []).append(one)
    overdue = [_condition(applications, *place, those) for place, those in sorted(late.items())]
    return [*overdue, *_ending(applications, day_of(at))]


def _ending(applications: Applications, day: date) -> list[Condition]:
    """Grants whose last day comes soon, for everybody of the department that holds one."""
    found, early = [], timedelta(days=applications.clocks.policy.remind)
    for one in GrantActs(applications).find():
        if not ends_soon(one, day, early.days):
            continue
        until, known = str(one.terms["until"]), applications.subjects.get(one.subject)
        zh, en = (known.standard.zh, known.standard.en) if known else (one.subject, one.subject)
        since = written(datetime.combine(date.fromisoformat(until) - early, time(), SHANGHAI))
        said = (f"授权有效期至 {until}", f"the grant lasts until {until}")
        renew = f"shutong grant renew {one.id}"
        found.append(Condition("expiring", f"grant {one.id}", one.department, zh, en, since, *said, renew, renew))
    return found


def _condition(  # noqa: PLR0917 - what is overdue, and to whom it has gone up
    applications: Applications, subject: str, provider: str, level: int, to: str, those: list[Application]
) -> Condition:
    known = applications.subjects.get(subject)
    numbers = ", ".join(str(one.id) for one in those[:10])
    oldest = date.fromisoformat(min(str(one.due) for one in those)) + timedelta(days=1)
    return Condition(
        "escalated" if level else "overdue",
        " ".join(one for one in ("application", subject, provider, to) if one),  # of one name there is one alarm
        provider,
        known.standard.zh if known else subject,
        known.standard.en if known else subject,
        written(datetime.combine(oldest, time(), SHANGHAI)),
        f"{len(those)} 件共享申请逾期（{numbers}）",
        f"{len(those)} applications overdue ({numbers})",
        "shutong application list --overdue",
        "shutong application list --overdue",
        level,
        to,
    )
