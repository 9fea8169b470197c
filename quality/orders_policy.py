"""Read how a resource wants its work orders: the key `orders` of a resource file."""

from __future__ import annotations

from typing import Literal, cast

from quality.orders_values import OrderPolicy
from schemas.lines import Node

SEVERITIES = ("error", "warning", "none")
LONGEST = 250  # working days: about a year


def read_order_policy(node: Node) -> OrderPolicy:
    """`orders: {days: {error: 5, warning: 20}, from: error, escalate_to: [lead, data_manager], escalate_after: 5}`.

    What is left out has its default; `from: none` makes no orders. StandardError names file and line.
    """
    below, usual = node.node("orders"), OrderPolicy()
    if below is None:
        return usual
    below.only("days", "from", "escalate_to", "escalate_after")
    days, least = dict(usual.days), below.one_of("from", SEVERITIES, "error")
    said = below.node("days")
    if said is not None:
        said.only(*days)
        days |= {severity: _days(said, severity, usual.days[severity]) for severity in days}
    return OrderPolicy(
        days=days,
        least=None if least == "none" else cast("Literal['error', 'warning']", least),
        escalate_to=tuple(below.texts("escalate_to")) if below.has("escalate_to") else usual.escalate_to,
        escalate_after=_days(below, "escalate_after", usual.escalate_after),
    )


def _days(node: Node, key: str, usual: int) -> int:
    days = node.integer(key, default=usual)
    if not 1 <= days <= LONGEST:
        node.fail(
            key,
            zh=f"“{key}”应为 1 到 {LONGEST} 个工作日",
            en=f"'{key}' should be 1 to {LONGEST} working days",
            fix_zh=f"例如 {key}: 5",
            fix_en=f"For example {key}: 5",
        )
    return days
