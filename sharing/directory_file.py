"""Read the metadata files of the directory: what a deployment says goes before what ships with the standard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path

from schemas.errors import StandardError
from schemas.lines import Node, read
from sharing.directory_values import CYCLES, SHARE_NAMES, Core, Listed, Words

SHIPPED = Path(__file__).parent / "entries"
FORMATS = ("数据库", "电子文件", "电子表格", "图形图像", "流媒体", "自描述格式")
WAYS = ("共享平台方式", "邮件方式", "拷盘方式", "介质交换方式")
WAY_TYPES = ("接口", "库表", "文件")
_KEYS = (
    "standard", "resource", "class", "number", "abstract", "keywords", "format", "share", "open", "update",
    "published", "related",
)  # fmt: skip
_CLASS = r"[1-9]/[0-9]{2}/[0-9]{3}(/[0-9A-Za-z]+)?"


def core_of(listed: Listed, folder: Path, classes: Mapping[str, Words]) -> Core:
    """The metadata of one resource or library: `folder`/<department>/<resource>.yaml, key by key before what ships.

    Raises StandardError with file and line: STD-YAML-… for what is not written as it should be, STD-DIRECTORY-CLASS,
    STD-DIRECTORY-SHARE, STD-DIRECTORY-DATE.
    """
    own = folder / f"{listed.id.replace('.', '/')}.yaml"
    files = (own, SHIPPED / f"{listed.standard.name}.yaml")
    said = _Said([_read(path, path.stat().st_mtime_ns) for path in files if path.exists()])
    if not said.nodes:
        return Core(share=least_open(listed), where=str(own))
    share = said.node("share")
    kept = _share(listed, share)
    way = share.node("way") if share else None
    form, openness = said.node("format"), said.node("open")
    wanted = openness.flag("public", default=False) if openness else False
    if openness and wanted and kept == "3":
        openness.fail(
            "public",
            zh="不予共享的资源不能向社会开放",
            en="what is not shared cannot be open to the public",
            fix_zh="写 public: false，或更正共享类型",
            fix_en="Write public: false, or correct the share type",
            code="STD-DIRECTORY-SHARE",
        )
    classification, named = _class(said, classes)
    return Core(
        classification=classification,
        classes=named,
        number=said.number(),
        abstract=_words(said.node("abstract")),
        keywords=tuple(said.texts("keywords")),
        format_class=form.one_of("class", FORMATS) if form else "",
        format_type=form.text("type", default="") if form else "",
        share=kept,
        share_condition=_words(share.node("condition")) if share and kept != "1" else Words(),
        way_class=way.one_of("class", WAYS) if way else "",
        way_type=way.one_of("type", WAY_TYPES, default="") if way else "",
        public=wanted,
        open_condition=_words(openness.node("condition")) if openness else Words(),
        update=said.choice("update", tuple(CYCLES)),
        published=_day(said),
        related=tuple(said.texts("related")),
        where=said.at("number") or said.nodes[0].where,
    )


def read_classes(folder: Path) -> Mapping[str, Words]:
    """The names of classes by code (`1/02/000`): those that ship, and those of `folder`/classes.csv before them."""
    found: dict[str, Words] = {}
    for path in (SHIPPED / "classes.csv", folder / "classes.csv"):
        if path.exists():
            found |= _classes(path, path.stat().st_mtime_ns)
    return found


@lru_cache(maxsize=1024)
def _read(path: Path, _changed: int) -> Node:
    return read(path).only(*_KEYS)


@lru_cache(maxsize=8)
def _classes(path: Path, _changed: int) -> Mapping[str, Words]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["code"].strip(): Words(row["zh"].strip(), row["en"].strip()) for row in csv.DictReader(file)}


def least_open(listed: Listed) -> str:
    """The share type its items ask for: 不予 where none is shared, 有条件 where some are not free."""
    shares = {one.share for one in listed.items}
    return "3" if shares == {"3"} else "1" if shares <= {"1"} else "2"


class _Said:
    """A key's value in the first file that has the key."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    def first(self, key: str) -> Node | None:
        return next((one for one in self.nodes if one.has(key)), None)

    def node(self, key: str) -> Node | None:
        found = self.first(key)
        return found.node(key) if found else None

    def texts(self, key: str) -> list[str]:
        found = self.first(key)
        return found.texts(key) if found else []

    def choice(self, key: str, choices: Sequence[str]) -> str:
        found = self.first(key)
        return found.one_of(key, choices, default="") if found else ""

    def number(self) -> int | None:
        found = self.first("number")
        said = found.integer("number", default=None) if found else None
        if found and said is not None and not 1 <= said <= 999_999:  # noqa: PLR2004 - six digits
            found.fail(
                "number",
                zh=f"顺序号 {said} 不在 1 至 999999 之间",
                en=f"the number {said} is not between 1 and 999999",
                fix_zh="改用范围内的顺序号，或删去该行由系统编号",
                fix_en="Write one in that range, or leave it out to be given one",
            )
        return said

    def at(self, key: str) -> str:
        found = self.first(key)
        return found.at(key) if found else ""


