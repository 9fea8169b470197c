"""Find the rows that share a key with another row of the batch, holding 16 bytes a row and not the keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from quality.dialect import quote

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

# Bits by which a hash is told from repeated ones without a search: so many more than count them leave one in dozens.
_SPARE, _LEAST, _MOST = 6, 12, 24


class Repeats:
    """The keys of all rows that have one, as two 64-bit hashes each, the second one salted for this check alone.

    That two different keys of one batch agree in all 128 bits is far less likely than that the machine errs, and
    whoever makes keys agree in the first 64 does not know the salt of the others. Rows with a null in their key have
    none.
    """

    def __init__(self, columns: Sequence[str], schema: pa.Schema) -> None:
        self.reads = self._columns = tuple(columns)
        self._schema = schema
        self._salt = secrets.token_hex(5)
        self._parts: list[tuple[Hashes, Hashes, Rows | range]] = []

    def columns(self, name: str) -> list[Any]:
        """What to select from each part, under names that begin with `name`."""
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
        first, second = (answer[f"{name}_{place}"].combine_chunks() for place in range(2))
        rows = answer["r"].combine_chunks()
        if first.null_count:
            there = first.is_valid()
            first, second, rows = first.filter(there), second.filter(there), rows.filter(there)
        numbers = rows.to_numpy()
        whole = bool((np.diff(numbers) == 1).all()) and len(numbers) > 0  # as batches are numbered
        # Copies: a view would keep alive all else that was selected from the part.
        self._parts.append(
            (
                first.to_numpy().copy(),
                second.to_numpy().copy(),
                range(int(numbers[0]), int(numbers[-1]) + 1) if whole else numbers.astype(np.int64),
            )
        )

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
