"""Rows that share both hashes are found, however they come and into however many blocks they are cut."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality import shared_hashes
from quality.shared_hashes import SharedHashes

FIRST = st.sampled_from([0, 1 << 32, 1 << 56, 3 << 56, 200 << 56, (200 << 56) + (1 << 32), 2**64 - (1 << 32)])
PIECES = st.lists(st.lists(st.tuples(FIRST, st.sampled_from([0, 1, 1 << 63]), st.booleans()), max_size=9), max_size=9)


@settings(max_examples=40, deadline=None)
@given(PIECES, st.integers(1, 6), st.integers(1, 9), st.booleans(), st.booleans())
def test_rows_that_share_both_hashes_are_found(pieces, block, group, apart, whole):
    hashes, numbers, begun = SharedHashes(), [], 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_hashes, "_BLOCK", block)
        patch.setattr(shared_hashes, "_GROUP", group)
        for piece in pieces:
            first, second = (np.array([row[which] for row in piece], np.uint64) for which in (0, 1))
            rows = np.arange(begun, begun + len(piece)) * 3 if apart else range(begun, begun + len(piece))
            there = None if whole else np.array([has for _, _, has in piece], np.bool_)
            hashes.add(first, second, there, rows)
            numbers += list(rows)
            begun += len(piece)
        found = hashes.rows()
    every = [(first, second) if has or whole else None for piece in pieces for first, second, has in piece]
    counts = Counter(every)
    shared = [number for number, pair in zip(numbers, every, strict=True) if pair is not None and counts[pair] > 1]
    assert found.tolist() == shared


def test_several_threads_may_add_rows_of_many_blocks():
    chance = np.random.default_rng(5)
    first, second = chance.integers(0, 2**64, (2, 400_000), np.uint64)
    first[100_000:300_000:2_000] = first[7]
    second[100_000:300_000:4_000] = second[7]
    hashes = SharedHashes()
    with ThreadPoolExecutor(3) as pool:
        cuts = range(0, 400_000, 30_000)
        list(
            pool.map(
                lambda a: hashes.add(first[a : a + 30_000], second[a : a + 30_000], None, range(a, a + 30_000)), cuts
            )
        )
    assert hashes.rows().tolist() == [7, *range(100_000, 300_000, 4_000)]
    assert not len(hashes.rows())
