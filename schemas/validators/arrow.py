"""Identifiers by the column: numpy over raw Arrow buffers, tens of nanoseconds a row and no Python per row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.validators.spec import FIRST_YEAR, SPECS, Birth, Fixed, Joined, hybrid_steps

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Edges = npt.NDArray[np.integer]
Booleans = npt.NDArray[np.bool_]

_BLOCK = 1 << 16  # rows worked on at once: small enough for the caches, large enough to forget the Python around it
_OUTSIDE = -(1 << 20)  # contribution of a character that is not allowed: no sum of the others can lift it above zero
_SELDOM = 64  # texts of the right length to one that is not: so many that cutting those out costs less than a gather
_MONTH_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int32)


def valid(kind: str, values: pa.Array | pa.ChunkedArray, today: date) -> pa.BooleanArray:
    """For each text whether it is a valid identifier of `kind`, exactly as it stands; null for null.

    `values` is of any string type, dictionary-encoded or null type; the answer has as many values. `today` bounds dates
    of birth. KeyError for an unknown kind.
    """
    spec = SPECS[kind]
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    answers = [_chunk(spec, chunk, today) for chunk in chunks]
    if len(answers) == 1:
        return answers[0]
    return pa.concat_arrays([pa.array([], pa.bool_()), *answers])


def _chunk(spec: Fixed | Joined, values: pa.Array, today: date) -> pa.BooleanArray:
    texts = values.cast(pa.large_string())  # 64-bit offsets: one code path for every string type
    offsets, data = _buffers(texts)
    right = np.zeros(len(texts), dtype=np.bool_)
    for first in range(0, len(texts), _BLOCK):
        edges = offsets[first : first + _BLOCK + 1]
        if isinstance(spec, Fixed):
            rows, identifiers = of_length(edges, data, spec.length)
            right[first + rows] = _fixed(spec, identifiers, today)
        else:
            rows, starts, lengths = _within(edges, *spec.lengths)
            right[first + rows] = _joined(spec, data, starts, lengths)
    there = _bits(texts.is_valid().to_numpy(zero_copy_only=False)) if texts.null_count else None
    return pa.Array.from_buffers(pa.bool_(), len(texts), [there, _bits(right)])


def _bits(flags: Booleans) -> pa.Buffer:
    """Truth values as Arrow keeps them: numpy packs them many times as fast."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _buffers(texts: pa.Array) -> tuple[Numbers, Bytes]:
    _, offsets, data = texts.buffers()
    if not len(texts) or offsets is None:
        return np.zeros(len(texts) + 1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    edges = np.frombuffer(offsets, dtype=np.int64, count=len(texts) + 1, offset=texts.offset * 8)
    return edges, np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)


def _within(edges: Edges, least: int, most: int) -> tuple[Numbers, Edges, Edges]:
    """Places, first bytes and lengths of the texts that have between `least` and `most` bytes."""
    lengths = np.diff(edges)
    rows = np.flatnonzero((lengths >= least) & (lengths <= most))
    return rows, edges[:-1][rows], lengths[rows]


def of_length(edges: Edges, data: Bytes, length: int) -> tuple[Numbers, Bytes]:
    """Places of the texts of exactly `length` bytes, and those bytes: text × position.

    The texts are from each edge to the next in `data`.
    """
    lengths = np.diff(edges)
    right = lengths == length
    rows = np.flatnonzero(right)
    if len(rows) * length == edges[-1] - edges[0]:  # one after the other, between them empty ones: a view is enough
        return rows, data[edges[0] : edges[-1]].reshape(-1, length)
    others = np.flatnonzero(~right & (lengths != 0))
    if len(others) * _SELDOM < len(rows):  # what lies between the few others is taken in one piece each
        begun, ended = np.append(edges[0], edges[others + 1]), np.append(edges[others], edges[-1])
        pieces = [data[first:last] for first, last in zip(begun.tolist(), ended.tolist(), strict=True)]
        return rows, np.concatenate(pieces).reshape(-1, length)
    if len(data) < length:
        return rows, np.zeros((0, length), np.uint8)
    return rows, windows(data, edges[:-1][rows], length)


def windows(data: Bytes, starts: Edges, width: int) -> Bytes:
    """The `width` bytes from each start on, all within the data: start × position."""
    # Each copied as one value of so many bytes, which is twice as fast as byte by byte.
    every = np.ndarray(len(data) - width + 1, f"V{width}", data, strides=(1,))
    taken: Bytes = every[starts].view(np.uint8).reshape(-1, width)
    return taken


