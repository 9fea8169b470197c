"""Commands on work orders 质量工单: list, look at one, assign, answer, waive, export."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import click

from quality.orders_values import LIVE, Order, State, Step
from runs.errors import RunError
from schemas.standard import Rule
from shutong.demo.xlsx import Cell, write_xlsx
from shutong.session import Session, command
from shutong.watching import now, person
from shutong.wiring import Wired, open_deployment, today

STATES: dict[str, str] = {
    "open": "待处理",
    "assigned": "已指派",
    "answered": "已答复",
    "verified": "已核验",
    "closed": "已关闭",
    "waived": "已豁免",
}
EVENTS = {
    "opened": "开单",
    "reopened": "再次开单",
    "assigned": "指派",
    "answered": "答复",
    "failed_again": "再次出错，退回",
    "verified": "合格批次核验",
    "closed": "关闭",
    "waived": "豁免",
    "waiver_ended": "豁免到期",
    "escalated": "升级",
    "withdrawn": "规则已撤销或不再开单",
}
_COLUMNS = {
    "id": "编号",
    "department": "部门",
    "resource": "资源",
    "rule": "规则",
    "severity": "级别",
    "state": "状态",
    "rows": "行数",
    "recurrences": "再现",
    "opened_at": "开单",
    "due": "期限",
    "overdue": "逾期",
    "assignee": "经办人",
    "escalated": "升级",
    "last_run": "最近运行",
    "last_batch": "最近批次",
    "proven_by": "核验运行",
    "closed_at": "关闭时间",
    "previous": "前一工单",
    "zh": "说明",
    "en": "what",
}
_SHOWN = ("id", "resource", "rule", "severity", "state", "rows", "recurrences", "due", "overdue", "assignee")

NUMBER = click.IntRange(1, 2**63 - 1)


@click.command("list", help="列出未关闭的工单，最早到期的在前 | orders that are not closed, earliest due first")
@click.option("--resource", help="资源 | of a resource")
@click.option("--department", help="部门 | of a department")
@click.option("--state", "states", multiple=True, type=click.Choice(list(STATES)), help="状态 | in a state")
@click.option("--overdue", is_flag=True, help="只列逾期的 | only those overdue")
@command
def list_command(
    session: Session, resource: str | None, department: str | None, states: tuple[State, ...], *, overdue: bool
) -> None:
    """Print one line per order."""
    with open_deployment(session.settings) as wired:
        found = _found(wired, resource, department, states or (*LIVE, "waived"), overdue=overdue)
    if session.voice.as_json:
        session.voice.answer({"orders": [_told(one) for one in found]})
        return
    heads = [(_COLUMNS[name], name) for name in _SHOWN]
    rows = [[_cell(session, name, _told(one)[name]) for name in _SHOWN] for one in found]
    session.voice.table(("质量工单", "Work orders"), heads, rows)


@click.command("show", help="一件工单：说明、办法、经过 | one order: what, what to do, its history")
@click.argument("number", type=NUMBER)
@command
def show_command(session: Session, number: int) -> None:
    """Print an order with every step it took; its failing rows are named by run, batch and rule."""
    with open_deployment(session.settings) as wired:
        order, history = wired.orders.order(number), wired.orders.history(number)
        rule = _rule(wired, order)
    fix = (rule.fix_zh, rule.fix_en) if rule else ("", "")
    if session.voice.as_json:
        steps = [asdict(one) for one in history]
        told = {**_told(order), "fix_zh": fix[0], "fix_en": fix[1]}
        session.voice.answer({"order": told, "history": steps})
        return
    voice = session.voice
    voice.line(
        f"工单 {order.id}：{order.resource} {order.rule}，{order.zh}（{STATES[order.state]}）",
        f"order {order.id}: {order.resource} {order.rule}, {order.en} ({order.state})",
    )
    if any(fix):
        voice.line(f"办法：{fix[0]}", f"what to do: {fix[1]}")
    voice.line(
        f"期限 {order.term}，最近一次 {order.rows:,} 行，运行 {order.last_run}，批次 {order.last_batch}",
        f"due {order.term}, last seen in {order.rows:,} rows of run {order.last_run}, batch {order.last_batch}",
    )
    voice.line(
        f"出错的行：shutong quality show {order.resource} --rows 10",
        f"failing rows: shutong quality show {order.resource} --rows 10",
    )
    heads = [("时间", "at"), ("事项", "event"), ("状态", "state"), ("人员", "who"), ("说明", "why"), ("运行", "run")]
    voice.table(("经过", "History"), heads, [_step(session, one) for one in history])


@click.command("assign", help="指派给来源部门的人员 | give an order to a person of the department")
@click.argument("number", type=NUMBER)
@click.argument("to")
@click.option("--by", "by", required=True, help="办理人（people.yaml 中的编号） | who does this")
@click.option("--why", default="", help="说明 | a word to it")
@command
def assign_command(session: Session, number: int, to: str, by: str, why: str) -> None:
    """Assign; by the department's lead or a data manager."""
    with open_deployment(session.settings) as wired:
        receiver, who = (person(wired.deployment, name).actor for name in (to, by))
        order = wired.orders.assign(number, receiver, who, why, now())
    _done(session, order, f"工单 {number} 已指派给 {to}", f"order {number} is assigned to {to}")


