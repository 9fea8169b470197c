"""Ask the state database for what reports count: checks, outcomes of rules, departments, days."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from quality.reports.values import CheckLine, TrendPoint, Words
from quality.scores_tables import SCORED, SUMS
from quality.store import QUALITY_RULE, QUALITY_RUN

_DAY = len("2026-01-01")
SHOWN = 1000  # checks listed in a report
_SAME = sa.and_(QUALITY_RULE.c.resource == QUALITY_RUN.c.resource, QUALITY_RULE.c.run == QUALITY_RUN.c.run)
_checked_at = QUALITY_RUN.c.checked_at


@dataclass(frozen=True, slots=True)
class Scope:
    """Which checks: those of `runs` of a resource, or those of a department (None: of all) from `since` to before
    `until`, both ISO 8601.
    """

    resource: str | None = None
    runs: tuple[str, ...] = ()
    department: str | None = None
    since: str = ""
    until: str = "9999"

    def where(self) -> sa.ColumnElement[bool]:
        """The condition on QUALITY_RUN."""
        if self.runs:
            return sa.and_(QUALITY_RUN.c.resource == self.resource, QUALITY_RUN.c.run.in_(self.runs))
        parts = [_checked_at >= self.since, _checked_at < self.until]
        if self.department is not None:
            parts.append(QUALITY_RUN.c.department == self.department)
        if self.resource is not None:
            parts.append(QUALITY_RUN.c.resource == self.resource)
        return sa.and_(*parts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule of a resource over some checks."""

    resource: str
    rule: str
    severity: str
    indicator: str
    name: Words
    rows: int
    evaluated: int
    checks: int
    errors: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """A department over some checks: rows, those for quarantine, judgements made, those that were good."""

    department: str
    rows: int
    quarantined: int
    judged: int
    good: int


def batches_of(connection: sa.Connection, resource: str, run: str) -> tuple[str, ...]:
    """The marks of a run's checks, one per batch, in order; empty for an unknown run."""
    mark = QUALITY_RUN.c.run
    query = sa.select(mark).where(
        QUALITY_RUN.c.resource == resource, sa.or_(mark == run, mark.startswith(f"{run}#", autoescape=True))
    )
    return tuple(connection.execute(query.order_by(_checked_at, mark)).scalars())


def base(mark: str) -> str:
    """The run that the mark of a check belongs to: from the second batch of a run on marks have a number."""
    run, _, place = mark.rpartition("#")
    return run if run and place.isdigit() else mark


def newest_run(connection: sa.Connection, resource: str, before: str = "9999") -> str | None:
    """The run of a resource that was checked last, before an instant; None when there is none."""
    query = sa.select(QUALITY_RUN.c.run).where(QUALITY_RUN.c.resource == resource, QUALITY_RUN.c.checked_at < before)
    mark = connection.execute(query.order_by(_checked_at.desc(), QUALITY_RUN.c.run.desc()).limit(1)).scalar()
    return None if mark is None else base(mark)


def checks(connection: sa.Connection, scope: Scope, limit: int = SHOWN) -> tuple[CheckLine, ...]:
    """The checks, newest first, at most `limit`."""
    run = QUALITY_RUN.c
    query = (
        sa.select(
            run.resource, run.run, run.batch, run.checked_at, run.rows, run.quarantined, run.decision,
            run.reason_zh, run.reason_en,
        )
        .where(scope.where()).order_by(_checked_at.desc(), run.run.desc()).limit(limit)
    )  # fmt: skip
    return tuple(
        CheckLine(resource, mark, batch, at, rows, barred, decision, Words(zh, en))
        for resource, mark, batch, at, rows, barred, decision, zh, en in connection.execute(query)
    )


def runs_within(connection: sa.Connection, scope: Scope) -> list[tuple[str, str]]:
    """Resource and run of every check, each once, in order."""
    query = sa.select(QUALITY_RUN.c.resource, QUALITY_RUN.c.run).where(scope.where())
    return sorted({(resource, base(mark)) for resource, mark in connection.execute(query)})


def totals(connection: sa.Connection, scope: Scope) -> tuple[int, int, str]:
    """Rows checked, rows for quarantine, and the gravest decision."""
    run = QUALITY_RUN.c
    grave = sa.func.max(sa.case((run.decision == "hold", 2), (run.decision == "warn", 1), else_=0))
    query = sa.select(sa.func.sum(run.rows), sa.func.sum(run.quarantined), grave).where(scope.where())
    rows, quarantined, gravest = connection.execute(query).one()
    return int(rows or 0), int(quarantined or 0), ("pass", "warn", "hold")[gravest or 0]


def outcomes(connection: sa.Connection, scope: Scope) -> list[Outcome]:
    """Each rule over the checks, in the order of its standard, words and severity as the newest check has them."""
    rule = QUALITY_RULE.c
    wrong = rule.error.is_not(None)
    counted = (
        sa.select(
            rule.resource, rule.rule, sa.func.sum(sa.case((wrong, 0), else_=rule.rows)),
            sa.func.sum(sa.case((wrong, 0), else_=rule.evaluated)), sa.func.count(),
            sa.func.sum(sa.case((wrong, 1), else_=0)), sa.func.min(rule.place), sa.func.max(_checked_at),
            sa.func.max(sa.case((wrong, _checked_at))),
        )
        .select_from(sa.join(QUALITY_RULE, QUALITY_RUN, _SAME))
        .where(scope.where()).group_by(rule.resource, rule.rule)
    )  # fmt: skip
    summed = connection.execute(counted).all()
    told = _newest_words(connection, scope, summed)
    found = []
    for resource, name, rows, evaluated, made, errors, place, newest, failed in summed:
        severity, indicator, zh, en, _error = told[resource, name, newest]
        error = told[resource, name, failed][-1] if failed else None
        found.append(
            (
                resource,
                place,
                Outcome(
                    resource, name, severity, indicator, Words(zh, en), int(rows), int(evaluated), made, errors, error
                ),
            )
        )
    return [one for _, _, one in sorted(found, key=lambda one: (one[0], one[1], one[2].rule))]


