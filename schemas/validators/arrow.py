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
Booleans = npt.NDArray[np.bool_]

_BLOCK = 1 << 16  # rows worked on at once: small enough for the caches, large enough to forget the Python around it
_OUTSIDE = -(1 << 20)  # contribution of a character that is not allowed: no sum of the others can lift it above zero
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


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
            rows, columns = _columns(edges, data, spec.length)
            right[first + rows] = _fixed(spec, columns, today)
        else:
            rows, starts, lengths = _within(edges, *spec.lengths)
            right[first + rows] = _joined(spec, data, starts, lengths)
    missing = texts.is_null().to_numpy(zero_copy_only=False)
    return pa.array(right, mask=missing)


def _buffers(texts: pa.Array) -> tuple[Numbers, Bytes]:
    _, offsets, data = texts.buffers()
    if not len(texts) or offsets is None:
        return np.zeros(len(texts) + 1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    edges = np.frombuffer(offsets, dtype=np.int64, count=len(texts) + 1, offset=texts.offset * 8)
    return edges, np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)


def _within(edges: Numbers, least: int, most: int) -> tuple[Numbers, Numbers, Numbers]:
    """Places, first bytes and lengths of the texts that have between `least` and `most` bytes."""
    lengths = np.diff(edges)
    rows = np.flatnonzero((lengths >= least) & (lengths <= most))
    return rows, edges[:-1][rows], lengths[rows]


def _columns(edges: Numbers, data: Bytes, length: int) -> tuple[Numbers, Bytes]:
    """Places of the texts of exactly `length` bytes, and those bytes: position × text."""
    rows, starts, _ = _within(edges, length, length)
    if len(rows) == len(edges) - 1:  # one after the other without gaps: a view is enough
        return rows, data[edges[0] : edges[-1]].reshape(-1, length).T
    return rows, data[starts + np.arange(length)[:, None]]


def _fixed(spec: Fixed, columns: Bytes, today: date) -> Booleans:
    contributions, table, modulus = _tables(spec.kind)
    total = np.zeros(columns.shape[1], dtype=np.int32)
    for place, column in enumerate(columns):
        total += contributions[place][column]
    right: Booleans = total >= 0
    if spec.check:
        right &= table[total % modulus] == columns[spec.check.at]
    if spec.beginnings:
        right &= _begins(spec.kind)[columns[0].astype(np.int32) << 8 | columns[1]]
    if spec.birth:
        right &= (columns[0] == ord(spec.birth.exempt)) | _born(spec.birth, columns, today)
    return right


@cache
def _tables(kind: str) -> tuple[npt.NDArray[np.int32], Bytes, int]:
    """What each byte adds at each place, the check byte of each remainder, and the modulus."""
    spec = SPECS[kind]
    assert isinstance(spec, Fixed)  # noqa: S101 - only _fixed asks
    contributions = np.full((spec.length, 256), _OUTSIDE, dtype=np.int32)
    check = spec.check
    for place, alphabet in enumerate(spec.alphabets):
        weighted = check is not None and check.start <= place < check.at
        for one in alphabet:
            value = check.alphabet.index(one) * check.weights[place - check.start] if check and weighted else 0
            contributions[place, ord(one)] = value
    table = check.table if check else "\0"
    return contributions, np.frombuffer(table.encode(), dtype=np.uint8), len(table)


@cache
def _begins(kind: str) -> Booleans:
    spec = SPECS[kind]
    allowed = np.zeros(1 << 16, dtype=np.bool_)
    for one in spec.beginnings if isinstance(spec, Fixed) else ():
        allowed[ord(one[0]) << 8 | ord(one[1])] = True
    return allowed


def _born(birth: Birth, columns: Bytes, today: date) -> Booleans:
    digits = columns[birth.start : birth.start + 8].astype(np.int64) - ord("0")
    year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]
    month, day = digits[4] * 10 + digits[5], digits[6] * 10 + digits[7]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    # Bytes that are no digits give any number here; the alphabets have already turned those rows down.
    days = _MONTH_DAYS[np.clip(month, 0, 12)] + (leap & (month == 2))  # noqa: PLR2004 - February
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (day <= days)  # noqa: PLR2004 - months of a year
    born = year * 10_000 + month * 100 + day
    within: Booleans = exists & (born >= FIRST_YEAR * 10_000) & (born <= int(today.strftime("%Y%m%d")))
    return within


def _joined(spec: Joined, data: Bytes, starts: Numbers, lengths: Numbers) -> Booleans:
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
