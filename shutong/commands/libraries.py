"""Commands on base libraries: merge, publish, and explain where each field of a record comes from."""

from __future__ import annotations

import click

from shutong.session import FAILED, Session, command
from shutong.wiring import new_run_id, open_deployment
from warehouse.merge import explain


@click.command("merge", help="按最新发布的各资源重新合并 | merge the newest releases")
@click.argument("library")
@command
def merge_command(session: Session, library: str) -> None:
    """Merge a library now."""
    with open_deployment(session.settings) as wired:
        report = wired.steps.merge(library, f"{new_run_id()}-{library}")
    if session.voice.as_json:
        session.voice.answer(report.as_dict())
        return
    session.voice.line(
        f"{library}：{report.records:,} 条记录，{report.conflicts:,} 处部门间不一致，{report.unlinked:,} 行无法关联",
        f"{library}: {report.records:,} records, {report.conflicts:,} disagreements, {report.unlinked:,} rows unlinked",
    )


@click.command("publish", help="发布到查询服务 | publish to the serving store")
@click.argument("library")
@click.option("--rebuild", is_flag=True, help="全部重写，不只写变更 | write everything anew, not just what changed")
@command
def publish_command(session: Session, library: str, *, rebuild: bool) -> None:
    """Publish a merged library now."""
    with open_deployment(session.settings) as wired:
        report = wired.steps.publish(library, f"{new_run_id()}-{library}", rebuild=rebuild)
    if session.voice.as_json:
        session.voice.answer(report.as_dict())
        return
    session.voice.line(
        f"{library}：第 {report.generation} 版，{report.records:,} 条记录",
        f"{library}: generation {report.generation}, {report.records:,} records",
    )


@click.command("explain", help="一条记录每个字段由哪个部门提供 | which department each field comes from")
@click.argument("library")
@click.argument("key")
@command
def explain_command(session: Session, library: str, key: str) -> int:
    """Print every statement about one record, the chosen one marked: for data managers on the host."""
    with open_deployment(session.settings) as wired:
        rows = explain(wired.state, wired.tables, library, key)
    if session.voice.as_json:
        session.voice.answer({"library": library, "statements": rows})
        return 0 if rows else FAILED
    if not rows:
        session.voice.line("没有这条记录", "there is no such record")
        return FAILED
    shown = {
        "field": "字段",
        "chosen": "采用",
        "value": "值",
        "department": "部门",
        "resource": "资源",
        "observed_at": "时间",
    }
    told = [{**row, "chosen": "✓" if row["chosen"] else ""} for row in rows]
    session.voice.table(
        (library, library), [(zh, name) for name, zh in shown.items()], [[row[name] for name in shown] for row in told]
    )
    return 0
