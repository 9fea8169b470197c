"""Commands on resource files: list, check and preview them, see what changed at the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from runs.resources import Resource
from schemas.code_lists import spellings
from schemas.errors import ShutongError
from schemas.values import BAD, DETAIL, RAW_COLUMNS, REJECT, REPAIRED, Check, Source
from shutong.printing import Voice
from shutong.session import FAILED, Session, command
from shutong.wiring import Wired, open_deployment, today

if TYPE_CHECKING:
    import pyarrow as pa


@click.command("list", help="列出全部资源 | list every resource")
@command
def list_command(session: Session) -> None:
    """Print each resource with its standard, source and schedule."""
    with open_deployment(session.settings) as wired:
        rows = [
            {
                "resource": one.id,
                "zh": one.zh,
                "en": one.en,
                "standard": one.standard.id,
                "kind": one.kind,
                "schedule": one.schedule,
                "expect_within": str(one.expect_within) if one.expect_within else None,
            }
            for one in wired.deployment.resources
        ]
    if session.voice.as_json:
        session.voice.answer({"resources": rows})
        return
    session.voice.table(
        ("资源", "Resources"),
        [("资源", "resource"), ("名称", "title"), ("标准", "standard"), ("来源", "source"), ("时间表", "schedule")],
        [[row["resource"], row[session.voice.lang], row["standard"], row["kind"], row["schedule"]] for row in rows],
    )


@click.command("check", help="检查资源文件与来源连通性 | check resource files and reach their sources")
@click.argument("names", nargs=-1)
@command
def check_command(session: Session, names: tuple[str, ...]) -> int:
    """Check the files, then each source: reachable, login, privileges, table or files, columns, and what feeds what."""
    lines: list[dict[str, object]] = []
    with open_deployment(session.settings) as wired:
        chosen = [wired.deployment.resource(name) for name in names] or list(wired.deployment.resources)
        for resource in chosen:
            lines += _source_lines(wired, resource)
    failed = any(not line["ok"] for line in lines)
    if session.voice.as_json:
        session.voice.answer({"ok": not failed, "checks": lines})
    else:
        session.voice.table(
            ("检查结果", "Checks"),
            [("资源", "resource"), ("检查项", "check"), ("", ""), ("结果", "result")],
            [[line["resource"], line["name"], _mark(line), line[session.voice.lang]] for line in lines],
        )
    return FAILED if failed else 0


def _source_lines(wired: Wired, resource: Resource) -> list[dict[str, object]]:
    from runs import modes

    lines: list[dict[str, object]] = []
    try:
        with closing(wired.open_source(resource)) as source:
            checks = source.check()
            lines += [_line(resource, one) for one in checks]
            if not all(one.ok for one in checks):
                return lines
            columns, named = _columns(source), None
            if resource.reading.mode == "cdc":
                logs, named = _log_checks(wired, resource)
                lines += [_line(resource, one) for one in logs]
            lines.append(_fed(resource, columns))
            if columns:
                modes.fitting(resource, columns, named)
    except ShutongError as error:
        zh, en = f"{error.zh}；{error.fix_zh}", f"{error.en}. {error.fix_en}"
        lines.append(_line(resource, Check(error.code, ok=False, zh=zh, en=en)))
    return lines


def _mark(line: Mapping[str, object]) -> str:
    """✗ keeps the resource from being read; ! works, and somebody should be asked to change something."""
    return "✗" if not line["ok"] else "!" if line["warns"] else "✓"


def _line(resource: Resource, check: Check) -> dict[str, object]:
    said: dict[str, object] = {"resource": resource.id, "name": check.name, "ok": check.ok, "warns": check.warns}
    return {**said, "zh": check.zh, "en": check.en}


def _log_checks(wired: Wired, resource: Resource) -> tuple[list[Check], Sequence[str] | None]:
    """What following needs, and the columns by which the log names a record (None: it cannot be followed yet)."""
    with closing(wired.open_changes(resource)) as feed:
        checks = feed.check()
        return checks, feed.key() if all(one.ok for one in checks if one.name == "key") else None


def _columns(source: Source) -> list[str]:
    """The columns as the source says them, else as its first row has them; none where only deliveries will tell."""
    said = list(source.stream().columns)
    return said or [name for name in source.preview(1).column_names if name not in RAW_COLUMNS]


def _fed(resource: Resource, columns: Sequence[str]) -> dict[str, object]:
    """Which column feeds which field, and which are left over: what to look at before a first run."""
    if not columns:
        zh, en = "送来数据时才知道有哪些列", "which columns there are is known once data comes"
        return _line(resource, Check("map", ok=True, zh=zh, en=en))
    from schemas.mapping import resolve

    fed = resolve(resource.checked, columns, resource.columns)
    left = [name for name in columns if name not in fed.values()]
    shown = ", ".join(f"{field}←{column}" for field, column in fed.items())
    zh = f"{len(fed)} 个字段有来源列：{shown}" + (f"；未用的列：{'、'.join(left)}" if left else "")
    en = f"{len(fed)} fields are fed: {shown}" + (f"; columns not used: {', '.join(left)}" if left else "")
    return _line(resource, Check("map", ok=True, zh=zh, en=en))


@click.command("preview", help="先看几行：来源原值与标准化后的值 | a few rows, as received and standardised")
@click.argument("name")
@click.option("--rows", default=5, show_default=True, type=click.IntRange(1, 1000))
@click.option("--clear", is_flag=True, help="显示个人信息明文 | show personal data in clear")
@command
def preview_command(session: Session, name: str, *, rows: int, clear: bool) -> None:
    """Read a few rows and show each field's received value beside the standardised one; nothing is kept."""
    with open_deployment(session.settings) as wired:
        resource = wired.deployment.resource(name)
        with closing(wired.open_source(resource)) as source:
            raw = source.preview(rows)
    records = _side_by_side(resource, raw, clear=clear)
    if session.voice.as_json:
        session.voice.answer({"resource": resource.id, "records": records})
        return
    for record in records:
        _show_record(session.voice, record)
    if not records:
        session.voice.line("来源没有记录", "The source has no records")