def _words(node: Node | None) -> Words:
    return Words() if node is None else Words(node.only("zh", "en").text("zh"), node.text("en", default=""))


def _class(said: _Said, classes: Mapping[str, Words]) -> tuple[str, tuple[Words, ...]]:
    node = said.first("class")
    if node is None:
        return "", ()
    written = node.pattern("class", _CLASS, example='"1/02/000"')
    parts = written.split("/")
    steps = ["/".join(parts[:size]) for size in range(1, len(parts) + 1)]
    for step in steps:
        if step not in classes:
            node.fail(
                "class",
                zh=f"没有分类 {step}",
                en=f"there is no class {step}",
                fix_zh="在部署目录 directory/classes.csv 中登记（列 code,zh,en），或改用已有分类："
                + "、".join(sorted(one for one in classes if one.count("/") == len(parts) - 1)[:8]),
                fix_en="Register it in directory/classes.csv (columns code,zh,en), or use one there is",
                code="STD-DIRECTORY-CLASS",
            )
    return written, tuple(classes[step] for step in steps)


def _share(listed: Listed, node: Node | None) -> str:
    """The share type: never freer than the items it is made of, and with its condition where it has one."""
    asked = least_open(listed)
    written = asked if node is None else node.only("type", "condition", "way").one_of("type", tuple(SHARE_NAMES), asked)
    if node is None or node.file.parent == SHIPPED:
        return asked  # what ships speaks of the whole standard, of which a resource delivers a part
    if node.has("type") and written < asked:
        some = "、".join(one.name for one in listed.items if one.share > written)[:200]
        node.fail(
            "type",
            zh=f"“{SHARE_NAMES[written][0]}”比信息项宽：{some} 不是",
            en=f"'{SHARE_NAMES[written][1]}' is freer than its items: {some} are not",
            fix_zh=f"写 type: {asked}，或在标准中更正这些信息项的共享属性",
            fix_en=f"Write type: {asked}, or correct the share of those items in the standard",
            code="STD-DIRECTORY-SHARE",
        )
    if node.has("type") and written != "1" and node.node("condition") is None:
        node.fail(
            "type",
            zh="有条件共享须写明条件，不予共享须写明依据",
            en="what is shared on condition names the condition, what is not shared the legal basis",
            fix_zh="补上 condition: {zh: …, en: …}",
            fix_en="Add condition: {zh: …, en: …}",
            code="STD-DIRECTORY-SHARE",
        )
    return written


def _day(said: _Said) -> str:
    node = said.first("published")
    if node is None:
        return ""
    written = node.pattern("published", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", example="2026-01-01")
    try:
        date.fromisoformat(written)
    except ValueError:
        node.fail(
            "published",
            zh=f"没有 {written} 这一天",
            en=f"there is no day {written}",
            fix_zh="按 年-月-日 书写，例如 2026-01-01",
            fix_en="Write year-month-day, for example 2026-01-01",
            code="STD-DIRECTORY-DATE",
        )
    return written


def twice(first: Core, second: Core, code: str) -> StandardError:
    """Two entries that say they have the same code."""
    return StandardError(
        "STD-DIRECTORY-TWICE",
        zh=f"{second.where}：代码 {code} 已用于 {first.where}",
        en=f"{second.where}: the code {code} is taken by {first.where}",
        fix_zh="为其中一个改写 number，或删去由系统编号",
        fix_en="Change the number of one of them, or leave it out to be given one",
    )
