"""Workbooks come out cell by cell as a person reads them, and an identifier Excel has rounded is refused."""

import datetime as dt
import gzip
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import SourceChanged, SourceError, open_source
from schemas.values import RAW_COLUMNS


class NoSecrets:
    def get(self, name):
        raise KeyError(name)


def source(**options):
    return open_source("xlsx", options, {}, NoSecrets())


def book(path, sheets):
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for at, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                sheet.cell(at, column).value = value
    workbook.save(path)
    return str(path)


def read(src):
    batches = [batch for split in src.plan(None) for batch in src.read(split)]
    assert batches[-1].position is not None
    return pa.Table.from_batches([batch.rows for batch in batches])


def received(tab):
    return [tuple(row[n] for n in tab.column_names if n not in RAW_COLUMNS) for row in tab.to_pylist()]


def test_cells_come_as_a_person_reads_them(tmp_path):
    rows = [
        ["名称", "编号", "成立", "金额", "有效"],
        ["𠮷协会", "12330000470000000A", dt.date(2020, 1, 2), 12.5, True],
        ["乙，\n会", 17, dt.datetime(2020, 1, 2, 3, 4, 5), 300.0, False],  # noqa: DTZ001 - as Excel
        [None, None, None, None, None],
        ["丙", "007", "２０２０年", None, None],
    ]
    tab = read(source(path=book(tmp_path / "a.xlsx", {"社会组织": rows})))
    assert received(tab) == [
        ("𠮷协会", "12330000470000000A", "2020-01-02", "12.5", "true"),
        ("乙，\n会", "17", "2020-01-02 03:04:05", "300", "false"),
        ("丙", "007", "２０２０年", None, None),
    ]
    assert tab["_row"].to_pylist() == [1, 2, 3]
    assert tab["_reject"].null_count == 3


def test_an_identifier_stored_as_a_number_is_rejected_with_sheet_row_and_column(tmp_path):
    rows = [
        ["说明"],
        ["名称", "身份证号"],
        ["甲", "330127199001011234"],
        ["乙", 330127199001011234],
        ["丙", 12345.5],
        ["丁", 12345],
    ]
    src = source(
        path=book(tmp_path / "a.xlsx", {"封面": [["x"]], "人员": rows}),
        sheet="人员",
        header_row=2,
        identifiers=["身份证号"],
    )
    tab = read(src)
    assert tab["_reject"].to_pylist() == [None, "float_id", "float_id", None]
    detail = tab["_detail"][1].as_py()
    assert "工作表 人员 第 4 行 B 列（身份证号）" in detail
    assert "sheet 人员 row 4 column B" in detail
    assert "3.30127199001011" in detail
    assert "乙" in tab["_line"][1].as_py()
    assert received(tab)[0] == ("甲", "330127199001011234")
    assert received(tab)[3] == ("丁", "12345")


def test_a_huge_number_is_refused_in_any_column_but_a_fraction_only_in_identifiers(tmp_path):
    tab = read(source(path=book(tmp_path / "a.xlsx", {"s": [["a"], [1e15], [999999999999999], [0.5], [-1e15]]})))
    assert tab["_reject"].to_pylist() == ["float_id", None, None, "float_id"]
    assert received(tab)[1:3] == [("999999999999999",), ("0.5",)]


def test_a_value_beyond_the_header_is_a_shape_defect_not_lost(tmp_path):
    tab = read(source(path=book(tmp_path / "a.xlsx", {"s": [["a", "b"], [1, 2, "多"]]})))
    assert tab["_reject"].to_pylist() == ["row_shape"]
    assert "多" in tab["_line"][0].as_py()
    assert received(tab) == [("1", "2")]


def test_a_missing_sheet_or_column_names_what_there_is(tmp_path):
    path = book(tmp_path / "a.xlsx", {"事业单位": [["名称", "信用代码"], ["x", "y"]]})
    with pytest.raises(SourceChanged, match=r"事业单位2.*现有：事业单位；最接近的是 事业单位"):
        read(source(path=path, sheet="事业单位2"))
    with pytest.raises(SourceChanged, match=r"统一信用代码.*最接近的是 信用代码"):
        read(source(path=path, identifiers=["统一信用代码"]))
    assert [line.ok for line in source(path=path, sheet="无").check()] == [True, False]


def test_a_duplicate_header_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"SRC-HEADER.*名称"):
        read(source(path=book(tmp_path / "a.xlsx", {"s": [["名称", "名称"]]})))


