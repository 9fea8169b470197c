"""Commands on what would fuse two firms or persons 待定项: list it, decide it, and say that a key became another."""

from __future__ import annotations

from dataclasses import asdict, replace

import click

from quality.orders_values import DATA_MANAGER
from runs.holds import no_right
from shutong.commands.library_reader import clear_option, reader_of
from shutong.deployment import Deployment
from shutong.session import FAILED, Session, command
from shutong.watching import person
from shutong.wiring import open_deployment
from warehouse.held import MOST, became, decide, held

_REASONS = {
    "contradiction": ("标识指向不同主体", "identifiers lead to different records"),
    "shared": ("标识被多个主体使用", "several records use the identifier"),
    "cycle": ("换码成环", "key changes form a cycle"),
    "split": ("一码换成多码", "one key became several"),
    "joined": ("多码换成一码", "several keys became one"),
}


def _manager(deployment: Deployment, by: str) -> str:
    """The id of a data manager; anybody else decides nothing about a library."""
    actor = person(deployment, by).actor
    if DATA_MANAGER not in actor.roles:
        raise no_right(actor)
    return actor.id


@click.command("held", help="会把两个主体并成一个、等待人工决定的 | what would fuse two records and waits")
@click.argument("library")
@click.option("--limit", type=click.IntRange(1, MOST), default=100, show_default=True)
@clear_option
@command
def held_command(session: Session, library: str, limit: int, *, clear: bool) -> None:
    """Print one line per thing that waits, personal data masked."""
    with open_deployment(session.settings) as wired:
        seen = reader_of(wired.deployment, library, clear=clear)
        found = [
            replace(one, candidates=tuple(map(seen.key, one.candidates)),
                    said={name: str(seen.value(name, value)) for name, value in one.said.items()})
            for one in held(wired.state, wired.tables, library, limit=limit)
        ]  # fmt: skip
    voice = session.voice
    if voice.as_json:
        voice.answer({"library": library, "held": [asdict(one) for one in found]})
        return
    if not found:
        voice.line("没有待定项", "Nothing waits for a decision")
        return
    heads = [
        ("编号", "id"),
        ("原因", "why"),
        ("候选主键", "keys"),
        ("资源", "resource"),
        ("收到的", "received"),
        ("行", "rows"),
    ]
    rows = [
        [one.id, voice.say(*_REASONS[one.reason]), " ".join(one.candidates), one.resource,
         " ".join(f"{name}={value}" for name, value in one.said.items()), one.rows]
        for one in found
    ]  # fmt: skip
    voice.table(("待定项", "Held"), heads, rows)


@click.command("decide", help="决定待定项属于哪个主键，或互不相干 | decide which key something held belongs to")
@click.argument("library")
@click.argument("number", metavar="ID")
@click.option("--key", help="属于这个主键 | it belongs to this key")
@click.option("--apart", is_flag=True, help="互不相干 | they have nothing to do with each other")
@click.option("--by", required=True, help="数据管理员（people.yaml 中的编号） | a data manager")
@click.option("--why", required=True, help="理由 | the reason")
@command
def decide_command(session: Session, library: str, number: str, key: str | None, apart: bool, by: str, why: str) -> int:  # noqa: FBT001, PLR0917 (click names them)
    """Record the decision; the next merge heeds it."""
    if (key is None) is not apart:
        message = "--key KEY | --apart"
        raise click.UsageError(message)
    with open_deployment(session.settings) as wired:
        who = _manager(wired.deployment, by)
        one = decide(wired.state, wired.tables, library, number, key, who=who, why=why)
    if session.voice.as_json:
        session.voice.answer({"library": library, "decided": one.id, "reason": one.reason, "apart": apart})
    session.voice.line(f"{number}：已决定，下次归并生效", f"{number}: decided; the next merge heeds it")
    return 0


@click.command("became", help="登记换码：旧主键变为新主键 | an old key became a new one")
@click.argument("library")
@click.argument("old")
@click.argument("new")
@click.option("--withdraw", is_flag=True, help="撤回这一登记 | withdraw that statement")
@click.option("--by", required=True, help="数据管理员 | a data manager")
@click.option("--why", required=True, help="理由 | the reason")
@command
def became_command(session: Session, library: str, old: str, new: str, withdraw: bool, by: str, why: str) -> int:  # noqa: FBT001, PLR0917 (click names them)
    """Record a change of key; history is told under either."""
    with open_deployment(session.settings) as wired:
        who = _manager(wired.deployment, by)
        applied = became(wired.state, library, old, new, who=who, why=why, withdrawn=withdraw)
    if session.voice.as_json:
        session.voice.answer({"library": library, "old": old, "new": new, "held": not applied})
    elif applied:
        session.voice.line("已登记，下次归并生效", "Recorded; the next merge heeds it")
    else:
        session.voice.line(
            f"会把两个主体并成一个，等待决定：shutong library held {library}",
            f"It would fuse two records and waits for a decision: shutong library held {library}",
        )
    return 0 if applied else FAILED
