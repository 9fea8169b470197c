"""Read a standard from its YAML file, and find one by the name and version a resource cites."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from schemas import code_lists
from schemas.beyond import named
from schemas.derived import Demanded, Severities, implied, structural
from schemas.errors import StandardError
from schemas.lines import Node, read
from schemas.rules import read_rule, severity_of
from schemas.standard import TYPES, Field, Rule, Standard
from schemas.syntax import nearest
from schemas.values import BAD, REPAIRED

BUILT_IN = Path(__file__).parent / "standards"
MASKS = ("name", "id_number", "phone", "address", "amount", "hide")
SHARES = ("U", "C", "N")  # 无条件共享, 有条件共享, 不予共享
_KEYS = (
    "standard",
    "version",
    "title",
    "source",
    "library",
    "key",
    "order",
    "identifiers",
    "sentinels",
    "authority",
    "fields",
    "rules",
)
_FIELD_KEYS = (
    "name",
    "zh",
    "en",
    "type",
    "aliases",
    "length",
    "codes",
    "unit",
    "required",
    "level",
    "share",
    "sentinels",
    "authority",
    "mask",
    "source",
    "length_severity",
    "format_severity",
    "code_severity",
    "required_severity",
    "when",
    "when_zh",
    "when_en",
)
_NAME = r"[a-z][a-z0-9_]*"
_SAID = re.compile(rb"^(standard|version): *([a-z0-9_]+) *(?:#.*)?\r?$", re.MULTILINE)
_PLACE = ("filename", "file_row_number")  # what DuckDB calls the columns that say where in which file a row stands
_LEVELS = range(1, 5)  # DB33/T 2351-2021


def find_standard(id: str, folders: Sequence[Path] = ()) -> Standard:  # noqa: A002 — it is what a resource calls it
    """The standard cited as `name@version`, from `folders` in order, the built-in ones last.

    Raises StandardError STD-UNKNOWN, listing what exists and the nearest name, or what `load_standard` raises.
    """
    everywhere = [file for folder in (*folders, BUILT_IN) for file in sorted(folder.glob("*.y*ml"))]
    for path in everywhere:
        stat = path.stat()
        if _plainly(path, stat.st_mtime_ns, stat.st_size) in (None, id) and _cited(path, id) == id:
            return _loaded(path, stat.st_mtime_ns, stat.st_size, _beside(folders))
    known = sorted({cited for path in everywhere if (cited := _cited(path, id))})
    near = nearest(id, known)
    raise StandardError(
        "STD-UNKNOWN",
        zh=f"没有标准“{id}”",
        en=f"there is no standard '{id}'",
        fix_zh=(f"是否应写 standard: {near}？" if near else "") + f"可用的标准：{'、'.join(known)}",
        fix_en=(f"Did you mean standard: {near}? " if near else "") + f"Available: {', '.join(known)}",
    )


def known_standards(folders: Sequence[Path] = ()) -> list[str]:
    """The ids of every standard in `folders` and of the built-in ones."""
    files = [file for folder in (*folders, BUILT_IN) for file in sorted(folder.glob("*.y*ml"))]
    return sorted({cited for path in files if (cited := _cited(path, ""))})


def load_standard(path: Path, codes_available: Collection[str], folders: tuple[Path, ...] = ()) -> Standard:
    """The standard a YAML file describes; `codes_available` are the ids its fields may cite as code lists.

    `folders` are where those of them lie that do not ship.

    Raises StandardError with file and line for whatever cannot be used, and says what to write instead.
    """
    return _standard(read(path), codes_available, folders)


def _standard(node: Node, codes_available: Collection[str], folders: tuple[Path, ...]) -> Standard:
    node.only(*_KEYS)
    title = _needed(node, "title", "{zh: 法人库标准, en: Legal persons}").only("zh", "en")
    below = node.nodes("fields")
    if not below:
        _needed(node, "fields", "- {name: uscc, zh: 统一社会信用代码, en: Unified social credit code}")
    fields = {one.name: one for one in (_field(field, codes_available) for field in below)}
    _no_two_alike(below)
    written = {rule.id: rule for rule in _written(node, fields, codes_available)}
    rules = tuple(_together(below, fields, written, folders))
    return Standard(
        name=node.pattern("standard", _NAME, example="legal_person"),
        version=node.integer("version"),
        zh=title.text("zh"),
        en=title.text("en"),
        fields=tuple(fields.values()),
        rules=rules,
        key=_fields_named(node, "key", fields, needed=True),
        order=_fields_named(node, "order", fields),
        identifiers=_fields_named(node, "identifiers", fields),
        library=node.text("library", None),
        sentinels=tuple(node.texts("sentinels")),
        source=node.text("source", ""),
        authority=tuple(node.texts("authority")),
        folders=folders,
    )


def read_rules(node: Node, standard: Standard) -> tuple[Rule, ...]:
    """The extra rules a resource file lists under `rules`, over the fields of its standard and its source's columns.

    StandardError with file and line, also for a rule with the id of one of the standard's.
    """
    names = (*(field.name for field in standard.fields), *node.mapping("map").values())
    taken = {rule.id: f"{standard.name}@{standard.version}" for rule in standard.rules}
    return tuple(_written(node, names, code_lists.available(standard.folders), taken))


def _cited(path: Path, wanted: str) -> str | None:
    """What a file is cited as; a file that cannot be read is of no interest unless it is named after what is wanted."""
    stat = path.stat()
    try:
        return _header(path, stat.st_mtime_ns, stat.st_size)
    except StandardError:
        if path.stem.partition("@")[0] == wanted.partition("@")[0]:
            raise
        return None


@lru_cache(maxsize=256)
def _plainly(path: Path, _changed: int, _size: int) -> str | None:
    """What a file is cited as where plain lines say so; None: only the whole file tells, which takes a hundredfold."""
    said = _SAID.findall(path.read_bytes())
    names, versions = ([value.decode() for key, value in said if key == one] for one in (b"standard", b"version"))
    return f"{names[0]}@{versions[0]}" if len(names) == len(versions) == 1 else None


@lru_cache(maxsize=64)
def _header(path: Path, changed: int, size: int) -> str:
    node = _read(path, changed, size)
    return f"{node.text('standard', path.stem)}@{node.integer('version', 1)}"


@lru_cache(maxsize=64)
def _loaded(path: Path, changed: int, size: int, codes: tuple[Path, ...]) -> Standard:
    return _standard(_read(path, changed, size), code_lists.available(codes), codes)


@lru_cache(maxsize=1)
def _read(path: Path, _changed: int, _size: int) -> Node:
    """A file that is cited is read for its name first, and then for the rest."""
    return read(path)


def _beside(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Where code lists of a deployment lie: `codes` beside its folder of standards."""
    return tuple(folder.resolve().parent / "codes" for folder in folders)