@pytest.mark.parametrize("data", [b"", b"no workbook", b"PK\x03\x04 cut"])
def test_a_broken_workbook_is_named(tmp_path, data):
    (tmp_path / "bad.xlsx").write_bytes(data)
    with pytest.raises(SourceError, match=r"SRC-FILE-WORKBOOK.*bad\.xlsx") as caught:
        read(source(path=str(tmp_path / "bad.xlsx")))
    assert not caught.value.retryable


def test_each_workbook_of_a_folder_is_taken_once_and_excel_locks_are_not_files(tmp_path):
    book(tmp_path / "b.xlsx", {"s": [["a"], ["2"]]})
    book(tmp_path / "a.xlsx", {"s": [["a"], ["1"]]})
    (tmp_path / "~$a.xlsx").write_bytes(b"lock")
    src = source(folder=str(tmp_path))
    assert received(read(src)) == [("1",), ("2",)]
    batches = [batch for split in src.plan(None) for batch in src.read(split)]
    assert src.plan(batches[-1].position) == []
    assert src.estimate() == 2
    assert [line.ok for line in src.check()] == [True, True]
    assert [(stream.name, dict(stream.columns), stream.rows) for stream in src.discover()] == [("s", {"a": "cell"}, 1)]
    (tmp_path / "a.xlsx.ok").write_text("rows=7")
    with pytest.raises(SourceError, match=r"SRC-FILE-MANIFEST.*7.*1"):
        read(src)


def test_an_empty_sheet_and_a_header_alone_are_no_rows(tmp_path):
    assert read(source(path=book(tmp_path / "a.xlsx", {"s": []}))).num_rows == 0
    tab = read(source(path=book(tmp_path / "b.xlsx", {"s": [["a", "b"]]})))
    assert (tab.num_rows, tab.column_names[:2]) == (0, ["a", "b"])


cells = st.text(st.sampled_from("ab,\"'\n 𠮷０１㛃<&>"), max_size=8)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8))
def test_any_text_in_cells_comes_back_exactly(tmp_path_factory, rows):
    path = book(tmp_path_factory.mktemp("books") / "t.xlsx", {"s": [("x", "y", "z"), *rows]})
    shown = [tuple(cell or None for cell in row) for row in rows]
    assert received(read(source(path=path))) == [row for row in shown if any(row)]


ODS = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 office:version="1.2"><office:body><office:spreadsheet><table:table table:name="人员">
<table:table-row>{header}</table:table-row><table:table-row>{row}</table:table-row></table:table>
</office:spreadsheet></office:body></office:document-content>"""


def test_an_opendocument_sheet_is_read_with_the_same_refusals(tmp_path):
    import zipfile

    texts = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
        for text in ("名称", "身份证号")
    )
    numbers = (
        '<table:table-cell office:value-type="string"><text:p>𠮷</text:p></table:table-cell>'
        '<table:table-cell office:value-type="float" office:value="330127199001011234"><text:p>3</text:p></table:table-cell>'
    )
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        file.writestr("content.xml", ODS.format(header=texts, row=numbers))
    tab = read(source(folder=str(tmp_path), identifiers=["身份证号"]))
    assert tab["名称"].to_pylist() == ["𠮷"]
    assert tab["_reject"].to_pylist() == ["float_id"]
    assert "sheet 人员 row 2 column B" in tab["_detail"][0].as_py()


def test_a_workbook_of_excel_97_is_read_with_the_same_refusals(tmp_path):
    (tmp_path / "old.xls").write_bytes(gzip.decompress(Path(__file__).with_name("excel_97.xls.gz").read_bytes()))
    tab = read(source(folder=str(tmp_path), identifiers=["统一社会信用代码"]))
    assert received(tab)[:2] == [
        ("𠮷协会", "12330000470000000A", "2020-01-02", "12.5", "true"),
        ("乙，\n会", "007", "2020-01-02 03:04:05", "300", "false"),
    ]
    assert tab["_reject"].to_pylist() == [None, None, "float_id"]
    assert "sheet 社会组织 row 4 column B (统一社会信用代码)" in tab["_detail"][2].as_py()
    with pytest.raises(SourceChanged, match=r"社会.*现有：社会组织, 空"):
        read(source(folder=str(tmp_path), sheet="社会"))


def test_a_workbook_that_unpacks_to_far_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    import zipfile

    from connectors.files import archive

    monkeypatch.setattr(archive, "BOMB_BYTES", 1 << 20)
    path = book(tmp_path / "a.xlsx", {"s": [["a"], ["1"]]})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/worksheets/sheet9.xml", b" " * (4 << 20))
    with pytest.raises(SourceError, match=r"SRC-FILE-BOMB.*a\.xlsx"):
        read(source(path=path))
