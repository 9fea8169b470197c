"""Commands for data managers: ingest a resource, see what ran and what is late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from runs.facts import OURS
from runs.reports import Report
from shutong.commands.given import given
from shutong.session import FAILED, HELD, Session, command
from shutong.wiring import Wired, new_run_id, open_deployment


@click.command("ingest", help="接入一个资源：拉取、检查、入库、合并、发布 | pull, check, land, merge, publish")
@click.argument("resource")
@click.option("--set", "settings_", multiple=True, metavar="KEY=VALUE", help="替换来源选项 | replace a source option")
@click.option("--new-only", is_flag=True, help="只读上次位置之后的内容 | read only what is new since the last run")
@click.option(
    "--run", "again", help="再做一次以前的运行，用它收到的内容 | a run of before again, with what it received"
)
@command
def ingest_command(
    session: Session, resource: str, settings_: tuple[str, ...], *, new_only: bool, again: str | None
) -> int:
    """Ingest one resource from end to end and say what became of every row."""
    voice = session.voice
    with open_deployment(session.settings, overrides={resource: given(settings_)}) as wired:
        chosen = wired.deployment.resource(resource)
        run = wired.state.run(again).run_id if again else new_run_id()
        voice.progress(f"拉取 {chosen.zh}", f"pulling {chosen.en}")
        pulled = wired.steps.pull(chosen.id, run, everything=not new_only)
        if pulled.batch is None:
            voice.progress("没有新拉取的内容；检查待入库的批次", "nothing was pulled; checking the batches that wait")
        else:
            voice.progress(f"检查 {pulled.pulled:,} 行", f"checking {pulled.pulled:,} rows")
        checked = wired.steps.check(chosen.id, run)
        voice.progress(f"入库 {checked.pulled:,} 行", f"landing {checked.pulled:,} rows")
        report = wired.steps.land(chosen.id, run)
        library = chosen.standard.library
        if library and (report.decision != "hold" or report.changed):
            voice.progress(f"合并与发布 {library}", f"merging and publishing {library}")
            wired.steps.merge(library, f"{run}-{library}")
            wired.steps.publish(library, f"{run}-{library}")
    if voice.as_json:
        voice.answer(report.as_dict())
    else:
        _tell(session, report)
    return HELD if report.decision == "hold" else 0


def _tell(session: Session, report: Report) -> None:
    voice = session.voice
    gone_zh, gone_en = (f" + 删除 {report.deleted:,}", f" + deleted {report.deleted:,}") if report.deleted else ("", "")
    if report.rejected:
        voice.line(f"\n已拒收 {report.rejected:,} 行", f"\n{report.rejected:,} rows are rejected")
    voice.line(
        f"\n拉取 {report.pulled:,} = 入库 {report.landed:,} + 隔离 {report.quarantined:,} + 被取代 "
        f"{report.superseded:,}{gone_zh} + 待定 {report.held:,}　（{report.reason_zh}）",
        f"\npulled {report.pulled:,} = landed {report.landed:,} + quarantined {report.quarantined:,} + superseded "
        f"{report.superseded:,}{gone_en} + held {report.held:,}  ({report.reason_en})",
    )
    if report.repeated:
        voice.line("内容与以前一次相同，没有新增", "The content is that of an earlier run: nothing was added")
    told = {rule: n for rule, n in report.rules.items() if n or rule in report.errors}
    rows = [[rule, f"{n:,}", report.errors.get(rule, "")] for rule, n in told.items()]
    if rows:
        voice.table(
            ("违反或无法执行的规则", "Rules violated or not evaluated"),
            [("规则", "rule"), ("行数", "rows"), ("错误", "error")],
            rows,
        )
    unparsed = [[field, text, n] for field, said in report.unparsed.items() for text, n in said.items()]
    if unparsed:
        voice.table(
            ("未能理解的写法", "Spellings not understood"),
            [("字段", "field"), ("写法", "spelling"), ("次数", "count")],
            unparsed,
        )


@click.command("runs", help="接入运行记录；--late 只看迟到的资源 | what ran; --late: what is late")
@click.argument("resource", required=False)
@click.option("--late", is_flag=True, help="只列出迟到的资源 | only resources that are late")
@click.option("--limit", default=20, show_default=True)
@command
def runs_command(session: Session, resource: str | None, *, late: bool, limit: int) -> int:
    """Print the newest runs, or the resources whose last good run is older than they promise."""
    with open_deployment(session.settings) as wired:
        if late:
            return _late(session, wired)
        chosen = wired.deployment.resource(resource).id if resource else None
        found = wired.state.runs(chosen, limit)
    rows = [
        {
            "run": one.run_id,
            "resource": one.resource,
            "status": one.status,
            "step": one.step,
            "started_at": one.started_at,
            "pulled": one.pulled,
            "landed": one.landed,
            "quarantined": one.quarantined,
            "superseded": one.superseded,
            "deleted": one.deleted,
            "decision": one.decision,
            "trigger": one.trigger,
            "error": one.error,
        }
        for one in found
    ]
    if session.voice.as_json:
        session.voice.answer({"runs": rows})
        return 0
    shown = {
        "run": "运行",
        "resource": "资源",
        "status": "状态",
        "step": "步骤",
        "started_at": "开始",
        "pulled": "拉取",
        "landed": "入库",
        "quarantined": "隔离",
        "superseded": "被取代",
        "deleted": "删除",
        "decision": "判定",
    }
    heads = [(zh, key) for key, zh in shown.items()]
    session.voice.table(("运行记录", "Runs"), heads, [[row[key] for key in shown] for row in rows])
    return 0


def freshness(wired: Wired) -> list[dict[str, object]]:
    """Each resource with its last good run, how old it is, and whether that is later than promised."""
    now = datetime.now(UTC)
    rows: list[dict[str, object]] = []
    for one in wired.deployment.resources:
        good = next(
            (run for run in wired.state.runs(one.id, 200) if run.status == "done" and run.trigger not in OURS), None
        )
        age = now - datetime.fromisoformat(good.finished_at) if good and good.finished_at else None
        late = one.expect_within is not None and (age is None or age > one.expect_within)
        rows.append(
            {
                "resource": one.id,
                "zh": one.zh,
                "en": one.en,
                "last_good": good.finished_at if good else None,
                "age": str(timedelta(seconds=round(age.total_seconds()))) if age else None,
                "expect_within": str(one.expect_within) if one.expect_within else None,
                "late": late,
            }
        )
    return rows


def _late(session: Session, wired: Wired) -> int:
    rows = [row for row in freshness(wired) if row["late"]]
    if session.voice.as_json:
        session.voice.answer({"late": rows})
    elif not rows:
        session.voice.line("没有迟到的资源", "No resource is late")
    else:
        session.voice.table(
            ("迟到的资源", "Late resources"),
            [("资源", "resource"), ("名称", "title"), ("上次成功", "last good"), ("应在", "expected within")],
            [[row["resource"], row[session.voice.lang], row["last_good"], row["expect_within"]] for row in rows],
        )
    return FAILED if rows else 0
