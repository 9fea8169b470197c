"""Reference tables of a deployment: read as text, refused where a rule could not look anything up in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import StandardError
from schemas.reference_tables import read_reference, reference_tables


def table(folder: Path, text: str, name: str = "dishonest_person.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding)
    return path


def test_numbers_stay_text_and_empty_cells_are_null(tmp_path) -> None:
    path = table(tmp_path, 'id_no,name,since\n330106198001013011,"张三, 甲",2020-01-01\n012,,\n')
    assert read_reference(path).to_pylist() == [
        {"id_no": "330106198001013011", "name": "张三, 甲", "since": "2020-01-01"},
        {"id_no": "012", "name": None, "since": None},
    ]
    assert read_reference(path, ["id_no"]).column_names == ["id_no"]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path) -> None:
    assert read_reference(table(tmp_path, "id_no\n1\n", encoding="utf-8-sig"), ["id_no"]).num_rows == 1


def test_tables_are_known_by_the_names_of_their_files(tmp_path) -> None:
    path = table(tmp_path, "id_no\n1\n")
    assert reference_tables(tmp_path) == {"dishonest_person": path}
    assert reference_tables(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("text", "columns", "encoding"),
    [
        ("id_no\n1\n", ["name"], "utf-8"),
        ("id_no,id_no\n1,2\n", [], "utf-8"),
        ("id_no,name\n1\n", [], "utf-8"),
        ("姓名\n张三\n", [], "gb18030"),
        ("", [], "utf-8"),
    ],
)
def test_a_table_that_rules_could_not_use_is_refused_by_name(tmp_path, text, columns, encoding) -> None:
    path = table(tmp_path, text, encoding=encoding)
    with pytest.raises(StandardError) as refusal:
        read_reference(path, columns)
    assert refusal.value.code == "STD-REFERENCE"
    assert str(path) in refusal.value.zh


def test_a_name_no_rule_could_write_is_refused(tmp_path) -> None:
    table(tmp_path, "a\n1\n", "失信 名单.csv")
    with pytest.raises(StandardError):
        reference_tables(tmp_path)
