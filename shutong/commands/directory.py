"""Commands on the directory 目录: what there is, where something is to be found, all about one entry, and exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from shutong.commands.applications import BY, WHY, actor
from shutong.session import Session, command
from shutong.watching import now
from shutong.wiring import Wired, open_deployment

if TYPE_CHECKING:
    from sharing.directory import Directory
    from sharing.directory_export import Format
    from sharing.directory_history import Version
    from sharing.directory_search import Hit

DEPARTMENT = click.option("--department", help="提供部门 | the provider")
SHARE = click.option("--share", type=click.Choice(["1", "2", "3"]), help="1 无条件 2 有条件 3 不予 | share type")
THEME = click.option("--theme", help="分类代码或名称，如 1/02 | a class, by code or name")


@click.command("list", help="列出全部条目 | every entry")
@DEPARTMENT
@SHARE
@THEME
@command
def list_command(session: Session, department: str | None, share: str | None, theme: str | None) -> None:
    """Print one line per resource and library."""
    _search(session, "", department, share, theme)


@click.command("search", help="按词语、拼音、首字母、字段名或代码查找 | by words, pinyin, initials, fields or code")
@click.argument("words", nargs=-1, required=True)
@DEPARTMENT
@SHARE
@THEME
@command
def search_command(
    session: Session, words: tuple[str, ...], department: str | None, share: str | None, theme: str | None
) -> None:
    """Print what has every word, the best first."""
    _search(session, " ".join(words), department, share, theme)


@click.command("show", help="一个条目：核心元数据、信息项与实测情况 | one entry: metadata, items, what is measured")
@click.argument("name")
@command
def show_command(session: Session, name: str) -> None:
    """Print an entry by id, library or code."""
    with open_deployment(session.settings) as wired:
        found = directory_of(wired).shown(name)
    if session.voice.as_json:
        session.voice.answer(found)
        return
    say = session.voice.say
    title = cast("Mapping[str, str]", found["title"])
    lines = [[key, _plain(value, say("zh", "en"))] for key, value in found.items() if key not in {"items", "title"}]
    session.voice.table((title["zh"], title["en"]), [("元数据", "element"), ("内容", "says")], lines)
    heads = [("信息项", "item"), ("名称", "name"), ("类型", "type"), ("长度", "length"), ("共享", "share")]
    items = cast("list[Mapping[str, object]]", found["items"])
    rows = [[one["name"], one[say("zh", "en")], one["type"], one["length"], one["share"]] for one in items]
    session.voice.table(("信息项", "Items"), heads, rows)


@click.command("sample", help="样例：依标准虚构的几行 | a few rows made up from the standard")
@click.argument("name")
@click.option("--rows", type=click.IntRange(1, 100), default=5, show_default=True, help="行数 | rows")
@command
def sample_command(session: Session, name: str, rows: int) -> None:
    """Print made-up records, the same for the same entry, of which no real record has a part."""
    from sharing.directory_sample import sample

    with open_deployment(session.settings) as wired:
        entry = directory_of(wired).entry(name)
    found = sample(entry, rows)
    if session.voice.as_json:
        session.voice.answer({"synthetic": True, "records": found})
        return
    zh = {item.name: item.zh for item in entry.items}
    heads = [(zh[field], field) for field in found[0]] if found else []
    title = (f"{entry.listed.title.zh}：虚构样例", f"{entry.listed.title.en}: a made-up sample")
    session.voice.table(title, heads, [list(one.values()) for one in found])


@click.command(
    "export", help="导出目录（按后缀：json、csv、xlsx、jsonld、ttl） | write the directory, in the format of the suffix"
)
@click.argument("to", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--base", help="DCAT 标识的开头，如 https://data.example.gov.cn/ | what ids in DCAT begin with")
@command
def export_command(session: Session, to: Path, base: str | None) -> None:
    """Write every entry with its core metadata."""
    from sharing.dcat import BASE
    from sharing.directory_export import MEDIA, export

    form = to.suffix.removeprefix(".").lower()
    if form not in MEDIA:
        raise click.BadParameter(f"{to}: {', '.join(f'.{one}' for one in MEDIA)}", param_hint="TO")
    with open_deployment(session.settings) as wired:
        every = directory_of(wired)
        to.write_bytes(export(every, cast("Format", form), base or BASE))
    if session.voice.as_json:
        session.voice.answer({"file": str(to), "entries": len(every.entries)})
    session.voice.line(f"已导出 {len(every.entries)} 个条目：{to}", f"{len(every.entries)} entries: {to}")


@click.command("keep", help="登记目录的变更：何人、何时、为何 | keep what changed: who, when and why")
@BY
@WHY
@command
def keep_command(session: Session, by: str, why: str) -> None:
    """Keep another version of every entry that changed since it was kept last; its code stays its own from then on."""
    from sharing.directory_history import DirectoryHistory

    with open_deployment(session.settings) as wired:
        every, history = directory_of(wired), DirectoryHistory(wired.state.engine)
        made = history.keep(every, actor(wired, by), why, now())
    _tell_versions(session, made)


@click.command("history", help="目录的历次变更与差异 | what changed in the directory, and who changed it")
@click.argument("name", required=False)
@command
def history_command(session: Session, name: str | None) -> None:
    """Print the versions of one entry, by id, library or code, or of all."""
    from sharing.directory_history import DirectoryHistory

    with open_deployment(session.settings) as wired:
        found = DirectoryHistory(wired.state.engine).of(name)
    _tell_versions(session, found)


def _tell_versions(session: Session, versions: Sequence[Version]) -> None:
    if session.voice.as_json:
        session.voice.answer({"versions": [asdict(one) for one in versions]})
        return
    if not versions:
        session.voice.line("没有变更", "nothing changed")
        return
    language = session.voice.say("zh", "en")
    heads = [
        ("时间", "at"), ("编号", "id"), ("版本", "version"), ("代码", "code"), ("人员", "who"), ("说明", "why"),
        ("变更", "changes"),
    ]  # fmt: skip
    rows = [
        [one.at[:16], one.entry, one.version, one.code, one.who, one.why, _said(session, one, language)]
        for one in versions
    ]
    session.voice.table(("目录变更", "Changes of the directory"), heads, rows)


def _said(session: Session, one: Version, language: str) -> str:
    if one.gone:
        return session.voice.say("撤出", "taken out")
    if one.version == 1:
        return session.voice.say("登记", "entered")
    told = (f"{each.element}: {_plain(each.before, language)} → {_plain(each.after, language)}" for each in one.changes)
    return "; ".join(told)


def directory_of(wired: Wired) -> Directory:
    """The directory of an open deployment."""
    from sharing.directory_usage import used_in
    from sharing.ledger import Ledger
    from shutong.api import stores
    from shutong.listing import listing

    ledger = Ledger(wired.deployment.home / "meter")

    def usage(day: str) -> Mapping[str, tuple[int, int]]:
        return used_in(ledger.records(day))

    return listing(wired.deployment, wired.state.engine, stores(wired.deployment), usage)


def _search(session: Session, query: str, department: str | None, share: str | None, theme: str | None) -> None:
    from sharing.directory_search import Only, told

    with open_deployment(session.settings) as wired:
        hits = directory_of(wired).index.find(query, Only(department, share, theme))
    if session.voice.as_json:
        session.voice.answer({"entries": [told(hit) for hit in hits]})
    elif not hits:
        session.voice.line("没有这样的条目", "there is no such entry")
    else:
        _tell(session, hits)


def _tell(session: Session, hits: list[Hit]) -> None:
    from sharing.directory_values import CYCLES, SHARE_NAMES

    say = session.voice.say
    nothing = ("", "")
    heads = [
        ("代码", "code"), ("编号", "id"), ("名称", "title"), ("提供方", "provider"), ("共享", "sharing"),
        ("更新", "updated"), ("信息项", "items"), ("其中", "found in"),
    ]  # fmt: skip
    rows = [
        [
            one.entry.code, one.entry.id, say(one.entry.listed.title.zh, one.entry.listed.title.en),
            say(one.entry.provider.name.zh, one.entry.provider.name.en),
            say(*SHARE_NAMES.get(one.entry.core.share, nothing)), say(*CYCLES.get(one.entry.core.update, nothing)),
            len(one.entry.items), ", ".join(one.items[:3]),
        ]
        for one in hits
    ]  # fmt: skip
    session.voice.table(("数据目录", "Directory"), heads, rows)


def _plain(value: object, language: str) -> str:
    """A value of the entry on one line, in the language spoken where it has several."""
    if isinstance(value, Mapping):
        if {"zh", "en"} <= value.keys():
            return str(value[language] or value["zh"])
        said = ((key, _plain(one, language)) for key, one in value.items())
        return "; ".join(f"{key} {text}" for key, text in said if text)
    if isinstance(value, list):
        return " / ".join(_plain(one, language) for one in value)
    return "" if value is None else str(value)
