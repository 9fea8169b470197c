"""Commands for people: who there is, how they get in, who is logged in, and who is kept out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from shutong.layout import SetupError
from shutong.session import FAILED, Session, command
from shutong.wiring import Wired, open_deployment

if TYPE_CHECKING:
    from runs.alarms.people import Person
    from sharing.people import Account
    from sharing.people_door import PeopleDoor

Act = TypeVar("Act", bound=Callable[..., object])
ROLES = ("member", "caller", "analyst", "auditor", "approver", "lead", "data_manager")
OPERATOR = "operator"  # whoever has the machine
EVENTS = {
    "login": "登录", "logout": "退出", "refused": "登录被拒", "shut": "失败过多", "invited": "发出邀请",
    "password_set": "设置口令", "password_changed": "修改口令", "locked": "锁定",
    "unlocked": "解锁", "session_ended": "结束登录",
}  # fmt: skip


def entry_options(act: Act) -> Act:
    """What people.yaml says of a person."""
    for option in (
        click.option("--lang", type=click.Choice(("zh", "en")), help="消息语言 | language of messages"),
        click.option("--webhook", metavar="NAME", help="people.yaml 中的 webhook | a webhook of people.yaml"),
        click.option("--mail", metavar="ADDRESS"),
        click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="角色，可多次 | roles"),
        click.option("--as", "department", metavar="DEPARTMENT", help="所在部门 | the department"),
    ):
        act = option(act)
    return act


def by_options(act: Act) -> Act:
    """--by and --why."""
    for option in (
        click.option("--why", required=True, metavar="TEXT", help="理由 | the reason"),
        click.option("--by", default=OPERATOR, metavar="PERSON", help="办理人，缺省为本机管理员 | who does it"),
    ):
        act = option(act)
    return act


@click.command("add", help="登记人员（写入 people.yaml） | register a person in people.yaml")
@click.argument("person")
@click.option("--name", required=True, help="姓名 | the name")
@entry_options
@command
def add_command(  # noqa: PLR0917 - click names them
    session: Session, person: str, name: str, department: str | None, roles: tuple[str, ...], mail: str | None,
    webhook: str | None, lang: str | None,
) -> None:  # fmt: skip
    """Add a person to people.yaml."""
    with _door(session) as (wired, door):
        if door.people.find(person) is not None:
            raise SetupError(
                "SYS-PERSON-EXISTS",
                zh=f"people.yaml 中已有 {person}",
                en=f"{person} stands in people.yaml already",
                fix_zh=f"用 shutong person set {person} 修改",
                fix_en=f"Alter them with shutong person set {person}",
            )
        _write(session, wired, person, name, department, roles, mail, webhook, lang)


@click.command("set", help="修改人员的部门、角色等 | change department, roles and so on")
@click.argument("person")
@click.option("--name", help="姓名 | the name")
@entry_options
@command
def set_command(  # noqa: PLR0917 - click names them
    session: Session, person: str, name: str | None, department: str | None, roles: tuple[str, ...], mail: str | None,
    webhook: str | None, lang: str | None,
) -> None:  # fmt: skip
    """Change what people.yaml says of a person; their sessions end when department or roles do."""
    with _door(session) as (wired, door):
        _person(door, person)
        _write(session, wired, person, name, department, roles, mail, webhook, lang)


@click.command("list", help="列出人员与账号状态 | people, and how their accounts stand")
@command
def list_command(session: Session) -> None:
    """Print one line per person."""
    from shutong.watching import directory

    with _door(session) as (wired, door):
        everybody = directory(wired.deployment).people  # which says what is wrong with the file
        accounts, now = door.accounts.every(), datetime.now(UTC).timestamp()
        active = {one.person for one in door.sessions.of(None, now)}
    told = [_told(one, accounts.get(one.id), now) | {"logged_in": one.id in active} for one in everybody]
    if session.voice.as_json:
        session.voice.answer({"people": told})
        return
    heads = [("编号", "id"), ("姓名", "name"), ("部门", "department"), ("角色", "roles"), ("账号", "account"),
             ("已登录", "logged in")]  # fmt: skip
    states = {"locked": "已锁定", "password": "有口令", "invited": "已邀请", "none": "未设口令"}
    rows = [
        [one["id"], one["name"], one["department"], ", ".join(list(one["roles"])),  # type: ignore[call-overload]
         session.voice.say(states[str(one["account"])], str(one["account"])), "✓" if one["logged_in"] else ""]
        for one in told
    ]  # fmt: skip
    empty = ("还没有人员；用 shutong person add 登记", "Nobody yet; register people with shutong person add")
    session.voice.table(("人员", "People"), heads, rows, empty)


@click.command("invite", help="发出一次性邀请码，用以设置或重设口令 | a code, good once, to set a password")
@click.argument("person")
@click.option("--by", default=OPERATOR, metavar="PERSON", help="办理人，缺省为本机管理员 | who does it")
@command
def invite_command(session: Session, person: str, by: str) -> None:
    """Give out a code with which the person sets a password; the present one works until then."""
    with _door(session) as (_, door):
        code, until = door.invite(_person(door, person), _by(door, by))
    when = _instant(until)
    if session.voice.as_json:
        session.voice.answer({"person": person, "code": code, "until": when})
        return
    session.voice.line(
        f"{code}\n请当面或以其他途径交给本人，{when} 前有效，只能用一次，之后不再显示",
        f"{code}\nHand it over in person or on another way; it works once, until {when}, and is not shown again",
    )


@click.command("lock", help="锁定账号，登录立即结束 | lock an account; its sessions end at once")
@click.argument("person")
@by_options
@command
def lock_command(session: Session, person: str, by: str, why: str) -> None:
    """Lock an account; of somebody who no longer stands in people.yaml too."""
    with _door(session) as (_, door):
        ended = door.lock(person, _by(door, by), why)
    session.voice.answer({"person": person, "ended": ended}) if session.voice.as_json else session.voice.line(
        f"{person} 已锁定，结束了 {ended} 个登录", f"{person} is locked; {ended} sessions have ended"
    )


@click.command("unlock", help="解锁账号；--network 为网络地址 | unlock an account, or a network")
@click.argument("person", required=False)
@click.option("--network", metavar="ADDRESS", help="失败过多的网络地址 | a network with too many failures")
@by_options
@command
def unlock_command(session: Session, person: str | None, network: str | None, by: str, why: str) -> int:
    """Let an account be used again, or forget the failures of a network."""
    if (person is None) == (network is None):
        raise click.UsageError("PERSON | --network")
    with _door(session) as (_, door):
        who, done = _by(door, by), True
        if person is not None:
            door.unlock(_person(door, person).id, who, why)
        else:
            done = door.forgive(str(network), who, why)
    if session.voice.as_json:
        session.voice.answer({"unlocked": (person or network) if done else None})
    elif done:
        session.voice.line(f"{person or network} 已解锁", f"{person or network} is unlocked")
    else:
        session.voice.line("该地址没有失败记录", "there are no failures from there")
    return 0 if done else FAILED


@click.command("sessions", help="列出登录；--end 结束一个 | who is logged in; --end ends one")
@click.argument("person", required=False)
@click.option("--end", "number", type=int, help="登录编号 | number of the session")
@click.option("--by", default=OPERATOR, metavar="PERSON", help="办理人，缺省为本机管理员 | who does it")
@command
def sessions_command(session: Session, person: str | None, number: int | None, by: str) -> int:
    """Print one line per session, or end one."""
    with _door(session) as (_, door):
        ended = None if number is None else door.end(number, person, _by(door, by))
        listed = door.sessions.of(person, datetime.now(UTC).timestamp())
    told = [
        {"session": one.number, "person": one.person, "way": one.way, "address": one.address,
         "begun": _instant(one.begun), "seen": _instant(one.seen), "until": _instant(one.until)}
        for one in listed
    ]  # fmt: skip
    if session.voice.as_json:
        session.voice.answer({"ended": ended, "sessions": told})
    else:
        heads = [("编号", "number"), ("人员", "person"), ("方式", "way"), ("地址", "address"), ("开始", "begun"),
                 ("最近", "seen"), ("至", "until")]  # fmt: skip
        if ended is not None:
            session.voice.line(*(("登录已结束", "The session has ended") if ended else
                                 ("没有这个登录", "There is no such session")))  # fmt: skip
        empty = ("没有人登录", "Nobody is logged in")
        session.voice.table(("登录", "Sessions"), heads, [list(one.values()) for one in told], empty)
    return FAILED if ended is False else 0


@click.command("history", help="账号的经过：谁、何时、从何处 | what happened to accounts: who, when, from where")
@click.argument("person", required=False)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@command
def history_command(session: Session, person: str | None, limit: int) -> None:
    """Print what happened, the newest first."""
    from dataclasses import asdict

    with _door(session) as (_, door):
        events = door.accounts.events(person, limit)
    if session.voice.as_json:
        session.voice.answer({"events": [asdict(one) for one in events]})
        return
    heads = [
        ("时间", "at"),
        ("人员", "person"),
        ("事项", "event"),
        ("办理", "by"),
        ("地址", "address"),
        ("理由", "why"),
    ]
    rows = [
        [one.at[:19].replace("T", " "), one.person or "-", session.voice.say(EVENTS[one.event], one.event), one.who,
         one.address, one.why]
        for one in events
    ]  # fmt: skip
    session.voice.table(("账号的经过", "Accounts"), heads, rows, ("没有记录", "Nothing has happened yet"))


@contextmanager
def _door(session: Session) -> Iterator[tuple[Wired, PeopleDoor]]:
    from shutong.logging_in import door_of

    with open_deployment(session.settings) as wired:
        yield wired, door_of(wired.deployment, wired.state.engine)


def _person(door: PeopleDoor, name: str) -> Person:
    from runs.alarms.refusals import unknown_person

    found = door.people.find(name)
    if found is None:
        raise unknown_person(name, [one.id for one in door.people.all()])
    return found


def _by(door: PeopleDoor, name: str) -> str:
    """Who does it: whoever has the machine, or a person whose roles let them."""
    from sharing.roles import require

    if name != OPERATOR:
        require(_person(door, name).actor, "person.change", "")
    return name


def _write(  # noqa: PLR0917 - what the file says of a person
    session: Session, wired: Wired, person: str, name: str | None, department: str | None, roles: tuple[str, ...],
    mail: str | None, webhook: str | None, lang: str | None,
) -> None:  # fmt: skip
    from sharing.people_file import write_person

    said: dict[str, str | list[str]] = {
        key: value
        for key, value in (
            ("name", name), ("department", department), ("mail", mail), ("webhook", webhook), ("lang", lang),
        )
        if value is not None
    }  # fmt: skip
    if roles:
        said["roles"] = list(roles)
    path = wired.deployment.home / "people.yaml"
    made = write_person(path, person, said, [one.id for one in wired.deployment.departments])
    told = _told(made, None, 0.0)
    if session.voice.as_json:
        session.voice.answer({"person": told})
        return
    session.voice.line(
        f"{made.id}（{made.name}）：{made.department or '-'}，{', '.join(sorted(made.roles))}",
        f"{made.id} ({made.name}): {made.department or '-'}, {', '.join(sorted(made.roles))}",
    )


def _told(person: Person, account: Account | None, now: float) -> dict[str, object]:
    state = "none"
    if account is not None and account.locked is not None:
        state = "locked"
    elif account is not None and account.secret is not None:
        state = "password"
    elif account is not None and account.invited_until is not None and account.invited_until > now:
        state = "invited"
    return {"id": person.id, "name": person.name, "department": person.department, "roles": sorted(person.roles),
            "mail": person.mail, "account": state}  # fmt: skip


def _instant(seconds: float) -> str:
    from shutong.wiring import ZONE

    return datetime.fromtimestamp(seconds, ZONE).isoformat(timespec="seconds")
