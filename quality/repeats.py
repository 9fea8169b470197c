"""Find the rows that share a key with another row of the batch, holding 16 bytes a row and not the keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from quality.columns import Booleans, Part, booleans
from quality.dialect import quote
from quality.keys import Hasher, hashable
from schemas.values import ROW

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

# Bits by which a hash is told from repeated ones without a search: so many more than count them leave one in dozens.
_SPARE, _LEAST, _MOST = 6, 12, 24
_FEW = 1 << 22


class Repeats:
    """The keys of all rows that have one, as two 64-bit hashes each, made with what is drawn for this check alone.

    That two different keys of one batch agree in all 128 bits is far less likely than that the machine errs. Keys of
    texts, whole numbers and days are hashed by `Hasher`; SQL hashes others, where whoever makes keys agree in the first
    64 bits does not know the salt of the others. Rows with a null in their key have none.
    """

    def __init__(self, columns: Sequence[str], schema: pa.Schema) -> None:
        self.reads = self._columns = tuple(columns)
        self._schema = schema
        self._salt = secrets.token_hex(5)
        self._hasher = Hasher(self._columns) if hashable(self._columns, schema) else None
        self._parts: list[tuple[Hashes, Hashes, Rows | range]] = []

    def take(self, part: Part) -> None:
        """Hash the keys of a part, unless SQL has to; from several threads. UnreadableError."""
        if self._hasher is not None:
            self._note(*self._hasher(part), part[ROW].numbers)

    def columns(self, name: str) -> list[Any]:
        """What to select from each part, under names that begin with `name`; nothing when `take` sees to it."""
        if self._hasher is not None:
            return []
        texts = [self._text(one) for one in self._columns]
        given = " AND ".join(f"{quote(one)} IS NOT NULL" for one in self._columns)
        salted = [f"'{self._salt}' || {one}" for one in texts]
        hashes = [f"hash({', '.join(ones)})" for ones in (texts, salted)]  # a salt costs as much as all the rest
        return [
            sa.literal_column(f"CASE WHEN {given} THEN {text} END", sa.BigInteger).label(f"{name}_{place}")
            for place, text in enumerate(hashes)
        ]

    def _text(self, column: str) -> str:
        places = self._schema.get_all_field_indices(column)
        floats = len(places) == 1 and pa.types.is_floating(self._schema.field(places[0]).type)
        return f"({quote(column)} + 0.0)::VARCHAR" if floats else f"{quote(column)}::VARCHAR"  # -0.0 equals 0.0

    def add(self, answer: pa.Table, name: str) -> None:
        """Take the hashes of the next part."""
        # Copies: a view would keep alive all else that was selected from the part.
        first, second = (_numbers(answer[f"{name}_{place}"]) for place in range(2))
        one = answer[f"{name}_0"]
        there = booleans(one.combine_chunks().is_valid()) if one.null_count else None
        self._note(first, second, there, answer["r"].to_numpy())

    def _note(self, first: Hashes, second: Hashes, there: Booleans | None, rows: npt.NDArray[np.integer]) -> None:
        numbers = _together(rows)
        if there is not None:
            places = np.flatnonzero(there)
            first, second = first[places], second[places]
            numbers = places + numbers.start if isinstance(numbers, range) else numbers[places]
        self._parts.append((first, second, numbers))

    @property
    def apart(self) -> bool:
        """Whether there are so few rows that the copies of their hashes take little room beside others'."""
        return sum(len(first) for first, _, _ in self._parts) <= _FEW

    def rows(self) -> Rows:
        """The `_row`s, ordered, that share their key."""
        if not self._parts:
            return np.empty(0, np.int64)
        ordered = np.concatenate([one for one, _, _ in self._parts])
        ordered.sort()
        repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        del ordered
        beginnings = _beginnings(repeated)
        likely = [_among(repeated, beginnings, *part) for part in self._parts] if len(repeated) else []
        self._parts = []
        if not likely:
            return np.empty(0, np.int64)
        first, second, rows = (np.concatenate(one) for one in zip(*likely, strict=True))
        order = np.lexsort((second, first))
        same = np.zeros(len(order) + 1, np.bool_)
        same[1:-1] = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
        shared = order[same[1:] | same[:-1]]
        return np.sort(rows[shared])


def _numbers(hashes: pa.ChunkedArray) -> Hashes:
    """A copy of hashes, of a null any."""
    pieces = [np.frombuffer(one.buffers()[1], np.uint64, len(one), one.offset * 8) for one in hashes.chunks if len(one)]
    return np.concatenate([np.empty(0, np.uint64), *pieces])


def _together(numbers: npt.NDArray[np.integer]) -> Rows | range:
    """Row numbers as batches have them, one after the other, by their ends; others copied."""
    low, high = (int(numbers[0]), int(numbers[-1])) if len(numbers) else (0, 0)
    if high - low == len(numbers) - 1 and bool((numbers[1:] > numbers[:-1]).all()):
        return range(low, high + 1)
    return numbers.astype(np.int64)


def _beginnings(repeated: Hashes) -> npt.NDArray[np.bool_]:
    """For the first bits of a hash, how many ever, whether a repeated one begins with them."""
    bits = min(max(len(repeated).bit_length() + _SPARE, _LEAST), _MOST)
    there = np.zeros(1 << bits, np.bool_)
    there[(repeated >> np.uint64(64 - bits)).view(np.int64)] = True
    return there


def _among(
    repeated: Hashes, beginnings: npt.NDArray[np.bool_], first: Hashes, second: Hashes, rows: Rows | range
) -> tuple[Hashes, Hashes, Rows]:
    """The rows whose first hash is among the repeated ones, which is looked up for those that begin like one."""
    bits = len(beginnings).bit_length() - 1
    places = np.flatnonzero(beginnings.take((first >> np.uint64(64 - bits)).view(np.int64)))
    likely = first[places]
    nearest = np.minimum(np.searchsorted(repeated, likely), len(repeated) - 1)
    places = places[repeated[nearest] == likely]
    return first[places], second[places], places + rows.start if isinstance(rows, range) else rows[places]
