"""What a caller without a grant for the clear value sees instead: one small function per mask name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from schemas.standard import Field

Mask = Callable[[object], object]
PERSONAL_LEVEL = 3  # DB33/T 2351: from this level on a field without a mask of its own is hidden

# The two-character surnames 复姓 in use; a name that starts with one keeps both characters.
COMPOUND_SURNAMES = frozenset(
    re.findall(
        "..",
        "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容仲孙钟离长孙宇文"
        "司徒鲜于司空令狐百里呼延东郭南门羊舌微生左丘西门第五歐陽司馬東方諸葛尉遲長孫鍾離鮮于",
    )
)
_STAR = "*"
# What begins a street or an estate ends the search (counties named after one go on: 路桥区, 镇海区, 西乡县).
_BEFORE_STREET = r"^(?:(?![街巷弄村号\d]|路(?![桥南北])|镇(?![海原平赉坪康雄沅宁远安巴])|乡(?![县宁城市])).){0,24}?"
_ESTATE = r"(?<![小社园业发宅校厂院片街])区"  # 小区, 社区, 工业园区, 开发区 lie below the county
_COUNTY = re.compile(rf"{_BEFORE_STREET}(?:自治县|自治旗|县级市|林区|特区|[县旗](?![前后学府路街巷])|{_ESTATE})")
_CITY = re.compile(rf"{_BEFORE_STREET}(?:自治州|地区|(?<![超门菜夜集早])市|盟|州|省|自治区)")
_BANDS = (0, 10_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 1_000_000_000)


def name(value: object) -> object:
    """张* for 张三, 欧阳** for 欧阳娜娜: the surname stays, one star for each further character, combining marks go."""
    if value is None:
        return None
    text = _text(value)
    kept = text[:2] if text[:2] in COMPOUND_SURNAMES and len(text) > 2 else text[:1]  # noqa: PLR2004 two characters
    hidden = max(1, len(text) - len(kept))
    return (kept if len(text) > 1 else "") + _STAR * hidden


def id_number(value: object) -> object:
    """330***********1234: the first three and last four characters of 11 or more; shorter ones are starred whole."""
    return _middle(value, head=3, tail=4, least=11)


def phone(value: object) -> object:
    """138****5678: the first three and last four characters of 11 or more; of shorter numbers the last two."""
    if value is None:
        return None
    text = _text(value)
    return _middle(text, head=3, tail=4, least=11) if len(text) >= 11 else _middle(text, head=0, tail=2, least=5)  # noqa: PLR2004 a mobile number


def address(value: object) -> object:
    """浙江省杭州市西湖区***: kept down to the county; to the city where no county is named; else nothing."""
    if value is None:
        return None
    text = _text(value)
    kept = _COUNTY.match(text) or _CITY.match(text)
    return (kept.group() if kept and kept.end() < len(text) else "") + _STAR * 3


def amount(value: object) -> object:
    """The band an amount lies in, `[1000000, 5000000)`, in the unit of the field; `***` for what is no number."""
    if value is None:
        return None
    try:
        number = Decimal(unicodedata.normalize("NFKC", str(value)).replace(",", ""))
    except InvalidOperation:
        return _STAR * 3
    if not number.is_finite():
        return _STAR * 3
    if number < 0:
        return "<0"
    above = [band for band in _BANDS if band > number]
    below = max(band for band in _BANDS if band <= number)
    return f"[{below}, {above[0]})" if above else f">={below}"


def hide(value: object) -> object:
    """`***` whatever the value; null stays null."""
    return None if value is None else _STAR * 3


MASKS: Mapping[str, Mask] = {
    "name": name,
    "id_number": id_number,
    "phone": phone,
    "address": address,
    "amount": amount,
    "hide": hide,
}


def mask_of(field: Field) -> Mask | None:
    """The mask a field is shown through by default; None when it is open."""
    if field.mask is not None:
        return MASKS[field.mask]
    return hide if field.level >= PERSONAL_LEVEL else None


def _text(value: object) -> str:
    """The value as text without combining marks and invisible characters, which would betray what they stand beside."""
    text = str(value)
    if text.isascii() or text.isalnum():  # among letters and digits is none of them
        return text.strip()
    return "".join(c for c in text if not unicodedata.combining(c) and unicodedata.category(c) != "Cf").strip()


def _middle(value: object, *, head: int, tail: int, least: int) -> object:
    if value is None:
        return None
    text = _text(value)
    if len(text) < least:
        return _STAR * max(1, len(text))
    return text[:head] + _STAR * (len(text) - head - tail) + text[-tail:]
