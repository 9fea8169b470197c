"""Name what was received by its content: one SHA-256 over the columns, however the rows were cut into batches."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NULL = -1  # the length of a null


class ContentHash:
    """Takes text columns chunk by chunk; the digest depends on names, values, nulls and row order alone.

    A column that comes up late counts as null in the rows before. `_row` is left out: it follows from the order.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._columns: dict[str, _ColumnHash] = {}

    def update(self, rows: pa.RecordBatch) -> None:
        """Take the next rows; every column is text."""
        for name in rows.schema.names:
            if name not in self._columns:
                self._columns[name] = _ColumnHash()
                self._columns[name].nulls(self._rows)
            self._columns[name].update(rows.column(name))
        for name in self._columns.keys() - set(rows.schema.names):
            self._columns[name].nulls(rows.num_rows)
        self._rows += rows.num_rows

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        whole = hashlib.sha256(f"rows {self._rows}\n".encode())
        for name, column in sorted(self._columns.items()):
            whole.update(f"{len(name.encode())} {name} {column.hexdigest()}\n".encode())
        return whole.hexdigest()


class _ColumnHash:
    """Lengths (int32, −1 for null) and bytes go into two digests: no value can pass for two others."""

    def __init__(self) -> None:
        self._lengths, self._bytes = hashlib.sha256(), hashlib.sha256()

    def update(self, column: pa.Array) -> None:
        if len(column) == column.null_count:
            self.nulls(len(column))
            return
        bounds = _bounds(column)
        lengths = np.diff(bounds)
        if column.null_count:
            nulls = pc.is_null(column).to_numpy(zero_copy_only=False)
            if lengths[nulls].any():  # Arrow lets bytes rest under a null; they are no content
                column = pc.fill_null(column, "")
                bounds = _bounds(column)
                lengths = np.diff(bounds)
            lengths[nulls] = _NULL
        self._lengths.update(lengths.data)
        values = column.buffers()[2]
        if values is not None:
            self._bytes.update(memoryview(values)[int(bounds[0]) : int(bounds[-1])])

    def nulls(self, count: int) -> None:
        self._lengths.update(np.full(count, _NULL, dtype="<i4").data)

    def hexdigest(self) -> str:
        return self._lengths.hexdigest() + self._bytes.hexdigest()


def _bounds(column: pa.Array) -> np.ndarray:
    """Where each value begins and ends in the column's bytes: one more than there are values."""
    return np.frombuffer(column.buffers()[1], dtype="<i4", count=len(column) + 1, offset=4 * column.offset)
