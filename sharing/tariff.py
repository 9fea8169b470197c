"""What a unit of a call costs: the price list of a deployment, which need not have one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NoReturn

from schemas.lines import Node, read

FILE: Final = "tariff.yaml"
CENT: Final = Decimal("0.01")
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MOST: Final = Decimal(1_000_000)
_FINEST: Final = -6  # decimal places of a price


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one unit from a month (`2026-01`) on; None as `subject` or `operation` stands for every one."""

    per_unit: Decimal
    subject: str | None = None
    operation: str | None = None
    since: str = ""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in one currency (ISO 4217)."""

    currency: str
    prices: Sequence[Price]

    def price(self, subject: str | None, operation: str, month: str) -> Decimal | None:
        """Of one unit in that month: the price that names most of what is asked, the newest of those; None: free."""
        fitting = [
            one
            for one in self.prices
            if one.subject in {None, subject} and one.operation in {None, operation} and one.since <= month
        ]
        best = max(
            fitting, key=lambda one: (one.subject is not None, one.operation is not None, one.since), default=None
        )
        return best.per_unit if best is not None else None


def amount(units: int, per_unit: Decimal) -> Decimal:
    """What so many units cost, to the cent, half a cent up."""
    return (units * per_unit).quantize(CENT, ROUND_HALF_UP)


def read_tariff(path: Path) -> Tariff | None:
    """`tariff.yaml` of a deployment; None where it has none. StandardError: file and line."""
    if not path.exists():
        return None
    node = read(path).only("currency", "prices")
    currency = node.text("currency")
    if not _CURRENCY.fullmatch(currency):
        _fail(node, "currency", ("三个大写字母的货币代码", "a currency of three capital letters"), "currency: CNY")
    prices = [_price(one.only("resource", "operation", "per_unit", "from")) for one in node.nodes("prices")]
    seen: set[tuple[str | None, str | None, str]] = set()
    for place, one in enumerate(prices):
        said = (one.subject, one.operation, one.since)
        if said in seen:
            zh, en = f"不重复的价格（第 {place + 1} 项重复）", f"prices that differ; entry {place + 1} repeats one"
            _fail(node, "prices", (zh, en), "from: 2026-01")
        seen.add(said)
    return Tariff(currency, tuple(prices))


def _price(node: Node) -> Price:
    try:
        price = Decimal(node.text("per_unit"))
        exponent = price.as_tuple().exponent
    except InvalidOperation:
        price, exponent = Decimal(-1), 0
    if not price.is_finite() or not 0 <= price <= _MOST or not isinstance(exponent, int) or exponent < _FINEST:
        _fail(node, "per_unit", ("0 到 1000000、至多六位小数的价格", "a price from 0 to 1000000 of up to six decimals"),
              "per_unit: 0.05")  # fmt: skip
    since = node.text("from", default="")
    if since and not _MONTH.fullmatch(since):
        _fail(node, "from", ("年月", "a month"), "from: 2026-01")
    return Price(price, node.text("resource", default=None), node.text("operation", default=None), since)


def _fail(node: Node, key: str, wanted: tuple[str, str], example: str) -> NoReturn:
    node.fail(key, zh=f"“{key}”应为{wanted[0]}", en=f"'{key}' should be {wanted[1]}",
              fix_zh=f"例如 {example}", fix_en=f"For example {example}")  # fmt: skip
