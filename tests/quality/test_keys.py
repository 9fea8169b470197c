"""Keys are hashed alike where they are equal and nowhere else, however the rows are cut."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.columns import Part, UnreadableError
from quality.keys import Hasher, hashable
from quality.repeats import Repeats

SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "large": pa.large_string(),
        "code": pa.dictionary(pa.int8(), pa.string()),
        "n": pa.int16(),
        "day": pa.date32(),
    }
)
TEXTS = st.one_of(
    st.sampled_from(["", "a", "a\0", "ab", "abc", "abcd", "abcd\0", "abcde", "数通", "9" * 18, "9" * 4_000]),
    st.text(max_size=9),
    st.none(),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": TEXTS,
            "large": TEXTS,
            "code": st.sampled_from(["", "1", "12", None]),
            "n": st.sampled_from([-1, 0, 1, 300, None]),
            "day": st.sampled_from([date(1969, 12, 31), date(1970, 1, 1), None]),
        }
    ),
    min_size=1,
    max_size=30,
)
KEYS = (["text"], ["large"], ["code"], ["n"], ["day"], ["text", "large"], ["code", "text", "n"], ["n", "day", "code"])


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 30))
def test_hashes_are_equal_where_keys_are(rows, cut):
    table = pa.Table.from_pylist(rows, SCHEMA)
    for key in KEYS:
        hasher, found = Hasher(key), []
        for piece in (table.slice(0, cut), table.slice(cut)):
            first, second, there = hasher(Part(piece))
            whole = [True] * piece.num_rows if there is None else there.tolist()
            found += zip(first.tolist(), second.tolist(), whole, strict=True)
        named = [tuple(row[name] for name in key) for row in rows]
        assert [there for _, _, there in found] == [None not in one for one in named]
        known = {}
        for one, (first, second, there) in zip(named, found, strict=True):
            if there:
                assert known.setdefault(one, (first, second)) == (first, second)
        assert len(set(known.values())) == len(known)
        assert len({first for first, _ in known.values()}) == len(known)


def test_who_knows_a_check_before_does_not_know_its_hashes():
    part = Part(pa.Table.from_pylist([{"text": "91330106MA2ABCDE1X"}], SCHEMA))
    assert Hasher(["text"])(part)[0] != Hasher(["text"])(part)[0]


def test_nulls_in_a_dictionary_are_no_keys():
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1], pa.int8()), pa.array(["1", None]))
    first, _, there = Hasher(["code"])(Part(pa.table({"code": codes})))
    assert there.tolist() == [True, False, True, False]
    assert first[0] == first[2]


def test_bytes_that_are_no_text_are_no_key():
    texts = pa.array([b"\xff\xfe"]).view(pa.string())
    with pytest.raises(UnreadableError):
        Hasher(["text"])(Part(pa.table({"text": texts})))


@pytest.mark.parametrize(
    ("columns", "simple"),
    [(["text", "code", "n", "day"], True), (["TEXT"], False), (["nowhere"], False), (["real"], False), (["a"], False)],
)
def test_what_is_hashed_here_and_what_in_sql(columns, simple):
    schema = pa.schema(
        [*SCHEMA, pa.field("real", pa.float64()), pa.field("a", pa.string()), pa.field("A", pa.string())]
    )
    assert hashable(columns, schema) is simple


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "数", None]), max_size=20), st.integers(0, 20), st.booleans())
def test_rows_that_share_their_key_are_found_in_whatever_order_parts_come(texts, cut, backwards):
    table = pa.table({"_row": pa.array(range(5, 5 + len(texts)), pa.int64()), "text": pa.array(texts, pa.string())})
    repeats, pieces = Repeats(["text"], table.schema), [table.slice(0, cut), table.slice(cut)]
    for piece in pieces[:: -1 if backwards else 1]:
        repeats.take(Part(piece))
    shared = [row + 5 for row, text in enumerate(texts) if text is not None and texts.count(text) > 1]
    assert repeats.rows().tolist() == shared
