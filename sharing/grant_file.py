"""Read the grants file of a deployment; a mistake is told with file, line and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, NoReturn

from schemas import lines
from schemas.standard import Standard
from schemas.syntax import nearest
from sharing.masks import mask_of

CHANNELS = ("query", "batch", "verify", "bulk", "feed", "sql")
_KEYS = (
    "id", "department", "library", "resource", "fields", "clear", "find", "verify", "token", "rows", "purpose", "until",
    "quota",
)  # fmt: skip
VERIFY_ONLY = frozenset(("verify",))  # of a grant that shows no field
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant as written, or as approved (`origin`).

    `subject` is the library or resource; `find` are fields its records may be sought by, besides the key; `rows` maps
    a field to whole values or prefixes ending in `*`; `until` is its last day, ISO 8601; `per_day` None is no limit.
    `verify` are fields of which claims are judged, whether or not they may be seen; `token` those shown as join keys.
    `client` is the one application that may use it; `channels` are the ways to ask; `per_month` counts as `per_day`
    does, `per_second` calls; `fresh_within`: nothing is answered from data that is older. Only an active one counts.
    """

    id: str
    department: str
    subject: str
    fields: tuple[str, ...]
    clear: frozenset[str]
    rows: Mapping[str, tuple[str, ...]]
    matter: str
    basis: str
    until: str
    per_day: int | None
    find: frozenset[str] = frozenset()
    client: str | None = None
    channels: frozenset[str] = frozenset(CHANNELS)
    per_month: int | None = None
    per_second: int | None = None
    fresh_within: timedelta | None = None
    state: Literal["active", "suspended", "revoked"] = "active"
    origin: Literal["file", "database"] = "file"
    verify: frozenset[str] = frozenset()
    token: frozenset[str] = frozenset()


def read(
    path: Path, libraries: Mapping[str, Standard], resources: Mapping[str, Standard]
) -> list[tuple[Grant, Standard]]:
    """The grants in a file, each with the standard of its subject; StandardError (SHR-GRANTS) names file and line."""
    found: list[tuple[Grant, Standard]] = []
    for node in lines.read(path).only("grants").nodes("grants"):
        grant, standard = _grant(node, libraries, resources)
        if any(grant.id == other.id for other, _ in found):
            _fail(
                node,
                "id",
                (f"授权编号 {grant.id} 重复", f"grant id {grant.id} is used twice"),
                ("改用另一个编号", "Use another id"),
            )
        found.append((grant, standard))
    return found


def _grant(
    node: lines.Node, libraries: Mapping[str, Standard], resources: Mapping[str, Standard]
) -> tuple[Grant, Standard]:
    node.only(*_KEYS)
    name = node.text("id")
    if not _ID.fullmatch(name):
        _fail(
            node,
            "id",
            (f"授权编号“{name}”只能用字母、数字和 . _ -", f"grant id '{name}' may hold letters, digits and . _ - only"),
            ("例如 id: tax-firms", "For example id: tax-firms"),
        )
    subject, standard = _subject(node, libraries, resources)
    fields, clear = _fields(node, standard)
    verify, token = _verify(node, standard), _token(node, standard, fields, clear)
    matter, basis = _purpose(node)
    grant = Grant(
        id=name,
        department=node.text("department"),
        subject=subject,
        fields=fields,
        clear=clear,
        rows=_rows(node, standard),
        matter=matter,
        basis=basis,
        until=_day(node),
        per_day=_per_day(node),
        find=_find(node, standard, fields, clear, token),
        channels=frozenset(CHANNELS) if fields else VERIFY_ONLY,
        verify=verify,
        token=token,
    )
    return grant, standard


def _subject(
    node: lines.Node, libraries: Mapping[str, Standard], resources: Mapping[str, Standard]
) -> tuple[str, Standard]:
    library, resource = node.text("library", None), node.text("resource", None)
    if (library is None) == (resource is None):
        _fail(
            node,
            None,
            ("library 与 resource 必须且只能写一个", "exactly one of library and resource is needed"),
            ("例如 library: legal_person", "For example library: legal_person"),
        )
    key, name, known = ("library", library, libraries) if library is not None else ("resource", resource, resources)
    if name is None or name not in known:
        listed = sorted(known)
        _fail(
            node,
            key,
            (f"没有 {name}", f"there is no {key} {name}"),
            (f"可用：{'、'.join(listed) or '无'}", f"Known: {', '.join(listed) or 'none'}"),
        )
    return name, known[name]


def _fields(node: lines.Node, standard: Standard) -> tuple[tuple[str, ...], frozenset[str]]:
    fields, clear = tuple(dict.fromkeys(node.texts("fields"))), node.texts("clear")
    if not fields and not node.texts("verify"):
        example = "fields: [uscc, ent_name]"
        _fail(
            node,
            "fields",
            ("没有写明授权字段", "no fields are granted"),
            (f"例如 {example}", f"For example {example}"),
        )
    _known(node, "fields", fields, standard)
    _known(node, "clear", clear, standard)
    _shareable(node, "fields", fields, standard)
    for field in clear:
        if field not in fields:
            _fail(
                node,
                "clear",
                (f"{field} 不在 fields 中", f"{field} is not among fields"),
                ("先写入 fields", "Add it to fields first"),
            )
    return fields, frozenset(clear)


