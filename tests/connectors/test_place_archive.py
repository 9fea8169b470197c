"""Packed files come out as if they had been dropped unpacked, and packed harm is refused before it is unpacked."""

import gzip
import io
import itertools
import struct
import zipfile
import zlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import SourceError, SourceRefused, open_source
from connectors.files import archive


def source(folder, **options):
    return open_source("csv", {"folder": str(folder), "pattern": "*.zip", **options}, {}, secrets=None)


def packed(path, files, method=zipfile.ZIP_DEFLATED, mode="w"):
    with zipfile.ZipFile(path, mode, method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def taken(src, position=None):
    batches = [batch for split in src.plan(position) for batch in src.read(split)]
    return pa.Table.from_batches([batch.rows for batch in batches]), batches[-1].position


def test_each_member_of_the_kind_is_read_in_order_of_names(tmp_path):
    files = {
        "b.csv": "a\n3\n4\n",
        "子目录/a.CSV": "a\n1\n",
        "readme.txt": "x",
        "__MACOSX/b.csv": "junk",
        "sub/.hidden.csv": "junk",
        "c.csv.gz": gzip.compress(b"a\n5\n"),
    }
    table, position = taken(source(packed(tmp_path / "x.zip", files).parent))
    assert table["a"].to_pylist() == ["3", "4", "5", "1"]
    assert table["_row"].to_pylist() == [1, 2, 3, 4]
    assert set(position.cursor["taken"]["files"]) == {
        "x.zip", "x.zip!b.csv", "x.zip!c.csv.gz", "x.zip!子目录/a.CSV",
    }  # fmt: skip
    assert source(tmp_path).plan(position) == []
    assert source(tmp_path).estimate() == 4
    assert all(line.ok for line in source(tmp_path).check())
    assert source(tmp_path).preview(2)["a"].to_pylist() == ["3", "4"]


def test_names_of_members_written_by_chinese_windows_are_read_as_meant(tmp_path):
    data = packed(tmp_path / "x.zip", {"AAAA.csv": "a\n1\nbad,1\n"}).read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace(b"AAAA", "企业".encode("gbk")))
    table, position = taken(source(tmp_path))
    assert "x.zip!企业.csv" in position.cursor["taken"]["files"]
    assert table["a"].to_pylist() == ["1", "bad"]
    assert "member" not in table["_detail"].to_pylist()[1]


def test_a_reject_and_an_error_name_zip_and_member(tmp_path):
    packed(tmp_path / "x.zip", {"一.csv": "a,a\n1,2\n"})
    with pytest.raises(SourceError, match=r"SRC-HEADER.*x\.zip!一\.csv"):
        taken(source(tmp_path))


def test_a_zip_that_grows_brings_only_its_new_and_changed_members(tmp_path):
    path = packed(tmp_path / "x.zip", {"1.csv": "a\n1\n", "2.csv": "a\n2\n"})
    _, position = taken(source(tmp_path))
    packed(path, {"1.csv": "a\n1\n", "2.csv": "a\nII\n", "3.csv": "a\n3\n"})
    again = source(tmp_path)
    table, position = taken(again, position)
    assert table["a"].to_pylist() == ["II", "3"]
    packed(path, {"1.csv": "a\n1\n", "2.csv": "a\nII\n", "3.csv": "a\n3\n", "note.txt": "x"})
    table, position = taken(source(tmp_path), position)
    assert (table.num_rows, table.column_names[0]) == (0, "a")
    assert source(tmp_path).plan(position) == []


def test_a_zip_that_grows_is_not_held_against_the_rows_of_members_taken_before(tmp_path):
    packed(tmp_path / "a.zip", {"one.csv": b"x\n1\n2\n"})
    (tmp_path / "a.zip.ok").write_text("rows=2")
    _, position = taken(source(tmp_path, manifest="ok"))
    packed(tmp_path / "a.zip", {"one.csv": b"x\n1\n2\n", "two.csv": b"x\n3\n"})
    (tmp_path / "a.zip.ok").write_text("rows=3")
    assert taken(source(tmp_path, manifest="ok"), position)[0]["x"].to_pylist() == ["3"]


def test_a_zip_interrupted_between_members_goes_on_behind_the_last_whole_one(tmp_path):
    packed(tmp_path / "x.zip", {"1.csv": "a\n1\n", "2.csv": "a\n2\n"})
    src = source(tmp_path)
    [split] = src.plan(None)
    first = next(src.read(split))
    assert set(first.position.cursor["taken"]["files"]) == {"x.zip!1.csv"}
    table, _ = taken(source(tmp_path), first.position)
    assert table["a"].to_pylist() == ["2"]


