"""Commands on alarms: what lasts and what was sent, silence it, try a message, look once or every minute."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import click
import sqlalchemy as sa

from quality.orders_values import DATA_MANAGER, Actor
from runs.alarms.messages import NAMES, tried
from runs.alarms.people import KINDS
from runs.alarms.refusals import no_silence
from runs.alarms.store import Alarms
from runs.alarms.values import Message, written
from runs.alarms.watch import Round, look
from runs.errors import RunError, unknown_resource
from schemas.errors import ShutongError
from shutong.commands.orders import NUMBER, read_day
from shutong.session import FAILED, Session, command
from shutong.watching import directory, now, person, senders, watching
from shutong.wiring import ZONE, Wired, open_deployment

_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_DAY = len("2026-12-31")
_STATES = {"waiting": "待发", "sent": "已发", "refused": "被拒收", "dropped": "无收件人"}


@click.command("list", help="当前告警、静默与未送达的消息 | alarms that last, silences, messages not delivered")
@click.option(
    "--history",
    type=click.IntRange(0, 10**6),
    default=0,
    help="最近 N 条消息与静默 | also the newest N messages and silences",
)
@command
def list_command(session: Session, history: int) -> None:
    """Print what lasts, what is silenced, and which messages wait or were refused."""
    with open_deployment(session.settings) as wired:
        alarms = Alarms(wired.state.engine)
        lasting, silences = alarms.lasting(), alarms.silences(now())
        silences = alarms.silenced(history) if history else silences
        messages = alarms.messages(history) if history else alarms.messages(states=("waiting", "refused"))
    voice = session.voice
    if voice.as_json:
        told = [{**asdict(one.condition), "id": one.id, "opened_at": one.opened_at} for one in lasting]
        shown = [{k: v for k, v in asdict(one).items() if k != "body"} for one in messages]
        voice.answer({"alarms": told, "silences": [asdict(one) for one in silences], "messages": shown})
        return
    zh = voice.lang == "zh"
    voice.table(
        ("当前告警", "Alarms"),
        [("告警", "alarm"), ("资源", "resource"), ("自", "since"), ("情况", "what"), ("下一步", "next")],
        [
            [
                NAMES[one.condition.kind][0 if zh else 1],
                one.condition.resource,
                _short(one.condition.since),
                one.condition.what_zh if zh else one.condition.what_en,
                one.condition.next_zh if zh else one.condition.next_en,
            ]
            for one in lasting
        ],
    )
    if silences:
        voice.table(
            ("静默", "Silences"),
            [
                ("编号", "id"),
                ("告警", "alarm"),
                ("资源", "resource"),
                ("人员", "person"),
                ("至", "until"),
                ("由", "by"),
                ("提前结束", "lifted"),
            ],
            [
                [
                    *(one.id, one.kind, one.resource, one.person, _short(one.until), one.who),
                    f"{_short(one.lifted_at)} {one.lifted_by or ''}" if one.lifted_at else "",
                ]
                for one in silences
            ],
        )
    if messages:
        voice.table(
            ("消息", "Messages"),
            [("人员", "person"), ("渠道", "channel"), ("状态", "state"), ("次数", "tries"), ("错误", "error"),
             ("主题", "subject")],
            [[one.person, one.channel, _STATES[one.state] if zh else one.state, one.attempts, one.error, one.subject]
             for one in messages],
        )  # fmt: skip


@click.command("silence", help="静默：按告警、资源、人员，至某时 | no messages of a kind, resource or person")
@click.option("--until", "until", help="至：4h、2026-12-31 或 2026-12-31T08:00 | for how long, or until when")
@click.option("--kind", type=click.Choice(KINDS), help="告警，缺省全部 | of a kind; without it all")
@click.option("--resource", help="资源，可用 scjg.* | of a resource, or a pattern such as scjg.*")
@click.option("--person", "who", help="人员 | for one person")
@click.option("--by", "by", default="", help="办理人 | who does this")
@click.option("--why", default="", help="理由 | the reason")
@click.option("--lift", type=NUMBER, help="提前结束静默（编号） | end a silence, by its number")
@command
def silence_command(  # noqa: PLR0917 - one per option
    session: Session,
    until: str | None,
    kind: str | None,
    resource: str | None,
    who: str | None,
    by: str,
    why: str,
    lift: int | None,
) -> int:
    """Silence, or lift a silence: who does so is noted."""
    at = now()
    with open_deployment(session.settings) as wired:
        alarms = Alarms(wired.state.engine)
        if lift is not None:
            actor = person(wired.deployment, by).actor
            for one in alarms.silences(at):
                if one.id == lift:
                    _may_silence(actor, one.person, one.resource)
            lifted = alarms.lift(lift, at, actor.id)
            if session.voice.as_json:
                session.voice.answer({"lifted": lifted})
            said = ("已结束静默", "The silence is over") if lifted else ("没有这条静默", "There is no such silence")
            session.voice.line(*said)
            return 0 if lifted else FAILED
        actor = person(wired.deployment, by).actor
        about = None if who is None else person(wired.deployment, who).id
        ends = read_until(until or "", at)
        _there_is(wired, resource)
        _may_silence(actor, about, resource)
        made = alarms.silence(ends, actor.id, why, at, kind=kind, resource=resource, person=about)
    if session.voice.as_json:
        session.voice.answer({"silence": asdict(made)})
    session.voice.line(f"静默 {made.id} 至 {_short(made.until)}", f"silence {made.id} until {_short(made.until)}")
    return 0


def _there_is(wired: Wired, pattern: str | None) -> None:
    """Refuse a silence of what there is not."""
    there = wired.deployment.resources
    every = {one.id for one in there} | {one.standard.library for one in there if one.standard.library}
    if pattern is not None and not any(fnmatchcase(one, pattern) for one in every):
        raise unknown_resource(pattern, sorted(every))


def _may_silence(by: Actor, about: str | None, pattern: str | None) -> None:
    """Refuse to silence, or to end a silence of, what is not theirs."""
    own = bool(by.department) and (pattern or "").startswith(f"{by.department}.")
    if DATA_MANAGER not in by.roles and about != by.id and not own:
        raise no_silence(by)


@click.command("test", help="向人员发送测试消息 | send a test message")
@click.argument("people", nargs=-1)
@command
def test_command(session: Session, people: tuple[str, ...]) -> int:
    """Send a test message to the named people, or to all, over each of their channels, at once."""
    with open_deployment(session.settings) as wired:
        everybody = directory(wired.deployment)
        chosen = [person(wired.deployment, name) for name in people] or list(everybody.people)
    told: list[dict[str, object]] = []
    with senders(session.settings, everybody) as channels:
        for one in chosen:
            words = tried(one.lang)
            for channel in one.channels:
                at = written(now())
                name = f"test-{one.id}-{at}".replace(":", "").replace("+", "-")
                message = Message(
                    0, 0, one.id, channel, "test", 0, words.subject, words.body, name, at, "waiting", 0, at, None, None
                )
                error: ShutongError | None = None
                try:
                    if channel not in channels:
                        raise _no_mail()
                    channels[channel].send(message, one)
                except ShutongError as why:
                    error = why
                told.append({"person": one.id, "channel": channel, "ok": error is None,
                             "error": error.as_dict() if error else None})  # fmt: skip
                if error is not None and not session.voice.as_json:
                    session.voice.error(error)
    good = all(one["ok"] for one in told) and bool(told)
    if session.voice.as_json:
        session.voice.answer({"ok": good, "sent": told})
    else:
        heads = [("人员", "person"), ("渠道", "channel"), ("", "")]
        rows = [[one["person"], one["channel"], "✓" if one["ok"] else "✗"] for one in told]
        session.voice.table(("测试消息", "Test messages"), heads, rows)
    return 0 if good else FAILED


@click.command("run", help="检查一次并发送消息；--every 为反复检查 | look once and send; --every goes on")
@click.option("--every", type=click.IntRange(1, 86400), help="间隔秒数 | seconds between looks, until stopped")
@command
def run_command(session: Session, every: int | None) -> None:
    """Look at runs and orders, open and end alarms, send what waits."""
    if every is None:
        with open_deployment(session.settings) as wired, watching(wired) as watch:
            _say(session, look(watch, now))
        return
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            _look_on(session, every, stop)
        except ShutongError as error:
            session.voice.error(error)  # a slip in a file, a database that is away: the next round may be better
            stop.wait(every)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            session.voice.line(f"{now():%F %T} {type(error).__name__}", f"{now():%F %T} {type(error).__name__}")
            stop.wait(every)


def _look_on(session: Session, every: int, stop: threading.Event) -> None:
    """Look again and again, as long as the deployment's files are what they were."""
    home = session.settings.home
    files = _files(home)
    with open_deployment(session.settings) as wired, watching(wired) as watch:
        while not stop.is_set() and _files(home) == files:
            done = look(watch, now)
            if done.messages:
                _say(session, done)
            stop.wait(every)


