"""Put a report together from what checks, runs and work orders left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from quality import scores as scores_kept
from quality.errors import QualityError
from quality.orders import QualityOrders
from quality.orders_values import LIVE, Order, day_of, written
from quality.reports import history
from quality.reports.history import Outcome, Scope, Tally
from quality.reports.values import (
    CheckLine,
    DepartmentLine,
    Dimension,
    Flow,
    IndicatorLine,
    OrderCounts,
    OrderLine,
    Report,
    RuleLine,
    Sample,
    State,
    TrendPoint,
    Words,
)
from quality.reports.words import NO_RULE, NOT_HERE
from quality.scores import QualityScores
from quality.scores_profile import DEFAULT, profile, scores
from quality.scores_values import Indicator, Measure, Score, Sum

TREND = 60  # runs shown in a trend
RANKED_DAYS = 30  # days that the ranking in the report of a run counts
ORDERS = 1000
_NOTHING = Words("", "")
Versions = Mapping[tuple[str, str], frozenset[str]]  # definitions by resource and rule
Samples = Callable[[Sequence[RuleLine], Sequence[CheckLine]], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Context:
    """What a report needs besides the quality tables, as values.

    `resources` and `departments` are what they are called; `fixes` what to do about a rule, by resource and rule;
    `flow` says what became of the rows of runs, given as resource and run; `samples` gives failing rows of rules
    from checks, as their reader may see them; `profile`
    names the indicators that scores come from.
    """

    orders: QualityOrders
    at: datetime
    resources: Mapping[str, Words] = field(default_factory=dict)
    departments: Mapping[str, Words] = field(default_factory=dict)
    fixes: Mapping[tuple[str, str], Words] = field(default_factory=dict)
    flow: Callable[[Sequence[tuple[str, str]]], Iterable[Flow]] = lambda _runs: ()
    samples: Samples = lambda _lines, _checks: ()
    profile: str = DEFAULT


def gather_run(engine: sa.Engine, resource: str, context: Context, run: str | None = None, before: str = "") -> Report:
    """The report of one run of a resource (None: the newest), beside the run before or the run `before`.

    Raises QualityError: QUA-REPORT-NONE when there is nothing to report on.
    """
    with _reading(engine) as connection:
        name = run or history.newest_run(connection, resource) or ""
        marks = history.batches_of(connection, resource, name)
        if not marks:
            raise nothing(resource, name)
        if before and not history.batches_of(connection, resource, before):
            raise nothing(resource, before)
        scope = Scope(resource, marks)
        checks = history.checks(connection, scope)
        older = before or history.newest_run(connection, resource, checks[-1].checked_at)
        past = Scope(resource, history.batches_of(connection, resource, older)) if older else None
        trend = history.newest_runs(connection, resource, checks[0].checked_at, TREND)
        made = _report(connection, context, scope, past, trend)
    last = day_of(datetime.fromisoformat(checks[0].checked_at))
    kept = QualityScores(engine)
    made = _scored(
        made, [one for mark in marks for one in kept.run(resource, mark) if one.about == "all"], context.profile
    )
    made = _ranked(engine, made, context, last - timedelta(days=RANKED_DAYS), last)
    live = [one for one in context.orders.orders(resource=resource, limit=ORDERS) if one.state in (*LIVE, "waived")]
    every = context.orders.orders(resource=resource, limit=10 * ORDERS)
    return replace(
        made,
        kind="run",
        subject=resource,
        name=context.resources.get(resource, Words(resource, resource)),
        run=name,
        before=older,
        first=checks[-1].checked_at,
        last=checks[0].checked_at,
        flow=_sum(context.flow([(resource, name)]), 1, made.rows),
        orders=_lines(live, context.at),
        order_counts=OrderCounts(
            opened=sum(history.base(one.first_run) == name for one in every),
            closed=sum(one.proven_by is not None and history.base(one.proven_by) == name for one in every),
            waiting=sum(one.state in LIVE for one in live),
            overdue=sum(one.overdue(day_of(context.at)) for one in live),
        ),
        samples=tuple(context.samples((*made.failed, *made.repaired), checks)),
    )


def gather_period(engine: sa.Engine, department: str, first: date, last: date, context: Context) -> Report:
    """The report of a department's checks from a day to a day, both included, beside as many days before them.

    Raises QualityError: QUA-REPORT-NONE when there is nothing to report on.
    """
    span = last - first + timedelta(days=1)
    since, until, past = first.isoformat(), (last + timedelta(days=1)).isoformat(), first - span
    scope = Scope(department=department, since=since, until=until)
    with _reading(engine) as connection:
        checks = history.checks(connection, scope)
        if not checks:
            raise nothing(department, f"{since} – {last}")
        earlier = Scope(department=department, since=past.isoformat(), until=since)
        trend = history.days(connection, scope)
        runs = history.runs_within(connection, scope)
        made = _report(connection, context, scope, earlier, trend)
        compared = bool(history.checks(connection, earlier, 1))
    within = scores_kept.Scope(department=department, since=since, until=last.isoformat())
    made = _scored(made, QualityScores(engine).sums(scope=within), context.profile)
    made = _ranked(engine, made, context, first, last)
    every = context.orders.orders(department=department, limit=10 * ORDERS)
    there = [one for one in every if one.opened_at < until and (one.closed_at or until) >= until]
    live = [one for one in there if one.state != "waived"]
    end = min(last, day_of(context.at))
    return replace(
        made,
        kind="period",
        subject=department,
        name=context.departments.get(department, Words(department, department)),
        before=f"{past.isoformat()} – {(first - timedelta(days=1)).isoformat()}" if compared else None,
        first=since,
        last=last.isoformat(),
        flow=_sum(context.flow(runs), len(runs), made.rows),
        orders=_lines(there[:ORDERS], context.at),
        order_counts=OrderCounts(
            opened=sum(since <= one.opened_at < until for one in every),
            closed=sum(one.closed_at is not None and since <= one.closed_at < until for one in every),
            waiting=len(live),
            overdue=sum(end > one.term for one in live),
        ),
        samples=tuple(context.samples((*made.failed, *made.repaired), checks)),
    )


def checks_of_run(engine: sa.Engine, resource: str, run: str | None = None) -> tuple[CheckLine, ...]:
    """Every check of a run of a resource (None: of the newest); QUA-REPORT-NONE when there is none."""
    with _reading(engine) as connection:
        name = run or history.newest_run(connection, resource) or ""
        marks = history.batches_of(connection, resource, name)
        if not marks:
            raise nothing(resource, name)
        return history.checks(connection, Scope(resource, marks), len(marks))


def checks_of_period(engine: sa.Engine, department: str, first: date, last: date) -> tuple[CheckLine, ...]:
    """Every check of a department from a day to a day, both included; QUA-REPORT-NONE when there is none."""
    until = (last + timedelta(days=1)).isoformat()
    with _reading(engine) as connection:
        scope = Scope(department=department, since=first.isoformat(), until=until)
        found = history.checks(connection, scope, 10**9)
    if not found:
        raise nothing(department, f"{first} – {last}")
    return found


def nothing(subject: str, span: str) -> QualityError:
    """There was no check to report on."""
    return QualityError(
        "QUA-REPORT-NONE",
        zh=f"{subject} 没有检查记录{f'（{span}）' if span else ''}",
        en=f"{subject} has no check{f' ({span})' if span else ''}",
        fix_zh="先执行 shutong ingest；用 shutong runs 查看运行编号，或换一个期间",
        fix_en="Run shutong ingest first; shutong runs lists the runs, or choose another period",
    )


def _report(
    connection: sa.Connection,
    context: Context,
    scope: Scope,
    past: Scope | None,
    trend: tuple[TrendPoint, ...],
) -> Report:
    now = history.outcomes(connection, scope)
    then = {(one.resource, one.rule): one for one in (history.outcomes(connection, past) if past else ())}
    rows, quarantined, decision = history.totals(connection, scope)
    here = {one.resource for one in now}
    known = {(one.resource, one.rule) for one in now}
    gone = [one for key, one in then.items() if one.resource in here and key not in known]
    now += [replace(one, rows=0, evaluated=0, checks=0, errors=0, error=None) for one in gone]
    lines = tuple(rule_line(one, then.get((one.resource, one.rule)), context.fixes) for one in now)
    if past:
        was, judged = history.versions(connection, past), history.versions(connection, scope)
        lines = tuple(_marked(one, was, judged) for one in lines)
    return Report(
        kind="run", subject="", name=_NOTHING, run=None, before=None, first="", last="",
        made_at=written(context.at), ranked_since="", flow=Flow(), rows=rows, quarantined=quarantined,
        decision=decision, profile=_NOTHING, score=None, dimensions=(), indicators=(), rules=lines,
        departments=(), checks=history.checks(connection, scope), trend=trend, orders=(), order_counts=OrderCounts(),
        names=tuple(sorted({**context.resources, **context.departments}.items(), key=lambda one: one[0])),
    )  # fmt: skip


def _ranked(engine: sa.Engine, report: Report, context: Context, first: date, last: date) -> Report:
    """The report with departments ordered by how they did in those days."""
    since, until = first.isoformat(), (last + timedelta(days=1)).isoformat()
    sums: dict[str, list[Sum]] = {}
    within = scores_kept.Scope(since=since, until=last.isoformat())
    for one in QualityScores(engine).sums(scope=within, group="department"):
        sums.setdefault(one.group, []).append(one)
    totals = {name: scores(profile(context.profile), found).total for name, found in sums.items()}
    with _reading(engine) as connection:
        tallies = history.tallies(connection, Scope(since=since, until=until))
    return replace(report, ranked_since=since, departments=_ranking(tallies, totals, context.departments))


def rule_line(now: Outcome, then: Outcome | None, fixes: Mapping[tuple[str, str], Words]) -> RuleLine:
    """A rule beside how it came out before."""
    before = None if then is None or then.errors == then.checks else then.rows
    state: State
    if not now.checks:
        state = "gone"
    elif now.errors == now.checks:
        state = "unknown"
    elif now.rows:
        state = "still" if before else "first" if then is None else "new"
    else:
        state = "fixed" if before else "clean"
    return RuleLine(
        resource=now.resource, rule=now.rule, severity=now.severity, indicator=now.indicator, name=now.name,
        fix=fixes.get((now.resource, now.rule), _NOTHING), rows=now.rows, evaluated=now.evaluated, before=before,
        before_evaluated=None if before is None or then is None else then.evaluated, state=state, checks=now.checks,
        errors=now.errors, error=now.error,
    )  # fmt: skip


def _marked(line: RuleLine, was: Versions, now: Versions) -> RuleLine:
    """The line, marked where its rule was another before; what judged nothing then or now is not known to be."""
    before, judged = was.get((line.resource, line.rule)), now.get((line.resource, line.rule))
    return replace(line, changed=bool(before and judged and before != judged))


def _unmeasured(indicator: Indicator, score: Score) -> Words | None:
    """Why an indicator has no score here; None where it has one."""
    if score.score is not None:
        return None
    fed = next((code for one in indicator.measures for code in NOT_HERE if one.startswith(code)), "")
    return NOT_HERE.get(fed, NO_RULE)


def _scored(report: Report, found: Iterable[Measure | Sum], name: str) -> Report:
    """The report with the scores that its measures make in that profile."""
    made, said = scores(profile(name), found), profile(name)
    return replace(
        report,
        profile=Words(said.zh, said.en),
        score=made.total,
        dimensions=tuple(
            Dimension(one.code, Words(one.zh, one.en), one.score, one.measured, one.of) for one in made.dimensions
        ),
        indicators=tuple(
            IndicatorLine(
                one.code, Words(one.zh, one.en), one.a, one.b, one.score, one.errors, _unmeasured(indicator, one)
            )
            for indicator, one in zip(said.indicators, made.indicators, strict=True)
        ),
    )


def _ranking(
    tallies: Sequence[Tally], totals: Mapping[str, float | None], names: Mapping[str, Words]
) -> tuple[DepartmentLine, ...]:
    """Departments by score, then by their share of rows that may land, then of good judgements; equals share a rank."""

    def worth(one: Tally) -> tuple[float, float, float]:
        score = totals.get(one.department)
        rows = (one.rows - one.quarantined) / one.rows if one.rows else 0.0
        return (-1.0 if score is None else score, rows, one.good / one.judged if one.judged else 0.0)

    best = sorted(tallies, key=lambda one: (*(-part for part in worth(one)), one.department))
    ranks = {part: place for place, part in reversed([*enumerate(map(worth, best), start=1)])}
    return tuple(
        DepartmentLine(
            ranks[worth(one)], one.department, names.get(one.department, Words(one.department, one.department)),
            totals.get(one.department), one.rows - one.quarantined, one.rows, one.good, one.judged,
        )
        for one in best
    )  # fmt: skip


def _sum(found: Iterable[Flow], runs: int, checked: int) -> Flow:
    """Flows of so many runs added up; what one run does not know stays unknown, but for received: what was checked."""
    flows = list(found)

    def total(name: str) -> int | None:
        known = [value for one in flows if (value := getattr(one, name)) is not None]
        return sum(known) if len(known) == runs else None

    received = total("received")
    return Flow(
        checked if received is None else received,
        *(total(name) for name in ("landed", "quarantined", "superseded", "deleted", "held", "rejected")),
    )


def _lines(orders: Iterable[Order], at: datetime) -> tuple[OrderLine, ...]:
    return tuple(
        OrderLine(
            one.id, one.resource, one.rule, one.severity, one.state, one.rows, one.opened_at, one.term.isoformat(),
            one.overdue(day_of(at)), one.assignee, Words(one.zh, one.en),
        )
        for one in orders
    )  # fmt: skip


def _reading(engine: sa.Engine) -> sa.Connection:
    # The state database's SQLite engine locks for writing at BEGIN unless it is told.
    return engine.execution_options(reading=True).connect()
