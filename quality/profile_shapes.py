"""The shape of a text: which kind of character stands where, so that a value can be spoken of without being told."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby
from typing import Final

import pyarrow as pa

LONGEST: Final = 60  # characters of a shape that are told
_HAN = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL", "KANGXI RADICAL", "IDEOGRAPHIC NUMBER ZERO")


class _Kinds(dict[int, str]):
    """What stands for a character, looked up once each."""

    def __missing__(self, code: int) -> str:
        self[code] = kind = _kind(chr(code))
        return kind


def shape(text: str) -> str:
    """9 for a digit, A for a Latin letter, 汉 for a Chinese character, ? for another letter, others as they stand;
    repeated ones counted: `9{17}A`.
    """
    return _counted(text.translate(_KINDS))


def shapes(values: pa.Array) -> pa.Array:
    """The shape of each text; null of a null. Worth its price on distinct values."""
    return pa.array([None if one is None else shape(one) for one in values.to_pylist()], pa.string())


def _kind(sign: str) -> str:
    if sign.isascii():
        return "9" if sign.isdigit() else "A" if sign.isalpha() else sign if sign.isprintable() else " "
    if unicodedata.category(sign)[0] in "PSZ":
        return sign
    return "汉" if unicodedata.name(sign, "").startswith(_HAN) else "?"


@lru_cache(maxsize=10_000)
def _counted(kinds: str) -> str:
    parts = []
    for kind, run in groupby(kinds):
        many = sum(1 for _ in run)
        parts.append(kind if many == 1 else f"{kind}{{{many}}}")
    told = "".join(parts)
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 1]}…"


_KINDS: Final = _Kinds()
