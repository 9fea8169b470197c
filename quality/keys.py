"""Hash the keys of rows, a column of texts or numbers at a time, by factors drawn for one check alone."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality.columns import Booleans, Column, Numbers, Part, booleans, edges_of, is_text
from schemas.validators.arrow import windows

Hashes = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]

_WORD = 4  # bytes
_AT_ONCE = 1 << 18  # words multiplied together: their 64-bit forms stay in the caches
_KEPT = np.array([0xFFFFFFFF, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)  # of the last word, by bytes beyond whole words


def hashable(columns: Sequence[str], schema: pa.Schema) -> bool:
    """Whether every column is one of texts, whole numbers, days or moments, and no other has its name but for case."""
    cases = Counter(name.lower() for name in schema.names)
    return all(
        cases[name.lower()] == 1 and name in schema.names and _simple(schema.field(name).type) for name in columns
    )


def _simple(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_text(inner) or pa.types.is_integer(kind) or pa.types.is_date32(kind) or pa.types.is_timestamp(kind)


class Hasher:
    """Two 64-bit hashes of the key of each row.

    A key is a row of 32-bit words, the length of each text among them, and a hash the sum of the words times factors
    that nobody knows before the check, modulo 2^64. Two keys that differ by an odd number in some word agree in both
    hashes with a probability of 2^-128, and any two with one of at most 2^-66.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._factors = {name: _Factors() for name in columns}

    def __call__(self, part: Part) -> tuple[Hashes, Hashes, Booleans | None]:
        """The hashes of all rows of a part, and which rows have a key at all (None: all); UnreadableError."""
        first, second = np.zeros(part.rows, np.uint64), np.zeros(part.rows, np.uint64)
        there: Booleans | None = None
        for name, factors in self._factors.items():
            column = part[name]
            ours = _hashed(column, factors)
            first += ours[0]
            second += ours[1]
            given = _given(column)
            if given is not None:
                there = given if there is None else there & given
        return first, second, there


class _Factors:
    """As many pairs of factors as are asked for, always the same."""

    def __init__(self) -> None:
        self._key = secrets.randbits(128)
        self._made = self._drawn(64)

    def first(self, many: int) -> Hashes:
        """The first pairs."""
        if many > len(self._made):
            self._made = self._drawn(many * 2)
        return self._made[:many]

    def _drawn(self, many: int) -> Hashes:
        return np.random.Philox(key=self._key).random_raw(many * 2).reshape(-1, 2)


def _given(column: Column) -> Booleans | None:
    """Which rows have a value; None: all."""
    values = column.values
    if pa.types.is_dictionary(values.type) and values.dictionary.null_count:
        return booleans(column.texts.is_valid())
    return column.valid if values.null_count else None


def _hashed(column: Column, factors: _Factors) -> tuple[Hashes, Hashes]:
    kind = column.values.type
    if pa.types.is_dictionary(kind) and column.distinct is not None:
        places, values = column.distinct
        if len(values) and not values.null_count:
            first, second = _of_texts(values, factors)
            return first.take(places), second.take(places)
    if pa.types.is_dictionary(kind) or is_text(kind):
        return _of_texts(column.texts, factors)
    words = column.numbers.astype(np.int64).view(np.uint32).reshape(-1, 2)
    return _sums(words, factors.first(2))


def _sums(words: Words, factors: Hashes) -> tuple[Hashes, Hashes]:
    first, second = np.zeros(len(words), np.uint64), np.zeros(len(words), np.uint64)
    for place, (one, other) in enumerate(factors):  # as columns: a product of matrices of whole numbers takes longer
        column = words[:, place].astype(np.uint64)
        first += column * one
        second += np.multiply(column, other, out=column)
    return first, second


def _of_texts(texts: pa.Array, factors: _Factors) -> tuple[Hashes, Hashes]:
    edges, buffer = edges_of(texts), texts.buffers()[2]
    data = np.frombuffer(buffer, np.uint8) if buffer is not None else np.zeros(0, np.uint8)
    lengths = edges[1:] - edges[:-1]
    many = (lengths + _WORD - 1) // _WORD
    first, second = (lengths.astype(np.uint64) * one for one in factors.first(1)[0])
    for number in (np.flatnonzero(np.bincount(many)[1:]) + 1).tolist():
        multipliers = factors.first(number + 1)[1:]
        for rows, words in _words(data, edges, np.flatnonzero(many == number), number):
            whole = len(rows) == len(many)  # adding by places takes six times as long
            for hashes, more in zip((first, second), _sums(words, multipliers), strict=True):
                hashes[slice(None) if whole else rows] += more
    return first, second


def _words(data: npt.NDArray[np.uint8], edges: Numbers, rows: Numbers, number: int) -> Iterator[tuple[Numbers, Words]]:
    """The words of texts that all have the same number of them, some rows at a time; what the last one lacks is 0."""
    width = number * _WORD
    starts = edges[:-1][rows]
    within = int(np.searchsorted(starts, len(data) - width, side="right"))  # those whose last word ends with the bytes
    step = max(1, _AT_ONCE // number)
    for first in range(0, within, step):
        some = slice(first, min(first + step, within))
        yield rows[some], _ended(windows(data, starts[some], width), edges, rows[some])
    if within < len(rows):
        end = np.append(data[starts[within] :], np.zeros(_WORD, np.uint8))
        others = rows[within:]
        yield others, _ended(windows(end, starts[within:] - starts[within], width), edges, others)


def _ended(texts: Bytes, edges: Numbers, rows: Numbers) -> Words:
    words = texts.view("<u4")
    words[:, -1] &= _KEPT.take((edges[1:][rows] - edges[:-1][rows]) % _WORD)
    return words
