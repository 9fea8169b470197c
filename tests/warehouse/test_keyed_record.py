"""Rows of texts packed into bytes come apart as they were."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import keyed_record

TEXT = st.none() | st.text(max_size=9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=6)))
def test_rows_come_apart_as_they_were_packed(rows):
    columns = [pa.array(one, pa.string()) for one in zip(*rows, strict=True)] or [pa.array([], pa.string())]
    for width in keyed_record.WIDTHS:
        made = keyed_record.packed([pa.concat_arrays([one, one]).slice(len(one)) for one in columns], width)
        assert [one.to_pylist() for one in keyed_record.unpacked(made, len(columns), width)] == [
            one.to_pylist() for one in columns
        ]


@pytest.mark.parametrize(("length", "width"), [(2**16 - 2, 2), (2**16 - 1, 4)])
def test_lengths_of_two_bytes_do_for_texts_below_64_kib(length, width):
    columns = [pa.array(["甲", "x" * length]), pa.array([None, ""])]
    assert keyed_record.packed(columns, 4) is not None
    made = keyed_record.packed(columns, width)
    assert [one.to_pylist() for one in keyed_record.unpacked(made, 2, width)] == [one.to_pylist() for one in columns]
    assert (keyed_record.packed(columns, 2) is None) == (width == 4)


def test_only_rows_asked_for_are_cut_out_of_the_buffer():
    rows = keyed_record.packed([pa.array(["甲", "乙", "丙"])], 2)
    ends = np.frombuffer(rows.buffers()[1], np.int64)
    some = keyed_record.spans(rows.buffers()[2], ends[[0, 2]], ends[[1, 3]], pa.large_binary())
    assert keyed_record.unpacked(some, 1, 2)[0].to_pylist() == ["甲", "丙"]
