"""Command that compares two runs: rules, dimensions, fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import click

from quality.profile_store import Difference, ProfileStore, compare_profiles
from quality.reports.gather import gather_run
from quality.reports.tables import Share, shown
from quality.reports.values import Dimension, Language, Report, RuleLine, number, points
from quality.reports.words import say, why
from shutong.commands.quality_report import context
from shutong.commands.quality_report_reader import readers
from shutong.session import Session, command
from shutong.wiring import open_deployment, today


@click.command("compare", help="对比两次运行：新增、持续、已解决 | two runs beside each other: new, still, fixed")
@click.argument("resource")
@click.option("--run", "run", help="运行（默认最近一次） | the run; the newest if not said")
@click.option(
    "--with", "other", default="", help="与哪次运行对比（默认前一次） | the run to compare with; the one before"
)
@click.option("--all", "everything", is_flag=True, help="没有变化的也列出 | what did not change too")
@command
def compare_command(session: Session, resource: str, run: str | None, other: str, *, everything: bool) -> None:
    """Print what changed between two runs: rules, dimensions and, where both were profiled, fields."""
    with open_deployment(session.settings) as wired:
        seen = readers(wired.deployment, None, today(), everything=False)
        subject = wired.deployment.resource(resource).id
        plain = replace(context(wired, seen, 0), samples=lambda _lines, _checks: ())
        now = gather_run(wired.state.engine, subject, plain, run, other)
        then = gather_run(wired.state.engine, subject, plain, now.before) if now.before else None
        profiles = ProfileStore(wired.state.engine)
        fields = (
            compare_profiles(profiles.get(subject, then.run or ""), profiles.get(subject, now.run or ""))
            if then
            else ()
        )
    rules = [one for one in now.rules if everything or one.state != "clean" or one.errors or one.changed]
    if session.voice.as_json:
        session.voice.answer(
            {
                "resource": subject,
                "run": now.run,
                "before": now.before,
                "rows": [then.rows if then else None, now.rows],
                "quarantined": [then.quarantined if then else None, now.quarantined],
                "rules": [asdict(one) for one in rules],
                "dimensions": [
                    {"code": one.code, "now": one.score, "before": was.score if was else None}
                    for one, was in _beside(now, then)
                ],
                "fields": [asdict(one) for one in fields],
            }
        )
        return
    _show_comparison(session, now, then, rules, fields)


def _beside(now: Report, then: Report | None) -> Iterator[tuple[Dimension, Dimension | None]]:
    for place, one in enumerate(now.dimensions):
        yield one, then.dimensions[place] if then else None


def _show_comparison(
    session: Session, now: Report, then: Report | None, rules: Sequence[RuleLine], fields: Sequence[Difference]
) -> None:
    voice = session.voice
    lang: Language = "en" if voice.lang == "en" else "zh"
    if then is None:
        voice.line(f"{now.name.zh}：运行 {now.run} 之前没有检查", f"{now.name.en}: no check before run {now.run}")
    else:
        voice.line(
            f"{now.name.zh}：{then.run}（{then.rows:,} 行，隔离 {then.quarantined:,}）→ {now.run}（{now.rows:,} 行，"
            f"隔离 {now.quarantined:,}）",
            f"{now.name.en}: {then.run} ({then.rows:,} rows, {then.quarantined:,} for quarantine) → {now.run} "
            f"({now.rows:,} rows, {now.quarantined:,} for quarantine)",
        )
    heads = [("规则", "rule"), ("级别", "severity"), ("变化", "change"), ("上次", "before"), ("占比", "share"),
             ("现在", "now"), ("占比", "share"), ("说明", "what")]  # fmt: skip
    if not rules:
        voice.line("\n没有规则被违反，也没有变化", "\nno rule is violated, and nothing changed")
    voice.table(
        ("规则", "Rules"),
        heads,
        [
            [
                one.rule, say(one.severity, lang), say(one.state, lang), number(one.before),
                shown(Share(one.before or 0, one.before_evaluated or 0)),
                number(None if one.errors == one.checks else one.rows), shown(Share(one.rows, one.evaluated)),
                (why(one.error, lang) or one.name.said(lang))
                + (f"（{say('changed_rule', lang)}）" if one.changed else ""),
            ]
            for one in rules
        ],
    )  # fmt: skip
    told = [
        [f"{one.code} {one.name.said(lang)}", points(was.score if was else None), points(one.score)]
        for one, was in _beside(now, then)
    ]
    voice.table(
        ("维度", "Dimensions"),
        [("维度", "dimension"), ("上次", "before"), ("现在", "now")],
        told,
    )
    if fields:
        heads = [("字段", "field"), ("特征", "what"), ("上次", "before"), ("现在", "now")]
        lines = [[one.field, say(one.what, lang), one.before, one.now] for one in fields]
        voice.table(("字段剖析的变化", "Changes of fields"), heads, lines)
