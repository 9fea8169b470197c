"""Find the rows that share a key with another row of the batch, holding 16 bytes a row and not the keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from quality.columns import Part, booleans
from quality.dialect import quote
from quality.keys import Hasher, hashable
from quality.shared_hashes import Hashes, Rows, SharedHashes
from schemas.values import ROW


class Repeats:
    """The keys of all rows that have one, as two 64-bit hashes each, made with what is drawn for this check alone.

    That two different keys of one batch agree in the 96 bits compared is far less likely than that the machine errs.
    Keys of texts, whole numbers and days are hashed by `Hasher`; SQL hashes others, where whoever makes keys agree in
    the first 64 bits does not know the salt of the others. Rows with a null in their key have none.
    """

    def __init__(self, columns: Sequence[str], schema: pa.Schema) -> None:
        self.reads = self._columns = tuple(columns)
        self._schema = schema
        self._salt = secrets.token_hex(5)
        self._hasher = Hasher(self._columns) if hashable(self._columns, schema) else None
        self._hashes = SharedHashes()

    def take(self, part: Part) -> None:
        """Hash the keys of a part, unless SQL has to; from several threads. UnreadableError."""
        if self._hasher is not None:
            self._hashes.add(*self._hasher(part), _together(part[ROW].numbers))

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
        self._hashes.add(first, second, there, _together(answer["r"].to_numpy()))

    @property
    def apart(self) -> bool:
        """The connection is not asked, and few hashes are copied at a time."""
        return True

    def rows(self) -> Rows:
        """The `_row`s, ordered, that share their key."""
        return self._hashes.rows()


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
