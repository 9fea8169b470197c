"""The fast way through plain CSV and the csv module agree on any text, and what is too large is a reject."""

import csv
import io
import os

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.files import csv_format, csv_reader, delimited_text, encoding
from connectors.options import Options
from schemas.values import RAW_COLUMNS


def table(data, size=1000, module=csv_format, name="t.csv", **options):
    form = module.open_format(Options(options, module.OPTIONS))
    batches = list(form.batches(io.BytesIO(data), name, size))
    assert all(batch.rows.num_rows <= size for batch in batches)
    tab = pa.Table.from_batches([batch.rows for batch in batches])
    tab.validate(full=True)
    assert tab["_row"].to_pylist() == list(range(1, tab.num_rows + 1))
    return tab


def received(tab):
    names = [name for name in tab.column_names if name not in RAW_COLUMNS]
    return [tuple(row[name] for name in names) for row in tab.to_pylist()]


def rejects(tab):
    return [(r["_row"], r["_reject"], r["_detail"], r["_line"]) for r in tab.to_pylist() if r["_reject"]]


@pytest.fixture
def small_pieces(monkeypatch):
    def use(size):
        monkeypatch.setattr(encoding, "PIECE", size)

    return use


# Mostly well-formed lines, so that plain and odd ones meet in one block.
value = st.text(st.sampled_from('ab 𠮷０经"\n\r,;\0\u2028\ufeff锘'), max_size=4)
good = st.lists(st.sampled_from(["a", "", "经", '"q"', '"a,b"', '"c""d"', '""', "𠮷"]), min_size=2, max_size=2).map(
    ",".join
)
line = st.one_of(good, good, good, value, st.sampled_from(['x"y,z', '"open', 'a"b,"c"d"', '"m\nn",o', '"x"y,z']))
texts = st.lists(st.tuples(line, st.sampled_from(["\n", "\n", "\r\n", "\r"])), max_size=12).map(
    lambda lines: "".join(text + end for text, end in lines)
)


@settings(max_examples=20_000 if os.environ.get("SHUTONG_PROVE") else 200, deadline=None)
@given(
    text=st.one_of(texts, texts, st.text(st.sampled_from('ab,"\n\r ;𠮷\0\ufeff'), max_size=40)),
    piece=st.integers(4, 40),
    codec=st.sampled_from(["utf-8", "gb18030", "utf-16"]),
    delimiter=st.sampled_from([",", ",", ";", "a", "经"]),
)
@example(text='a"b,"c"d"\nx,y\n', piece=40, codec="utf-8", delimiter=",")
@example(text='5" x,"open\n1,2\n', piece=40, codec="utf-8", delimiter=",")
@example(text=";\r\ufeffa", piece=4, codec="gb18030", delimiter="a")
@example(text='"",""\r\n\r\n"""",b\n', piece=5, codec="gb18030", delimiter=",")
def test_every_record_is_what_the_csv_module_says_wherever_blocks_are_cut(text, piece, codec, delimiter):
    data = text.encode(codec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "PIECE", piece)
        tab = table(data, size=7, encoding=codec, header=["x", "y"], delimiter=delimiter)
    said = text if codec == "utf-16" else text.removeprefix("\ufeff")  # the codec writes a mark of its own
    truth = [row for row in csv.reader(io.StringIO(said, newline=""), delimiter=delimiter) if row]
    assert received(tab) == [(row[0], row[1] if len(row) > 1 else None) for row in truth]
    assert [bool(kind) for kind in tab["_reject"].to_pylist()][:-1] == [len(row) != 2 for row in truth][:-1]


