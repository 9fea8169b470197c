"""Read the gate of a resource file, and refuse limits that could never mean what somebody wanted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NoReturn, cast

from quality.gate import Act, Drop, Freshness, Gate, Shift
from schemas.lines import Node
from schemas.standard import Field
from schemas.syntax import nearest

_DATES = ("date", "datetime")
_ACTS = ("hold", "warn")
_MOST_RUNS = 100
_MOST_PSI = 10.0


def read_gate(node: Node, fields: Sequence[Field], rules: Collection[str]) -> Gate:
    """The gate below `gate:`; StandardError with file and line for an unknown name or a limit out of range."""
    below = node.node("gate")
    if below is None:
        return Gate()
    below.only("max_percent", "max_rows", "must_pass", "freshness", "drop", "drift")
    rows = below.integer("max_rows", default=None)
    if rows is not None and rows < 0:
        _out_of_range(below, "max_rows", rows, "0 或更大", "0 or more", "max_rows: 100")
    must_pass = tuple(below.texts("must_pass"))
    for name in must_pass:
        _known(below, "must_pass", name, rules, "规则", "rule")
    return Gate(
        max_percent=_percent(below, "max_percent", 0.0) if below.has("max_percent") else Gate().max_percent,
        max_rows=rows,
        must_pass=must_pass,
        freshness=_freshness(below, fields),
        drop=_drop(below),
        shift=_shift(below, fields),
    )


def _freshness(node: Node, fields: Sequence[Field]) -> Freshness | None:
    below = node.node("freshness")
    if below is None:
        return None
    below.only("field", "within", "act")
    name = below.text("field")
    _known(below, "field", name, [one.name for one in fields if one.type in _DATES], "日期字段", "date field")
    days = int(below.pattern("within", r"[1-9][0-9]{0,4}d", example="7d")[:-1])
    return Freshness(name, days, _act(below, "hold"))


def _drop(node: Node) -> Drop | None:
    below = node.node("drop")
    if below is None:
        return None
    below.only("percent", "runs", "act")
    percent = _percent(below, "percent", None)
    if percent is None or percent == 0:
        _out_of_range(below, "percent", percent, "大于 0 的百分比", "a percentage above 0", "percent: 30")
    return Drop(percent, _runs(below), _act(below, "hold"))


def _shift(node: Node, fields: Sequence[Field]) -> Shift | None:
    below = node.node("drift")
    if below is None:
        return None
    below.only("psi", "nulls", "runs", "fields", "act")
    psi = below.number("psi", Shift().psi)
    if not 0 < psi <= _MOST_PSI:
        _out_of_range(below, "psi", psi, f"0 到 {_MOST_PSI:g} 之间", f"between 0 and {_MOST_PSI:g}", "psi: 0.25")
    nulls = _percent(below, "nulls", Shift().nulls) if below.has("nulls") else Shift().nulls
    named = tuple(below.texts("fields"))
    for name in named:
        _known(below, "fields", name, [one.name for one in fields], "字段", "field")
    return Shift(psi, Shift().nulls if nulls is None else nulls, _runs(below), named, _act(below, "warn"))


def _act(node: Node, default: Act) -> Act:
    return cast("Act", node.one_of("act", _ACTS, default))


def _runs(node: Node) -> int:
    runs = node.integer("runs", Drop(1).runs)
    if not 1 <= runs <= _MOST_RUNS:
        _out_of_range(node, "runs", runs, f"1 到 {_MOST_RUNS} 之间", f"between 1 and {_MOST_RUNS}", "runs: 5")
    return runs


def _percent(node: Node, key: str, default: float | None) -> float | None:
    """A percentage from 0 to 100; written without a value: no limit."""
    percent = node.number(key, default=None)
    if percent is None:
        return None if node.has(key) else default
    if not 0 <= percent <= 100:  # noqa: PLR2004 - percent
        _out_of_range(node, key, percent, "0 到 100 之间", "between 0 and 100", f"{key}: 5")
    return percent


def _out_of_range(node: Node, key: str, said: float | None, zh: str, en: str, example: str) -> NoReturn:  # noqa: PLR0917
    shown = "-" if said is None else f"{said:g}"
    node.fail(
        key,
        f"“{key}”应为{zh}，不能是 {shown}",
        f"'{key}' should be {en}, not {shown}",
        f"请写成，例如 {example}",
        f"Write, for example, {example}",
    )


def _known(node: Node, key: str, name: str, known: Collection[str], zh: str, en: str) -> None:  # noqa: PLR0917
    if name in known:
        return
    near = nearest(name, known)
    node.fail(
        key,
        f"本资源没有{zh}“{name}”",
        f"this resource has no {en} '{name}'",
        f"是否应写 {near}？" if near else f"可用：{'、'.join(sorted(known)) or '无'}",
        f"Did you mean {near}?" if near else f"There are: {', '.join(sorted(known)) or 'none'}",
    )
