"""A string column as numpy sees it: where each text begins and ends in one buffer of UTF-8, and marks by the row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Edges = npt.NDArray[np.int32]
Booleans = npt.NDArray[np.bool_]

_HALF = 0x80  # the first byte that is not ASCII


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a string array: text i is `data[edges[i]:edges[i + 1]]`. A null may have bytes too: see `there`."""

    edges: Edges
    data: Bytes

    @property
    def lengths(self) -> Edges:
        """Bytes of each text."""
        return self.edges[1:] - self.edges[:-1]

    @property
    def bytes(self) -> Bytes:
        """The bytes of all texts, one text after the other."""
        return self.data[self.edges[0] : self.edges[-1]]

    def rows(self, places: Numbers) -> Numbers:
        """The rows, each once and ascending, that hold these places of `bytes` (ascending)."""
        rows = np.searchsorted(self.edges, places + self.edges[0], side="right") - 1
        once: Numbers = rows[np.flatnonzero(np.diff(rows, prepend=-1))]
        return once

    def counts(self, marks: Booleans) -> Edges:
        """How many of the `bytes` of each text are marked."""
        running = np.zeros(len(marks) + 1, np.int32)
        if marks.any():
            np.cumsum(marks.view(np.uint8), dtype=np.int32, out=running[1:])
        counts: Edges = np.diff(running[self.edges - self.edges[0]])
        return counts

    def is_ascii(self) -> bool:
        """Whether no text has a character beyond ASCII."""
        return not len(self.bytes) or bool(self.bytes.max() < _HALF)


def texts(values: pa.Array) -> Texts:
    """The texts of a string array, nothing copied."""
    _, offsets, data = values.buffers()
    if not len(values) or offsets is None:
        return Texts(np.zeros(len(values) + 1, np.int32), np.zeros(0, np.uint8))
    edges = np.frombuffer(offsets, np.int32, len(values) + 1, values.offset * 4)
    return Texts(edges, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8))


def there(values: pa.Array) -> Booleans:
    """Which values are not null."""
    if not values.null_count:
        return np.ones(len(values), np.bool_)
    valid: Booleans = values.is_valid().to_numpy(zero_copy_only=False)
    return valid


def columns(values: pa.Array, length: int) -> Bytes:
    """The bytes of texts that all have `length` bytes and are not null, as place × text."""
    return np.ascontiguousarray(texts(values).bytes.reshape(-1, length).T)


def nulled(values: pa.Array, rows: Numbers) -> pa.Array:
    """`values` with null in `rows`: new marks over the same bytes."""
    if not len(rows):
        return values
    valid = there(values).copy()
    valid[rows] = False
    _, offsets, data = values.buffers()
    offsets = offsets.slice(values.offset * 4, (len(values) + 1) * 4)
    return pa.StringArray.from_buffers(len(values), offsets, data, bitmap(valid))


def picked(values: pa.Array, rows: Numbers) -> pa.Array:
    """The values of some rows."""
    return values.take(pa.array(rows))


def bitmap(marks: Booleans) -> pa.Buffer:
    """Marks as Arrow packs them."""
    return pa.py_buffer(np.packbits(marks, bitorder="little"))


def marks(chosen: Booleans) -> pa.BooleanArray:
    """Marks as an Arrow array without nulls."""
    return pa.BooleanArray.from_buffers(pa.bool_(), len(chosen), [None, bitmap(chosen)])


def marked(length: int, rows: Numbers) -> pa.BooleanArray:
    """`length` marks, true in `rows`."""
    chosen = np.zeros(length, np.bool_)
    chosen[rows] = True
    return marks(chosen)