@settings(max_examples=120, deadline=None)
@given(
    data=st.binary(max_size=60) | texts.map(lambda t: t.encode("gb18030")),
    piece=st.integers(4, 30),
    cut=st.integers(0, 60),
)
def test_bytes_that_cannot_be_decoded_reject_the_same_records_wherever_blocks_are_cut(data, piece, cut):
    data = data[:cut] + b"\xff" + data[cut:]
    for codec in ("utf-8", "gb18030"):
        once = table(data, encoding=codec, header=["x", "y"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoding, "PIECE", piece)
            many = table(data, encoding=codec, header=["x", "y"])
        assert many.to_pylist() == once.to_pylist()
        assert "bad_bytes" in once["_reject"].to_pylist() or "torn_row" in once["_reject"].to_pylist()


def test_odd_records_stand_in_their_place_among_plain_ones():
    lines = [f"{n},经{n}" for n in range(2_000)]
    lines[3], lines[700], lines[701], lines[1999] = "3", '"a\nb",700', '"x"y,701', 'q"r,1999'
    tab = table("\n".join(["id,name", *lines]).encode("gb18030"), encoding="gb18030")
    found = received(tab)
    assert found[3] == ("3", None)
    assert found[700:703] == [("a\nb", "700"), ("xy", "701"), ("702", "经702")]
    assert found[1999] == ('q"r', "1999")
    [(row, rule, detail, text)] = rejects(tab)
    assert (row, rule, text) == (4, "row_shape", "3")
    assert "line 5" in detail


@pytest.mark.parametrize("delimiter", ["|", "~", "9", "\t", "，"])
def test_a_delimiter_that_may_be_half_a_character_does_not_split_one(delimiter):
    # 岃 is 8D 7C in GB18030 and | is 7C; 㐂 is written with digits.
    rows = [("岃", "㐂"), ("瓅𠮷", "x")]
    text = "\n".join(delimiter.join(row) for row in [("a", "b"), *rows])
    assert received(table(text.encode("gb18030"), encoding="gbk", delimiter=delimiter)) == rows


def test_text_files_are_separated_by_tabs_unless_told_otherwise():
    assert received(table(b"a\tb\n1,5\t2\n", module=delimited_text)) == [("1,5", "2")]
    assert received(table(b"a|b\n1|2\n", module=delimited_text, delimiter="|")) == [("1", "2")]


def test_a_header_on_which_a_quote_goes_over_lines_is_one_header(small_pieces):
    small_pieces(3)
    tab = table(b'\n"a\nb",c\n1\n', header=True)
    assert tab.column_names[:2] == ["a\nb", "c"]
    assert "line 4" in rejects(tab)[0][2]


def test_a_field_too_large_is_a_reject_and_what_follows_is_read():
    big = "经" * 100
    data = f"a,b\n1,2\n{big},x\n3,4\n".encode()
    tab = table(data, max_field_bytes=200)
    assert received(tab) == [("1", "2"), (None, "x"), ("3", "4")]
    [(row, rule, detail, text)] = rejects(tab)
    assert (row, rule) == (2, "field_size")
    assert "300" in detail
    assert "max_field_bytes" in detail
    assert text.startswith("经")


@pytest.mark.parametrize("end", ['",y\n5,6\n', '"",",""\n5,6\n'])
@pytest.mark.parametrize("inner", ["z" * 5000, "z\n" * 2500, "z" * 2499 + '""' + "z" * 2499, ',""' * 1500])
def test_a_record_too_long_to_be_held_is_one_reject_and_what_follows_is_read(small_pieces, inner, end):
    small_pieces(64)
    data = f'a,b\n1,2\n"{inner}{end}'.encode()
    tab = table(data, max_field_bytes=300)
    assert received(tab) == [("1", "2"), (None, None), ("5", "6")]
    [(row, rule, detail, text)] = rejects(tab)
    assert (row, rule) == (2, "field_size")
    assert f"line 3 to {3 + inner.count(chr(10))}" in detail or "line 3:" in detail
    assert len(text) < 1200


def test_a_long_line_without_quotes_is_one_reject_too(small_pieces):
    small_pieces(64)
    tab = table(b"a,b\n" + b"z" * 5000 + b",1\n5,6\n", max_field_bytes=300)
    assert received(tab) == [(None, None), ("5", "6")]


def test_a_quote_never_closed_is_torn_and_names_its_line(small_pieces):
    small_pieces(64)
    tab = table(b'a,b\n1,2\n3,"4\n' + b"5,6\n" * 1000, max_field_bytes=300)
    assert received(tab) == [("1", "2"), (None, None)]
    [(_, rule, detail, _)] = rejects(tab)
    assert rule == "torn_row"
    assert "line 3" in detail


def test_three_thousand_columns_are_read():
    names = [f"c{n}" for n in range(3_000)]
    tab = table("\n".join([",".join(names), ",".join(["值"] * 3_000), "short"]).encode())
    assert tab.num_columns == 3_004
    assert received(tab)[0] == ("值",) * 3_000
    assert [rule for _, rule, _, _ in rejects(tab)] == ["torn_row"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"\r\n"])
def test_an_empty_file_has_no_records_and_keeps_the_given_names(data):
    assert table(data).column_names == list(RAW_COLUMNS)
    assert table(data, header=["x"]).column_names == ["x", *RAW_COLUMNS]


@pytest.mark.parametrize("data", [b'"never closed\n1,2\n', b"\xff\xfe,\xfa\n1,2\n"])
def test_a_header_that_cannot_be_read_says_so(data):
    with pytest.raises(csv_reader.SourceError, match="SRC-HEADER"):
        table(data)


def test_undecodable_records_say_which_encoding_they_look_like():
    with pytest.raises(csv_reader.SourceError, match="encoding: gb18030"):
        table("名称,码\n甲,1\n".encode("gb18030"))
    tab = table("a,b\n杭州市西湖区,1\n".encode("gb18030"))
    assert "GB18030" in rejects(tab)[0][2]