def _field(node: Node, lists: Collection[str]) -> Field:
    node.only(*_FIELD_KEYS)
    kind = node.one_of("type", TYPES, "text")
    codes = node.one_of("codes", tuple(sorted(lists)), None)
    if codes and kind != "code":
        node.fail(
            "type",
            f"有代码表的字段类型应为 code，实际是 {kind}",
            f"a field with a code list has the type code, but it is {kind}",
            "请写成 type: code",
            "Write type: code",
        )
    level, length = node.integer("level", 1), node.integer("length", None)
    if level not in _LEVELS:
        node.fail(
            "level",
            f"敏感级别应为 1 到 4，实际是 {level}",
            f"the sensitivity level is 1 to 4, but it is {level}",
            "请写成，例如 level: 2",
            "Write, for example, level: 2",
        )
    if length is not None and length < 1:
        node.fail("length", "长度应大于 0", "a length is above 0", "请写成，例如 length: 18", "Write length: 18")
    return Field(
        name=_field_name(node),
        zh=node.text("zh"),
        en=node.text("en"),
        type=kind,
        aliases=tuple(node.texts("aliases")),
        length=length,
        codes=codes,
        unit=node.text("unit", None),
        required=_required(node) == "error",
        level=level,
        share=node.one_of("share", SHARES, "U"),
        sentinels=tuple(node.texts("sentinels")),
        authority=tuple(node.texts("authority")),
        mask=node.one_of("mask", MASKS, None),
        source=node.text("source", ""),
    )


def _field_name(node: Node) -> str:
    """The name, which no column has that stands beside fields: the marks of standardising, the place of a row."""
    name = node.pattern("name", _NAME, example="est_date")
    if name in _PLACE or name.endswith((BAD, REPAIRED)):
        node.fail(
            "name",
            f"字段名“{name}”由系统使用",
            f"the field name '{name}' is used by Shutong itself",
            f"请换一个名称，例如 {name}_value",
            f"Choose another one, for example {name}_value",
        )
    return name


def _required(node: Node) -> str:
    written = node.one_of("required", ("true", "false", "warning", "conditional"), "false")
    return {"true": "error", "false": "", "conditional": ""}.get(written, written)


def _demanded(node: Node, fields: Collection[str]) -> Demanded | None:
    """When a field that is `required: conditional` must not be empty."""
    if node.text("required", None) != "conditional":
        for key in ("when", "when_zh", "when_en", "required_severity"):
            if node.has(key):
                node.fail(
                    key,
                    f"“{key}”只用于 required: conditional",
                    f"'{key}' belongs to required: conditional",
                    "请写 required: conditional",
                    "Write required: conditional",
                )
        return None
    when = node.text("when")
    for column in named(when):
        if column not in fields:
            near = nearest(column, fields)
            node.fail(
                "when",
                f"没有名为“{column}”的字段",
                f"there is no field '{column}'",
                f"是否应写“{near}”？" if near else f"可用的字段：{'、'.join(fields)}",
                f"Did you mean '{near}'?" if near else f"Fields: {', '.join(fields)}",
            )
    return Demanded(when, named(when), node.text("when_zh"), node.text("when_en"))


