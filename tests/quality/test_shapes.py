"""Patterns that are tried on bytes come out as the regular expressions they stand for."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.columns import edges_of
from quality.shapes import found, shape

PATTERNS = ("^1[3-9][0-9]{2}$", "^[0-9A-Z]{3}$", "^[A-Z][0-9]$", "^[0-9Xx]{2}$", "^[^*?]+$", "^[^@ ]*$", "^[^0-9]+$")
TEXTS = st.one_of(
    st.sampled_from(
        ["1399", "1299", "A1", "ABC", "0Z9", "*", "*" * 300, "a@b", " ", "数通", "数1", "", "/:", "1:99", None]
    ),
    st.text("0139AXx*?@ 数", max_size=5),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, max_size=12), st.integers(1, 40), st.integers(0, 3), st.sampled_from(PATTERNS))
def test_bytes_and_regular_expressions_agree(texts, times, skipped, pattern):
    every = pa.array([*texts, *["1399"] * times * 30, *texts], pa.string()).slice(min(skipped, len(texts)))
    known = shape(pattern)
    assert known is not None
    answer = found(known, edges_of(every), np.frombuffer(every.buffers()[2], np.uint8))
    expected = [bool(re.search(pattern.removesuffix("$") + r"\Z", text or "")) for text in every.to_pylist()]
    assert answer.tolist() == expected


@pytest.mark.parametrize("pattern", ["[0-9]", "^[0-9]+$", "^a|b$", "^[9-0]$x", "^(a)$", "^数$", "^.$", "^a{02}$"])
def test_other_patterns_are_left_to_the_engine(pattern):
    assert shape(pattern) is None
