"""The encoding of a file is found out, said with its reason, and what a resource says always wins."""

import codecs
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files import csv_format, encoding
from connectors.files.encoding import detect, encoding_checks
from connectors.options import Options

TEXT = "名称,代码\n杭州市西湖区文三路,330102199001011234\n"


def names_and_first(data, **options):
    form = csv_format.open_format(Options(options, csv_format.OPTIONS))
    [batch, *_] = form.batches(io.BytesIO(data), "t", 10)
    return batch.rows.schema.names[:2], batch.rows.column(0)[0].as_py()


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("gb18030"), "gb18030"),
        (TEXT.replace("杭", "𠮷").encode("gb18030"), "gb18030"),
        (TEXT.encode("utf-16"), "utf-16-le"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16-be"),
        ((TEXT * 50).encode() + b"\xff\n", "utf-8"),
        ("a,b\n一,1\n".encode("gb18030"), "gb18030"),
    ],
)
def test_auto_reads_what_the_bytes_show(data, codec):
    assert detect(data).codec == codec
    assert names_and_first(data, encoding="auto") == names_and_first(data, encoding=codec)


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=3, max_size=40),
    codec=st.sampled_from(["utf-8", "gb18030", "utf-16", "utf-8-sig"]),
)
def test_auto_never_mistakes_chinese_text(text, codec):
    data = f"列,x\n{text},1\n".encode(codec)
    assert names_and_first(data, encoding="auto") == (["列", "x"], text)


def test_auto_waits_for_the_first_byte_that_says_something(monkeypatch):
    monkeypatch.setattr(encoding, "PIECE", 64)
    data = b"a,b\n" + b"1,2\n" * 100 + "甲,乙\n".encode("gbk")
    form = csv_format.open_format(Options({"encoding": "auto"}, csv_format.OPTIONS))
    rows = [row for batch in form.batches(io.BytesIO(data), "t", 50) for row in batch.rows.to_pylist()]
    assert (rows[-1]["a"], rows[-1]["_reject"], len(rows)) == ("甲", None, 101)


def test_an_encoding_that_is_written_wins_over_what_the_bytes_look_like():
    data = "列列\n一一一"
    assert names_and_first(data.encode(), encoding="gb18030")[0][0] == "鍒楀垪"
    assert names_and_first(data.encode("gbk"), encoding="gbk") == (["列列", "_row"], "一一一")


@pytest.mark.parametrize(
    ("option", "data", "ok", "said"),
    [
        ("auto", TEXT.encode("gbk"), True, "GB18030, because"),
        ("auto", TEXT.encode("utf-8-sig"), True, "byte order mark"),
        ("auto", TEXT.encode("utf-16-le"), True, "zero bytes"),
        ("auto", b"a,b\n", True, "ASCII so far"),
        ("utf-8", TEXT.encode(), True, "as the resource says"),
        ("utf-8", b"a,b\n", True, "as the resource says"),
        ("utf-8", TEXT.encode("gbk"), False, "Write encoding: gb18030"),
        ("gb18030", TEXT.encode(), False, "Write encoding: utf-8"),
        ("utf-8", TEXT.encode("utf-16"), False, "Write encoding: utf-16-le"),
        ("utf-16", TEXT.encode("utf-16"), True, "UTF-16"),
        ("utf-8", "a\n一\n".encode(), True, "as the resource says"),
    ],
)
def test_the_check_says_which_encoding_and_why(option, data, ok, said):
    [check] = encoding_checks(option, data)
    assert check.ok is ok
    assert said in check.en