def _side_by_side(resource: Resource, raw: pa.Table, *, clear: bool) -> list[dict[str, object]]:
    columns = [name for name in raw.column_names if name not in RAW_COLUMNS]
    if not columns and not raw.num_rows:
        return []
    from schemas.mapping import resolve, standardise

    mapping = resolve(resource.checked, columns, resource.columns)
    codes = spellings(resource.checked)
    table = standardise(raw, resource.checked, mapping, codes, today()).table
    levels = {one.name: one.level for one in resource.checked.fields}
    hidden = {name for name in mapping if levels[name] >= _PERSONAL and not clear}
    records: list[dict[str, object]] = []
    for row in table.to_pylist():
        fields = [
            {
                "field": name,
                "column": column,
                "received": "***" if name in hidden else row.get(f"raw:{column}"),
                "value": "***" if name in hidden else row[name],
                "mark": "bad" if row[name + BAD] else "repaired" if row[name + REPAIRED] else "",
            }
            for name, column in mapping.items()
            if name in table.column_names
        ]
        records.append({"row": row["_row"], "reject": row[REJECT], "detail": row[DETAIL], "fields": fields})
    return records


_PERSONAL = 3  # DB33/T 2351-2021: from this level on a value is shown only when asked for


def _show_record(voice: Voice, record: Mapping[str, object]) -> None:
    title = (f"第 {record['row']} 行", f"row {record['row']}")
    if record["reject"]:
        voice.line(f"\n{title[0]} 无法读取：{record['detail']}", f"\n{title[1]} cannot be read: {record['detail']}")
        return
    marks = {"bad": voice.say("✗ 不能理解", "✗ not understood"), "repaired": voice.say("已修复", "repaired"), "": ""}
    fields = record["fields"]
    assert isinstance(fields, list)  # noqa: S101 - made above
    voice.table(
        title,
        [("字段", "field"), ("来源列", "column"), ("收到", "received"), ("标准化", "standardised"), ("", "")],
        [[one["field"], one["column"], one["received"], one["value"], marks[one["mark"]]] for one in fields],
    )


@click.command("drift", help="来源结构的变化；--accept 确认 | what changed at the source; --accept takes it")
@click.argument("name")
@click.option("--accept", is_flag=True, help="确认最近一次变化，下次运行照新结构读取 | go on with the new columns")
@command
def drift_command(session: Session, name: str, *, accept: bool) -> None:
    """Print the history of a source's columns, or accept the newest change."""
    from warehouse.state.streams import Streams

    voice = session.voice
    with open_deployment(session.settings) as wired:
        resource, streams = wired.deployment.resource(name), Streams(wired.state.engine)
        taken = streams.accept(resource.id) if accept else None
        seen = streams.history(resource.id)
    if voice.as_json:
        rows = [{"run": s.run, "seen_at": s.seen_at, "accepted": s.accepted, "columns": s.columns,
                 "changes": s.changes} for s in seen]  # fmt: skip
        voice.answer({"resource": resource.id, "accepted_now": taken is not None, "history": rows})
        return
    if accept:
        voice.line("已确认新的来源结构" if taken else "没有待确认的变化",
                   "The new columns are accepted" if taken else "There is nothing to accept")  # fmt: skip
    voice.table(
        ("来源结构", "Columns of the source"),
        [("时间", "seen at"), ("运行", "run"), ("列数", "columns"), ("变化", "changes"), ("", "")],
        [
            [
                s.seen_at,
                s.run,
                len(s.columns),
                "；".join(one[voice.lang] for one in s.changes) or "-",
                "" if s.accepted else voice.say("待确认", "to be accepted"),
            ]
            for s in seen
        ],
    )
