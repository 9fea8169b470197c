"""The command on scores: every indicator with numerator and denominator, now or as a trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import cast

import click

from quality.scores import QualityScores, Scope
from quality.scores_profile import DEFAULT, profile, profiles, scores
from quality.scores_values import About, Group, Period, Scores, Sum
from runs.reach import AGREE, SERVED
from runs.resources import Resource
from shutong.reached import of_now, reached
from shutong.session import Session, command
from shutong.wiring import open_deployment


@click.command("scores", help="评价指标得分及分子、分母 | scores by indicator, numerators and denominators")
@click.option("--profile", "name", type=click.Choice(profiles()), default=DEFAULT, show_default=True)
@click.option("--resource", help="资源 | of a resource")
@click.option("--department", help="部门 | of a department")
@click.option("--library", help="基础库 | of a library")
@click.option(
    "--group", type=click.Choice(["resource", "department", "library"]), default="resource", show_default=True
)
@click.option("--by", "by", type=click.Choice(["day", "month"]), help="按日或按月的趋势 | trend by day or month")
@click.option("--since", help="自某日 | from a day on, 2026-01-01")
@click.option("--until", help="至某日 | up to a day")
@click.option("--rule", help="一条规则 | one rule")
@click.option("--field", help="一个字段 | one field")
@command
def scores_command(  # noqa: PLR0917 - the options
    session: Session, name: str, resource: str | None, department: str | None, library: str | None, group: str,
    by: str | None, since: str | None, until: str | None, rule: str | None, field: str | None,
) -> None:  # fmt: skip
    """Print scores; an indicator that nobody measured has none."""
    with open_deployment(session.settings) as wired:
        chosen = wired.deployment.resource(resource).id if resource else None
        about: About = "rule" if rule else "field" if field else "all"
        scope, period = Scope(chosen, department, library, since, until), cast("Period | None", by)
        found = QualityScores(wired.state.engine, renamed(wired.deployment.resources)).sums(
            about, scope=scope, group=cast("Group", group), by=period, name=rule or field
        )
        if about == "all" and group == "library":
            kept = [one for one in found if not (one.measure in {AGREE, SERVED} and of_now(scope, period))]
            found = sorted([*kept, *reached(wired, scope, period)], key=lambda one: (one.period, one.group))
    if rule:
        _rule(session, found)
        return
    every = groupby(found, key=lambda one: (one.period, one.group))
    told = [(period, of, scores(profile(name), list(sums))) for (period, of), sums in every]
    if session.voice.as_json:
        session.voice.answer({"scores": [{"period": p or None, "of": of, **asdict(one)} for p, of, one in told]})
    elif not told:
        session.voice.line("还没有检查过，没有得分", "Nothing was checked yet: there are no scores")
    elif by:
        _trend(session, told)
    else:
        for _, of, one in told:
            _one(session, of, one)


def renamed(resources: Sequence[Resource]) -> dict[str, str]:
    """Former names of resources and of their departments, and what they are called now."""
    former = [(old, one) for one in resources for old in one.formerly]
    departments = {old.partition(".")[0]: one.department for old, one in former}
    still = {one.department for one in resources}
    return {old: one.id for old, one in former} | {old: new for old, new in departments.items() if old not in still}


def _one(session: Session, of: str, found: Scores) -> None:
    heads = [("指标", "code"), ("名称", "name"), ("分子 A", "A"), ("分母 B", "B"), ("得分", "score")]
    rows = [
        [one.code, session.voice.say(one.zh, one.en), one.a, one.b, _points(session, one.score)]
        for one in found.indicators
    ]
    total = _points(session, found.total)
    session.voice.table((f"{of}：总分 {total}", f"{of}: total {total}"), heads, rows)


def _trend(session: Session, told: Sequence[tuple[str, str, Scores]]) -> None:
    dimensions = told[0][2].dimensions
    heads = [("时段", "period"), ("对象", "of"), ("总分", "total"), *((one.zh, one.en) for one in dimensions)]
    rows = [
        [period, of, *(_points(session, one) for one in (found.total, *(each.score for each in found.dimensions)))]
        for period, of, found in told
    ]
    session.voice.table(("得分趋势", "Trend of scores"), heads, rows)


def _rule(session: Session, found: Sequence[Sum]) -> None:
    """One rule over time: how many rows broke it, and where its definition changed."""
    if session.voice.as_json:
        session.voice.answer({"rule": [one._asdict() for one in found]})
        return
    heads = [("时段", "period"), ("对象", "of"), ("违反", "violating"), ("检查", "evaluated"), ("版本", "version")]
    rows = [[one.period, one.group, one.base - one.met, one.base, one.version] for one in found]
    session.voice.table(("规则", "Rule"), heads, rows)


def _points(session: Session, score: float | None) -> str:
    """A score with two decimals; never rounded up to full marks."""
    if score is None:
        return session.voice.say("未测量", "not measured")
    return f"{score if score >= 100 else min(score, 99.99):.2f}"  # noqa: PLR2004 - full marks
