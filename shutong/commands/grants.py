"""Commands on grants 授权: which there are, and to suspend, resume, renew, extend or revoke those of the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from sharing.application_values import GRANT_STATES, Actor, GrantVersion
from sharing.grant_terms import from_json
from shutong.commands.application_terms import Said, terms_options
from shutong.commands.applications import BY, WHY, actor, all_of, tell, text_of
from shutong.session import Session, command
from shutong.watching import now
from shutong.wiring import Wired, open_deployment

if TYPE_CHECKING:
    from sharing.grant_acts import GrantActs

EVENTS = {
    "issued": "授予", "renewed": "续期", "widened": "争议后改定", "extended": "延长", "suspended": "暂停",
    "resumed": "恢复", "revoked": "撤销",
}  # fmt: skip


@click.command("list", help="列出授权：数据库的与 grants.yaml 的 | grants, of the database and of grants.yaml")
@click.option("--department", help="持有或提供部门 | of a department, either side")
@command
def list_command(session: Session, department: str | None) -> None:
    """Print one line per grant; `origin` says where it is changed."""
    with open_deployment(session.settings) as wired:
        found = [*_written(wired), *(_told(one) for one in acts_of(wired).find())]
    shown = [one for one in found if department in {None, one["department"], one["provider"]}]
    if session.voice.as_json:
        session.voice.answer({"grants": shown})
        return
    say = session.voice.say
    heads = [
        ("授权", "grant"), ("来源", "origin"), ("部门", "department"), ("应用", "client"), ("对象", "subject"),
        ("状态", "state"), ("到期", "until"), ("版本", "version"),
    ]  # fmt: skip
    rows = [
        [one["id"], one["origin"], one["department"], one["client"], one["subject"],
         say(GRANT_STATES[str(one["state"])], str(one["state"])), one["until"], one["version"]]
        for one in shown
    ]  # fmt: skip
    none = ("没有授权；由申请产生，或写入 grants.yaml", "No grants; they come of applications, or stand in grants.yaml")
    session.voice.table(("授权", "Grants"), heads, rows, none)


@click.command("show", help="一项授权的各版本：谁、何时、为何 | the versions of a grant: who, when, why")
@click.argument("grant")
@command
def show_command(session: Session, grant: str) -> None:
    """Print what a grant gives and how it came to that."""
    with open_deployment(session.settings) as wired:
        versions = acts_of(wired).one(grant)
    if session.voice.as_json:
        session.voice.answer({"grant": _told(versions[-1]), "versions": [asdict(one) for one in versions]})
        return
    terms = [[name, text_of(value)] for name, value in versions[-1].terms.items()]
    session.voice.table((f"授权 {grant}", f"Grant {grant}"), [("项目", "item"), ("内容", "terms")], terms)
    heads = [
        ("版本", "version"),
        ("时间", "at"),
        ("事项", "event"),
        ("状态", "state"),
        ("人员", "who"),
        ("说明", "why"),
    ]
    say = session.voice.say
    rows = [
        [one.version, one.at[:16].replace("T", " "), say(EVENTS[one.event], one.event),
         say(GRANT_STATES[one.state], one.state), one.who, one.why]
        for one in versions
    ]  # fmt: skip
    session.voice.table(("经过", "History"), heads, rows)


def _simple(name: str, says: str) -> click.Command:
    """A command of one step that needs a person and a reason."""

    @click.command(name, help=says)
    @click.argument("grant")
    @BY
    @WHY
    @command
    def step(session: Session, grant: str, by: str, why: str) -> None:
        with open_deployment(session.settings) as wired:
            act: Callable[[str, Actor, str, datetime], GrantVersion] = getattr(acts_of(wired), name)
            _done(session, act(grant, actor(wired, by), why, now()))

    return step


suspend_command = _simple("suspend", "暂停，下一次调用起生效 | let a grant rest, from the next call on")
resume_command = _simple("resume", "恢复 | let a suspended grant count again")
revoke_command = _simple("revoke", "撤销，下一次调用起生效 | end a grant for good, from the next call on")


@click.command("extend", help="由提供部门延长有效期 | let a grant last longer, as its provider")
@click.argument("grant")
@BY
@WHY
@click.option("--until", required=True, help="有效期至，如 2027-12-31 | the new last day")
@command
def extend_command(session: Session, grant: str, by: str, why: str, until: str) -> None:
    """Extend; by the provider's lead or the data authority."""
    with open_deployment(session.settings) as wired:
        _done(session, acts_of(wired).extend(grant, actor(wired, by), until, why, now()))


@click.command("renew", help="到期前申请续期 | apply for a grant to go on")
@click.argument("grant")
@BY
@command
@terms_options
def renew_command(session: Session, terms: Said, grant: str, by: str) -> None:
    """File the renewal: the same purpose and terms but for what is said here, at least --until."""
    with open_deployment(session.settings) as wired:
        every, last = all_of(wired), acts_of(wired).one(grant)[-1]
        purpose = every.one(last.application)[0].purpose
        asked = terms.over(from_json(last.terms))
        one = every.file(actor(wired, by), last.subject, asked, purpose, now(), renews=grant)
    tell(session, one)


def acts_of(wired: Wired) -> GrantActs:
    """What can be done to the grants of an open deployment."""
    from sharing.grant_acts import GrantActs

    return GrantActs(all_of(wired))


def _written(wired: Wired) -> list[Mapping[str, object]]:
    from sharing.grant_file import read

    path = wired.deployment.home / "grants.yaml"
    if not path.exists():
        return []
    standards = {one.id: one.standard for one in wired.deployment.resources}
    return [
        {
            "id": one.id, "origin": "file", "department": one.department, "client": None, "subject": one.subject,
            "provider": "", "state": "active", "until": one.until, "version": None,
        }
        for one, _ in read(path, wired.deployment.libraries, standards)
    ]  # fmt: skip


def _told(one: GrantVersion) -> Mapping[str, object]:
    return asdict(one) | {"origin": "database", "until": one.terms["until"]}


def _done(session: Session, one: GrantVersion) -> None:
    if session.voice.as_json:
        session.voice.answer({"grant": _told(one)})
    session.voice.line(
        f"授权 {one.id}：{GRANT_STATES[one.state]}，有效期至 {one.terms['until']}（第 {one.version} 版）",
        f"grant {one.id}: {one.state}, until {one.terms['until']} (version {one.version})",
    )
