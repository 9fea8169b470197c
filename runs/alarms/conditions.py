"""See what is wrong right now: late, failed, held and drifting resources, overdue and escalated orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from quality.gate_store import DECISION
from quality.orders_values import LIVE, Order
from quality.store import QUALITY_RUN
from runs.alarms.people import Kind
from runs.facts import OURS
from runs.resources import Resource
from warehouse.clock import SHANGHAI
from warehouse.state.database import reading
from warehouse.state.schema import PIECE, RELEASE, RUN
from warehouse.state.streams import Streams

ENDED = ("done", "failed", "held")
SETTLED = timedelta(minutes=2)  # a run that failed is often tried again at once, under its own id


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong with a resource (or library): `what` and what to do `next`, without personal data.

    `since` is ISO 8601 of Asia/Shanghai; `level` that of an escalation, else 0; `to` names, for an escalation, the
    role or person it goes to.
    """

    kind: Kind
    resource: str
    department: str
    title_zh: str
    title_en: str
    since: str
    what_zh: str
    what_en: str
    next_zh: str
    next_en: str
    level: int = 0
    to: str = ""

    @property
    def key(self) -> str:
        """What of one resource is one alarm while it lasts."""
        return f"{self.kind} {self.level} {self.resource}"


def of_runs(engine: sa.Engine, resources: Sequence[Resource], at: datetime, grace: timedelta) -> list[Condition]:
    """Resources that are late, whose last run failed, whose last batch is held, and libraries that cannot be merged."""
    found: list[Condition] = []
    libraries = sorted({one.standard.library for one in resources if one.standard.library})
    with reading(engine) as connection:
        for one in resources:
            last, good = _last(connection, one.id, ENDED), _last(connection, one.id, ("done",))
            titles = (one.id, one.department, one.zh, one.en)
            found += _late(titles, one, good, at, grace)
            found += _held(connection, titles, last)
            found += _broken(connection, titles, last, good, at)
        for library in libraries:
            last, good = _last(connection, library, ENDED), _last(connection, library, ("done",))
            found += _broken(connection, (library, "", library, library), last, good, at)
    return found


def undecided(engine: sa.Engine, lasting: Sequence[Condition]) -> list[Condition]:
    """Of failed and held ones those that are being tried again just now: that is no end of it yet."""
    found = []
    with reading(engine) as connection:
        for one in lasting:
            since = sa.and_(RUN.c.resource == one.resource, RUN.c.started_at >= one.since)
            if one.kind == "held":
                since = sa.and_(since, sa.or_(RUN.c.status != "running", _waits()))
            statuses = set(connection.execute(sa.select(RUN.c.status).where(since).distinct()).scalars())
            again = "running" in statuses and (one.kind == "held" or "done" not in statuses)
            if one.kind in ("failed", "held") and again:
                found.append(one)
    return found


def _last(connection: sa.Connection, resource: str, statuses: Sequence[str]) -> sa.RowMapping | None:
    wanted = sa.and_(RUN.c.resource == resource, RUN.c.status.in_(statuses), RUN.c.trigger.not_in(OURS))
    columns = (RUN.c.run_id, RUN.c.status, RUN.c.started_at, RUN.c.finished_at, RUN.c.error)
    query = sa.select(*columns).where(wanted).order_by(RUN.c.started_at.desc(), RUN.c.run_id.desc()).limit(1)
    return connection.execute(query).mappings().first()


def _late(
    titles: tuple[str, str, str, str], one: Resource, good: sa.RowMapping | None, at: datetime, grace: timedelta
) -> list[Condition]:
    """A resource without a good run since it should have had one: its promise (expect_within), else its schedule."""
    fresh = datetime.fromisoformat(good["finished_at"] or good["started_at"]) if good else _known_since(one)
    due = fresh + one.expect_within if one.expect_within is not None else _due(one, fresh, grace)
    if due is None or at <= due:
        return []
    since = _text(due)
    last_zh = f"上次成功 {_short(_text(fresh))}" if good else "尚无成功的运行"
    last_en = f"last good run {_short(_text(fresh))}" if good else "no good run yet"
    next_zh, next_en = f"shutong runs {one.id} 查看原因", f"see why with: shutong runs {one.id}"
    return [Condition("late", *titles, since, last_zh, last_en, next_zh, next_en)]


def _due(one: Resource, fresh: datetime, grace: timedelta) -> datetime | None:
    """When the run after the last good one should have been done; None for a resource nobody runs by the clock."""
    from croniter import croniter  # type: ignore[import-untyped]

    if one.schedule is None or one.reading.mode == "cdc":
        return None
    following: datetime = croniter(one.schedule, fresh.astimezone(SHANGHAI)).get_next(datetime)
    return following + grace


def _known_since(one: Resource) -> datetime:
    """When the resource was written down: before that nobody could miss it."""
    return datetime.fromtimestamp(one.path.stat().st_mtime, SHANGHAI)


