"""Commands on applications for data 共享申请: file, follow, supply, decide, dispute, and what the clock asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from sharing.application_values import STATES, Actor, Application, Event, Purpose, State
from sharing.grant_terms import Terms, from_json
from shutong.commands.application_terms import Said, terms_options
from shutong.session import Session, command
from shutong.watching import now, person
from shutong.wiring import Wired, open_deployment

if TYPE_CHECKING:
    from sharing.applications import Applications

EVENTS = {
    "filed": "提出", "supplement_asked": "要求补正", "supplied": "补正", "withdrawn": "撤回", "approved": "同意",
    "refused": "不予共享", "delivered": "提供", "extension_asked": "申请延期", "extended": "同意延期",
    "extension_denied": "不同意延期", "disputed": "提出争议", "referred": "进入下一步", "upheld": "维持",
    "dispute_withdrawn": "撤回争议", "lapsed": "逾期未补正", "escalated": "逾期上报", "expiring": "即将到期",
    "grant_suspended": "授权暂停", "grant_resumed": "授权恢复", "grant_revoked": "授权撤销",
    "grant_extended": "授权延长",
}  # fmt: skip
NUMBER = click.IntRange(1, 2**63 - 1)
BY = click.option("--by", required=True, help="办理人（people.yaml 中的编号） | who does this")
WHY = click.option("--why", required=True, help="理由 | the reason")


@click.command("file", help="提出共享申请 | apply for data")
@click.argument("subject")
@click.option("--by", required=True, help="申请人（people.yaml 中的编号） | who applies")
@click.option("--matter-code", required=True, help="事项编码 | code of the matter")
@click.option("--matter", required=True, help="事项名称 | name of the matter")
@click.option("--basis", required=True, help="法律依据 | the legal basis")
@click.option("--client", help="使用数据的应用，即密钥标签 | the application, a key's label")
@command
@terms_options
def file_command(  # noqa: PLR0917 - click names them
    session: Session, terms: Said, subject: str, by: str, matter_code: str, matter: str, basis: str, client: str | None
) -> None:
    """File an application; what is unconditional is granted at once."""
    with open_deployment(session.settings) as wired:
        asked, purpose = terms.over(Terms((), "")), Purpose(matter_code, matter, basis)
        one = all_of(wired).file(actor(wired, by), subject, asked, purpose, now(), client)
    tell(session, one)


@click.command("list", help="列出申请，最早到期的在前 | applications, the earliest due first")
@click.option("--department", help="申请或提供部门 | of a department, either side")
@click.option("--state", "states", multiple=True, type=click.Choice(list(STATES)), help="状态 | in a state")
@click.option("--overdue", is_flag=True, help="只列逾期的 | only those overdue")
@command
def list_command(session: Session, department: str | None, states: tuple[State, ...], *, overdue: bool) -> None:
    """Print one line per application."""
    today = now().date()
    with open_deployment(session.settings) as wired:
        found = all_of(wired).find(None, states or None, department)
    shown = [one for one in found if not overdue or one.overdue(today)]
    if session.voice.as_json:
        session.voice.answer({"applications": [_told(one) for one in shown]})
        return
    say = session.voice.say
    heads = [
        ("编号", "id"), ("申请", "department"), ("对象", "subject"), ("提供", "provider"), ("类型", "sharing"),
        ("状态", "state"), ("期限", "due"), ("逾期", "overdue"), ("授权", "grant"),
    ]  # fmt: skip
    rows = [
        [one.id, one.department, one.subject, one.provider, one.sharing, say(STATES[one.state], one.state), one.due,
         say("是", "yes") if one.overdue(today) else "", one.grant]
        for one in shown
    ]  # fmt: skip
    none = ("没有申请；用 shutong application file 提出", "No applications; file one with shutong application file")
    session.voice.table(("共享申请", "Applications"), heads, rows, none)


@click.command("show", help="一件申请：内容与经过 | one application: what is asked, and its history")
@click.argument("number", type=NUMBER)
@command
def show_command(session: Session, number: int) -> None:
    """Print an application with every step it took."""
    with open_deployment(session.settings) as wired:
        one, history = all_of(wired).one(number)
    if session.voice.as_json:
        session.voice.answer({"application": _told(one), "history": [asdict(event) for event in history]})
        return
    voice = session.voice
    voice.line(
        f"申请 {one.id}：{one.department} → {one.subject}（{one.provider or '数据主管部门'}），{STATES[one.state]}，"
        f"期限 {one.due or '-'}，授权 {one.grant or '-'}\n事项 {one.matter_code} {one.matter}，依据：{one.basis}",
        f"application {one.id}: {one.department} → {one.subject} ({one.provider or 'data authority'}), {one.state},"
        f" due {one.due or '-'}, grant {one.grant or '-'}\nmatter {one.matter_code} {one.matter}, basis: {one.basis}",
    )
    rows = [[name, text_of(value), text_of((one.granted or {}).get(name))] for name, value in one.asked.items()]
    voice.table(("内容", "Terms"), [("项目", "item"), ("申请", "asked"), ("授权", "granted")], rows)
    heads = [("时间", "at"), ("事项", "event"), ("状态", "state"), ("人员", "who"), ("说明", "why"), ("依据", "basis"),
             ("期限", "due")]  # fmt: skip
    voice.table(("经过", "History"), heads, [_line(session, event) for event in history])


@click.command("decide", help="决定：同意（可只同意一部分）或不予共享 | approve, wholly or in part, or refuse")
@click.argument("number", type=NUMBER)
@click.argument("decision", type=click.Choice(["approve", "refuse"]))
@BY
@WHY
@click.option("--basis", default="", help="不予共享的法律依据 | the legal basis of a refusal")
@command
@terms_options
def decide_command(  # noqa: PLR0917 - click names them
    session: Session, terms: Said, number: int, decision: str, by: str, why: str, basis: str
) -> None:
    """Decide; by the provider's lead, in mediation and ruling by the data authority."""
    with open_deployment(session.settings) as wired:
        every, who = all_of(wired), actor(wired, by)
        if decision == "refuse":
            if terms.anything:
                raise click.UsageError("不予共享时不写授权内容，同意一部分用 approve | a refusal has no terms")
            one = every.refuse(number, who, why, basis, now())
        else:
            part = terms.over(from_json(every.one(number)[0].asked)) if terms.anything else None
            one = every.approve(number, who, why, now(), part)
    tell(session, one)