def versions(connection: sa.Connection, scope: Scope) -> dict[tuple[str, str], frozenset[str]]:
    """The definitions by which each rule of each resource judged in the checks; not those that looked at no row."""
    found: dict[tuple[str, str], set[str]] = {}
    if scope.runs:
        query = sa.select(SCORED.c.measures).where(SCORED.c.resource == scope.resource, SCORED.c.run.in_(scope.runs))
        for text in connection.execute(query).scalars():
            for about, name, _measure, version, *_counts in json.loads(text):
                if about == "rule":
                    found.setdefault((str(scope.resource), name), set()).add(version)
    else:
        within = [SUMS.c.period >= scope.since[:_DAY], SUMS.c.period < scope.until[:_DAY]]
        asked = ((SUMS.c.department, scope.department), (SUMS.c.resource, scope.resource))
        within += [column == wanted for column, wanted in asked if wanted is not None]
        known = sa.and_(SUMS.c.about == "rule", sa.func.length(SUMS.c.period) == _DAY, *within)
        rows = sa.select(SUMS.c.resource, SUMS.c.name, SUMS.c.version).where(known).distinct()
        for resource, name, version in connection.execute(rows).tuples():
            found.setdefault((resource, name), set()).add(version)
    return {rule: frozenset(those) for rule, those in found.items()}


def _newest_words(
    connection: sa.Connection, scope: Scope, summed: Iterable[Sequence[object]]
) -> dict[tuple[str, str, str], tuple[str, str, str, str, str | None]]:
    """What rules said at the instants that count: of each the newest check, and the newest that failed."""
    instants = {str(at) for row in summed for at in row[7:9] if at is not None}
    if not instants:
        return {}
    rule = QUALITY_RULE.c
    query = sa.select(
        rule.resource, rule.rule, _checked_at, rule.severity, rule.indicator, rule.zh, rule.en, rule.error
    ).select_from(sa.join(QUALITY_RULE, QUALITY_RUN, _SAME))
    told = {}
    for some in _by(sorted(instants), 500):
        for row in connection.execute(query.where(scope.where(), _checked_at.in_(some))):
            told[row[0], row[1], row[2]] = (row[3], row[4], row[5], row[6], row[7])
    return told


def _by(values: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (values[at : at + size] for at in range(0, len(values), size))


def tallies(connection: sa.Connection, scope: Scope) -> list[Tally]:
    """Each department over the checks, by id."""
    run, rule = QUALITY_RUN.c, QUALITY_RULE.c
    rows = sa.select(run.department, sa.func.sum(run.rows), sa.func.sum(run.quarantined)).where(scope.where())
    known = sa.and_(rule.error.is_(None), rule.severity != "info")
    judged = sa.func.sum(sa.case((known, rule.evaluated), else_=0))
    good = sa.func.sum(sa.case((known, rule.evaluated - rule.rows), else_=0))
    judgements = (
        sa.select(run.department, judged, good)
        .select_from(sa.join(QUALITY_RULE, QUALITY_RUN, _SAME))
        .where(scope.where())
        .group_by(run.department)
    )
    made = {name: (int(judged), int(good)) for name, judged, good in connection.execute(judgements)}
    return [
        Tally(name, int(count), int(barred), *made.get(name, (0, 0)))
        for name, count, barred in connection.execute(rows.group_by(run.department).order_by(run.department))
    ]


def days(connection: sa.Connection, scope: Scope) -> tuple[TrendPoint, ...]:
    """Rows and rows for quarantine by day, oldest first."""
    run, day = QUALITY_RUN.c, sa.func.substr(_checked_at, 1, 10)
    query = (
        sa.select(day, sa.func.sum(run.rows), sa.func.sum(run.quarantined))
        .where(scope.where())
        .group_by(day)
        .order_by(day)
    )
    return tuple(TrendPoint(at, at, int(rows), int(barred)) for at, rows, barred in connection.execute(query))


def newest_runs(connection: sa.Connection, resource: str, until: str, limit: int) -> tuple[TrendPoint, ...]:
    """Rows and rows for quarantine of the newest runs of a resource up to an instant, oldest first."""
    run = QUALITY_RUN.c
    query = (
        sa.select(run.run, _checked_at, run.rows, run.quarantined)
        .where(run.resource == resource, _checked_at <= until)
        .order_by(_checked_at.desc(), run.run.desc())
        .limit(limit * 4)
    )
    found: dict[str, TrendPoint] = {}
    for mark, at, rows, barred in connection.execute(query):
        name = base(mark)
        same = found.get(name, TrendPoint(at, name, 0, 0))
        found[name] = TrendPoint(same.at, name, same.rows + rows, same.quarantined + barred)
    return tuple(reversed(list(found.values())[:limit]))
