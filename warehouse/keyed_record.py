"""Rows of texts as bytes that texts are cut from without being parsed: how long each is, then all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WIDTHS = (2, 4)  # bytes of a length; the first does for texts below 64 KiB
_Bounds = npt.NDArray[np.int64]
_NOTHING = pa.scalar(b"", pa.large_binary())


def packed(columns: Sequence[pa.Array], width: int) -> pa.LargeBinaryArray | None:
    """Each row of some columns of texts as bytes; None where one is too long for lengths of so many bytes.

    A length is one more than the bytes of the text, and 0 where there is none.
    """
    rows = len(columns[0])
    lengths = np.zeros((rows, len(columns)), np.int64)
    texts = []
    for place, column in enumerate(columns):
        large = column.cast(pa.large_utf8())
        ends = np.frombuffer(large.buffers()[1], np.int64)[large.offset : large.offset + rows + 1]
        lengths[:, place] = np.where(large.is_valid().to_numpy(zero_copy_only=False), np.diff(ends) + 1, 0)
        texts.append(large.cast(pa.large_binary()))
    if rows and int(lengths.max()) >= 1 << 8 * width:
        return None
    head = width * len(columns)
    bounds = pa.py_buffer(np.arange(rows + 1, dtype=np.int64) * head)
    heads = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), rows, [None, bounds, pa.py_buffer(lengths.astype(f"<u{width}"))]
    )
    return pc.binary_join_element_wise(heads, *texts, _NOTHING, null_handling="replace", null_replacement="")


def unpacked(rows: pa.LargeBinaryArray, columns: int, width: int) -> list[pa.Array]:
    """The columns of texts that `packed` made rows of, which are as it made them."""
    if not len(rows):
        return [pa.array([], pa.large_utf8())] * columns
    begin = np.frombuffer(rows.buffers()[1], np.int64)[rows.offset : rows.offset + len(rows)]
    data, head = rows.buffers()[2], width * columns
    heads = spans(data, begin, begin + head, pa.large_binary())
    lengths = np.frombuffer(heads.buffers()[2], f"<u{width}", len(rows) * columns).reshape(-1, columns)
    ends = begin + head
    made = []
    for place in range(columns):
        length = lengths[:, place].astype(np.int64)
        begins, ends = ends, ends + np.maximum(length - 1, 0)
        made.append(spans(data, begins, ends, pa.large_utf8(), length == 0))
    return made


def spans(data: pa.Buffer, begins: _Bounds, ends: _Bounds, kind: pa.DataType,
          missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:  # fmt: skip
    """What stands in a buffer from each begin to its end, copied, as large texts or bytes; null where `missing`."""
    if not len(begins):
        return pa.array([], kind)
    bounds = np.empty(2 * len(begins), np.int64)
    bounds[0::2], bounds[1::2] = begins, ends
    every = pa.Array.from_buffers(kind, len(bounds) - 1, [None, pa.py_buffer(bounds), data])  # nothing between is seen
    return every.take(pa.array(np.arange(0, len(bounds), 2), mask=missing))