def _held(connection: sa.Connection, titles: tuple[str, str, str, str], last: sa.RowMapping | None) -> list[Condition]:
    """A resource some batch of which waits for a decision, however good the runs after it were."""
    resource = titles[0]
    waits = _waits()
    if last is not None and last["status"] == "held":
        waits = sa.or_(waits, RUN.c.run_id == last["run_id"])  # the last one is, whatever was kept of it
    ours = RUN.c.trigger.not_in(OURS)
    query = sa.select(RUN.c.run_id, RUN.c.started_at).where(RUN.c.resource == resource, RUN.c.status == "held", ours)
    those = connection.execute(query.where(waits).order_by(RUN.c.started_at, RUN.c.run_id)).all()
    if not those:
        return []
    run, since = those[0]
    more_zh, more_en = (
        (f"，另有 {len(those) - 1} 个运行", f", and {len(those) - 1} more") if len(those) > 1 else ("", "")
    )
    return [
        Condition(
            "held",
            *titles,
            since,
            f"运行 {run} 的批次被挂起{more_zh}",
            f"the batch of the run {run} is held{more_en}",
            f"shutong quality show {resource} 查看后决定",
            f"look with shutong quality show {resource}, then decide",
        )
    ]


def _waits() -> sa.ColumnElement[bool]:
    """Whether a run brought a batch that is held, was not decided about and has not landed by another run either."""
    decided = sa.exists().where(DECISION.c.resource == PIECE.c.resource, DECISION.c.batch == PIECE.c.batch)
    landed = sa.exists().where(RELEASE.c.kind == "land", RELEASE.c.batch == PIECE.c.batch)
    judged = sa.exists().where(
        QUALITY_RUN.c.resource == PIECE.c.resource,
        QUALITY_RUN.c.batch == PIECE.c.batch,
        QUALITY_RUN.c.decision == "hold",
    )
    return sa.exists().where(PIECE.c.run == RUN.c.run_id, judged, ~decided, ~landed)


def _broken(
    connection: sa.Connection,
    titles: tuple[str, str, str, str],
    last: sa.RowMapping | None,
    good: sa.RowMapping | None,
    at: datetime,
) -> list[Condition]:
    if last is None or last["status"] != "failed":
        return []
    resource = titles[0]
    wanted = sa.and_(RUN.c.resource == resource, RUN.c.status == "failed")
    if good is not None:
        wanted = sa.and_(wanted, RUN.c.started_at > good["started_at"])
    first = sa.select(sa.func.min(RUN.c.started_at), sa.func.count()).where(wanted)
    since, times = connection.execute(first).one()
    since, run = since or last["started_at"], last["run_id"]
    if times < 2 and at - datetime.fromisoformat(last["finished_at"] or last["started_at"]) < SETTLED:  # noqa: PLR2004
        return []
    # The words of an error may quote what was received: only its code goes out.
    code = str((last["error"] or {}).get("code", "-"))
    what = (f"运行 {run} 出错 {code}", f"the run {run} ended with {code}")
    todo = (f"shutong runs {resource} 查看说明与办法", f"shutong runs {resource} says what to do")
    return [Condition("failed", *titles, since, *what, *todo)]


def of_streams(streams: Streams, resources: Sequence[Resource]) -> list[Condition]:
    """Resources whose source has other columns than before, and that stopped because of it."""
    found = []
    for one in resources:
        seen = next(iter(streams.history(one.id, 1)), None)
        if seen is None or seen.accepted:
            continue
        columns = len(seen.changes)
        found.append(
            Condition(
                "drifting",
                *(one.id, one.department, one.zh, one.en),
                seen.seen_at,
                f"来源有 {columns} 列变化，已停止读取",
                f"{columns} columns of the source changed, it is not read any more",
                f"与来源部门确认后 shutong resource drift {one.id}",
                f"ask the department, then shutong resource drift {one.id}",
            )
        )
    return found


def of_orders(
    orders: Sequence[Order], resources: Mapping[str, Resource], levels: Mapping[str, Sequence[str]], at: datetime
) -> list[Condition]:
    """Overdue orders, and those that went up, by resource and level; `levels` are the escalate_to of resources."""
    day = at.astimezone(SHANGHAI).date()
    late: dict[tuple[str, int], list[Order]] = {}
    for order in orders:
        if order.state in LIVE and order.overdue(day):
            late.setdefault((order.resource, 0), []).append(order)
            for level in range(1, order.escalated + 1):  # who heard of it first is still concerned
                late.setdefault((order.resource, level), []).append(order)
    found = []
    for (resource, level), those in sorted(late.items()):
        one, department = resources.get(resource), those[0].department
        titles = (resource, department, one.zh if one else resource, one.en if one else resource)
        oldest = min(order.term for order in those)
        numbers = ", ".join(str(order.id) for order in those[:10]) + (" …" if len(those) > 10 else "")  # noqa: PLR2004
        to = levels.get(resource, ())[level - 1 : level] if level else ()
        found.append(
            Condition(
                "escalated" if level else "overdue",
                *titles,
                _text(datetime(oldest.year, oldest.month, oldest.day, tzinfo=SHANGHAI) + timedelta(days=1)),
                f"{len(those)} 件工单逾期（{numbers}）",
                f"{len(those)} orders overdue ({numbers})",
                f"shutong quality orders list --resource {resource}",
                f"shutong quality orders list --resource {resource}",
                level,
                *to,
            )
        )
    return found


def _text(when: datetime) -> str:
    return when.astimezone(SHANGHAI).isoformat(timespec="microseconds")


def _short(when: str) -> str:
    return when[:16].replace("T", " ")
