"""Commands on base libraries: merge, publish, and explain where each field of a record comes from."""

from __future__ import annotations

from dataclasses import asdict

import click

from shutong.commands.library_history import statements, tell
from shutong.commands.library_reader import clear_option, reader_of
from shutong.session import FAILED, Session, command
from shutong.spreading import buckets_option, shared, where_option
from shutong.wiring import new_run_id, open_deployment
from warehouse.bundle_state import origin
from warehouse.said import explain


@click.command("merge", help="按最新发布的各资源重新合并 | merge the newest releases")
@click.argument("library")
@click.option("--whole", is_flag=True, help="全部重做，不只归并变化 | combine everything anew, not just what changed")
@buckets_option
@where_option
@command
def merge_command(session: Session, library: str, *, whole: bool, buckets: int | None, where: str) -> None:
    """Merge a library now."""
    with open_deployment(session.settings) as wired, shared(wired.tables, where, buckets) as spreading:
        report = wired.steps.merge(library, f"{new_run_id()}-{library}", whole=whole, spreading=spreading)
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
@clear_option
@command
def explain_command(session: Session, library: str, key: str, *, clear: bool) -> int:
    """Print every statement about one record, the chosen one marked, personal data masked."""
    with open_deployment(session.settings) as wired:
        said = explain(wired.state, wired.tables, library, key)
        rows = statements(said, reader_of(wired.deployment, library, clear=clear))
        came = origin(wired.state, library)
    if session.voice.as_json:
        bundle = {"bundle": asdict(came)} if came else {}
        session.voice.answer({"library": library, "statements": rows, **bundle})
    elif not rows:
        session.voice.line("没有这条记录", "there is no such record")
    else:
        tell(session, library, rows, came)
    return 0 if rows else FAILED
