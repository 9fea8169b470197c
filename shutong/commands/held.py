"""Commands on held batches 待定批次: what waits for a decision, release it to land, reject it, who decided what."""

from __future__ import annotations

from dataclasses import asdict

import click

from runs.holds import decide, waiting
from runs.holds_store import Decided, Holds
from runs.reports import Report
from shutong.session import Session, command
from shutong.watching import now, person
from shutong.wiring import Wired, open_deployment


@click.command("list", help="等待决定的批次，最早的在前 | what waits for a decision, the oldest first")
@click.argument("resource", required=False)
@command
def list_command(session: Session, resource: str | None) -> None:
    """Print one line per run that waits."""
    with open_deployment(session.settings) as wired:
        chosen = wired.deployment.resource(resource).id if resource else None
        found = waiting(wired, chosen)
    voice = session.voice
    if voice.as_json:
        voice.answer({"held": [asdict(one) for one in found]})
    elif not found:
        voice.line("没有待定的批次", "Nothing waits for a decision")
    else:
        heads = [("资源", "resource"), ("运行", "run"), ("行数", "rows"), ("自", "since"), ("原因", "why")]
        rows = [
            [one.resource, one.run, f"{one.rows:,}", one.since[:16], voice.say(one.reason_zh, one.reason_en)]
            for one in found
        ]
        voice.table(("待定批次", "Held batches"), heads, rows)


@click.command("release", help="放行：批次入库 | let a held batch land")
@click.argument("resource")
@click.option("--run", help="运行（只有一个待定时可省略） | which run, where several wait")
@click.option("--by", required=True, help="数据管理员（people.yaml 中的编号） | a data manager")
@click.option("--why", required=True, help="理由 | the reason")
@command
def release_command(session: Session, resource: str, run: str | None, by: str, why: str) -> None:
    """Release; the batch lands at once and its library is merged and published."""
    with open_deployment(session.settings) as wired:
        report = _decide(wired, resource, "release", by, why, run)
        merged(wired, report)
    _tell(session, report, "已放行", "released")


@click.command("reject", help="拒收：批次不再入库 | refuse a held batch for good")
@click.argument("resource")
@click.option("--run", help="运行（只有一个待定时可省略） | which run, where several wait")
@click.option("--by", required=True, help="数据管理员 | a data manager")
@click.option("--why", required=True, help="理由 | the reason")
@command
def reject_command(session: Session, resource: str, run: str | None, by: str, why: str) -> None:
    """Reject; the same content delivered again stays out."""
    with open_deployment(session.settings) as wired:
        report = _decide(wired, resource, "reject", by, why, run)
    _tell(session, report, "已拒收", "rejected")


@click.command("history", help="决定的经过：谁、何时、为何 | who decided what, when and why")
@click.argument("resource", required=False)
@click.option("--limit", type=click.IntRange(1, 10**6), default=50, show_default=True)
@command
def history_command(session: Session, resource: str | None, limit: int) -> None:
    """Print the newest decisions."""
    with open_deployment(session.settings) as wired:
        chosen = wired.deployment.resource(resource).id if resource else None
        found = Holds(wired.state.engine).decisions(chosen, limit=limit)
    if session.voice.as_json:
        session.voice.answer({"decisions": [asdict(one) for one in found]})
        return
    heads = [
        ("时间", "at"),
        ("资源", "resource"),
        ("运行", "run"),
        ("决定", "decision"),
        ("人员", "who"),
        ("理由", "why"),
    ]
    rows = [[one.at[:16], one.resource, one.run, one.decision, one.who, one.why] for one in found]
    session.voice.table(("决定", "Decisions"), heads, rows)


def _decide(wired: Wired, resource: str, decision: Decided, by: str, why: str, run: str | None) -> Report:  # noqa: PLR0917
    chosen, who = wired.deployment.resource(resource), person(wired.deployment, by).actor
    return decide(wired.steps, wired.parts, chosen.id, decision, who, why, now(), run)


def merged(wired: Wired, report: Report) -> None:
    """Merge and publish the library of a resource whose records changed."""
    library = wired.deployment.resource(report.resource).standard.library
    if library and report.changed:
        wired.steps.merge(library, f"{report.run}-{library}-again")
        wired.steps.publish(library, f"{report.run}-{library}-again")


def _tell(session: Session, report: Report, zh: str, en: str) -> None:
    if session.voice.as_json:
        session.voice.answer(report.as_dict())
        return
    session.voice.line(
        f"{report.resource} 运行 {report.run} {zh}：{report.pulled:,} 行，入库 {report.landed:,}，"
        f"隔离 {report.quarantined:,}",
        f"the run {report.run} of {report.resource} is {en}: {report.pulled:,} rows, {report.landed:,} landed,"
        f" {report.quarantined:,} in quarantine",
    )
