"""Read how a resource's landed records are divided into files: not at all, by a period, or by a division."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from schemas.lines import Node
from schemas.standard import Field, Standard
from schemas.syntax import nearest

By = Literal["year", "month", "province", "city"]
DIGITS = {"province": 2, "city": 4}  # of a code of GB/T 2260
NONE = "none"


@dataclass(frozen=True, slots=True)
class Partition:
    """Records with the same year or month of a date, or the same province or city of a code, lie in files together."""

    field: str
    by: By


def read_partition(node: Node, standard: Standard) -> Partition | None:
    """What `warehouse: {partition: …}` says, None for nothing; StandardError with file and line where it cannot be.

    `none`, `{period: <date field>, by: year|month}` or `{division: <code field>, level: province|city}`.
    """
    below = node.node("warehouse")
    if below is None or not below.only("partition").has("partition") or below.plain("partition") in (NONE, None):
        return None
    said = below.node("partition") if isinstance(below.plain("partition"), dict) else None
    if said is not None and said.has("period"):
        field = _field(said.only("period", "by"), "period", standard)
        if field.type != "date":
            _refuse(said, "period", field, "date", "日期")
        return Partition(field.name, cast("By", said.one_of("by", ("year", "month"))))
    if said is not None and said.has("division"):
        field = _field(said.only("division", "level"), "division", standard)
        if field.type not in ("code", "text"):
            _refuse(said, "division", field, "code", "代码")
        return Partition(field.name, cast("By", said.one_of("level", tuple(DIGITS))))
    return _say_by_what(below)


def _say_by_what(node: Node) -> NoReturn:
    node.fail(
        "partition",
        zh="分区要写明按什么分",
        en="the partition does not say by what",
        fix_zh="写 none、{period: 日期字段, by: month} 或 {division: 区划字段, level: city}",
        fix_en="Write none, {period: <date field>, by: month} or {division: <code field>, level: city}",
    )


def _field(node: Node, key: str, standard: Standard) -> Field:
    wanted, known = node.text(key), {one.name: one for one in standard.fields}
    if wanted not in known:
        _unknown(node, key, wanted, set(known))
    return known[wanted]


def _unknown(node: Node, key: str, wanted: str, known: set[str]) -> NoReturn:
    near = nearest(wanted, known)
    node.fail(
        key,
        zh=f"标准中没有字段“{wanted}”",
        en=f"the standard has no field '{wanted}'",
        fix_zh=f"是否应写 {near}？" if near else f"可用字段：{'、'.join(sorted(known))}",
        fix_en=f"Did you mean {near}?" if near else f"Fields: {', '.join(sorted(known))}",
    )


def _refuse(node: Node, key: str, field: Field, wanted: str, wanted_zh: str) -> NoReturn:
    node.fail(
        key,
        zh=f"字段“{field.name}”的类型是 {field.type}，不能这样分区",
        en=f"field '{field.name}' is of type {field.type}, which cannot be divided so",
        fix_zh=f"请改用{wanted_zh}类型的字段",
        fix_en=f"Name a field of type {wanted}",
    )
