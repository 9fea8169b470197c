"""CSV drops come back exactly as Python's csv module reads them, and every odd record is kept with its reason."""

import csv
import gzip
import hashlib
import io
import os

import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from connectors import SourceChanged, SourceError, SourceUnavailable, open_source
from connectors.files.csv_format import OPTIONS, open_format
from connectors.options import Options
from schemas.values import RAW_COLUMNS


class NoSecrets:
    def get(self, name):
        raise KeyError(name)


def source(**options):
    return open_source("csv", options, {}, NoSecrets())


def table(src, split=None):
    batches = list(src.read(split or src.plan(None)[0]))
    assert [batch.position is None for batch in batches[:-1]] == [True] * (len(batches) - 1)
    assert batches[-1].position is not None
    return pa.Table.from_batches([batch.rows for batch in batches])


def received(tab):
    names = [name for name in tab.column_names if name not in RAW_COLUMNS]
    return [tuple(row[name] for name in names) for row in tab.to_pylist()]


def rejects(tab):
    return [(r["_row"], r["_reject"], r["_detail"], r["_line"]) for r in tab.to_pylist() if r["_reject"]]


def drop(tmp_path, content, name="drop.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


anything = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('",\r\n 𠮷０１㛃龦€')), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(anything, min_size=n, max_size=n), min_size=1, max_size=30)
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"]),
    size=st.integers(1, 40),
)
@example(rows=[["𠮷㛃龦䶮€", '说"好"\r\n，,']], encoding="gbk", size=1)
def test_any_table_of_text_comes_back_exactly_in_every_encoding(tmp_path_factory, rows, encoding, size):
    path = tmp_path_factory.mktemp("drops") / "t.csv"
    names = [f"列{n}" for n in range(len(rows[0]))]
    codec = {"gbk": "gb18030"}.get(encoding, encoding)
    with path.open("w", encoding=codec, newline="") as file:
        csv.writer(file).writerows([names, *rows])
    tab = table(source(path=str(path), encoding=encoding))
    assert tab.column_names == [*names, *RAW_COLUMNS]
    assert received(tab) == [tuple(row) for row in rows]
    assert rejects(tab) == []
    assert tab["_row"].to_pylist() == list(range(1, len(rows) + 1))


@settings(max_examples=400, deadline=None)
@given(text=st.text(st.sampled_from('ab,"\n\r ;𠮷０\0\u2028'), max_size=60), size=st.integers(1, 7))
def test_field_boundaries_are_those_of_the_csv_module_on_any_garbage(text, size):
    form = open_format(Options({"header": ["x", "y"]}, OPTIONS))
    tab = pa.Table.from_batches([batch.rows for batch in form.batches(io.BytesIO(text.encode()), "t", size)])
    truth = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert received(tab) == [(row[0], row[1] if len(row) > 1 else None) for row in truth]
    assert [bool(r["_reject"]) for r in tab.to_pylist()][:-1] == [len(row) != 2 for row in truth][:-1]
    if truth and len(truth[-1]) != 2:
        assert tab["_reject"].to_pylist()[-1] in {"row_shape", "torn_row"}
    kept = [line for line in tab["_line"].to_pylist() if line is not None]
    assert all(line in text for line in kept)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=80), encoding=st.sampled_from(["utf-8", "gb18030", "utf-16"]))
def test_no_bytes_whatever_stop_the_reader_or_lose_a_record(tmp_path_factory, data, encoding):
    assume(not data.startswith(b"\x1f\x8b\x08"))  # that is gzip, and too short to be whole
    path = tmp_path_factory.mktemp("drops") / "t.csv"
    path.write_bytes(data)
    tab = table(source(path=str(path), encoding=encoding, header=["a", "b"]))
    for row in tab.to_pylist():
        assert row["_reject"] in {None, "bad_bytes", "row_shape", "torn_row"}
        assert (row["_line"] is None) == (row["_reject"] is None)


def test_a_bad_byte_rejects_its_record_alone_and_is_shown_with_its_line(tmp_path):
    path = drop(tmp_path, "名,码\n甲,1\n".encode("gb18030") + b"\xd2\xff\xff,2\n" + "丙,3\n".encode("gb18030"))
    tab = table(source(path=str(path), encoding="gbk"))
    assert received(tab) == [("甲", "1"), ("\\xD2\\xFF\\xFF", "2"), ("丙", "3")]
    [(row, rule, detail, line)] = rejects(tab)
    assert (row, rule, line) == (2, "bad_bytes", "\\xD2\\xFF\\xFF,2")
    assert "第 3 行" in detail
    assert "line 3" in detail
    assert "\\xFF" in detail


def test_the_line_of_a_bad_byte_counts_the_newlines_inside_quotes(tmp_path):
    path = drop(tmp_path, b'a,b\n"1\n2\n3",x\n"p\nq\xfe",y\n')
    [(row, rule, detail, line)] = rejects(table(source(path=str(path))))
    assert (row, rule, line) == (2, "bad_bytes", '"p\nq\\xFE",y')
    assert "line 6" in detail