def _fixed(spec: Fixed, identifiers: Bytes, today: date) -> Booleans:
    contributions, last, table, modulus = _tables(spec.kind)
    total = last.take(identifiers[:, -1]) if spec.length % 2 else np.zeros(len(identifiers), np.int32)
    pairs = identifiers[:, : spec.length // 2 * 2]
    pairs = np.ascontiguousarray(pairs).view("<u2")
    for place, contribution in enumerate(contributions):
        total += contribution.take(pairs[:, place])
    right: Booleans = total >= 0
    if spec.check:
        right &= table.take(total % modulus) == identifiers[:, spec.check.at]
    if spec.beginnings:
        right &= _begins(spec.kind).take(pairs[:, 0])
    if spec.birth:
        right &= (identifiers[:, 0] == ord(spec.birth.exempt)) | _born(spec.birth, identifiers, today)
    return right


@cache
def _tables(kind: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Bytes, int]:
    """What each pair of bytes adds, what a last odd byte adds, the check byte of each remainder, and the modulus.

    A pair is read as a 16-bit number whose low byte comes first in the text.
    """
    spec = SPECS[kind]
    assert isinstance(spec, Fixed)  # noqa: S101 - only _fixed asks
    single = np.full((spec.length, 256), _OUTSIDE, dtype=np.int32)
    check = spec.check
    for place, alphabet in enumerate(spec.alphabets):
        weighted = check is not None and check.start <= place < check.at
        for one in alphabet:
            value = check.alphabet.index(one) * check.weights[place - check.start] if check and weighted else 0
            single[place, ord(one)] = value
    even, odd = single[: spec.length // 2 * 2 : 2], single[1::2]
    pairs = (odd[:, :, None] + even[:, None, :]).reshape(len(odd), -1)
    table = check.table if check else "\0"
    return pairs, single[-1], np.frombuffer(table.encode(), dtype=np.uint8), len(table)


@cache
def _begins(kind: str) -> Booleans:
    spec = SPECS[kind]
    allowed = np.zeros(1 << 16, dtype=np.bool_)
    for one in spec.beginnings if isinstance(spec, Fixed) else ():
        allowed[ord(one[0]) | ord(one[1]) << 8] = True
    return allowed


def _born(birth: Birth, identifiers: Bytes, today: date) -> Booleans:
    digits = np.ascontiguousarray(identifiers[:, birth.start : birth.start + 8].T).astype(np.int32) - ord("0")
    year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]
    month, day = digits[4] * 10 + digits[5], digits[6] * 10 + digits[7]
    # Bytes that are no digits give any number here; the alphabets have already turned those rows down.
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (day <= _MONTH_DAYS.take(month, mode="clip"))  # noqa: PLR2004
    leap_days = np.flatnonzero((month == 2) & (day == 29))  # noqa: PLR2004 - 29 February
    years = year[leap_days]
    exists[leap_days] = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    born = year * 10_000 + month * 100 + day
    within: Booleans = exists & (born >= FIRST_YEAR * 10_000) & (born <= int(today.strftime("%Y%m%d")))
    return within


def _joined(spec: Joined, data: Bytes, starts: Edges, lengths: Edges) -> Booleans:
    """Walk all texts at once, a character a step: one table follows the shape, the other the check."""
    shape, ends, check = _walks(spec.kind)
    place = np.ones(len(starts), dtype=np.int32)
    state = np.full(len(starts), len(spec.alphabet) // 2, dtype=np.int32)
    for step in range(int(lengths.max(initial=0))):
        going = np.flatnonzero(step < lengths)
        column = data[starts[going] + step]
        place[going] = shape[place[going], column]
        if step >= len(spec.beginning):
            state[going] = check[state[going], column]
    right: Booleans = ends[place] & (state == 1)
    return right


@cache
def _walks(kind: str) -> tuple[npt.NDArray[np.int32], Booleans, npt.NDArray[np.int32]]:
    """Place × byte → place of the shape (0: lost), where a text may end, and state × byte → state of the check."""
    spec = SPECS[kind]
    assert isinstance(spec, Joined)  # noqa: S101 - only _joined asks
    rows: list[dict[str, int]] = [{}, {}]
    for one in spec.beginning:
        rows[-1][one] = len(rows)
        rows.append({})
    for number, counts in enumerate(spec.parts):
        for _ in range(max(counts)):
            rows[-1].update(dict.fromkeys(spec.alphabet, len(rows)))
            rows.append({})
        joints = [len(rows) - 1 - max(counts) + count for count in counts]
        if number + 1 < len(spec.parts):
            for joint in joints:
                rows[joint]["."] = len(rows)
            rows.append({})
    shape = np.zeros((len(rows), 256), dtype=np.int32)
    for place, byte, target in _entries(rows):
        shape[place, byte] = target
    ends = np.zeros(len(rows), dtype=np.bool_)
    ends[joints] = True
    check = np.tile(np.arange(len(spec.alphabet), dtype=np.int32)[:, None], (1, 256))
    for state, steps in enumerate(hybrid_steps(len(spec.alphabet))):
        for one, target in zip(spec.alphabet, steps, strict=True):
            check[state, ord(one)] = target
    return shape, ends, check


def _entries(rows: list[dict[str, int]]) -> Iterator[tuple[int, int, int]]:
    for place, row in enumerate(rows):
        for one, target in row.items():
            yield place, ord(one), target
