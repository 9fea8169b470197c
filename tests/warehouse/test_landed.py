"""The form of landed rows: what a hash depends on, and that repaired values are told as they were received."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.values import Manifest, Position
from warehouse import landed
from warehouse.record_hash import SIZE, record_hashes

MANIFEST = Manifest("market.base", "run-1", "b1", 0, 0, "", (), (), Position(), "")
TEXTS = st.none() | st.text(max_size=3)


def hashes(**columns: Sequence[object]) -> list[bytes]:
    return record_hashes({name: pa.array(values) for name, values in columns.items()}).to_pylist()


@given(st.lists(st.tuples(TEXTS, TEXTS, st.none() | st.integers(-5, 5)), min_size=1, max_size=20))
def test_records_have_one_hash_when_they_say_the_same_and_else_not(
    records: list[tuple[str | None, str | None, int | None]],
) -> None:
    kinds = {"a": pa.string(), "b": pa.string(), "n": pa.int64()}
    columns = {name: pa.array([one[at] for one in records], kinds[name]) for at, name in enumerate(kinds)}
    found = record_hashes(columns).to_pylist()
    assert all(len(one) == SIZE for one in found)
    assert len(set(found)) == len(set(records))
    assert record_hashes(dict(reversed(columns.items()))).to_pylist() == found
    assert record_hashes({name: one.slice(1) for name, one in columns.items()}).to_pylist() == found[1:]
    later = record_hashes({**columns, "later": pa.nulls(len(records), pa.string())}).to_pylist()
    assert later == found


def test_a_field_that_is_null_in_some_records_leaves_their_hash_alone() -> None:
    assert hashes(a=["1", "2"])[0] == hashes(a=["1", "2"], b=[None, "x"])[0]
    assert hashes(a=["x"], b=[None]) != hashes(a=[None], b=["x"])
    assert hashes(a=[""]) != hashes(a=pa.array([None], pa.string()))


HEX = ["841e4620f62c44a4066bafd0b36120fb", "93eb461d4028163edb507e2e436bc918"]


def test_the_hash_of_a_record_is_the_same_in_every_version() -> None:
    columns = {
        "text": pa.array(["𠮷", "甲"]),
        "day": pa.array([dt.date(2026, 1, 1), None]),
        "amount": pa.array([Decimal("1.500000"), Decimal(-2)], pa.decimal128(24, 6)),
        "at": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None], pa.timestamp("us", tz="UTC")),
        "yes": pa.array([True, None]),
        "n": pa.array([2**40, -1]),
    }
    assert [one.hex() for one in record_hashes(columns).to_pylist()] == HEX
    narrow = {**columns, "n": pa.array([7, -1], pa.int32())}
    assert record_hashes(narrow).to_pylist()[1].hex() == HEX[1]


def repairs(marks: Sequence[bool], said: Sequence[str | None], other: Sequence[bool]) -> list[object]:
    batch = pa.record_batch(
        {
            "_row": pa.array(range(1, len(marks) + 1), pa.int64()),
            "code": pa.array(["X"] * len(marks)),
            "code__repaired": pa.array(marks, pa.bool_()),
            'na"me': pa.array(["Y"] * len(marks)),
            'na"me__repaired': pa.array(other, pa.bool_()),
            "raw:编号": pa.array(said, pa.string()),
            "raw:名称": pa.array(["o"] * len(marks)),
        }
    )
    form = landed.form(batch.schema, {"code": "编号", 'na"me': "名称"}, MANIFEST)
    told = [text for rows in landed.landed_rows(batch, form) for text in rows.column("_raw").to_pylist()]
    return [None if one is None else json.loads(one) for one in told]


@given(st.lists(st.tuples(st.booleans(), st.none() | st.text(max_size=4), st.booleans()), min_size=1, max_size=12))
def test_repaired_values_are_told_as_received_whatever_they_hold(rows: list[tuple[bool, str | None, bool]]) -> None:
    marks, said, other = zip(*rows, strict=True)
    wanted = [({"code": text} if one else {}) | ({'na"me': "o"} if two else {}) for one, text, two in rows]
    assert repairs(marks, said, other) == [one or None for one in wanted]


def test_wide_rows_get_their_form_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landed, "TOGETHER", 2_000)
    batch = pa.record_batch({"_row": pa.array(range(20), pa.int64()), "code": pa.array(["x" * 500] * 20)})
    parts = list(landed.landed_rows(batch, landed.form(batch.schema, {"code": "编号"}, MANIFEST)))
    assert len(parts) > 3
    assert [row for part in parts for row in part.column("_row").to_pylist()] == list(range(20))
