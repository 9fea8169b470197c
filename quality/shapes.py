"""Regular expressions that only say which ASCII characters stand where, tried on bytes without a regex engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Booleans = npt.NDArray[np.bool_]

_CLASS = r"\[(?P<not>\^?)(?P<inside>(?:[0-9A-Za-z _@*?.,:;/#=+()!-]|\\[-.])+)\]"
_ONE = re.compile(rf"(?:{_CLASS}|(?P<plain>[0-9A-Za-z_@#=:,/ -]))(?:\{{(?P<count>[0-9]{{1,3}})\}})?")
_FREE = re.compile(rf"\^{_CLASS}(?P<many>[+*])\$")
_RANGE = re.compile(r"(\\.|[^\\])(?:-(\\.|[^\\]))?")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A text of exactly these characters: a table of allowed bytes for each place."""

    allowed: tuple[Booleans, ...]


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
    return Fixed(tuple(places)) if places else None


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
        hit = np.zeros(len(inside), np.bool_)
        for byte in np.flatnonzero(one.forbidden).astype(np.uint8):
            hit |= inside == byte
        right[np.searchsorted(edges, np.flatnonzero(hit) + edges[0], side="right") - 1] = False
        return right
    width = len(one.allowed)
    right = lengths == width
    rows = np.flatnonzero(right)
    if not len(rows):
        return right
    whole = len(rows) == len(lengths)
    if whole:
        texts = data[edges[0] : edges[-1]].reshape(-1, width)
    else:
        texts = np.lib.stride_tricks.sliding_window_view(data, width)[edges[:-1][rows]]
    good = np.ones(len(rows), np.bool_)
    for place, table in enumerate(one.allowed):
        good &= table.take(texts[:, place])
    right[rows] = good
    return right
