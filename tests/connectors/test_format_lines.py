"""JSON lines and fixed width: every line is a record as received, or a reject that names it."""

import io
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import SourceError
from connectors.files import encoding, fixed_width, jsonl
from connectors.options import Options
from schemas.values import RAW_COLUMNS


def table(module, data, size=1000, **options):
    data = data if isinstance(data, bytes) else data.encode()
    form = module.open_format(Options(options, module.OPTIONS))
    batches = list(form.batches(io.BytesIO(data), "t.dat", size))
    assert all(batch.rows.num_rows <= size for batch in batches)
    tab = pa.concat_tables([pa.Table.from_batches([batch.rows]) for batch in batches], promote_options="default")
    assert tab["_row"].to_pylist() == list(range(1, tab.num_rows + 1))
    return tab


def received(tab):
    names = [name for name in tab.column_names if name not in RAW_COLUMNS]
    return [tuple(row[name] for name in names) for row in tab.to_pylist()]


def rejects(tab):
    return [(r["_row"], r["_reject"], r["_detail"], r["_line"]) for r in tab.to_pylist() if r["_reject"]]


text = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('𠮷㐂０"\\\n\u2028')), max_size=8)


@settings(max_examples=120, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(["名称", "code", "x y"]), text | st.none(), min_size=1), min_size=1, max_size=8
    ),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
    piece=st.integers(4, 60),
    size=st.integers(1, 5),
)
def test_every_json_line_comes_back_exactly(rows, codec, piece, size):
    data = "\r\n".join(json.dumps(row, ensure_ascii=codec == "gb18030") for row in rows).encode(codec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "PIECE", piece)
        tab = table(jsonl, data, size, encoding=codec)
    assert [{k: v for k, v in row.items() if k not in RAW_COLUMNS and v is not None} for row in tab.to_pylist()] == [
        {k: v for k, v in row.items() if v is not None} for row in rows
    ]
    assert rejects(tab) == []


def test_numbers_keep_every_digit_and_nested_values_are_json():
    tab = table(
        jsonl,
        '{"id": 330102199001011234, "sum": 12345678901234567890.120, "e": 1.10e3, "b": true, "n": {"x": [1.50, "甲", null]}}',
    )
    assert received(tab) == [
        ("330102199001011234", "12345678901234567890.120", "1.10e3", "true", '{"x": [1.50, "甲", null]}')
    ]


def test_each_bad_line_is_a_reject_with_its_number_and_the_others_are_read():
    lines = [
        b'{"a": "1"}',
        b"",
        b"{bad",
        b"[1]",
        b'{"a": 1, "a": 2}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud840"}',
        b"[" * 5_000,
        b'{"b": "2"}',
        b'{"a": "3',
    ]
    tab = table(jsonl, b"\n".join(lines))
    assert [row[0] for row in received(tab)] == ["1", None, None, "2", "\\xFF", "\\uD840", None, None, None]
    assert received(tab)[7] == (None, "2")
    assert [(row, rule) for row, rule, _, _ in rejects(tab)] == [
        (2, "row_shape"), (3, "row_shape"), (4, "row_shape"), (5, "bad_bytes"), (6, "bad_bytes"), (7, "row_shape"), (9, "torn_row"),
    ]  # fmt: skip
    assert [detail.split("line ")[1].split(":")[0] for _, _, detail, _ in rejects(tab)] == [
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "10",
    ]
    assert rejects(tab)[1][3] == "[1]"


def test_records_without_any_field_are_still_records():
    assert table(jsonl, "{}\n{}\n").num_rows == 2
    assert table(jsonl, "nothing\nhere\n").num_rows == 2


@pytest.mark.parametrize("piece", [64, 1 << 20])
def test_a_line_too_long_is_a_reject_and_what_follows_is_read(monkeypatch, piece):
    monkeypatch.setattr(encoding, "PIECE", piece)
    tab = table(jsonl, '{"a": "1"}\n{"a": "' + "z" * 9_000 + '"}\n{"a": "2"}\n', max_field_bytes=2_000)
    assert received(tab) == [("1",), (None,), ("2",)]
    [(row, rule, detail, line)] = rejects(tab)
    assert (row, rule) == (2, "field_size")
    assert "line 2: 9009 bytes" in detail
    assert len(line) < 2_000


