"""Bring a claim and a recorded value to one spelling: 15 and 18 digits, 2020/1/2 and 2020-01-02 are the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from schemas import normalise
from schemas.standard import Field
from schemas.validators.scalar import check_character
from schemas.validators.spec import CITIZEN_ID

Plain = Callable[[str], str]
_BLANKS = re.compile(r"\s+")
_LEGACY = re.compile(r"[0-9]{15}")
_NOT_DIAL = re.compile(r"[^0-9]")
_WORDS = {"true": "1", "false": "0", "是": "1", "否": "0", "yes": "1", "no": "0", "y": "1", "n": "0"}
_MOBILE = 13  # digits of 86 and a mobile number


def plain_of(field: Field) -> tuple[str, Plain]:
    """How values of a field are spelled for comparing, and the name of that way."""
    kind = field.mask if field.mask in {"id_number", "phone"} else field.type
    return _KINDS.get(kind, ("text", text))


def text(value: str) -> str:
    """NFKC without blanks anywhere: a name is the same in full-width letters and with a blank in it."""
    return _BLANKS.sub("", unicodedata.normalize("NFKC", value))


def code(value: str) -> str:
    """A code of firms: upper case too, and without hyphens."""
    return normalise.fold_identifier(text(value))


def citizen(value: str) -> str:
    """A citizen's number; one of 15 digits as the 18 it became (GB 11643-1999)."""
    folded = code(value)
    if not _LEGACY.fullmatch(folded) or CITIZEN_ID.check is None:
        return folded
    longer = f"{folded[:6]}19{folded[6:]}"
    return longer + check_character(CITIZEN_ID.check, longer + "0")


def number(value: str) -> str:
    """A number without separators, plus sign and idle zeros; what is no number stays as text."""
    folded = text(value)
    try:
        told = Decimal(folded.replace(",", ""))
    except InvalidOperation:
        return folded
    return format(told.normalize(), "f") if told.is_finite() and abs(told.adjusted()) < 100 else folded  # noqa: PLR2004 digits


def day(value: str) -> str:
    """A day as ISO 8601, whichever of the known spellings it has."""
    told = normalise.parse_date(unicodedata.normalize("NFKC", value))
    return told.isoformat() if told is not None else text(value)


def instant(value: str) -> str:
    """An instant as ISO 8601 in Asia/Shanghai."""
    told = normalise.parse_datetime(unicodedata.normalize("NFKC", value).replace("T", " "))
    return told.isoformat() if told is not None else text(value)


def truth(value: str) -> str:
    """1 or 0 for the words of yes and no."""
    folded = text(value).lower()
    return _WORDS.get(folded, folded)


def phone(value: str) -> str:
    """The digits of a telephone number, without China's prefix before a mobile one."""
    digits = _NOT_DIAL.sub("", unicodedata.normalize("NFKC", value))
    return digits[2:] if len(digits) == _MOBILE and digits.startswith("86") else digits or text(value)


_KINDS: Mapping[str, tuple[str, Plain]] = {
    "uscc": ("code", code),
    "org_code": ("code", code),
    "citizen_id": ("citizen", citizen),
    "id_number": ("citizen", citizen),
    "phone": ("phone", phone),
    "integer": ("number", number),
    "decimal": ("number", number),
    "capital": ("number", number),
    "date": ("day", day),
    "datetime": ("instant", instant),
    "boolean": ("truth", truth),
}
