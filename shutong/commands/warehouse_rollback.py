"""Commands that take releases back: list what can be gone back to, say what would change, and do it."""

from __future__ import annotations

import click

from runs.rollback import look, releases, take_back
from shutong.printing import Voice
from shutong.session import Session, command
from shutong.watching import now, person
from shutong.wiring import Wired, new_run_id, open_deployment
from warehouse.rollback import Choice, Going
from warehouse.state import Release
from warehouse.state.rollbacks import Rollback, Rollbacks
from warehouse.state.state import UNDONE

KINDS = {
    "land": ("入库", "landing"),
    "merge": ("合并", "merge"),
    "compact": ("整理", "compaction"),
    "rollback": ("回退", "rollback"),
}


@click.command("releases", help="资源或基础库的历次发布 | the releases of a resource or a library")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@command
def releases_command(session: Session, name: str, limit: int) -> None:
    """List them, the newest first: what each was, how many rows there were, and whether it can be gone back to."""
    with open_deployment(session.settings) as wired:
        chosen = _named(wired, name)
        found = releases(wired.parts, chosen, limit)
        said = {one.release: one for one in Rollbacks(wired.state.engine).history(chosen, 10**6)}
    voice = session.voice
    if voice.as_json:
        voice.answer({"name": chosen, "releases": [_told(one, said.get(one.release.id)) for one in found]})
        return
    columns = [("发布", "release"), ("时间", "at"), ("内容", "what"), ("行数", "rows"), ("状态", "state")]
    rows = [
        [one.release.id, one.release.created_at[:16], _what(voice, one.release, said.get(one.release.id)),
         _rows(one), _state(voice, one)]
        for one in found
    ]  # fmt: skip
    voice.table((f"{chosen} 的发布", f"Releases of {chosen}"), columns, rows)


@click.command(
    "rollback", help="回退到以前的一次发布；缺省只说明会变什么 | go back to a release; by default only say what changes"
)
@click.argument("name")
@click.option("--to", "back_to", type=int, required=True, help="发布号 | the number of the release")
@click.option("--yes", is_flag=True, help="执行回退 | do it")
@click.option("--by", help="数据管理员（people.yaml 中的编号） | a data manager")
@click.option("--why", help="理由 | the reason")
@command
def rollback_command(session: Session, name: str, back_to: int, *, yes: bool, by: str | None, why: str | None) -> None:
    """Say what going back would change; with --yes, --by and --why, do it, and let what is served follow."""
    if yes and not (by and why):
        raise click.UsageError(
            "执行回退须写明由谁（--by）与为何（--why） | --yes needs --by and --why: who does it, and why"
        )
    with open_deployment(session.settings) as wired:
        chosen, library = _named(wired, name), None
        if by and why and yes:
            who = person(wired.deployment, by).actor
            done = take_back(wired.steps, wired.parts, chosen, back_to, who, why, now(), new_run_id())
            going, library = done.going, done.library
        else:
            going = look(wired.parts, chosen, back_to)
    if session.voice.as_json:
        session.voice.answer(_going(going, library))
    else:
        _say(session.voice, going, library, asked=yes)


def _named(wired: Wired, name: str) -> str:
    return name if name in wired.deployment.libraries else wired.deployment.resource(name).id


def _told(one: Choice, said: Rollback | None) -> dict[str, object]:
    release = one.release
    told = {"release": release.id, "at": release.created_at, "kind": release.kind, "run": release.run}
    told |= {"batch": release.batch, "rows": one.rows, "current": one.current, "gone": one.gone}
    return told | ({"back_to": said.back_to, "who": said.who, "why": said.why} if said else {})


def _what(voice: Voice, release: Release, said: Rollback | None) -> str:
    if said is not None:
        return voice.say(
            f"回退到 {said.back_to}（{said.who}：{said.why}）", f"back to {said.back_to} ({said.who}: {said.why})"
        )
    kind, _, by = release.kind.partition(UNDONE)
    zh, en = KINDS.get(kind, (kind, kind))
    return voice.say(f"{zh} {release.run}", f"{en} {release.run}") + (
        voice.say(f"，被 {by} 回退", f", taken back by {by}") if by else ""
    )


def _rows(one: Choice) -> str:
    return " + ".join(f"{rows:,}" for rows in one.rows.values() if rows is not None)


def _state(voice: Voice, one: Choice) -> str:
    if one.current:
        return voice.say("当前", "current")
    return voice.say("已清理", "forgotten") if one.gone else ""


def _going(going: Going, library: str | None) -> dict[str, object]:
    return {
        "name": going.target,
        "to": going.back_to.id,
        "changes": going.changes,
        "release": going.release,
        "tables": [
            {"table": one.table, "rows_now": one.rows_now, "rows_then": one.rows_then, "changes": one.now != one.then}
            for one in going.tables
        ],
        "taken_back": [{"release": one.id, "run": one.run, "batch": one.batch} for one in going.effects.undone],
        "brought_back": [{"release": one.id, "run": one.run, "batch": one.batch} for one in going.effects.restored],
        "library": library,
    }


def _say(voice: Voice, going: Going, library: str | None, *, asked: bool) -> None:
    number = going.back_to.id
    columns = [("表", "table"), ("现在", "now"), ("回退后", "then")]
    rows = [[one.table, f"{one.rows_now:,}", f"{one.rows_then:,}"] for one in going.tables]
    voice.table((f"{going.target} → 发布 {number}", f"{going.target} → release {number}"), columns, rows)
    for (zh, en), found in ((("回退", "taken back"), going.effects.undone), (("恢复", "back"), going.effects.restored)):
        for one in found if going.changes else ():
            kind = KINDS.get(one.kind.partition(UNDONE)[0], (one.kind, one.kind))
            voice.line(f"{zh}：{one.id} {kind[0]} {one.run}", f"{en}: {one.id} {kind[1]} {one.run}")
    if not going.changes:
        voice.line("现在就是这次发布的内容，没有变更", "That is what readers see already: nothing changes")
    elif not asked:
        voice.line("以上尚未执行；确认后加 --yes --by … --why …", "Nothing was done yet; add --yes --by … --why …")
    else:
        voice.line(f"已回退，新的发布为 {going.release}", f"Done; the new release is {going.release}")
    if library is not None:
        voice.line(f"基础库 {library} 已随之更新", f"The library {library} has followed")
