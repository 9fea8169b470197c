"""Find the rows that share a key with another row of the batch, holding 24 bytes a row and not the keys."""

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


class Repeats:
    """The keys of all rows that have one, as two independent 64-bit hashes each, salted for this check alone.

    That two different keys of one batch agree in all 128 bits is far less likely than that the machine errs, and nobody
    who sends data knows the salt. Rows with a null in their key have none.
    """

    def __init__(self, columns: Sequence[str], schema: pa.Schema) -> None:
        self.reads = self._columns = tuple(columns)
        self._schema = schema
        self._salts = tuple(secrets.token_hex(5) for _ in range(2))
        self._first: list[Hashes] = []
        self._second: list[Hashes] = []
        self._rows: list[Rows] = []

    def columns(self, name: str) -> list[Any]:
        """What to select from each part, under names that begin with `name`."""
        texts = [self._text(one) for one in self._columns]
        given = " AND ".join(f"{quote(one)} IS NOT NULL" for one in self._columns)
        salted = [", ".join(f"'{salt}' || {one}" for one in texts) for salt in self._salts]
        hashes = [f"hash({one})" for one in salted]
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
        self._first.append(first.to_numpy())
        self._second.append(second.to_numpy())
        self._rows.append(rows.to_numpy())

    def rows(self) -> Rows:
        """The `_row`s, ordered, that share their key."""
        if not self._first:
            return np.empty(0, np.int64)
        first, second, rows = (np.concatenate(one) for one in (self._first, self._second, self._rows))
        self._first, self._second, self._rows = [], [], []
        ordered = np.sort(first)
        repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        del ordered
        if not len(repeated):
            return np.empty(0, np.int64)
        nearest = np.minimum(np.searchsorted(repeated, first), len(repeated) - 1)
        likely = np.flatnonzero(repeated[nearest] == first)
        first, second, rows = first[likely], second[likely], rows[likely]
        order = np.lexsort((second, first))
        same = np.zeros(len(order) + 1, np.bool_)
        same[1:-1] = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
        shared = order[same[1:] | same[:-1]]
        return np.sort(rows[shared])
