"""Regular expressions that only say which ASCII characters stand where, tried on bytes without a regex engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from schemas.validators.arrow import of_length

Booleans = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_CLASS = r"\[(?P<not>\^?)(?P<inside>(?:[0-9A-Za-z _@*?.,:;/#=+()!-]|\\[-.])+)\]"
_ONE = re.compile(rf"(?:{_CLASS}|(?P<plain>[0-9A-Za-z_@#=:,/ -]))(?:\{{(?P<count>0|[1-9][0-9]{{0,2}})\}})?")
_FREE = re.compile(rf"\^{_CLASS}(?P<many>[+*])\$")
_RANGE = re.compile(r"(\\.|[^\\])(?:-(\\.|[^\\]))?")
_SELDOM = 64  # times a byte is looked for one after the other
_BLOCK = 1 << 13  # texts compared at once: their bytes stay in the caches


@dataclass(frozen=True, slots=True)
class Fixed:
    """A text of exactly these characters: a table of allowed bytes for each place.

    Where what is allowed at each place is one range of bytes, `ranges` has the lowest and how many more.
    """

    allowed: tuple[Booleans, ...]
    ranges: tuple[Bytes, Bytes] | None


@dataclass(frozen=True, slots=True)
class Free:
    """A text without the forbidden bytes, of any length or (`some`) of at least one."""

    forbidden: Booleans
    some: bool


@lru_cache(maxsize=512)
def shape(pattern: str) -> Fixed | Free | None:
    """What the pattern says, when it is `^…$` over classes of ASCII characters; None for every other pattern."""
    free = _FREE.fullmatch(pattern)
    if free:
        # Only a negated class may meet bytes that are not ASCII: they are all allowed.
        return Free(_table(free["inside"]), free["many"] == "+") if free["not"] else None
    if not (pattern.startswith("^") and pattern.endswith("$")) or pattern.endswith("\\$"):
        return None
    places: list[Booleans] = []
    at, end = 1, len(pattern) - 1
    while at < end:
        one = _ONE.match(pattern, at, end)
        if one is None or one["not"]:
            return None
        table = _table(one["inside"] or one["plain"])
        places += [table] * int(one["count"] or 1)
        at = one.end()
    return Fixed(tuple(places), _ranges(places)) if places else None


def _ranges(places: list[Booleans]) -> tuple[Bytes, Bytes] | None:
    if not all(table.any() for table in places):
        return None
    low = np.array([table.argmax() for table in places], np.uint8)
    span = np.array([np.count_nonzero(table) - 1 for table in places], np.uint8)
    whole = all(table[first : first + more + 1].all() for table, first, more in zip(places, low, span, strict=True))
    return (low, span) if whole else None


def _table(inside: str) -> Booleans:
    table = np.zeros(256, np.bool_)
    for first, last in _RANGE.findall(inside):
        low = ord(first[-1])
        table[low : ord((last or first)[-1]) + 1] = True
    return table


def found(one: Fixed | Free, edges: npt.NDArray[np.integer], data: npt.NDArray[np.uint8]) -> Booleans:
    """Which texts, from each edge to the next in UTF-8, are of the shape."""
    lengths = edges[1:] - edges[:-1]
    if isinstance(one, Free):
        right: Booleans = lengths > 0 if one.some else np.ones(len(lengths), np.bool_)
        inside = data[edges[0] : edges[-1]]
        raw = inside.tobytes()
        for byte in np.flatnonzero(one.forbidden).tolist():
            right[np.searchsorted(edges, _places(raw, inside, byte) + edges[0], side="right") - 1] = False
        return right
    right = np.zeros(len(lengths), np.bool_)
    rows, texts = of_length(edges, data, len(one.allowed))
    right[rows] = _fits(one, texts)
    return right


def _places(raw: bytes, inside: Bytes, byte: int) -> npt.NDArray[np.int64]:
    """Where a byte stands: one that is seldom there is found at the speed of memory."""
    found: list[int] = []
    at = raw.find(byte)
    while at >= 0 and len(found) < _SELDOM:
        found.append(at)
        at = raw.find(byte, at + 1)
    return np.array(found, np.int64) if at < 0 else np.flatnonzero(inside == byte)


def _fits(one: Fixed, texts: npt.NDArray[np.uint8]) -> Booleans:
    """Which texts, all as long as the shape, are of it."""
    good = np.ones(len(texts), np.bool_)
    if one.ranges is None:
        for place, table in enumerate(one.allowed):
            good &= table.take(texts[:, place])
        return good
    width = len(one.allowed)
    low, span = (np.tile(bound, min(len(texts), _BLOCK)) for bound in one.ranges)
    for first in range(0, len(texts), _BLOCK):
        signs = np.ascontiguousarray(texts[first : first + _BLOCK]).reshape(-1)
        # A sign below the range wraps around, and is far beyond it.
        beyond = np.flatnonzero(signs - low[: len(signs)] > span[: len(signs)])
        good[first + beyond // width] = False
    return good
