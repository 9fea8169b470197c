"""Read a YAML file people write, so that every value knows its file and line and every mistake says what to write.

Scalars are taken as written: `01` stays "01", `no` stays "no", a date stays text; a caller asks for a number or a flag
when it wants one. Duplicate keys, anchors and tags are refused: each hides from a reader what a file says.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum
from pathlib import Path
from typing import Final, NoReturn, TypeVar, overload

from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as Raw

from schemas.errors import StandardError
from schemas.syntax import compose, composed, nearest, where
from schemas.values import Json

_INTEGER = re.compile(r"[+-]?[0-9]+")
_CANONICAL_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_OPENS = ("{", "[", '"', "'")  # of a value that is more than a plain word
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})

T = TypeVar("T")


class Missing(Enum):
    """The mark of a required value: no default was given."""

    REQUIRED = 0


REQUIRED: Final = Missing.REQUIRED


def read(path: Path, text: str | None = None) -> Node:
    """The mapping a YAML file holds, or would hold if `text` stood in it.

    Raises StandardError: STD-FILE (missing, not UTF-8), STD-YAML-SYNTAX with line and column, STD-YAML-DUPLICATE,
    STD-YAML-TAG, STD-YAML-ANCHOR, STD-YAML-TYPE when the file is empty or not a mapping.
    """
    raw = compose(path) if text is None else composed(path, text)
    if not isinstance(raw, MappingNode):
        found_zh, found_en = _kind(raw)
        raise StandardError(
            "STD-YAML-TYPE",
            zh=f"{path}:1：文件内容应为“键: 值”，实际是{found_zh}",
            en=f"{path}:1: the file should hold 'key: value' lines, but it is {found_en}",
            fix_zh="第一行写成“键: 值”，例如 standard: legal_person",
            fix_en="Start with 'key: value', for example standard: legal_person",
        )
    return Node(path, raw)


def value(text: str, where: Path) -> Json:
    """The value a file would hold where `text` stands behind a key; `where` names it in errors (see `read`)."""
    if text[:1] in _OPENS:
        raw = composed(where, text)
        return None if raw is None else _json(raw)
    return _resolved(ScalarNode("tag:yaml.org,2002:str", text))


class Node:
    """A mapping of a YAML file, with its file and line.

    Asking for a value of the wrong kind raises StandardError that names file and line, says what was found and shows
    what to write. A key written without a value (or with null) counts as absent. Called without a default, a method
    that returns one value raises STD-YAML-MISSING when the key is absent.
    """

    __slots__ = ("_entries", "_file", "_raw")

    def __init__(self, file: Path, raw: MappingNode) -> None:
        self._file, self._raw = file, raw
        self._entries: dict[str, tuple[Raw, Raw]] = {str(key.value): (key, value) for key, value in raw.value}

    @property
    def file(self) -> Path:
        """The file this mapping stands in."""
        return self._file

    @property
    def where(self) -> str:
        """`file:line` of the mapping."""
        return where(self._file, self._raw)

    def at(self, key: str) -> str:
        """`file:line` of a key, or of the mapping when it does not have the key."""
        return where(self._file, self._entries[key][0]) if key in self._entries else self.where

    def keys(self) -> list[str]:
        """The keys as written, in the file's order."""
        return list(self._entries)

    def has(self, key: str) -> bool:
        """True when the key is written, even without a value."""
        return key in self._entries

    def only(self, *allowed: str) -> Node:
        """The mapping itself, once every key is known to be one of `allowed`; STD-YAML-KEY otherwise."""
        for key in self._entries:
            if key not in allowed:
                near = nearest(key, allowed)
                raise StandardError(
                    "STD-YAML-KEY",
                    zh=f"{self.at(key)}：不认识的键“{key}”",
                    en=f"{self.at(key)}: unknown key '{key}'",
                    fix_zh=(f"是否应写“{near}”？" if near else "请删除或改名；") + f"可用的键：{'、'.join(allowed)}",
                    fix_en=(f"Did you mean '{near}'? " if near else "Remove or rename it. ")
                    + f"Allowed: {', '.join(allowed)}",
                )
        return self

    @overload
    def text(self, key: str) -> str: ...
    @overload
    def text(self, key: str, default: str) -> str: ...
    @overload
    def text(self, key: str, default: None) -> str | None: ...
    def text(self, key: str, default: str | Missing | None = REQUIRED) -> str | None:
        """The value exactly as written (quotes removed)."""
        value = self._value(key)
        if value is None or (not value.value and default is REQUIRED):
            return self._default(key, default, f"{key}: 文字")
        return self._scalar(key, value, ("一段文字", "text"), f"{key}: 文字")

    @overload
    def integer(self, key: str) -> int: ...
    @overload
    def integer(self, key: str, default: int) -> int: ...
    @overload
    def integer(self, key: str, default: None) -> int | None: ...
    def integer(self, key: str, default: int | Missing | None = REQUIRED) -> int | None:
        """The value as a whole number."""
        value = self._value(key)
        if value is None:
            return self._default(key, default, f"{key}: 18")
        written = self._scalar(key, value, ("整数", "a whole number"), f"{key}: 18")
        if not _INTEGER.fullmatch(written):
            self._wrong(key, value, ("整数", "a whole number"), f"{key}: 18")
        return int(written)

    @overload
    def number(self, key: str) -> float: ...
    @overload
    def number(self, key: str, default: float) -> float: ...
    @overload
    def number(self, key: str, default: None) -> float | None: ...
    def number(self, key: str, default: float | Missing | None = REQUIRED) -> float | None:
        """The value as a number."""
        value = self._value(key)
        if value is None:
            return self._default(key, default, f"{key}: 5.0")
        written = self._scalar(key, value, ("数字", "a number"), f"{key}: 5.0")
        if not _NUMBER.fullmatch(written):
            self._wrong(key, value, ("数字", "a number"), f"{key}: 5.0")
        return float(written)

    @overload
    def flag(self, key: str) -> bool: ...
    @overload
    def flag(self, key: str, default: bool) -> bool: ...  # noqa: FBT001 — the default of a flag is a flag
    def flag(self, key: str, default: bool | Missing = REQUIRED) -> bool:  # noqa: FBT001 — as above
        """The value as true or false; `yes`, `on`, `1` are refused because readers disagree on them."""
        value = self._value(key)
        if value is None:
            return self._default(key, default, f"{key}: true")
        written = self._scalar(key, value, ("true 或 false", "true or false"), f"{key}: true")
        if written.lower() not in {"true", "false"}:
            self._wrong(key, value, ("true 或 false", "true or false"), f"{key}: true")
        return written.lower() == "true"

    def texts(self, key: str) -> list[str]:
        """The value as a list of text; a single text counts as a list of one, an absent key as an empty list."""
        value, example = self._value(key), f"{key}: [甲, 乙]"
        if value is None:
            return []
        items = value.value if isinstance(value, SequenceNode) else [value]
        return [self._scalar(key, item, ("文字列表", "a list of text"), example) for item in items]

    @overload
    def one_of(self, key: str, choices: Collection[str]) -> str: ...
    @overload
    def one_of(self, key: str, choices: Collection[str], default: str) -> str: ...
    @overload
    def one_of(self, key: str, choices: Collection[str], default: None) -> str | None: ...
    def one_of(self, key: str, choices: Collection[str], default: str | Missing | None = REQUIRED) -> str | None:
        """The value, which must be one of `choices`; STD-YAML-CHOICE names the nearest and lists all."""
        if self._value(key) is None:
            return self._default(key, default, f"{key}: {next(iter(choices))}")
        written = self.text(key)
        if written in choices:
            return written
        near = nearest(written, choices)
        raise StandardError(
            "STD-YAML-CHOICE",
            zh=f"{self.at(key)}：“{key}”不能是“{written}”",
            en=f"{self.at(key)}: '{key}' cannot be '{written}'",
            fix_zh=(f"是否应写 {key}: {near}？" if near else "") + f"可选：{'、'.join(choices)}",
            fix_en=(f"Did you mean {key}: {near}? " if near else "") + f"Choose from {', '.join(choices)}",
        )

    def pattern(self, key: str, regex: str, example: str = "", default: str | Missing = REQUIRED) -> str:
        """The value, which must match `regex` as a whole; `example` shows one that does."""
        if self._value(key) is None:
            return self._default(key, default, f"{key}: {example or '文字'}")
        written = self.text(key)
        if not re.fullmatch(regex, written):
            raise StandardError(
                "STD-YAML-PATTERN",
                zh=f"{self.at(key)}：“{key}”的写法“{written}”不合规定",
                en=f"{self.at(key)}: '{key}' cannot be written '{written}'",
                fix_zh=f"请按此格式书写：{key}: {example}" if example else f"应符合 {regex}",
                fix_en=f"Write it like {key}: {example}" if example else f"It must match {regex}",
            )
        return written

    def node(self, key: str) -> Node | None:
        """The mapping below a key; None when the key is absent."""
        value = self._value(key)
        if value is None:
            return None
        return Node(self._file, self._map(key, value, f"{key}: {{zh: 名称, en: Name}}"))

    def nodes(self, key: str) -> list[Node]:
        """The list of mappings below a key; empty when the key is absent."""
        value, example = self._value(key), f"{key}: [{{id: a}}, {{id: b}}]"
        if value is None:
            return []
        if not isinstance(value, SequenceNode):
            self._wrong(key, value, ("若干项的列表 (每项以“- ”开头)", "a list of items, each starting '- '"), example)
        return [Node(self._file, self._map(key, item, example)) for item in value.value]

    def named(self, key: str) -> dict[str, Node]:
        """The mappings below a key by their name (`departments: {tax: {zh: 税务}}`); empty when the key is absent."""
        below = self.node(key)
        return {} if below is None else below.children()

    def children(self) -> dict[str, Node]:
        """Every value of this mapping as a mapping, by key."""
        return {key: child for key in self._entries if (child := self.node(key)) is not None}

    def mapping(self, key: str) -> dict[str, str]:
        """The names and texts below a key (`map: {uscc: uniscid}`); empty when the key is absent."""
        below = self.node(key)
        return {} if below is None else {name: below.text(name) for name in below.keys()}  # noqa: SIM118 — no dict

    def plain(self, key: str) -> Json:
        """Whatever is below a key as JSON values; None when the key is absent."""
        value = self._value(key)
        return None if value is None else _json(value)

    def fail(  # noqa: PLR0917 — where, then the four texts every error has
        self, key: str | None, zh: str, en: str, fix_zh: str, fix_en: str, code: str = "STD-YAML-VALUE"
    ) -> NoReturn:
        """Refuse what a key says, in the caller's words, with file and line in front."""
        place = self.where if key is None else self.at(key)
        raise StandardError(code, zh=f"{place}：{zh}", en=f"{place}: {en}", fix_zh=fix_zh, fix_en=fix_en)

    def _value(self, key: str) -> Raw | None:
        value = self._entries[key][1] if key in self._entries else None
        if isinstance(value, ScalarNode) and value.style is None and value.value in _NULLS:
            return None
        return value

    def _default(self, key: str, default: T | Missing, example: str) -> T:
        if not isinstance(default, Missing):
            return default
        raise StandardError(
            "STD-YAML-MISSING",
            zh=f"{self.at(key)}：缺少“{key}”" if key not in self._entries else f"{self.at(key)}：“{key}”没有值",
            en=f"{self.at(key)}: '{key}' is missing"
            if key not in self._entries
            else f"{self.at(key)}: '{key}' is empty",
            fix_zh=f"请补上，例如 {example}",
            fix_en=f"Add it, for example {example}",
        )

    def _scalar(self, key: str, value: Raw, wants: tuple[str, str], example: str) -> str:
        if not isinstance(value, ScalarNode):
            self._wrong(key, value, wants, example)
        return str(value.value)

    def _map(self, key: str, value: Raw, example: str) -> MappingNode:
        if not isinstance(value, MappingNode):
            self._wrong(key, value, ("“键: 值”", "'key: value' pairs"), example)
        return value

    def _wrong(self, key: str, value: Raw, wants: tuple[str, str], example: str) -> NoReturn:
        found = _kind(value)
        raise StandardError(
            "STD-YAML-TYPE",
            zh=f"{self.at(key)}：“{key}”应为{wants[0]}，实际是{found[0]}",
            en=f"{self.at(key)}: '{key}' should be {wants[1]}, but it is {found[1]}",
            fix_zh=f"请写成，例如 {example}",
            fix_en=f"Write, for example, {example}",
        )


def _kind(raw: Raw | None) -> tuple[str, str]:
    if isinstance(raw, MappingNode):
        return "“键: 值”", "'key: value' pairs"
    if isinstance(raw, SequenceNode):
        return "列表", "a list"
    if isinstance(raw, ScalarNode):
        return f"“{raw.value}”", f"'{raw.value}'"
    return "空的", "empty"


def _json(raw: Raw) -> Json:
    if isinstance(raw, MappingNode):
        return {str(key.value): _json(value) for key, value in raw.value}
    if isinstance(raw, SequenceNode):
        return [_json(item) for item in raw.value]
    return _resolved(raw) if isinstance(raw, ScalarNode) and raw.style is None else str(raw.value)


def _resolved(raw: ScalarNode) -> Json:
    written = str(raw.value)
    if written in _NULLS:
        return None
    if written.lower() in {"true", "false"}:
        return written.lower() == "true"
    if _CANONICAL_INTEGER.fullmatch(written):
        return int(written)
    # A number with leading zeros is a code, and stays as written.
    return float(written) if _NUMBER.fullmatch(written) and "." in written else written