def _weigh(node: Node, codes: str | None, fields: Collection[str], folders: tuple[Path, ...]) -> Severities:
    demanded = _demanded(node, fields)
    required = _required(node)
    partial = codes is not None and not code_lists.load(codes, folders).complete
    weigh = Severities(
        required=severity_of(node, "required_severity", "error")
        if demanded
        else "error"
        if required == "error"
        else "warning"
        if required
        else None,
        length=severity_of(node, "length_severity", "error"),
        format=severity_of(node, "format_severity", "warning" if node.text("type", "text") == "capital" else "error"),
        code=severity_of(node, "code_severity", "warning" if partial else "error"),
        demanded=demanded,
    )
    if partial and weigh.code == "error":
        node.fail(
            "code_severity",
            f"代码表 {codes} 不完整，只能用于警告",
            f"the code list {codes} is not complete, so it supports warnings only",
            "请写成 code_severity: warning",
            "Write code_severity: warning",
        )
    return weigh


def _no_two_alike(below: Sequence[Node]) -> None:
    taken: dict[str, tuple[str, Node]] = {}
    for node in below:
        name = node.text("name")
        for key, spelling in (("name", name), *(("aliases", alias) for alias in node.texts("aliases"))):
            other, where = taken.setdefault(spelling.casefold(), (name, node))
            if where is not node:
                node.fail(
                    key,
                    f"“{spelling}”已是字段 {other} 的名称或别名（{where.where}）",
                    f"'{spelling}' already names or is an alias of the field {other} ({where.where})",
                    "请从其中一个字段删除",
                    "Remove it from one of the two fields",
                )


def _written(
    node: Node, fields: Collection[str], lists: Collection[str], taken: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Rule]:
    """The rules under `rules`; `taken` are ids that others have, and whose they are."""
    seen = dict(taken)
    for below in node.nodes("rules"):
        rule = read_rule(below, tuple(fields), lists)
        if rule.id in seen:
            below.fail(
                "id",
                f"规则“{rule.id}”重复（{seen[rule.id]}）",
                f"the rule '{rule.id}' is repeated ({seen[rule.id]})",
                f"请改名；只想改变轻重时写 severity: {{{rule.id}: warning}}"
                if rule.id in taken
                else "请改名或删除其中一条",
                f"Rename it; to change its weight alone write severity: {{{rule.id}: warning}}"
                if rule.id in taken
                else "Rename or remove one of them",
            )
        seen[rule.id] = below.where
        yield rule


def _together(
    below: Sequence[Node], fields: dict[str, Field], written: dict[str, Rule], folders: tuple[Path, ...]
) -> Iterator[Rule]:
    """Structural rules, what each field implies, then the rest as written; a written rule replaces its namesake."""
    # A check that fails on an empty value as received already says that the field is required.
    said = {
        f"{rule.columns[0].removeprefix('raw:')}_required"
        for rule in written.values()
        if rule.params.get("empty_fails")
    }
    every = {rule.id: rule for rule in structural()}
    for node in below:
        field = fields[node.text("name")]
        every |= {
            rule.id: rule for rule in implied(field, _weigh(node, field.codes, fields, folders)) if rule.id not in said
        }
    every |= written
    for rule in written.values():
        if rule.forgiven_by and rule.forgiven_by not in every:
            near = nearest(rule.forgiven_by, every)
            raise StandardError(
                "STD-RULE",
                zh=f"{below[0].file}：规则“{rule.id}”的 forgiven_by 指向不存在的规则“{rule.forgiven_by}”",
                en=f"{below[0].file}: rule '{rule.id}' is forgiven_by an unknown rule '{rule.forgiven_by}'",
                fix_zh=f"是否应写“{near}”？" if near else "请写已有规则的 id",
                fix_en=f"Did you mean '{near}'?" if near else "Name a rule that exists",
            )
    yield from every.values()


def _fields_named(node: Node, key: str, fields: Collection[str], *, needed: bool = False) -> tuple[str, ...]:
    names = node.texts(key)
    if needed and not names:
        _needed(node, key, "[uscc]")
    for name in names:
        if name not in fields:
            near = nearest(name, fields)
            node.fail(
                key,
                f"“{key}”中的“{name}”不是本标准的字段",
                f"'{name}' in '{key}' is not a field of this standard",
                f"是否应写“{near}”？" if near else f"可用的字段：{'、'.join(fields)}",
                f"Did you mean '{near}'?" if near else f"Fields: {', '.join(fields)}",
            )
    return tuple(names)


def _needed(node: Node, key: str, example: str) -> Node:
    below = node.node(key)
    if below is None:
        node.fail(
            key,
            f"缺少“{key}”",
            f"'{key}' is missing",
            f"请补上，例如 {key}: {example}",
            f"Add it, for example {key}: {example}",
            code="STD-YAML-MISSING",
        )
    return below
