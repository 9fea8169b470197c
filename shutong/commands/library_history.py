"""Commands on a library over time: a record as it stood, what changed between two dates, who disagrees with whom."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from schemas.values import Json
from shutong.commands.library_reader import LibraryReader, clear_option, reader_of
from shutong.session import FAILED, Session, command
from shutong.wiring import open_deployment
from warehouse import history
from warehouse.bundle_state import Origin, origin
from warehouse.merge import compared, newest
from warehouse.said import explain

_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would reckon


@click.command("show", help="一条记录现在或当时的样子 | a record as it stands, or as it stood")
@click.argument("library")
@click.argument("key")
@click.option("--as-of", "at", help="日期或时间 | a date or time: 2026-11-23, 2026-11-23T08:00")
@clear_option
@command
def show_command(session: Session, library: str, key: str, at: str | None, *, clear: bool) -> int:
    """Print one record, personal data masked."""
    with open_deployment(session.settings) as wired:
        moment = history.instant(at) if at else None
        found = history.show(wired.state, wired.tables, library, key, moment)
        record = None if found is None else reader_of(wired.deployment, library, clear=clear).record(found)
    if session.voice.as_json:
        session.voice.answer({"library": library, "key": key, "as_of": moment, "record": record})
    elif record is None:
        session.voice.line("没有这条记录", "there is no such record")
    else:
        rows = [[name, value] for name, value in record.items() if value is not None]
        session.voice.table((library, library), [("字段", "field"), ("值", "value")], rows)
    return FAILED if record is None else 0


@click.command("changes", help="两个日期之间变了什么 | what changed between two dates")
@click.argument("library")
@click.option("--from", "since", required=True, help="起（含该日） | from the beginning of this date, or this time")
@click.option("--to", "until", required=True, help="止（含该日） | to the end of this date, or this time")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="字段变化数 | changes of fields")
@clear_option
@command
def changes_command(session: Session, library: str, since: str, until: str, limit: int, *, clear: bool) -> None:
    """Print a line per changed field, personal data masked."""
    with open_deployment(session.settings) as wired:
        start, end = history.instant(since, ends=False), history.instant(until)
        start = max(start, history.began(wired.state, library))
        found = history.changes(wired.state, wired.tables, library, start, end, limit=limit).to_pylist()
        seen = reader_of(wired.deployment, library, clear=clear)
        rows = [
            one
            | {"key": seen.key(one["key"])}
            | {side: seen.value(one["field"], one[side]) for side in ("before", "after")}
            for one in found
        ]
    if session.voice.as_json:
        session.voice.answer({"library": library, "from": start, "to": end, "changes": rows})
        return
    heads = [("主键", "key"), ("事件", "event"), ("字段", "field"), ("原值", "before"), ("新值", "after")]
    session.voice.table((library, library), heads, [list(one.values()) for one in rows])


@click.command("conflicts", help="一数一源：各字段部门间的一致与不一致 | per field, which departments disagree")
@click.argument("library")
@click.option("--export", "file", type=click.Path(path_type=Path, dir_okay=False), help="写入 CSV | write a CSV file")
@command
def conflicts_command(session: Session, library: str, file: Path | None) -> int:
    """Print the measured one-source map."""
    with open_deployment(session.settings) as wired:
        made = newest(wired.state, library)
    if made is None:
        session.voice.line("还没有归并过", "it has never been merged")
        return FAILED
    rows = [asdict(one) | {"share": round(one.differing / one.records, 6)} for one in compared(made)]
    heads = [("字段", "field"), ("部门", "department"), ("另一部门", "other"), ("都有的记录", "records"),
             ("不一致", "differing"), ("占比", "share")]  # fmt: skip
    if file is not None:
        with file.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.writer(out)
            writer.writerow([session.voice.say(*head) for head in heads])
            writer.writerows([_inert(cell) for cell in row.values()] for row in rows)
    if session.voice.as_json:
        session.voice.answer({"library": library, "merged_at": made.at, "conflicts": rows})
    else:
        session.voice.table(
            (library, library), heads, [[*list(row.values())[:-1], f"{row['share']:.2%}"] for row in rows]
        )
    return 0


@click.command(
    "explain", help="一个主体在各基础库中每个字段由谁、何时提供 | who said what about a key, in every library"
)
@click.argument("key")
@clear_option
@command
def explain_command(session: Session, key: str, *, clear: bool) -> int:
    """Print every statement about one key in every library that has it, personal data masked."""
    found = {}
    with open_deployment(session.settings) as wired:
        origins = {}
        for library in sorted(wired.deployment.libraries):
            rows = explain(wired.state, wired.tables, library, key)
            if rows:
                found[library] = statements(rows, reader_of(wired.deployment, library, clear=clear))
                if (came := origin(wired.state, library)) is not None:
                    origins[library] = came
    if session.voice.as_json:
        bundles = {library: asdict(came) for library, came in origins.items()}
        session.voice.answer({"key": key, "libraries": found} | ({"bundles": bundles} if bundles else {}))
    elif not found:
        session.voice.line("没有这条记录", "there is no such record")
    else:
        for library, rows in found.items():
            tell(session, library, rows, origins.get(library))
    return 0 if found else FAILED


def statements(rows: Sequence[Mapping[str, Json]], seen: LibraryReader) -> list[dict[str, Json]]:
    """What was said about one key, as the reader may see it."""
    return [
        {**row, "key": seen.key(str(row["key"])), "value": seen.value(str(row["field"]), row["value"])} for row in rows
    ]


def tell(session: Session, library: str, rows: Sequence[Mapping[str, Json]], came: Origin | None = None) -> None:
    """Print what was said about one key of a library, the chosen statement of each field marked."""
    shown = {
        "field": "字段",
        "chosen": "采用",
        "value": "值",
        "department": "部门",
        "resource": "资源",
        "observed_at": "时间",
    }
    told = [{**row, "chosen": "✓" if row["chosen"] else ""} for row in rows]
    heads = [(zh, name) for name, zh in shown.items()]
    session.voice.table((library, library), heads, [[row[name] for name in shown] for row in told])
    if came is not None:
        session.voice.line(
            f"来自 {came.sender} 的数据包 {came.bundle}，{came.merged_at[:19]} 归并，{came.taken_at[:19]} 导入",
            f"from {came.sender}'s bundle {came.bundle}, merged {came.merged_at[:19]}, imported {came.taken_at[:19]}",
        )


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
