"""Commands that care for the warehouse: compact tables, expire snapshots, sweep files, verify all of it."""

from __future__ import annotations

from collections.abc import Iterable

import click

from runs.nightly import HOURS, Nightly, Removed
from shutong.deployment import DeploymentSecrets, load
from shutong.printing import Voice
from shutong.session import FAILED, Session, command
from shutong.settings import Settings
from shutong.storage import Places, backups, places
from shutong.wiring import open_deployment
from warehouse.backup import Place
from warehouse.verify import Looked

KINDS = {"raw": ("原始批次", "raw batches"), "table": ("表", "table"), "serving": ("发布", "published")}


@click.command("compact", help="按主键重排表文件，去掉已删除的行 | write tables anew in the order of their keys")
@click.argument("tables", nargs=-1)
@click.option("--always", "--all", "always", is_flag=True, help="不论是否需要 | whether they need it or not")
@command
def compact_command(session: Session, tables: tuple[str, ...], *, always: bool) -> None:
    """Compact the tables named, or all that need it; landings go on meanwhile."""
    told = []
    with open_deployment(session.settings) as wired:
        for one in Nightly(wired.parts).compact(tables, always=always):
            told.append({"table": one.table, "rows": one.rows, "files_before": one.before, "files": one.files,
                         "changed": one.changed})  # fmt: skip
            if one.changed:
                session.voice.line(
                    f"{one.table}：{one.rows:,} 行，{one.before} 个文件 → {one.files} 个",
                    f"{one.table}: {one.rows:,} rows, {one.before} files → {one.files}",
                )
            else:
                session.voice.line(f"{one.table}：已有序，未改动", f"{one.table}: in order already")
    if session.voice.as_json:
        session.voice.answer({"tables": told})


@click.command("expire", help="忘掉不再需要的快照 | forget the snapshots nobody needs")
@command
def expire_command(session: Session) -> None:
    """Forget snapshots; what releases kept, publications and libraries need stays."""
    with open_deployment(session.settings) as wired:
        _told(session.voice, Nightly(wired.parts).expire(), ("个快照", "snapshots forgotten"))


@click.command("sweep", help="删除无主的文件 | remove files that nothing names")
@click.option(
    "--older-than",
    "hours",
    type=click.FloatRange(1),
    default=HOURS,
    help="多少小时以前的，缺省 24 | hours, by default 24",
)
@command
def sweep_command(session: Session, hours: float) -> None:
    """Remove the files of the tables that no snapshot names."""
    with open_deployment(session.settings) as wired:
        nightly = Nightly(wired.parts, backups_of(session.settings)[0])
        _told(session.voice, nightly.sweep(hours), ("个文件", "files removed"))


def backups_of(settings: Settings) -> tuple[Place, Places]:
    """Where backups lie and what they are of, and where the warehouse lies."""
    load(settings)
    where = places(settings, DeploymentSecrets(settings))
    return backups(settings, where), where


def _told(voice: Voice, found: Iterable[Removed], what: tuple[str, str]) -> None:
    told = []
    for one in found:
        told.append({"table": one.table, "count": one.count})
        voice.line(f"{one.table}：{one.count} {what[0]}", f"{one.table}: {one.count} {what[1]}")
    if voice.as_json:
        voice.answer({"tables": told})


@click.command("verify", help="核对原始批次、表、主键、发布 | look at raw batches, tables, keys and what is published")
@click.option("--days", type=click.IntRange(0), help="只逐字节核对最近几天的原始批次 | bytes of raw batches this young")
@command
def verify_command(session: Session, days: int | None) -> int:
    """Look at everything; exit 1 when something is not as it was written, and say what to do."""
    with open_deployment(session.settings) as wired:
        found = list(Nightly(wired.parts).verify(days))
    errors = [error for one in found for error in one.errors]
    voice = session.voice
    if voice.as_json:
        looked = [{"kind": one.kind, "name": one.name, "rows": one.rows, "ok": not one.errors} for one in found]
        voice.answer({"ok": not errors, "looked": looked, "errors": [error.as_dict() for error in errors]})
        return FAILED if errors else 0
    rows = [_row(voice, one) for one in found]
    columns = [("部分", "part"), ("名称", "name"), ("行数", "rows"), ("结果", "result")]
    voice.table(("数据仓库核对", "the warehouse"), columns, rows)
    for error in errors:
        voice.error(error)
    return FAILED if errors else 0


def _row(voice: Voice, one: Looked) -> list[object]:
    return [voice.say(*KINDS[one.kind]), one.name, f"{one.rows:,}", "✗" if one.errors else "✓"]
