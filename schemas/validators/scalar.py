"""One identifier at a time, in plain Python: the API's back end of the validators."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from operator import mul

from schemas.validators.spec import CALENDAR_DATE, FIRST_YEAR, SPECS, Fixed, Joined, Weighted, hybrid_steps


def valid(kind: str, text: str, today: date) -> bool:
    """True when `text`, exactly as it stands, is a valid identifier of `kind` (one of spec.KINDS; else KeyError).

    Nothing is trimmed or folded: lower case and full-width forms are not valid. `today` bounds dates of birth.
    """
    spec = SPECS[kind]
    if not _pattern(kind).fullmatch(text):
        return False
    if isinstance(spec, Joined):
        return _hybrid(spec, text)
    if spec.beginnings and not text.startswith(spec.beginnings):
        return False
    if spec.check and text[spec.check.at] != check_character(spec.check, text):
        return False
    return spec.birth is None or text.startswith(spec.birth.exempt) or _born(spec, text, today)


def check_character(check: Weighted, text: str) -> str:
    """The check character that belongs to `text`; ValueError when a weighted character is outside the alphabet."""
    weighted = text[check.start : check.at]
    if len(weighted) != len(check.weights):
        raise ValueError(text)
    try:
        total = sum(map(mul, map(_values(check.alphabet).__getitem__, weighted), check.weights))
    except KeyError:
        raise ValueError(text) from None
    return check.table[total % len(check.table)]


@cache
def _values(alphabet: str) -> dict[str, int]:
    return {one: value for value, one in enumerate(alphabet)}


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    return re.compile(SPECS[kind].pattern)


_CALENDAR = re.compile(CALENDAR_DATE)


def _born(spec: Fixed, text: str, today: date) -> bool:
    start = spec.birth.start if spec.birth else 0
    born = text[start : start + 8]
    return bool(_CALENDAR.fullmatch(born)) and f"{FIRST_YEAR}0101" <= born <= today.strftime("%Y%m%d")


def _hybrid(spec: Joined, text: str) -> bool:
    steps = hybrid_steps(len(spec.alphabet))
    state = len(spec.alphabet) // 2
    for one in text.removeprefix(spec.beginning).replace(".", ""):
        state = steps[state][spec.alphabet.index(one)]
    return state == 1
