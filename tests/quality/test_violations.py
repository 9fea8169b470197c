"""Rows per rule become rules per row, whatever numbers the rows have."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality import violations
from quality.violations import by_row

NUMBERS = st.one_of(st.integers(1, 12), st.integers(-(2**62), 2**62))


@given(st.lists(st.sets(NUMBERS, max_size=9), max_size=7), st.integers(1, 9))
def test_each_row_names_the_rules_it_violates_in_their_order(sets, window):
    rules = [SimpleNamespace(id=f"rule_{place}") for place in range(len(sets))]
    violators = {rule.id: np.array(sorted(rows), np.int64) for rule, rows in zip(rules, sets, strict=True)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(violations, "_WINDOW", window)
        found = by_row(rules, violators)
    expected = {row: [r.id for r, rows in zip(rules, sets, strict=True) if row in rows] for row in set().union(*sets)}
    assert list(zip(found["_row"].to_pylist(), found["rules"].to_pylist(), strict=True)) == sorted(expected.items())


def test_there_may_be_more_rules_than_two_bytes_count():
    rules = [SimpleNamespace(id=f"rule_{place}") for place in range(40_000)]
    found = by_row(rules, {rule.id: np.array([7], np.int64) for rule in rules})
    assert found["rules"][0].as_py() == [rule.id for rule in rules]


def test_the_table_is_plain_text_in_a_file(tmp_path):
    found = by_row([SimpleNamespace(id="a"), SimpleNamespace(id="b")], {"b": np.array([3, 9], np.int64)})
    pq.write_table(found, tmp_path / "violations.parquet", store_schema=False)
    read = pq.read_table(tmp_path / "violations.parquet")
    assert read["rules"].type.value_type == pa.string()
    assert read.to_pylist() == [{"_row": 3, "rules": ["b"]}, {"_row": 9, "rules": ["b"]}]
