"""Profiles count exactly what fields hold, tell no personal value, and say what changed since the one before."""

from __future__ import annotations

import os
import re
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality import profile as module
from quality.profile import Asked, profile
from quality.profile_shapes import LONGEST, shape, shapes
from quality.profile_store import ProfileStore, compare_profiles
from warehouse.state.database import migrate, open_engine


def reader_of(table: pa.Table, rows: int = 3):
    """What reads a table, a few rows at a time."""
    return lambda columns: table.select(list(columns)).to_reader(max_chunksize=rows)


def of(values, kind=None, *, personal: bool = False):
    """The profile of one column."""
    table = pa.table({'a "b"': pa.array(values, kind)})
    return profile(reader_of(table), [Asked('a "b"', personal)])[0]


@settings(max_examples=400 if os.environ.get("SHUTONG_PROVE") else 14, deadline=None)
@given(st.lists(st.none() | st.text(max_size=8) | st.sampled_from(["甲", "乙", "𠮷"]), max_size=60))
def test_texts_are_counted_exactly(values):
    found, there = of(values, pa.string()), [one for one in values if one is not None]
    assert (found.rows, found.filled, found.distinct) == (len(values), len(there), len(set(there)))
    assert (found.least, found.greatest, found.bins) == (None, None, ())
    counts = Counter(map(shape, there))
    assert {one.text: one.rows for one in found.shapes}.items() <= counts.items()
    assert sum(one.rows for one in found.shapes) == sum(rows for _, rows in counts.most_common(module.TOP))