@click.command("supply", help="补正 | answer what the provider asked for")
@click.argument("number", type=NUMBER)
@BY
@WHY
@command
@terms_options
def supply_command(session: Session, terms: Said, number: int, by: str, why: str) -> None:
    """Supply; the provider's clock goes on."""
    with open_deployment(session.settings) as wired:
        every = all_of(wired)
        new = terms.over(from_json(every.one(number)[0].asked)) if terms.anything else None
        one = every.supply(number, actor(wired, by), why, now(), new)
    tell(session, one)


@click.command("extension", help="延期：申请、同意、不同意 | more days: ask, grant, deny")
@click.argument("number", type=NUMBER)
@click.argument("act", type=click.Choice(["ask", "grant", "deny"]))
@BY
@WHY
@click.option("--days", type=click.IntRange(1, 250), default=5, show_default=True, help="工作日 | working days")
@command
def extension_command(session: Session, number: int, act: str, by: str, why: str, days: int) -> None:  # noqa: PLR0917
    """Ask for more working days, as the provider's lead; grant or deny them, as the data authority."""
    with open_deployment(session.settings) as wired:
        every, who = all_of(wired), actor(wired, by)
        if act == "ask":
            one = every.ask_extension(number, who, days, why, now())
        else:
            one = every.decide_extension(number, who, why, now(), grant=act == "grant")
    tell(session, one)


def _simple(name: str, says: str, does: str) -> click.Command:
    """A command of one step that needs a person and a reason."""

    @click.command(name, help=says)
    @click.argument("number", type=NUMBER)
    @BY
    @WHY
    @command
    def step(session: Session, number: int, by: str, why: str) -> None:
        with open_deployment(session.settings) as wired:
            act: Callable[[int, Actor, str, datetime], Application] = getattr(all_of(wired), does)
            one = act(number, actor(wired, by), why, now())
        tell(session, one)

    return step


supplement_command = _simple("supplement", "要求补正，时限暂停 | ask for more: the clock stops", "ask_supplement")
withdraw_command = _simple("withdraw", "撤回申请或争议 | take an application or a dispute back", "withdraw")
deliver_command = _simple("deliver", "已可使用 | say that what was approved can be asked for now", "deliver")
dispute_command = _simple("dispute", "提出争议，先协商 | disagree: consultation begins", "dispute")
refer_command = _simple("refer", "争议进入调解、裁定 | take a dispute to mediation, then to a ruling", "refer")


@click.command("sweep", help="处理逾期与到期；有 people.yaml 时自动进行 | what the clock asks for; alarms do it too")
@command
def sweep_command(session: Session) -> None:
    """Escalate what is overdue, let lapse what nobody supplied, say which grants end soon."""
    from sharing.application_sweep import sweep

    with open_deployment(session.settings) as wired:
        notices = sweep(all_of(wired), now())
    told = [{"kind": n.kind, "application": n.application.id, "level": n.level, "to": n.to} for n in notices]
    if session.voice.as_json:
        session.voice.answer({"notices": told})
        return
    heads = [("事项", "what"), ("申请", "application"), ("级别", "level"), ("告知", "told")]
    session.voice.table(("到期与逾期", "Due and overdue"), heads, [list(one.values()) for one in told])


def all_of(wired: Wired) -> Applications:
    """The applications of an open deployment."""
    from shutong.applying import applications_of

    return applications_of(wired.deployment, wired.state.engine)


def actor(wired: Wired, by: str) -> Actor:
    """Who acts."""
    return person(wired.deployment, by).actor


def tell(session: Session, one: Application) -> None:
    """Print how an application stands."""
    if session.voice.as_json:
        session.voice.answer({"application": _told(one)})
    session.voice.line(
        f"申请 {one.id}：{STATES[one.state]}，期限 {one.due or '-'}，授权 {one.grant or '-'}",
        f"application {one.id}: {one.state}, due {one.due or '-'}, grant {one.grant or '-'}",
    )


def _told(one: Application) -> dict[str, object]:
    return asdict(one) | {"overdue": one.overdue(now().date())}


def _line(session: Session, event: Event) -> list[object]:
    say = session.voice.say
    return [event.at[:16].replace("T", " "), say(EVENTS[event.event], event.event),
            say(STATES[event.state], event.state), event.who, event.why, event.basis, event.due]  # fmt: skip


def text_of(value: object) -> str:
    """A part of terms on one line."""
    if isinstance(value, dict):
        return "; ".join(f"{name}={','.join(values)}" for name, values in value.items())
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
