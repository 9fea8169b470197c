"""Read a rule as a standard or a resource file writes it, and refuse one that could not be evaluated."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import date
from typing import Final

from schemas.beyond import PARAMS as BEYOND_PARAMS
from schemas.beyond import beyond_params, named
from schemas.expected import expectation_params
from schemas.lines import Node
from schemas.standard import BEYOND, Rule
from schemas.syntax import nearest
from schemas.values import BAD, RECEIVED, REJECT, REPAIRED, Json, Severity

KINDS: Final = (
    "required",
    "length",
    "understood",
    "code",
    "repaired",
    "check_digit",
    "pattern",
    "order",
    "range",
    "condition",
    "reject",
    "expectation",
    *BEYOND,
)
CHECK_DIGITS: Final = ("uscc", "uscc_org_code", "uscc_pair", "org_code", "citizen_id", "elicense_id")
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
# Indicators of GB/T 36344-2018 数据质量评价指标: six dimensions, 规范性 0101 … 可访问性 0602.
INDICATORS: Final = tuple(
    f"{dimension:02d}{number:02d}"
    for dimension, indicators in enumerate((6, 2, 5, 2, 3, 2), start=1)
    for number in range(1, indicators + 1)
)
LONGEST_ID: Final = 100
_KEYS = ("id", "kind", "columns", "field", "severity", "indicator", "params", "forgiven_by")
_TEXTS = ("zh", "en", "fix_zh", "fix_en")
# Kind → the parameters it may have, and those it cannot do without.
_PARAMS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "length": (("max",), ("max",)),
    "code": (("list",), ("list",)),
    "check_digit": (("kind", "empty_fails", "when"), ("kind",)),
    "pattern": (("regex",), ("regex",)),
    "range": (("min", "max"), ()),
    "condition": (("sql",), ("sql",)),
    "reject": (("reject",), ("reject",)),
    "expectation": (("name",), ("name",)),
    **BEYOND_PARAMS,
}
_EXAMPLES = {
    "length": "{max: 18}",
    "code": "{list: gb_t_2261_1@2003}",
    "check_digit": "{kind: uscc}",
    "pattern": "{regex: '[0-9]{6}'}",
    "range": "{min: 0}",
    "condition": '{sql: \'"op_to" > "op_from"\'}',
    "reject": "{reject: row_shape}",
    "expectation": "{name: expect_column_values_to_be_in_set, value_set: [甲, 乙]}",
}


def read_rule(node: Node, fields: Collection[str], lists: Collection[str] = ()) -> Rule:
    """The rule a mapping describes; `fields` and `lists` are the names it may speak of.

    Raises StandardError with file and line: unknown kind, column, indicator or code list, a missing or contradictory
    parameter, a regular expression that is not one, a condition that names other columns than `columns`.
    """
    node.only(*_KEYS, *_TEXTS)
    kind = node.one_of("kind", KINDS)
    columns = _columns(node, fields)
    params = _params(node, kind, columns, lists)
    return Rule(
        id=_id(node),
        kind=kind,
        columns=columns,
        zh=node.text("zh"),
        en=node.text("en"),
        severity=_severity(node),
        indicator=node.one_of("indicator", INDICATORS, "0104"),
        fix_zh=node.text("fix_zh", ""),
        fix_en=node.text("fix_en", ""),
        params=params,
        forgiven_by=node.text("forgiven_by", None),
    )


def _id(node: Node) -> str:
    name = node.pattern("id", r"[a-z][a-z0-9_]*", example="est_before_appr")
    if len(name) > LONGEST_ID:
        node.fail(
            "id",
            f"规则编号有 {len(name)} 个字符，最多 {LONGEST_ID} 个",
            f"the id of the rule has {len(name)} characters, at most {LONGEST_ID} are kept",
            "请写得短一些，例如 id: est_before_appr；说明写在 zh 和 en 中",
            "Write a shorter one such as id: est_before_appr; explain it in zh and en",
        )
    return name


def severity_of(node: Node, key: str, default: Severity) -> Severity:
    """The severity a key names."""
    written = node.one_of(key, SEVERITIES, default)
    return next(one for one in SEVERITIES if one == written)


def _severity(node: Node) -> Severity:
    return severity_of(node, "severity", "error")


def _columns(node: Node, fields: Collection[str]) -> tuple[str, ...]:
    key = "columns" if node.has("columns") else "field"
    columns = node.texts(key)
    if not columns or (node.has("columns") and node.has("field")):
        node.fail(
            "id",
            "规则要用 columns 或 field (二者之一) 说明检查哪些列",
            "a rule says with either columns or field what it looks at",
            "请写成，例如 columns: [est_date, appr_date]",
            "Write, for example, columns: [est_date, appr_date]",
        )
    for column in columns:
        name = column.removeprefix(RECEIVED)
        if column == REJECT or (column != name and not name.isascii()):
            continue
        if name.removesuffix(BAD).removesuffix(REPAIRED) not in fields:
            near = nearest(name, fields)
            node.fail(
                key,
                f"没有名为“{name}”的字段",
                f"there is no field '{name}'",
                f"是否应写“{near}”？" if near else f"可用的字段：{'、'.join(fields)}",
                f"Did you mean '{near}'?" if near else f"Fields: {', '.join(fields)}",
            )
    return tuple(columns)


def _params(node: Node, kind: str, columns: tuple[str, ...], lists: Collection[str]) -> Mapping[str, Json]:
    if kind == "order" and len(columns) != len(("earlier", "later")):
        node.fail(
            "columns" if node.has("columns") else "field",
            "order 规则比较两列，前者不得大于后者",
            "an order rule compares two columns, the first not above the second",
            "请写成，例如 columns: [op_from, op_to]",
            "Write, for example, columns: [op_from, op_to]",
        )
    allowed, needed = _PARAMS.get(kind, ((), ()))
    below = node.node("params")
    if kind in BEYOND:
        return beyond_params(node, below.only(*allowed) if below else None, kind, columns)
    if below is None:
        if allowed:
            node.fail(
                "kind",
                f"{kind} 规则要有参数 {'、'.join(needed or allowed)}",
                f"a {kind} rule needs the parameter {', '.join(needed or allowed)}",
                f"请补上，例如 params: {_EXAMPLES[kind]}",
                f"Add, for example, params: {_EXAMPLES[kind]}",
            )
        return {}
    if kind == "expectation":
        return expectation_params(below, columns, _regex)
    below.only(*allowed)
    for name in needed:
        below.text(name)
    return _checked(below, kind, columns, lists)


def _checked(below: Node, kind: str, columns: tuple[str, ...], lists: Collection[str]) -> Mapping[str, Json]:
    if kind == "length":
        return {"max": below.integer("max")}
    if kind == "code":
        return {"list": below.one_of("list", tuple(lists) or (below.text("list"),))}
    if kind == "check_digit":
        return _check_digit(below, columns)
    if kind == "range":
        return _range(below)
    if kind == "pattern":
        return {"regex": _regex(below, "regex", below.text("regex"))}
    return {"sql": _condition(below, columns)} if kind == "condition" else {"reject": below.text("reject")}


def _check_digit(below: Node, columns: tuple[str, ...]) -> Mapping[str, Json]:
    """Which identifier, whether an empty one fails, and on which rows: `when` speaks of the columns after the first."""
    params: dict[str, Json] = {
        "kind": below.one_of("kind", CHECK_DIGITS),
        "empty_fails": below.flag("empty_fails", default=False),
    }
    if below.has("when"):
        params["when"] = _speaks_of(below, "when", columns[1:])
    return params


def _regex(below: Node, key: str, written: str) -> str:
    try:
        re.compile(written)
        # The engine that evaluates it (RE2) knows neither look-around nor back references.
        problem = "look-around or back reference" if re.search(r"\(\?<?[=!]|\\[1-9]", written) else None
    except re.error as error:
        problem = str(error)
    if problem:
        below.fail(
            key,
            f"“{written}”不能用作正则表达式（{problem}）",
            f"'{written}' cannot be used as a regular expression ({problem})",
            "请写成，例如 regex: '[0-9]{6}'",
            "Write, for example, regex: '[0-9]{6}'",
        )
    return written


def _range(below: Node) -> Mapping[str, Json]:
    bounds = {key: _bound(below, key) for key in ("min", "max") if below.text(key, None) is not None}
    numbers = [bound for bound in bounds.values() if isinstance(bound, float)]
    if not bounds or numbers != sorted(numbers):
        below.fail(
            None,
            "range 规则要有 min 或 max，且 min 不大于 max",
            "a range rule needs min or max, and min not above max",
            "请写成，例如 params: {min: 0}",
            "Write, for example, params: {min: 0}",
        )
    return bounds


def _bound(below: Node, key: str) -> float | str:  # noqa: RET503 - fail never returns
    """A number, a date as text, or `today` (the day of the check)."""
    written = below.text(key)
    if written == "today":
        return written
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", written):
        return float(written)
    with suppress(ValueError):
        return date.fromisoformat(written).isoformat()
    below.fail(
        key,
        f"“{written}”既不是数字，也不是日期或 today",
        f"'{written}' is neither a number nor a date nor today",
        f"请写成，例如 {key}: 0 或 {key}: 1949-10-01 或 {key}: today",
        f"Write, for example, {key}: 0 or {key}: 1949-10-01 or {key}: today",
    )


def _condition(below: Node, columns: tuple[str, ...]) -> str:
    return _speaks_of(below, "sql", columns)


def _speaks_of(below: Node, key: str, columns: tuple[str, ...]) -> str:
    """The condition a key holds, which names these columns and no others."""
    written = below.text(key)
    odd = "、".join(sorted(set(named(written)) ^ set(columns)))
    if odd:
        example = "columns: [est_date], params: {sql: '\"est_date\" > current_date'}"
        below.fail(
            key,
            f"条件中的列要用双引号书写，并与 columns 一致；不一致的列：{odd}",
            f"a condition names its columns in double quotes, the same as columns lists; not the same: {odd}",
            f"请写成，例如 {example}",
            f"Write, for example, {example}",
        )
    return written