def _files(home: Path) -> Mapping[str, int]:
    names = [*home.glob("*.yaml"), home / "calendar.csv", *(home / "resources").glob("*/*.yaml")]
    return {str(path): path.stat().st_mtime_ns for path in names if path.exists()}


def _say(session: Session, done: Round) -> None:
    if session.voice.as_json:
        session.voice.answer({"conditions": [asdict(one) for one in done.conditions], "messages": done.messages})
        return
    count, sent = len(done.conditions), done.messages.get("sent", 0)
    left = sum(done.messages.values()) - sent
    session.voice.line(
        f"{now():%F %T} 当前 {count} 项告警，发送 {sent} 条消息，{left} 条未送达",
        f"{now():%F %T} {count} alarms, {sent} messages sent, {left} not delivered",
    )


def read_until(text: str, at: datetime) -> datetime:
    """An instant to come as people write it: a length (4h), a day (its end) or a time of day in Asia/Shanghai."""
    if span := _SPAN.fullmatch(text):
        return at + timedelta(**{_UNITS[span[2]]: int(span[1])})
    if len(text) > _DAY:
        try:
            said = datetime.fromisoformat(text)
        except ValueError:
            said = None
        if said is not None:
            return said if said.tzinfo else said.replace(tzinfo=ZONE)
    day = read_day(text)
    return datetime.combine(min(day, date.max - timedelta(days=1)) + timedelta(days=1), time(), tzinfo=ZONE)


def _no_mail() -> RunError:
    return RunError(
        "RUN-ALARM-NO-MAIL",
        zh="没有设置邮件服务器",
        en="no mail server is set",
        fix_zh="设置 SHUTONG_SMTP_HOST 等，见 README 的设置表",
        fix_en="Set SHUTONG_SMTP_HOST and the others; the README lists them",
    )


def _short(when: str) -> str:
    return when[:16].replace("T", " ")
