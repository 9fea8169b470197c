"""Kernels over texts: lengths, patterns, orders and code lists, on distinct values where values repeat."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.columns import Booleans, Column, DeclinedError, Part, Truth
from quality.shapes import found, shape

Kernel = Callable[[Part], Truth]
Comparison = Callable[[Any, Any], Any]

_MOST_BYTES = 4  # of a character in UTF-8
_HUGE = 1 << 20  # bytes of one text that a pattern is not tried on
_ARROW: dict[Comparison, Callable[[pa.Array, Any], pa.Array]] = {
    operator.eq: pc.equal,
    operator.ne: pc.not_equal,
    operator.lt: pc.less,
    operator.le: pc.less_equal,
    operator.gt: pc.greater,
    operator.ge: pc.greater_equal,
}


def length(name: str, sign: Comparison, limit: int) -> Kernel:
    """Characters of a text against a limit; bytes decide wherever they can."""

    def measured(part: Part) -> Truth:
        column = part[name]
        most = column.lengths
        least = (most + _MOST_BYTES - 1) // _MOST_BYTES
        sure, answer = _between(sign, least, most, limit)
        open_rows = np.flatnonzero(~sure & column.valid)
        if len(open_rows):
            chosen = column.texts if len(open_rows) == part.rows else column.texts.take(pa.array(open_rows))
            answer[open_rows] = sign(pc.utf8_length(chosen).to_numpy(zero_copy_only=False), limit)
        return column.known(answer)

    return measured


def _between(sign: Comparison, least: Any, most: Any, limit: int) -> tuple[Booleans, Booleans]:  # noqa: ANN401 - numpy
    """Where the comparison is sure for every number from least to most, and how it comes out there."""
    if sign in (operator.eq, operator.ne):
        outside = (most < limit) | (least > limit)
        return outside, np.full(len(most), sign is operator.ne)
    low, high = sign(least, limit), sign(most, limit)
    return low == high, low


def matching(name: str, pattern: str) -> Kernel:
    """Whether the pattern (RE2) is found in a text."""
    pc.match_substring_regex(pa.array([""]), pattern)  # ArrowInvalid now rather than part after part
    known = shape(pattern)
    if known is None:
        return _by_value(name, lambda texts: pc.match_substring_regex(texts, pattern))

    def tried(part: Part) -> Truth:
        column = part[name]
        return column.known(found(known, column.edges, column.data))

    return tried


def like(name: str, pattern: str) -> Kernel:
    """Whether a text is like a pattern without escapes."""
    return _by_value(name, lambda texts: pc.match_like(texts, pattern))


def among(name: str, wanted: pa.Array) -> Kernel:
    """Whether a text is one of some."""
    return _by_value(name, lambda texts: pc.is_in(texts, wanted.cast(texts.type)))


def compared(name: str, sign: Comparison, value: str) -> Kernel:
    """Texts against one text, byte by byte."""
    return _by_value(name, lambda texts: _ARROW[sign](texts, pa.scalar(value, texts.type)))


def paired(name: str, other: str, sign: Comparison) -> Kernel:
    """The texts of two columns against each other, byte by byte."""

    def beside(part: Part) -> Truth:
        first, second = part[name], part[other]
        answer = _ARROW[sign](first.texts, second.texts)
        both = first.valid & second.valid
        true = _booleans(answer) & both
        return Truth(true, both & ~true)

    return beside


def _by_value(name: str, judged: Callable[[pa.Array], pa.Array]) -> Kernel:
    def answered(part: Part) -> Truth:
        column = part[name]
        _refuse_huge(column)
        distinct = column.distinct
        if distinct is None:
            return column.known(_booleans(judged(column.texts)))
        places, values = distinct
        if not len(values):
            return column.known(np.zeros(part.rows, np.bool_))
        return column.known(_booleans(judged(values)).take(places))

    return answered


def _refuse_huge(column: Column) -> None:
    if column.longest > _HUGE:
        raise DeclinedError


def _booleans(answer: pa.Array) -> Booleans:
    if answer.null_count:
        answer = answer.fill_null(False)  # noqa: FBT003 - the value to fill with
    booleans: Booleans = answer.to_numpy(zero_copy_only=False)
    return booleans
