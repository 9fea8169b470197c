"""Read amounts of capital as registers write them: 5,000(万元人民币), 84(万美元), 765(万元(港币)), never guessing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from schemas.normalise import fold

WAN = 10_000  # 万
AMOUNT = pa.decimal128(24, 6)
_UNITS = {"": 1, "万": WAN, "亿": 100_000_000}
_STEP = Decimal("0.000001")  # of 万元: one 分 is 0.000001 万元
_LIMIT = Decimal(10) ** 18  # 万元 that decimal128(24,6) holds
_EXACT = Context(prec=80)  # more digits than any text we read: nothing is rounded on the way

# ISO 4217 code → names in registers; a name that ends in 元 holds the 元 already. Codes of currencies no longer issued
# (FRF, DEM …) are those of ISO 4217 table A.3. 法郎, ¥ and $ alone could be several currencies and are not here.
_NAMES = {
    "CNY": ("人民币", "人民币元", "RMB"),
    "USD": ("美元", "美金"),
    "HKD": ("港币", "港元", "香港元", "港币元"),
    "MOP": ("澳门元", "澳门币"),
    "TWD": ("新台币", "新台币元", "台币"),
    "JPY": ("日元", "日圆", "日币"),
    "EUR": ("欧元",),
    "GBP": ("英镑",),
    "FRF": ("法国法郎",),
    "CHF": ("瑞士法郎",),
    "BEF": ("比利时法郎",),
    "DEM": ("德国马克",),
    "NLG": ("荷兰盾",),
    "ITL": ("意大利里拉",),
    "ATS": ("奥地利先令",),
    "AUD": ("澳大利亚元", "澳元"),
    "NZD": ("新西兰元",),
    "CAD": ("加拿大元", "加元"),
    "SGD": ("新加坡元", "新加坡币"),
    "KRW": ("韩元", "韩国元", "韩圆"),
    "SEK": ("瑞典克朗",),
    "DKK": ("丹麦克朗",),
    "NOK": ("挪威克朗",),
    "THB": ("泰铢", "泰国铢"),
    "MYR": ("马来西亚林吉特", "林吉特"),
    "RUB": ("俄罗斯卢布",),
    "PHP": ("菲律宾比索",),
    "INR": ("印度卢比",),
}
CURRENCIES = {name: code for code, names in _NAMES.items() for name in (code, *names)}

_NUMBER = r"(?P<number>-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)"
_CURRENCY = "|".join(sorted(map(re.escape, CURRENCIES), key=len, reverse=True))
_AMOUNT = re.compile(rf"(?P<before>{_CURRENCY})?{_NUMBER}(?P<words>.*)", re.ASCII)
_BRACKETS = re.compile(r"\(([^()]*(?:\([^()]*\))?)\)|([^()]*)\(([^()]*)\)")
# Unit and currency in the orders registers use: 万元人民币, 万人民币元, 人民币万元, 万美元, 万元美元, 万USD, 元.
_WORDS = re.compile(rf"(?P<first>{_CURRENCY})?(?P<unit>[万亿])?(?P<yuan>元|圆)?(?P<last>{_CURRENCY})?")


@dataclass(frozen=True, slots=True)
class Capital:
    """An amount 金额 as written: `amount` × `unit` (1, 万 = 10,000 or 亿 = 100,000,000) of `currency`.

    `currency` is an ISO 4217 code; None when none is named, which is not the same as CNY.
    """

    amount: Decimal
    unit: int
    currency: str | None

    @property
    def in_wan(self) -> Decimal | None:
        """The amount in units of 10,000 (万元), exact; None when six decimals or 18 digits cannot hold it."""
        return held(_EXACT.multiply(self.amount, Decimal(self.unit) / WAN))


def held(value: Decimal) -> Decimal | None:
    """`value` as decimal128(24,6) holds it; None when it would have to be rounded or is too large."""
    if abs(value) >= _LIMIT:
        return None
    exact = value.quantize(_STEP, context=_EXACT)
    return exact if exact == value else None


@lru_cache(maxsize=1 << 16)
def parse(text: str, default_unit: int | None = None) -> Capital | None:
    """The amount that `text` names, or None: not understood.

    Known: a number (thousands separators in threes), then unit and currency in any usual order and bracketing, any
    width of characters, blanks anywhere between. A bare number takes `default_unit`; without one it is not understood.
    A number with a currency but neither 万 nor 元 (`100 USD`) is that many of the currency, but not understood when
    `default_unit` is another unit than 1: it could mean either.
    """
    found = _AMOUNT.fullmatch("".join(fold(text).upper().split()))
    if found is None or len(found["number"]) > 40:  # noqa: PLR2004 - longer than any amount, shorter than _EXACT
        return None
    words = _WORDS.fullmatch(_unwrapped(found["words"]))
    if words is None:
        return None
    named = {CURRENCIES[one] for one in (found["before"], words["first"], words["last"]) if one}
    if len(named) > 1:
        return None
    currency = next(iter(named), None)
    unit = _unit(words, found["before"], default_unit)
    return None if unit is None else Capital(Decimal(found["number"].replace(",", "")), unit, currency)


def _unit(words: re.Match[str], before: str | None, default_unit: int | None) -> int | None:
    if words["unit"]:
        return _UNITS[words["unit"]]
    names = [one for one in (before, words["first"], words["last"]) if one]
    if words["yuan"] or any(name.endswith("元") for name in names):
        return 1
    if not names:
        return default_unit
    return 1 if default_unit in (None, 1) else None


def _unwrapped(words: str) -> str:
    """Words without their brackets: (X), (X(Y)), X(Y); anything else with a bracket stays and is not understood."""
    found = _BRACKETS.fullmatch(words)
    if found is None:
        return words
    whole, outer, inner = found.groups()
    return _unwrapped(whole) if whole is not None else outer + inner


def columns(values: pa.Array, default_unit: int | None) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Amounts in 万元 (decimal128(24,6)), ISO 4217 codes (string) and whether each text was understood.

    Null gives null thrice. A text is not understood when `parse` says so or the amount needs more than six decimals of
    万元: it is never rounded; all that is not understood has neither amount nor currency.
    """
    encoded = values.dictionary_encode()
    amounts: list[Decimal | None] = []
    currencies: list[str | None] = []
    for text in encoded.dictionary.to_pylist():
        capital = parse(text, default_unit)
        amount = capital.in_wan if capital else None
        amounts.append(amount)
        currencies.append(capital.currency if capital and amount is not None else None)
    amount_column = pa.array(amounts, AMOUNT).take(encoded.indices)
    understood = pc.if_else(values.is_valid(), amount_column.is_valid(), pa.scalar(None, pa.bool_()))
    return amount_column, pa.array(currencies, pa.string()).take(encoded.indices), understood
