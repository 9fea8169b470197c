"""Hash records by what their fields hold, so that a record that says the same again is known by sixteen bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SIZE = 16  # bytes kept of each SHA-256: half of them for as good as no chance, and they do not compress


def record_hashes(columns: Mapping[str, pa.Array]) -> pa.Array:
    """The hash of each row (binary, SIZE bytes) over its fields that are not null, in the order of their names.

    Each part says its field (the beginning of the name's SHA-256) and its length, so that no two records are the same
    run of bytes; null is no part, so that a field added later changes no hash. Texts count as UTF-8, all else as its
    little-endian bytes: days, microseconds, unscaled decimals, integers of 64 bits. The columns may hold 2 GiB at most.
    """
    rows = len(next(iter(columns.values())))
    parts = [part for name in sorted(columns) for part in _parts(name, columns[name])]
    if not rows or not parts:
        return pa.array([hashlib.sha256().digest()[:SIZE]] * rows, pa.binary())
    nothing = pa.scalar(b"", pa.binary())  # made here: the first scalar imports pandas where that is installed
    # The first of them is in every row: Arrow 26 leaves out rows in which every part is null.
    joined = pc.binary_join_element_wise(nothing, *parts, nothing, null_handling="skip")
    digest = hashlib.sha256  # bytes, not memoryviews: making one of those takes longer than the copy
    digests = b"".join([digest(record).digest() for record in joined.to_pylist()])
    kept = np.frombuffer(digests, np.uint8).reshape(rows, -1)[:, :SIZE].tobytes()
    return _binary(rows, SIZE, kept, None)


def _parts(name: str, column: pa.Array) -> list[pa.Array]:
    """What goes before each value, and the values where they are texts; null where there is none."""
    rows = len(column)
    if column.null_count == rows:
        return []
    tag = np.frombuffer(hashlib.sha256(name.encode()).digest()[:4], "<u4")[0]
    valid = _bits(column)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        head = np.empty((rows, 2), "<u4")
        bounds = np.frombuffer(column.buffers()[1], "<i4", rows + 1, 4 * column.offset)
        np.subtract(bounds[1:], bounds[:-1], out=head[:, 1], casting="unsafe")
        parts = [_binary(rows, 8, head, valid), column.view(pa.binary())]
    else:
        words = _words(column)
        head = np.empty((rows, 1 + words.shape[1]), "<u4")
        head[:, 1:] = words
        parts = [_binary(rows, 4 * head.shape[1], head, valid)]
    head[:, 0] = tag
    return parts


def _words(column: pa.Array) -> npt.NDArray[np.uint32]:
    """Values of a fixed width, each as so many words of 32 bits."""
    if pa.types.is_boolean(column.type) or (pa.types.is_integer(column.type) and column.type.bit_width < 64):  # noqa: PLR2004
        column = column.cast(pa.int64())  # as wide as a column may become
    size = column.type.bit_width // 8
    words = np.frombuffer(column.buffers()[1], "<u4", len(column) * size // 4, column.offset * size)
    return words.reshape(len(column), -1)


def _bits(column: pa.Array) -> pa.Buffer | None:
    if not column.null_count:
        return None
    return pa.py_buffer(np.packbits(column.is_valid().to_numpy(zero_copy_only=False), bitorder="little"))


def _binary(rows: int, size: int, values: npt.NDArray[np.uint32] | bytes, valid: pa.Buffer | None) -> pa.Array:
    bounds = np.arange(0, (rows + 1) * size, size, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), rows, [valid, pa.py_buffer(bounds), pa.py_buffer(values)])