@click.command("answer", help="答复：部门做了什么 | say what the department did")
@click.argument("number", type=NUMBER)
@click.option("--by", "by", required=True, help="办理人 | who does this")
@click.option("--why", required=True, help="做了什么 | what was done")
@command
def answer_command(session: Session, number: int, by: str, why: str) -> None:
    """Answer; the order closes when the next good batch proves it."""
    with open_deployment(session.settings) as wired:
        order = wired.orders.answer(number, person(wired.deployment, by).actor, why, now())
    _done(
        session,
        order,
        f"工单 {number} 已答复，等待下一个合格批次核验（至 {order.term}）",
        f"order {number} is answered and waits for the next good batch (until {order.term})",
    )


@click.command("waive", help="豁免至某日 | let an order rest until a day")
@click.argument("number", type=NUMBER)
@click.option("--by", "by", required=True, help="数据管理员 | a data manager")
@click.option("--why", required=True, help="理由 | the reason")
@click.option("--until", "until", required=True, help="截止日，如 2026-12-31 | the last day")
@command
def waive_command(session: Session, number: int, by: str, why: str, until: str) -> None:
    """Waive; it comes back when the day has passed."""
    day = read_day(until)
    with open_deployment(session.settings) as wired:
        order = wired.orders.waive(number, person(wired.deployment, by).actor, why, day, now())
    _done(session, order, f"工单 {number} 豁免至 {day}", f"order {number} is waived until {day}")


@click.command("export", help="导出为 CSV 或 XLSX（按后缀） | write orders as CSV or XLSX, by the suffix")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--resource", help="资源 | of a resource")
@click.option("--department", help="部门 | of a department")
@click.option("--state", "states", multiple=True, type=click.Choice(list(STATES)), help="状态 | in a state")
@command
def export_command(
    session: Session, file: Path, resource: str | None, department: str | None, states: tuple[State, ...]
) -> None:
    """Write every order asked for, closed ones too."""
    if file.suffix.lower() not in (".csv", ".xlsx"):
        raise RunError(
            "RUN-EXPORT-SUFFIX",
            zh=f"不能导出为 {file.name}",
            en=f"cannot export as {file.name}",
            fix_zh="文件名以 .csv 或 .xlsx 结尾",
            fix_en="Let the name end in .csv or .xlsx",
        )
    with open_deployment(session.settings) as wired:
        found = _found(wired, resource, department, states or None)
    heads = [head if session.voice.lang == "zh" else name for name, head in _COLUMNS.items()]
    rows = [[_cell(session, name, _told(one)[name]) for name in _COLUMNS] for one in found]
    if file.suffix.lower() == ".xlsx":
        write_xlsx(file, session.voice.say("质量工单", "orders"), heads, rows)
    else:
        with file.open("w", encoding="utf-8-sig", newline="") as out:
            csv.writer(out).writerows([heads, *([_inert(cell) for cell in row] for row in rows)])
    if session.voice.as_json:
        session.voice.answer({"file": str(file), "orders": len(rows)})
    session.voice.line(f"{len(rows)} 件工单已导出到 {file}", f"{len(rows)} orders are in {file}")


def read_day(text: str) -> date:
    """A day as people write it on the command line; RUN-DATE when it is none."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise RunError(
            "RUN-DATE",
            zh=f"“{text}”不是日期",
            en=f"'{text}' is no date",
            fix_zh="按 年-月-日 书写，例如 2026-12-31",
            fix_en="Write year-month-day, for example 2026-12-31",
        ) from None


def _found(
    wired: Wired,
    resource: str | None,
    department: str | None,
    states: Sequence[State] | None,
    *,
    overdue: bool = False,
) -> list[Order]:
    named = None if resource is None else wired.deployment.resource(resource).id
    found = wired.orders.orders(named, department, states, limit=10**6)
    return [one for one in found if not overdue or one.overdue(today())]


def _told(order: Order) -> dict[str, object]:
    return {**asdict(order), "due": order.term.isoformat(), "overdue": order.overdue(today())}


def _cell(session: Session, name: str, value: object) -> Cell:
    if isinstance(value, bool):
        return session.voice.say("是", "yes") if value else ""
    if name == "state":
        return session.voice.say(STATES[str(value)], str(value))
    return value if isinstance(value, int | None) else str(value)


def _step(session: Session, step: Step) -> list[object]:
    voice = session.voice
    event, state = voice.say(EVENTS[step.event], step.event), voice.say(STATES[step.state], step.state)
    return [step.at[:16].replace("T", " "), event, state, step.who, step.why, step.run]


def _rule(wired: Wired, order: Order) -> Rule | None:
    for one in wired.deployment.resources:
        if one.id == order.resource:
            return next((rule for rule in (*one.checked.rules, *one.rules) if rule.id == order.rule), None)
    return None


def _done(session: Session, order: Order, zh: str, en: str) -> None:
    if session.voice.as_json:
        session.voice.answer({"order": _told(order)})
    session.voice.line(zh, en)


def _inert(cell: Cell) -> Cell:
    """A cell that a spreadsheet takes as text, never as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
