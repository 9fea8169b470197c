"""A secondary key of a serving file: ordered (value, key) pairs in compressed blocks, found by the first of each."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from struct import unpack_from
from typing import Any

import lmdb
import numpy as np
import pyarrow as pa
import zstandard

from warehouse.serving_file import INDEX

BETWEEN = b"\0"  # between value and key; neither holds one
_BLOCK = 64  # pairs
_LEVEL = 3
_idle: deque[zstandard.ZstdDecompressor] = deque(maxlen=64)


def put_index(env: lmdb.Environment, name: str, pairs: Iterable[pa.Array]) -> None:
    """Write a secondary key: `value BETWEEN key` as large_binary columns, each pair after the one before it."""
    zstd = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    database = env.open_db((INDEX + name).encode())
    for column in pairs:
        with env.begin(write=True, db=database) as write, write.cursor() as cursor:
            cursor.putmulti(_blocks(column, zstd.compress), append=True)


def _blocks(column: pa.Array, compress: Callable[[bytes], bytes]) -> Iterator[tuple[bytes, bytes]]:
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(offsets).astype("<u2").tobytes()
    edges = [*offsets[::_BLOCK].tolist(), *([int(offsets[-1])] if len(column) % _BLOCK else [])]
    seconds = offsets[1::_BLOCK].tolist()
    text = memoryview(column.buffers()[2])
    for place, (begin, end) in enumerate(pairwise(edges)):
        said = lengths[2 * _BLOCK * place : 2 * _BLOCK * (place + 1)]
        packed = compress(b"".join(((len(said) // 2).to_bytes(1, "little"), said, text[begin:end])))
        yield bytes(text[begin : seconds[place]]), packed


def pairs_from(read: Any, database: Any, start: bytes) -> Iterator[bytes]:  # noqa: ANN401 (LMDB's handles)
    """The pairs that are not before `start`, in order."""
    with read.cursor(db=database) as cursor:
        if not cursor.set_range(start):
            there = cursor.last()
        else:  # it may stand in the block before the first one that begins after it
            there = bytes(cursor.key()) == start or cursor.prev() or cursor.first()
        while there:
            yield from _pairs(_unpacked(cursor.value()), start)
            there = cursor.next()


def _unpacked(packed: bytes) -> bytes:
    try:
        zstd = _idle.pop()  # a decompressor serves one thread at a time
    except IndexError:
        zstd = zstandard.ZstdDecompressor()
    block: bytes = zstd.decompress(packed)
    _idle.append(zstd)
    return block


def _pairs(block: bytes, start: bytes) -> Iterator[bytes]:
    count = block[0]
    ends = list(accumulate(unpack_from(f"<{count}H", block, 1), initial=1 + 2 * count))
    first = bisect_left(range(count), start, key=lambda place: block[ends[place] : ends[place + 1]])
    for begin, end in pairwise(ends[first:]):
        yield block[begin:end]
