"""Find citizens' and mobile telephone numbers in free text, however they are spaced or wide."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

_NEXT = r"[ \t.-]{0,2}"  # what people put between the digits of one number
_DIGIT = rf"{_NEXT}\d"
_MONTH = rf"{_NEXT}(?:0{_DIGIT}|1{_NEXT}[0-2])"
_DAY = rf"{_NEXT}(?:0{_NEXT}[1-9]|[12]{_DIGIT}|3{_NEXT}[01])"
# Of 18 characters; of 15 with a month and a day in it; of a mobile telephone with or without its country.
_NUMBERS: Final = re.compile(
    rf"(?<!\d)(?:[1-9](?:{_DIGIT}){{16}}{_NEXT}[\dXx]|[1-9](?:{_DIGIT}){{7}}{_MONTH}{_DAY}(?:{_DIGIT}){{3}}"
    rf"|(?:86{_NEXT})?1{_NEXT}[3-9](?:{_DIGIT}){{9}})(?!\d)",
    re.ASCII,
)


def masked(text: str, mask: Callable[[str], object]) -> str:
    """The text with every such number put through `mask`; exactly as it was where there is none."""
    folded = unicodedata.normalize("NFKC", text)
    found = _NUMBERS.sub(lambda one: str(mask(re.sub(r"[^0-9Xx]", "", one.group()))), folded)
    return text if found == folded else found


def named(text: str) -> bool:
    """Whether such a number stands in the text."""
    return _NUMBERS.search(unicodedata.normalize("NFKC", text)) is not None