def test_a_short_and_a_long_row_are_kept_and_filled_as_far_as_they_go(tmp_path):
    tab = table(source(path=str(drop(tmp_path, "a,b,c\n1,2\n1,2,3\n1,2,3,4\n"))))
    assert received(tab) == [("1", "2", None), ("1", "2", "3"), ("1", "2", "3")]
    assert [(row, rule, line) for row, rule, _, line in rejects(tab)] == [
        (1, "row_shape", "1,2"),
        (3, "row_shape", "1,2,3,4"),
    ]
    assert "应有 3 个字段，实有 4 个" in rejects(tab)[1][2]
    assert "expected 3 fields, found 4" in rejects(tab)[1][2]


@pytest.mark.parametrize("size", [1, 2, 3, 50_000])
@pytest.mark.parametrize(
    ("end", "rule"), [("4", "torn_row"), ('4,"5\n6,7\n', "torn_row"), ("4\n", "row_shape"), ("4,5", None)]
)
def test_a_torn_last_row_is_told_from_a_short_one(end, rule, size):
    data = io.BytesIO(f"a,b\n1,2\n3,4\n{end}".encode())
    form = open_format(Options({}, OPTIONS))
    tab = pa.Table.from_batches([batch.rows for batch in form.batches(data, "t", size)])
    assert tab["_reject"].to_pylist() == [None, None, rule]
    assert tab["_line"].to_pylist()[-1] == (end.removesuffix("\n") if rule else None)


def test_eighteen_digits_leading_zeros_and_full_width_stay_as_they_are(tmp_path):
    rows = [("330127199001011234", "007", "９１３３"), ("１", " x ", "𠮷野家")]
    tab = table(source(path=str(drop(tmp_path, "a,b,c\n" + "\n".join(map(",".join, rows)) + "\n"))))
    assert received(tab) == rows


def test_a_mark_at_the_start_is_no_part_of_the_first_name(tmp_path):
    for encoding, codec in (("utf-8", "utf-8-sig"), ("gb18030", "gb18030"), ("utf-16", "utf-16")):
        mark = "\ufeff" if encoding == "gb18030" else ""
        path = drop(tmp_path, f'{mark}"名",b\n1,2\n', f"{encoding}.csv", codec)
        assert table(source(path=str(path), encoding=encoding)).column_names[:2] == ["名", "b"]


@pytest.mark.parametrize(("content", "names"), [("", []), ("a,b\n", ["a", "b"]), ("a,b", ["a", "b"]), ("\n\n", [])])
def test_an_empty_file_and_a_header_alone_are_no_rows_and_no_error(tmp_path, content, names):
    src = source(path=str(drop(tmp_path, content)))
    tab = table(src)
    assert tab.num_rows == 0
    assert tab.column_names == [*names, *RAW_COLUMNS]
    assert src.estimate() == 0


def test_a_duplicate_or_reserved_header_name_is_an_error_that_names_it(tmp_path):
    for header in ("a,b,a", "a,_row"):
        with pytest.raises(SourceError, match=r"SRC-HEADER.*(a|_row)"):
            table(source(path=str(drop(tmp_path, f"{header}\n1,2,3\n"))))


def test_a_missing_file_is_named_with_the_nearest_that_exist(tmp_path):
    drop(tmp_path, "a\n", "persons_2026.csv")
    src = source(path=str(tmp_path / "person_2026.csv"))
    with pytest.raises(SourceError, match=r"SRC-FILE-MISSING.*persons_2026\.csv"):
        src.plan(None)
    assert [(line.name, line.ok) for line in src.check()] == [("files", False)]
    with pytest.raises(SourceError, match="SRC-FILE-MISSING"):
        source(folder=str(tmp_path / "gone" / "deeper")).plan(None)


def test_a_missing_expected_column_is_said_with_what_is_there(tmp_path):
    src = source(path=str(drop(tmp_path, "企业名称,信用代码\n甲,1\n")), columns=["企业名称", "统一社会信用代码"])
    with pytest.raises(SourceChanged, match=r"统一社会信用代码.*企业名称, 信用代码.*最接近的是 信用代码"):
        table(src)
    assert not src.check()[-1].ok