def _shareable(node: lines.Node, key: str, names: tuple[str, ...] | list[str], standard: Standard) -> None:
    for field in names:
        if standard.field(field).share == "N":
            _fail(
                node,
                key,
                (f"字段 {field} 属于不予共享", f"field {field} may not be shared (N)"),
                (f"从 {key} 中删除", f"Leave it out of {key}"),
            )


def _verify(node: lines.Node, standard: Standard) -> frozenset[str]:
    """Fields of which claims are judged; they need not be seen, but one that is never shared is not judged either."""
    verify = node.texts("verify")
    _known(node, "verify", verify, standard)
    _shareable(node, "verify", verify, standard)
    return frozenset(verify)


def _token(node: lines.Node, standard: Standard, fields: tuple[str, ...], clear: frozenset[str]) -> frozenset[str]:
    """Fields shown as join keys: granted ones, which are not shown whole as well."""
    token = node.texts("token")
    _known(node, "token", token, standard)
    for field in token:
        if field not in fields or field in clear:
            _fail(
                node,
                "token",
                (f"{field} 不在 fields 中，或已在 clear 中", f"{field} is not among fields, or in clear as well"),
                ("写入 fields，不写入 clear", "Add it to fields, and leave it out of clear"),
            )
    return frozenset(token)


def _find(
    node: lines.Node, standard: Standard, fields: tuple[str, ...], clear: frozenset[str], token: frozenset[str]
) -> frozenset[str]:
    """Fields that are seen whole: whoever may seek by a masked one guesses, asks and knows it."""
    find = node.texts("find")
    _known(node, "find", find, standard)
    for field in find:
        hidden = field in token or (field not in clear and mask_of(standard.field(field)) is not None)
        if field not in fields or hidden:
            _fail(
                node,
                "find",
                (
                    f"{field} 未授权或已脱敏，不能据以查找",
                    f"{field} is not granted, or masked: it may not be sought by",
                ),
                ("先写入 fields（脱敏字段还须写入 clear）", "Add it to fields first, and a masked one to clear"),
            )
    return frozenset(find)


def _known(node: lines.Node, key: str, names: tuple[str, ...] | list[str], standard: Standard) -> None:
    known = [field.name for field in standard.fields]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            _fail(
                node,
                key,
                (f"{standard.id} 没有字段 {name}", f"{standard.id} has no field {name}"),
                (f"是否应写 {near}？", f"Did you mean {near}?")
                if near
                else ("核对标准中的字段名", "See the standard's fields"),
            )


def _purpose(node: lines.Node) -> tuple[str, str]:
    purpose = node.node("purpose")
    if purpose is None:
        example = "purpose: {matter: …, basis: …}"
        _fail(
            node,
            None,
            ("缺少用途 purpose", "purpose is missing"),
            (f"写明事项与依据：{example}", f"Name the matter and its legal basis: {example}"),
        )
    purpose.only("matter", "basis")
    return purpose.text("matter"), purpose.text("basis")


def _rows(node: lines.Node, standard: Standard) -> Mapping[str, tuple[str, ...]]:
    below = node.node("rows")
    if below is None:
        # Written without a value it would read as "no filter"; whoever writes `rows:` means one.
        if node.has("rows"):
            _fail_rows(node, "rows")
        return {}
    rows = {field: tuple(below.texts(field)) for field in below.keys()}  # noqa: SIM118 a Node is no dict
    if not rows:
        _fail_rows(node, "rows")
    for field, values in rows.items():
        _known(below, field, [field], standard)
        if not values or any("*" in value[:-1] or value in {"", "*"} for value in values):
            _fail_rows(below, field)
    return rows


def _fail_rows(node: lines.Node, key: str) -> NoReturn:
    example = "division: ['3301*', '330203']"
    _fail(
        node,
        key,
        (f"{key} 的取值只能是完整值或以 * 结尾的前缀", f"values of {key} must be whole, or prefixes ending in *"),
        (f"例如 {example}", f"For example {example}"),
    )


def _day(node: lines.Node) -> str:
    text = node.text("until")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        _fail(
            node,
            "until",
            (f"“{text}”不是日期", f"'{text}' is not a date"),
            ("例如 until: 2027-12-31", "For example until: 2027-12-31"),
        )


def _per_day(node: lines.Node) -> int | None:
    quota = node.node("quota")
    if quota is None:
        if node.has("quota"):
            _fail_quota(node, "quota")
        return None
    per_day = quota.only("per_day").integer("per_day")
    if per_day < 1:
        _fail_quota(quota, "per_day")
    return per_day


def _fail_quota(node: lines.Node, key: str) -> NoReturn:
    _fail(
        node,
        key,
        ("每日配额须为正整数", "the daily quota must be 1 or more"),
        ("例如 quota: {per_day: 10000}", "For example quota: {per_day: 10000}"),
    )


def _fail(node: lines.Node, key: str | None, said: tuple[str, str], fix: tuple[str, str]) -> NoReturn:
    node.fail(key, *said, *fix, code="SHR-GRANTS")
