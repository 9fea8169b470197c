"""Name what was received by its content: one SHA-256 over the columns, however the rows were cut into batches."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


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
        lengths = pc.fill_null(pc.binary_length(column), -1)
        self._lengths.update(lengths.to_numpy(zero_copy_only=False).astype("<i4").tobytes())
        whole = pc.fill_null(column, "") if column.null_count else column
        _, offsets, values = whole.buffers()
        if values is not None and len(whole):
            bounds = np.frombuffer(offsets, dtype="<i4", count=whole.offset + len(whole) + 1)
            self._bytes.update(memoryview(values)[int(bounds[whole.offset]) : int(bounds[-1])])

    def nulls(self, count: int) -> None:
        self._lengths.update(np.full(count, -1, dtype="<i4").tobytes())

    def hexdigest(self) -> str:
        return self._lengths.hexdigest() + self._bytes.hexdigest()
