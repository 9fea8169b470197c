"""The columns of one part of a table as kernels see them: values as numbers or texts, nulls apart, distinct values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Booleans = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64] | npt.NDArray[np.int32]

_SAMPLE: Final = 512  # rows looked at to guess whether values repeat
_FEW: Final = 0.4  # of the sample: fewer distinct values than that are worth an encoding
MARKS: Final = ("__valid:", "__present:")  # columns that say in advance what is a valid identifier: kind, then column


class DeclinedError(Exception):
    """A kernel cannot be sure of its answer on this part: SQL is asked."""


class UnreadableError(Exception):
    """A column holds what no rule can be evaluated on; the message says what."""


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are texts as they stand, not by their places in a dictionary."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


@dataclass(frozen=True, slots=True)
class Truth:
    """For each row whether a condition is true, and whether it is false; neither where it is not known (null)."""

    true: Booleans
    false: Booleans


class Column:
    """One column of a part; what is derived from it is made once, when it is first asked for."""

    def __init__(self, name: str, values: pa.ChunkedArray) -> None:
        self._name, self._chunked = name, values

    @cached_property
    def values(self) -> pa.Array:
        """The values in one piece."""
        one = self._chunked
        return one.chunk(0) if one.num_chunks == 1 else one.combine_chunks()

    @cached_property
    def valid(self) -> Booleans:
        """Which values are not null."""
        if not self.values.null_count:
            return np.ones(len(self.values), np.bool_)
        return booleans(self.values.is_valid())

    def known(self, answer: Booleans) -> Truth:
        """An answer that holds wherever there is a value."""
        if not self.values.null_count:
            return Truth(answer, ~answer)
        true = answer & self.valid
        return Truth(true, self.valid & ~true)

    @cached_property
    def flags(self) -> Booleans:
        """Truth values, of a null any; UnreadableError for a null among those that are known in advance."""
        if self._name.startswith(MARKS) and self.values.null_count:
            message = f"column {self._name.split(':', 2)[2]} holds bytes that are not UTF-8"
            raise UnreadableError(message)
        return booleans(self.values)

    @cached_property
    def texts(self) -> pa.Array:
        """Plain strings; UnreadableError when their bytes are not UTF-8."""
        values = self.values
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        return self._readable(values)

    def _readable(self, texts: pa.Array) -> pa.Array:
        try:
            texts.validate(full=not plain(texts))
        except pa.ArrowInvalid as error:
            message = f"column {self._name} holds bytes that are not UTF-8"
            raise UnreadableError(message) from error
        return texts

    @cached_property
    def lengths(self) -> Numbers:
        """Bytes of each text; of a null any number."""
        if pa.types.is_dictionary(self.values.type) and self.distinct is not None:
            places, _ = self.distinct
            return self._widths.take(places) if len(self._widths) else np.zeros(len(places), np.int64)
        edges = self.edges
        return cast("Numbers", edges[1:] - edges[:-1])

    @cached_property
    def _widths(self) -> npt.NDArray[np.int64]:
        """Bytes of each distinct text."""
        distinct = self.distinct
        texts = distinct[1] if distinct is not None else self.texts
        widths: npt.NDArray[np.int64] = pc.binary_length(texts).fill_null(0).to_numpy().astype(np.int64, copy=False)
        return widths

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest text."""
        widths = self._widths if pa.types.is_dictionary(self.values.type) else self.lengths
        return int(widths.max(initial=0))

    @cached_property
    def edges(self) -> Numbers:
        """Where in `data` each text begins, and where the last one ends."""
        return edges_of(self.texts)

    @cached_property
    def data(self) -> npt.NDArray[np.uint8]:
        """The bytes of all texts."""
        buffer = self.texts.buffers()[2]
        return np.frombuffer(buffer, np.uint8) if buffer is not None else np.zeros(0, np.uint8)

    @cached_property
    def distinct(self) -> tuple[npt.NDArray[np.int32], pa.Array] | None:
        """Place of each value among the distinct ones (of a null any), and those; None when few values repeat."""
        if pa.types.is_dictionary(self.values.type):
            encoded = self.values
            self._readable(encoded.dictionary)
        else:
            step = max(1, len(self.texts) // _SAMPLE)
            sample = self.texts.take(pa.array(np.arange(0, len(self.texts), step)))
            if pc.count_distinct(sample, mode="only_valid").as_py() > _FEW * len(sample):
                return None
            encoded = pc.dictionary_encode(self.texts)
        places = encoded.indices
        if places.null_count:
            places = pc.fill_null(places, 0)
        return places.to_numpy().astype(np.int32, copy=False), encoded.dictionary

    @cached_property
    def numbers(self) -> Numbers:
        """Whole numbers, days, moments or the digits of decimals, of a null any; DeclinedError beyond 64 bits."""
        values = self.values
        kind = values.type
        if pa.types.is_decimal128(kind):
            return self._digits()
        if pa.types.is_date32(kind):
            values = values.view(pa.int32())
        elif pa.types.is_timestamp(kind):
            values = values.view(pa.int64())
        plain = pa.Array.from_buffers(values.type, len(values), [None, values.buffers()[1]], offset=values.offset)
        numbers: Numbers = plain.to_numpy()
        return numbers

    def _digits(self) -> Numbers:
        values = self.values
        if values.buffers()[1] is None:
            return np.zeros(len(values), np.int64)
        words = np.frombuffer(values.buffers()[1], np.int64, len(values) * 2, values.offset * 16).reshape(-1, 2)
        low: npt.NDArray[np.int64] = words[:, 0]
        if ((low >> 63) != words[:, 1])[self.valid].any():
            raise DeclinedError
        return low

    @cached_property
    def floats(self) -> npt.NDArray[np.float64]:
        """Floating-point numbers, of a null any."""
        values = self.values
        plain = pa.Array.from_buffers(values.type, len(values), [None, values.buffers()[1]], offset=values.offset)
        floats: npt.NDArray[np.float64] = plain.to_numpy()
        return floats


class Part:
    """One part of a table."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.rows: int = table.num_rows
        self._columns: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        """The column of that name."""
        if name not in self._columns:
            self._columns[name] = Column(name, self.table[name])
        return self._columns[name]


def booleans(answer: pa.Array) -> Booleans:
    """A boolean array as bytes, of a null false."""
    bits = answer.buffers()[1]
    if bits is None or not len(answer):
        return np.zeros(len(answer), np.bool_)
    flags = _unpacked(bits, answer.offset, len(answer))
    if answer.null_count:
        flags &= _unpacked(answer.buffers()[0], answer.offset, len(answer))
    return flags


def bits(flags: Booleans) -> pa.BooleanArray:
    """Truth values as a boolean array without nulls."""
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(np.packbits(flags, bitorder="little"))])


def _unpacked(bits: pa.Buffer, offset: int, length: int) -> Booleans:
    """The bits as bytes: numpy does that ten times as fast as Arrow."""
    first = offset // 8
    packed = np.frombuffer(bits, np.uint8, (offset + length + 7) // 8 - first, first)
    flags: Booleans = np.unpackbits(packed, bitorder="little")[offset - first * 8 :][:length].view(np.bool_)
    return flags


def edges_of(texts: pa.Array) -> Numbers:
    """Where in their bytes each text begins, and where the last one ends."""
    wide = pa.types.is_large_string(texts.type)
    offsets = texts.buffers()[1]
    if offsets is None:
        return np.zeros(len(texts) + 1, np.int64)
    width = 8 if wide else 4
    edges = np.frombuffer(offsets, np.int64 if wide else np.int32, len(texts) + 1, texts.offset * width)
    return cast("Numbers", edges)


def plain(texts: pa.Array) -> bool:
    """Whether all bytes are plain signs, which is seen many times faster than that they are UTF-8."""
    if not len(texts) or not is_text(texts.type) or texts.buffers()[2] is None:
        return False
    edges = edges_of(texts)
    signs = np.frombuffer(texts.buffers()[2], np.int8)[edges[0] : edges[-1]]
    return bool(signs.min(initial=0) >= 0)