def test_gzip_is_transparent_and_a_truncated_one_gives_nothing(tmp_path):
    text = "a,b\n" + "".join(f"{n},{os.urandom(20).hex()}\n" for n in range(20_000))
    whole = gzip.compress(text.encode())
    for name in ("w.csv.gz", "W.CSV.GZ", "w.csv"):
        assert table(source(path=str(drop(tmp_path, whole, name)))).num_rows == 20_000
    for name, data in (("cut.csv.gz", whole[: len(whole) // 2]), ("empty.csv.gz", b""), ("not.csv.gz", b"a,b\n1,2\n")):
        src = source(path=str(drop(tmp_path, data, name)))
        [split] = src.plan(None)
        with pytest.raises(SourceError, match=rf"SRC-FILE-GZIP.*{name}") as caught:
            assert all(batch.position is None for batch in src.read(split))
        assert not caught.value.retryable


def test_each_content_is_taken_once_and_a_changed_file_again(tmp_path):
    drop(tmp_path, "a\n2\n", "b.csv")
    drop(tmp_path, "a\n1\n", "a.csv")
    src = source(folder=str(tmp_path))
    first = src.plan(None)
    assert [split.options["file"] for split in first] == ["a.csv", "b.csv"]
    for split in first:
        *_, last = src.read(split)
    assert set(last.position.cursor["taken"]["files"]) == {"a.csv", "b.csv"}
    assert last.position.cursor["taken"]["files"]["a.csv"]["sha256"] == hashlib.sha256(b"a\n1\n").hexdigest()
    again = source(folder=str(tmp_path))
    assert again.plan(last.position) == []
    os.utime(tmp_path / "a.csv", ns=(1, 1))
    assert again.plan(last.position) == []
    drop(tmp_path, "a\n3\n", "b.csv")
    os.utime(tmp_path / "b.csv", ns=(2, 2))
    [split] = again.plan(last.position)
    *_, newest = again.read(split)
    assert set(newest.position.cursor["taken"]["files"]) == {"a.csv", "b.csv"}
    assert newest.position.cursor["taken"]["files"]["b.csv"] != last.position.cursor["taken"]["files"]["b.csv"]


def test_a_file_changed_between_planning_and_reading_is_not_remembered(tmp_path):
    path = drop(tmp_path, "a\n1\n")
    src = source(path=str(path))
    [split] = src.plan(None)
    drop(tmp_path, "a\n1\n2\n")
    with pytest.raises(SourceUnavailable, match="SRC-FILE-CHANGING"):
        list(src.read(split))


def test_without_its_ok_a_file_waits_and_the_check_says_so(tmp_path):
    drop(tmp_path, "a\n1\n", "one.csv")
    drop(tmp_path, "a\n1\n", "two.csv")
    drop(tmp_path, "", "one.csv.ok")
    src = source(folder=str(tmp_path), manifest="ok")
    assert [split.options["file"] for split in src.plan(None)] == ["one.csv"]
    [waiting] = [line for line in src.check() if line.name == "manifest"]
    assert not waiting.ok
    assert "two.csv" in waiting.zh
    assert "one.csv" not in waiting.zh
    drop(tmp_path, "", "two.csv.ok")
    assert len(src.plan(None)) == 2


def test_what_the_ok_says_is_verified_with_both_values_in_the_error(tmp_path):
    data = b"a\n1\n2\n"
    sha, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
    drop(tmp_path, data)
    src = source(path=str(tmp_path / "drop.csv"), manifest="ok")
    drop(tmp_path, f"rows=2 sha256={sha.upper()}\nmd5={md5} bytes=6\n", "drop.csv.ok")
    assert table(src).num_rows == 2
    assert src.estimate() == 2
    for said, both in (
        ("rows=3", ("3", "2")),
        (f"sha256={'0' * 64}", ("0" * 64, sha)),
        (f"md5={'1' * 32}", ("1" * 32, md5)),
    ):
        drop(tmp_path, said, "drop.csv.ok")
        with pytest.raises(SourceError, match="SRC-FILE-MANIFEST") as caught:
            table(src)
        assert all(value in caught.value.en and value in caught.value.zh for value in both)
    drop(tmp_path, "done!", "drop.csv.ok")
    with pytest.raises(SourceError, match="done!"):
        table(src)


def test_preview_discover_and_estimate_say_what_is_there(tmp_path):
    path = drop(tmp_path, "a;b\n" + "".join(f"{n};{n}\n" for n in range(30_000)))
    src = source(path=str(path), delimiter=";")
    assert received(src.preview(3)) == [("0", "0"), ("1", "1"), ("2", "2")]
    [stream] = src.discover()
    assert dict(stream.columns) == {"a": "text", "b": "text"}
    assert 20_000 < src.estimate() < 45_000
    assert all(line.ok for line in src.check())


def test_a_file_without_header_gets_numbered_or_given_names(tmp_path):
    path = str(drop(tmp_path, "1,2\n3,4\n"))
    assert table(source(path=path, header=False)).column_names[:2] == ["column_1", "column_2"]
    assert received(table(source(path=path, header=["x", "y"]))) == [("1", "2"), ("3", "4")]


def test_fields_longer_than_the_csv_modules_default_are_read(tmp_path):
    long = "经" * 200_000
    assert received(table(source(path=str(drop(tmp_path, f"a,b\n{long},1\n"))))) == [(long, "1")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "x", "encodng": "gbk"}, "source.encodng.*encoding"),
        ({"path": "x", "encoding": "latin"}, "source.encoding.*gb18030"),
        ({"path": "x", "folder": "y"}, "source.path.*folder"),
        ({}, "source.path.*folder"),
        ({"path": "x", "delimiter": "||"}, "source.delimiter"),
        ({"path": "x", "manifest": "yes"}, "source.manifest.*ok, optional"),
        ({"folder": "x", "pattern": "../*.csv"}, "source.pattern"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(options, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        source(**options)


def test_an_unknown_kind_is_named_with_the_kinds_there_are():
    with pytest.raises(SourceError, match=r"cannot be ftp.*sql.*csv.*rest"):
        open_source("ftp", {}, {}, NoSecrets())
