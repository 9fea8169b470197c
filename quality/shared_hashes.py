"""Keep two hashes of each row of a batch, in blocks that are ordered as they come, and find rows that share both."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Piece = tuple[
    Hashes, Hashes, Booleans | None, Rows | range
]  # two hashes of each row, which have any, and their numbers

_WITHIN = 16  # bits that tell a row's place in its block
_BLOCK = 1 << _WITHIN  # rows ordered together, while their hashes are in the caches
_BLOCKS = 1 << 4  # in one piece of memory
_MOST = 1 << 16  # blocks that are told apart
_PLACE = np.uint64((1 << 32) - 1)  # the last bits of a first hash give way to a row's block and place
_BEGIN = 8  # bits by which rows are told apart that surely share no hash
_GROUP = 1 << 17  # rows looked through together in the end, where so few begin alike
_WORKERS = max(1, min(os.cpu_count() or 1, 4))


@dataclass(frozen=True, slots=True)
class _Block:
    """First hashes, ordered, with the places of their rows; second hashes and numbers of all rows as they came."""

    first: Hashes
    second: Hashes
    numbers: Rows | range


class SharedHashes:
    """The hashes of all rows: 16 bytes a row, if its number follows the one before; several threads may add some.

    What is compared are 32 bits of the first and 64 of the second. Keys that differ in some word by an odd multiple of
    2^n, n below 32, agree in 32 bits of a hash of `Hasher` in one of 2^32 cases and in a whole one in one of 2^(64-n):
    in both in at most 2^-65.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: list[Piece] = []  # no more rows than a block has
        self._held = 0  # how many
        self._blocks: dict[int, _Block] = {}
        self._memory: npt.NDArray[np.uint64] = np.empty((0, 2, 0), np.uint64)
        self._begun = 0  # blocks

    def add(self, first: Hashes, second: Hashes, there: Booleans | None, numbers: Rows | range) -> None:
        """The hashes of some rows, which are not changed any more, and which of the rows have any (None: all)."""
        for begun in range(0, len(first), _BLOCK):
            some = slice(begun, begun + _BLOCK)
            piece = (first[some], second[some], there if there is None else there[some], numbers[some])
            full: list[Piece] = []
            with self._guard:
                if self._held + len(piece[0]) > _BLOCK:
                    full, self._waiting, self._held = self._waiting, [], 0
                self._waiting.append(piece)
                self._held += len(piece[0])
            if full:
                self._order(full)

    def rows(self) -> Rows:
        """The numbers, ordered, of the rows that share both hashes with another; nothing is kept after that."""
        if self._waiting:
            self._order(self._waiting, last=True)
        self._waiting, self._held, self._memory = [], 0, np.empty((0, 2, 0), np.uint64)
        alike = self._alike()
        numbers = self._shared(alike) if len(alike) else np.empty(0, np.int64)
        self._blocks, self._begun = {}, 0
        return numbers

    def _order(self, pieces: Sequence[Piece], *, last: bool = False) -> None:
        """Make a block of the pieces."""
        first, second, there, numbers = pieces[0] if len(pieces) == 1 else _together(pieces)
        number, (ours, theirs) = self._room(len(first), last=last)
        theirs[:] = second
        places = np.arange(number << _WITHIN, (number << _WITHIN) + len(first), dtype=np.uint64)
        if there is not None:
            first, places = first[there], places[there]
            ours = ours[: len(first)]
        np.bitwise_and(first, ~_PLACE, out=ours)
        ours |= places
        ours.sort()
        self._blocks[number] = _Block(ours, theirs, numbers)

    def _room(self, rows: int, *, last: bool) -> tuple[int, npt.NDArray[np.uint64]]:
        """The number of the next block, and room for its hashes."""
        with self._guard:
            number, within = self._begun, self._begun % _BLOCKS
            if number >= _MOST:
                message = "more rows than can be told apart"
                raise MemoryError(message)
            if not within:
                only = last and not number  # many batches have one block: it needs no room for others
                self._memory = _memory((1, 2, rows) if only else (_BLOCKS, 2, _BLOCK))
            self._begun += 1
            return number, self._memory[within, :, :rows]

    def _alike(self) -> Hashes:
        """The first hashes that several rows begin with, each as often as there are rows, with the rows' places."""
        blocks = list(self._blocks.values())
        total = sum(len(one.first) for one in blocks)
        wide = 1 << min(_BEGIN, max(0, _GROUP.bit_length() - 1 + _BEGIN - total.bit_length()))
        begins = np.arange(0, 1 << _BEGIN, wide, dtype=np.uint64) << np.uint64(64 - _BEGIN)
        edges = [[*np.searchsorted(one.first, begins).tolist(), len(one.first)] for one in blocks]

        def some(group: int) -> Hashes:
            every = np.concatenate(
                [
                    np.empty(0, np.uint64),
                    *(one.first[edge[group] : edge[group + 1]] for one, edge in zip(blocks, edges, strict=True)),
                ]
            )
            every.sort()
            follows = np.zeros(len(every) + 1, np.bool_)
            follows[1:-1] = every[1:] ^ every[:-1] <= _PLACE
            return every[follows[1:] | follows[:-1]]

        with ThreadPoolExecutor(_WORKERS, "repeated") as pool:
            return np.concatenate(list(pool.map(some, range(len(begins)))))

    def _shared(self, alike: Hashes) -> Rows:
        """The numbers, ordered, of those of the rows that share the second hash, too."""
        first, places = alike & ~_PLACE, (alike & _PLACE).view(np.int64)
        order = np.argsort(places)
        first, places = first[order], places[order]
        second, numbers = np.empty(len(places), np.uint64), np.empty(len(places), np.int64)
        which, begins = np.unique(places >> _WITHIN, return_index=True)
        for block, (begun, ended) in zip(which.tolist(), pairwise([*begins.tolist(), len(places)]), strict=True):
            one, within = self._blocks[block], places[begun:ended] % (1 << _WITHIN)
            second[begun:ended] = one.second[within]
            its = one.numbers
            numbers[begun:ended] = within + its.start if isinstance(its, range) else its[within]
        order = np.lexsort((second, first))
        same = np.zeros(len(order) + 1, np.bool_)
        same[1:-1] = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
        return np.sort(numbers[order[same[1:] | same[:-1]]])


def _memory(shape: tuple[int, int, int]) -> npt.NDArray[np.uint64]:
    """Memory of the system's own, which gets it back at once, in the end.

    From numpy it would be of pages of 2 MB: where a machine is a guest these may cost ten times as much to have.
    """
    whole = mmap.mmap(-1, int(np.prod(shape)) * 8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(whole, np.uint64).reshape(shape)


def _together(pieces: Sequence[Piece]) -> Piece:
    first, second, there, numbers = zip(*pieces, strict=True)
    every = [np.ones(len(one), np.bool_) if has is None else has for one, has in zip(first, there, strict=True)]
    return np.concatenate(first), np.concatenate(second), np.concatenate(every), _numbers(numbers)


def _numbers(pieces: Sequence[Rows | range]) -> Rows | range:
    """The numbers of all pieces, by their ends where each follows the one before."""
    ranges = [one for one in pieces if isinstance(one, range)]
    if len(ranges) == len(pieces) and all(one.stop == other.start for one, other in pairwise(ranges)):
        return range(ranges[0].start, ranges[-1].stop)
    return np.concatenate([np.asarray(one, np.int64) for one in pieces])