def test_three_thousand_names_and_an_empty_file():
    assert table(jsonl, json.dumps({f"c{n}": n for n in range(3_000)})).num_columns == 3_004
    for module, options in ((jsonl, {}), (fixed_width, {"widths": {"a": 1}})):
        assert table(module, b"", **options).num_rows == 0


WIDTHS = {"code": 6, "name": 10, "sum": 4}
field = st.text(st.sampled_from("ab 𠮷０经㐂1"), max_size=3)


@settings(max_examples=120, deadline=None)
@given(
    rows=st.lists(st.tuples(field, field, field), min_size=1, max_size=8),
    codec=st.sampled_from(["utf-8", "gb18030", "utf-16"]),
    unit=st.sampled_from(["bytes", "characters"]),
    piece=st.integers(4, 60),
)
def test_every_fixed_line_comes_back_exactly_in_bytes_and_characters(rows, codec, unit, piece):
    unit = "characters" if codec == "utf-16" else unit

    def size(value):
        return len(value.encode(codec)) if unit == "bytes" else len(value)

    width = 12
    data = "".join("".join(value + " " * (width - size(value)) for value in row) + "\r\n" for row in rows).encode(codec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "PIECE", piece)
        tab = table(fixed_width, data, 3, encoding=codec, unit=unit, widths=dict.fromkeys("abc", width), strip="right")
    assert received(tab) == [tuple(value.rstrip(" ") for value in row) for row in rows]
    assert rejects(tab) == []


def fixed(data, **options):
    return table(fixed_width, data, **{"widths": WIDTHS, "encoding": "gbk", **options})


def test_columns_may_be_placed_by_start_and_length_and_headings_skipped():
    places = [{"name": "sum", "start": 4, "length": 2}, {"name": "id", "start": 1, "length": 3}]
    tab = table(fixed_width, "heading\n\n00112\n00 1 \n", widths=places, skip_lines=1)
    assert tab.column_names[:2] == ["sum", "id"]
    assert received(tab) == [("12", "001"), ("1", "00")]


def test_short_long_and_torn_lines_are_rejects_with_their_numbers():
    good = "000001杭州市    12.5"
    lines = [good, good[:-3], good + "x", "00000甲杭州市   12.5", good, "0000"]
    tab = fixed("\n".join(lines).encode("gb18030"))
    assert received(tab)[0] == received(tab)[4] == ("000001", "杭州市", "12.5")
    rules = [(row, rule) for row, rule, _, _ in rejects(tab)]
    assert rules == [(2, "row_shape"), (3, "row_shape"), (4, "bad_bytes"), (6, "torn_row")]
    assert "line 2: expected 20 bytes, found 17" in rejects(tab)[0][2]


def test_a_character_cut_by_a_field_is_a_reject_and_not_another_character():
    tab = fixed(("00000甲" + "杭州市   " + "12.5\n").encode("gb18030"))
    [(row, rule, _, line)] = rejects(tab)
    assert (row, rule, line) == (1, "bad_bytes", "00000甲杭州市   12.5")


def test_lines_without_their_trailing_spaces_may_be_padded():
    assert received(fixed("000001杭州市\n".encode("gbk"), short="pad")) == [("000001", "杭州市", "")]


def test_a_line_of_wrong_encoding_is_shown():
    tab = fixed(b"000001\xff" + b" " * 13 + b"\n")
    assert received(tab) == [("000001", "\\xFF", "")]
    assert rejects(tab)[0][1] == "bad_bytes"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"widths": None}, "source.widths"),
        ({"widths": {"a": 0}}, "source.widths.*a"),
        ({"widths": [{"name": "a"}]}, "source.widths.*length"),
        ({"unit": "bits"}, "source.unit.*characters"),
        ({"encoding": "utf-16"}, "source.unit.*UTF-16"),
    ],
)
def test_a_wrong_option_is_named(options, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        fixed(b"", **options)