@settings(max_examples=400 if os.environ.get("SHUTONG_PROVE") else 14, deadline=None)
@given(st.lists(st.none() | st.integers(-(10**9), 10**9), max_size=60))
def test_numbers_are_counted_and_spread_exactly(values):
    found, there = of(values, pa.int64()), sorted(one for one in values if one is not None)
    assert (found.filled, found.distinct) == (len(there), len(set(there)))
    assert sum(one.rows for one in found.bins) == len(there)
    if there:
        assert (found.least, found.greatest) == (str(there[0]), str(there[-1]))
        wanted = [there[max(0, -(-len(there) * percent // 100) - 1)] for percent in (5, 25, 50, 75, 95)]
        assert list(found.quantiles) == list(map(str, wanted))


def test_lengths_count_characters_and_not_bytes():
    found = of(["𠮷田", "㐂", None, ""])
    assert (found.shortest, found.longest, found.mean_length) == (0, 2, 1.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("330106198001013011", "9{18}"),
        ("33010619800101301X", "9{17}A"),
        ("张三", "汉{2}"),
        ("𠮷田㐂", "汉{3}"),
        ("杭州市 A座12号", "汉{3} A汉9{2}汉"),
        ("2024-02-30", "9{4}-9{2}-9{2}"),
        ("９１３", "?{3}"),
        ("二〇二四", "汉{4}"),
        ("买买提·艾力", "汉{3}·汉{2}"),
        ("Ünal é", "?A{3} ?"),
        ("a\tb", "A A"),
        ("", ""),
    ],
)
def test_a_shape_says_which_characters_stand_where(text, told):
    assert shape(text) == told


def test_the_shape_of_a_long_text_ends_somewhere():
    assert len(shape("a1" * 500)) == LONGEST


def test_a_null_has_no_shape():
    assert shapes(pa.array([None, "a", None, "a"], pa.string())).to_pylist() == [None, "A", None, "A"]


def test_of_personal_fields_no_value_is_told():
    for values in (["张三"] * 9 + ["李四"], [date(1980, 1, 1)] * 10, [Decimal("1.50")] * 10):
        found = of(values, personal=True)
        assert (found.top, found.least, found.greatest, found.quantiles, found.bins) == ((), None, None, (), ())
        assert found.shapes
        assert not re.search("[^汉9.-]", re.sub(r"{[0-9]+}", "", "".join(one.text for one in found.shapes)))


def test_a_text_is_told_only_where_several_rows_share_it_and_never_somebodys_number():
    found = of(
        ["无"] * 5 + ["仅此一家"] * 4 + ["13812345678"] * 6 + ["33010619800101301X"] * 7 + ["电话138 1234 5678"] * 8
    )
    assert [(one.text, one.rows) for one in found.top] == [
        ("汉{2}9{3} 9{4} 9{4}", 8),
        ("9{17}A", 7),
        ("9{11}", 6),
        ("无", 5),
    ]


def test_codes_days_moments_and_amounts_are_told_with_their_spread():
    days = of([date(2024, 1, 1) + timedelta(days=one) for one in range(100)], pa.date32())
    assert (days.least, days.greatest, days.quantiles[2]) == ("2024-01-01", "2024-04-09", "2024-02-19")
    assert [one.rows for one in days.bins] == [5] * 20
    assert days.bins[0].start == "2024-01-01"
    moments = of([datetime.fromisoformat("2024-01-01T12:30")], pa.timestamp("us"))
    assert (moments.least, moments.bins[0].rows) == ("2024-01-01 12:30:00", 1)
    amounts = of([Decimal("0.01"), Decimal("99.99")], pa.decimal128(18, 2))
    assert (amounts.least, amounts.greatest) == ("0.01", "99.99")
    flags = of([True, True, False, None])
    assert (flags.distinct, flags.top[0].text, flags.top[0].rows) == (2, "true", 2)


def test_what_is_no_number_is_left_out_of_the_spread():
    found = of([1.0, 2.0, float("nan"), float("inf"), None])
    assert (found.least, found.greatest, found.filled, sum(one.rows for one in found.bins)) == ("1.0", "2.0", 4, 2)


def test_nothing_and_only_nulls_have_profiles_too():
    for values in ([], [None, None]):
        found = of(values, pa.string())
        assert (found.rows, found.filled, found.distinct, found.shapes) == (len(values), 0, 0, ())


def test_a_column_that_cannot_be_read_says_so_and_the_others_answer():
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    table = pa.table({"bad": bad, "good": ["a"]})
    found = profile(reader_of(table), [Asked("bad"), Asked("good")])
    assert found[0].error is not None
    assert (found[1].error, found[1].distinct) == (None, 1)


def test_shapes_of_very_many_values_are_estimated_and_say_so(monkeypatch):
    monkeypatch.setattr(module, "SHAPED", 100)
    values = [f"{one:06d}" for one in range(900)] + [f"甲{one:06d}" for one in range(100)]
    found = of(values)
    assert (found.distinct, found.shaped) == (1000, 100)
    assert {one.text: one.rows for one in found.shapes}["9{6}"] == pytest.approx(900, abs=100)
    assert sum(one.rows for one in found.shapes) == pytest.approx(1000, abs=1)


def test_values_held_once_as_a_dictionary_are_the_same():
    values = pa.array(["甲", "乙", None, "甲"])
    assert of(values).shapes == of(values.dictionary_encode()).shapes


# kept and compared


@pytest.fixture
def store(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    migrate(engine)
    yield ProfileStore(engine)
    engine.dispose()


def test_a_profile_is_kept_per_run_field_by_field(store):
    table = pa.table({"a": ["甲"] * 5, "b": pa.array([1, 2, 3, None, 5])})
    first, second = profile(reader_of(table), [Asked("a"), Asked("b")])
    store.keep("scjg.firms", "r1", "2026-09-01T09:00:00.000000+08:00", [first])
    store.keep("scjg.firms", "r1", "2026-09-01T09:05:00.000000+08:00", [second])
    assert store.get("scjg.firms", "r1") == (first, second)
    assert store.get("scjg.firms", "r2") == ()
    store.keep("scjg.firms", "r2", "2026-09-02T09:00:00.000000+08:00", [first])
    assert store.before("scjg.firms", "r2") == "r1"
    assert store.before("swj.firms", "r2") is None


def test_what_changed_between_two_profiles_is_told():
    was = pa.table({"code": ["12"] * 100, "name": ["甲乙"] * 100, "gone": ["x"] * 100, "same": ["y"] * 100})
    now = pa.table(
        {"code": ["12"] * 90 + ["A1"] * 10, "name": [None] * 20 + ["甲"] * 80, "come": ["x"] * 100, "same": ["y"] * 100}
    )
    before, after = (profile(reader_of(one, 1000), [Asked(name) for name in one.column_names]) for one in (was, now))
    assert {(one.field, one.what, one.before, one.now) for one in compare_profiles(before, after)} == {
        ("code", "distinct", "1", "2"),
        ("code", "new_shape", "", "A9 (10)"),
        ("name", "filled", "100.00%", "80.00%"),
        ("name", "longest", "2", "1"),
        ("name", "new_shape", "", "汉 (80)"),
        ("name", "lost_shape", "汉{2} (100)", ""),
        ("gone", "vanished", "", ""),
        ("come", "appeared", "", ""),
    }
    assert compare_profiles((), after) == ()
