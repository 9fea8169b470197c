"""Kernels over texts: lengths, patterns, orders and code lists, on distinct values where values repeat."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.columns import Booleans, Column, DeclinedError, Part, Truth, booleans, edges_of, plain
from quality.shapes import found, shape
from schemas.validators.arrow import windows

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


def beginning(name: str, sign: str) -> Kernel:
    """Whether a text begins with another."""
    return _by_value(name, lambda texts: pc.starts_with(texts, sign))


def paired(name: str, other: str, sign: Comparison) -> Kernel:
    """The texts of two columns against each other, byte by byte."""
    return lambda part: _beside(part, name, other, sign, part[name].texts)


def _beside(part: Part, name: str, other: str, sign: Comparison, texts: pa.Array) -> Truth:
    both = part[name].valid & part[other].valid
    true = booleans(_ARROW[sign](texts, part[other].texts)) & both
    return Truth(true, both & ~true)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of each text of a column: from a place, the first is 0, at most so many characters."""

    column: str
    start: int
    most: int

    def paired(self, other: str, sign: Comparison) -> Kernel:
        """The pieces against the texts of another column, byte by byte."""
        return lambda part: _beside(part, self.column, other, sign, self._of(part[self.column].texts))

    def compared(self, sign: Comparison, value: str) -> Kernel:
        """The pieces against one text, byte by byte."""
        return _by_value(self.column, lambda texts: _ARROW[sign](self._of(texts), pa.scalar(value, texts.type)))

    def among(self, wanted: pa.Array) -> Kernel:
        """Whether a piece is one of some texts."""
        return _by_value(self.column, lambda texts: pc.is_in(self._of(texts), wanted.cast(texts.type)))

    def _of(self, texts: pa.Array) -> pa.Array:
        """DeclinedError where a character may be several bytes, since SQL must say what it takes for one."""
        if not plain(texts):
            raise DeclinedError
        return _cut(texts, self.start, self.most)


def _cut(texts: pa.Array, start: int, most: int) -> pa.Array:
    """Pieces of texts of plain signs, of a null any."""
    edges, buffer = edges_of(texts), texts.buffers()[2]
    lengths = edges[1:] - edges[:-1]
    whole = lengths >= start + most
    if not whole.any() or not (whole | (lengths == 0)).all() or not pa.types.is_string(texts.type):
        return pc.utf8_slice_codeunits(texts, start, start + most)
    # Texts of an identifier all have the piece: it is the same number of bytes of each.
    taken = windows(np.frombuffer(buffer, np.uint8), edges[:-1][whole] + start, most)
    ends = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(whole, out=ends[1:], dtype=np.int32)
    ends *= most
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(taken))


def _by_value(name: str, judged: Callable[[pa.Array], pa.Array]) -> Kernel:
    def answered(part: Part) -> Truth:
        column = part[name]
        _refuse_huge(column)
        distinct = column.distinct
        if distinct is None:
            return column.known(booleans(judged(column.texts)))
        places, values = distinct
        if not len(values):
            return column.known(np.zeros(part.rows, np.bool_))
        return column.known(booleans(judged(values)).take(places))

    return answered


def _refuse_huge(column: Column) -> None:
    if column.longest > _HUGE:
        raise DeclinedError