def test_which_members_are_meant_may_be_said_and_none_is_an_error_naming_them(tmp_path):
    packed(tmp_path / "x.zip", {"a.dat": "a\n1\n", "b.doc": "no table"})
    with pytest.raises(SourceError, match=r"SRC-FILE-ZIP.*a\.dat, b\.doc.*member"):
        taken(source(tmp_path))
    assert taken(source(tmp_path, member="*.dat"))[0].num_rows == 1


def encrypted(data: bytes) -> bytes:
    """The same zip with the flag of encryption set on its member, in both of its headers."""
    local, central = data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8
    out = bytearray(data)
    for at in (local, central):
        struct.pack_into("<H", out, at, struct.unpack_from("<H", out, at)[0] | 1)
    return bytes(out)


def test_a_zip_with_a_password_is_refused_with_what_to_ask_for(tmp_path):
    path = packed(tmp_path / "x.zip", {"a.csv": "a\n1\n"})
    path.write_bytes(encrypted(path.read_bytes()))
    with pytest.raises(SourceRefused, match=r"SRC-FILE-LOCKED.*a\.csv.*without a password"):
        taken(source(tmp_path))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "BOMB_BYTES", 1 << 20)
    packed(tmp_path / "x.zip", {"a.csv": b"a\n" + b"1\n" * (1 << 20)})
    with pytest.raises(SourceError, match=r"SRC-FILE-BOMB.*x\.zip"):
        taken(source(tmp_path))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"a\n" + b"1\n" * (1 << 20)))
    with pytest.raises(SourceError, match=r"SRC-FILE-BOMB.*b\.csv\.gz"):
        taken(source(tmp_path, pattern="*.gz"))


def test_overlapping_members_and_a_lying_size_are_refused(tmp_path):
    path = packed(tmp_path / "x.zip", {"a.csv": "a\n" + "1\n" * 500, "b.csv": "a\n" + "2\n" * 500})
    data = bytearray(path.read_bytes())
    first, second = (hit for hit in range(len(data)) if data[hit : hit + 4] == b"PK\x01\x02")
    lied = bytearray(data)
    struct.pack_into("<I", lied, first + 24, 100)  # unpacked size in the directory
    path.write_bytes(lied)
    with pytest.raises(SourceError, match="SRC-FILE-ZIP"):
        taken(source(tmp_path))
    overlapping = bytearray(data)
    struct.pack_into("<I", overlapping, second + 20, len(data))  # packed size: more than the file has
    path.write_bytes(overlapping)
    with pytest.raises(SourceError, match=r"SRC-FILE-(BOMB|ZIP)"):
        taken(source(tmp_path))


def test_a_torn_zip_gives_nothing_wherever_it_ends(tmp_path):
    rows = "a\n" + "".join(f"{zlib.crc32(str(n).encode())}\n" for n in range(2_000))
    path = packed(tmp_path / "x.zip", {"a.csv": rows, "b.csv": rows})
    whole = path.read_bytes()
    for end in (0, 10, len(whole) // 3, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(SourceError, match=r"SRC-FILE-ZIP.*x\.zip") as caught:
            taken(source(tmp_path))
        assert not caught.value.retryable
    flipped = bytearray(whole)
    flipped[200] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(SourceError, match=r"SRC-FILE-ZIP.*x\.zip!a\.csv"):
        taken(source(tmp_path))


@settings(max_examples=60, deadline=None)
@given(cut=st.lists(st.integers(0, 200), max_size=4), rows=st.lists(st.text("ab,\n𠮷", max_size=9), max_size=20))
def test_gzip_in_parts_is_one_file(tmp_path_factory, cut, rows):
    text = ("x,y\n" + "\n".join(rows)).encode()
    ends = [0, *sorted(min(at, len(text)) for at in cut), len(text)]
    parts = [text[start:end] for start, end in itertools.pairwise(ends)]
    folder = tmp_path_factory.mktemp("parts")
    (folder / "a.csv").write_bytes(text)
    (folder / "b.csv.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    plain, _ = taken(source(folder, pattern="a.csv"))
    unpacked, _ = taken(source(folder, pattern="b.csv.gz"))
    assert unpacked.drop("_detail").equals(plain.drop("_detail"))


def test_a_workbook_inside_a_zip_is_read(tmp_path):
    import openpyxl

    book, data = openpyxl.Workbook(), io.BytesIO()
    for row in (("名", "号"), ("甲", "007")):
        book.active.append(row)
    book.save(data)
    packed(tmp_path / "x.zip", {"花名册.xlsx": data.getvalue()})
    src = open_source("xlsx", {"folder": str(tmp_path), "pattern": "*.zip"}, {}, secrets=None)
    table, _ = taken(src)
    assert table.select(["名", "号"]).to_pylist() == [{"名": "甲", "号": "007"}]
    assert [stream.name for stream in src.discover()] == ["Sheet"]
    assert src.estimate() == 1
