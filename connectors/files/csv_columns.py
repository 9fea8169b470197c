"""Turn a block of plain CSV into text columns without looking at single records."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from connectors.files.encoding import Piece

Bytes = npt.NDArray[np.uint8]
QUOTE, CR, LF = b'"\r\n'
ASCII = 0x80  # bytes below are characters by themselves in every encoding read here
_MARK = b"\xef\xbb\xbf"  # pyarrow leaves it out at the beginning of whatever it parses
_SAMPLE = 1_000  # values that show whether a column repeats itself
# A line feed made of buffers: pa.scalar and pa.array import pandas, which takes longer than a small file.
_FEED = pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\n")])[0]
_TRAILS = bytes(range(0x30, 0x3A)) + bytes(range(0x40, 0xFF))  # second to fourth bytes of a GB18030 character


def plain(piece: Piece, names: Sequence[str], delimiter: str) -> list[pa.Array] | None:
    """The columns of a piece in which the csv module would find nothing odd; None when it might.

    Nothing odd: each line a record with a field for each name, each quote where the csv module expects one, every byte
    decodable, each line ended alike. Lines without anything in them hold no record.
    """
    data = piece.data
    quoted = b'"' in data
    if not piece.whole or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
        return None
    if quoted and not _well_quoted(data, ord(delimiter)):
        return None
    codec = piece.codec
    if codec == "gb18030":
        if data.isascii():
            codec = "utf-8"
        elif delimiter.encode() in _TRAILS:  # a byte of a character may look like this delimiter
            try:
                data, codec = data.decode(codec).encode(), "utf-8"
            except UnicodeError:
                return None
    if data.startswith(_MARK):
        return None
    try:
        columns = parsed(data, names, delimiter, quoted=quoted, text=codec != "gb18030")
        return columns if codec != "gb18030" else [decoded(column) for column in columns]
    except (pa.ArrowInvalid, UnicodeError):
        return None


def parsed(data: bytes, names: Sequence[str], delimiter: str, *, quoted: bool, text: bool) -> list[pa.Array]:
    """The columns of CSV as UTF-8 `text` or as bytes; raises pa.ArrowInvalid for a line of another width."""
    kind = pa.string() if text else pa.binary()
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(names)),
        arrow_csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False),
        arrow_csv.ConvertOptions(column_types=_types(tuple(names), kind), strings_can_be_null=False),
    )
    return [column.chunk(0) if column.num_chunks == 1 else column.combine_chunks() for column in table.columns]


@functools.lru_cache(maxsize=64)
def _types(names: tuple[str, ...], kind: pa.DataType) -> pa.Schema:
    return pa.schema([(name, kind) for name in names])


def _well_quoted(data: bytes, delimiter: int) -> bool:
    """True when every quote opens a field, closes it or is doubled inside it, and no field goes over a line."""
    block = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(block == QUOTE)
    if len(quotes) % 2:
        return False
    opens, closes = quotes[0::2], quotes[1::2]
    before, after = neighbours(block, opens, -1), neighbours(block, closes, 1)
    starts = (before == delimiter) | (before == LF)
    ends = (after == delimiter) | (after == LF) | (after == CR)
    doubled = closes[:-1] + 1 == opens[1:]
    if not (starts[0] and ends[-1] and bool(np.all(doubled | (ends[:-1] & starts[1:])))):
        return False
    lines = np.flatnonzero(block == LF)
    return not bool(np.any(np.searchsorted(quotes, lines) % 2))


def neighbours(block: Bytes, places: npt.NDArray[np.int64], step: int) -> Bytes:
    """The bytes `step` (-1 or 1) beside `places`; a line feed beyond either end of the block."""
    beside = places + step
    found = block[np.clip(beside, 0, len(block) - 1)]
    return np.where((beside < 0) | (beside >= len(block)), np.uint8(LF), found)


def decoded(column: pa.Array) -> pa.Array:
    """A column of GB18030 as text; distinct values only where they repeat. Raises UnicodeDecodeError."""
    _, offsets, data = column.buffers()
    end = int(np.frombuffer(offsets, np.int32, 1, 4 * len(column))[0]) if len(column) else 0
    if not end or np.frombuffer(data, np.uint8, end).max() < ASCII:
        return pa.Array.from_buffers(pa.string(), len(column), [None, offsets, data])
    head = column.slice(0, _SAMPLE)
    if len(head.dictionary_encode().dictionary) * 4 > len(head):
        return _joined(column)
    coded = column.dictionary_encode()
    return _joined(coded.dictionary).take(coded.indices)


def _joined(values: pa.Array) -> pa.Array:
    """The values decoded as one text. No value holds a line feed: each was part of one line."""
    whole = pa.py_buffer(np.array([0, len(values)], np.int32))
    listed = pa.Array.from_buffers(pa.list_(values.type), 1, [None, whole], children=[values])
    text = pc.binary_join(listed, _FEED)[0].as_buffer().to_pybytes().decode("gb18030").encode()
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == LF)
    offsets = np.empty(len(values) + 1, np.int32)
    offsets[0] = 0
    offsets[1:-1] = ends - np.arange(len(ends))
    offsets[-1] = len(text) - len(ends)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text.replace(b"\n", b""))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)
