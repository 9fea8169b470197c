"""The code lists: what is in them, what other spellings they understand, and that no spelling means two codes."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from schemas.code_lists import FOLDER, available, load, read_list, spellings
from schemas.errors import StandardError
from schemas.lines import read
from schemas.load import find_standard


@pytest.mark.parametrize("name", sorted(available()))
def test_every_code_understands_itself_and_has_a_chinese_name(name: str) -> None:
    codes = load(name)
    assert codes.codes
    for code, (zh, _) in codes.codes.items():
        assert codes.spellings[code] == code
        assert zh
    assert set(codes.spellings.values()) == set(codes.codes)


def test_every_csv_file_is_in_the_index_and_the_readme_names_every_list() -> None:
    files = {path.name for path in FOLDER.glob("*.csv")}
    entries = read(FOLDER / "index.yaml").nodes("lists")
    assert {entry.text("file") for entry in entries} == files
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [entry.text("id") for entry in entries if entry.text("id") not in readme] == []


@pytest.mark.parametrize(
    ("name", "spelling", "code"),
    [
        ("gb_t_2261_1@2003", "男", "1"),
        ("gb_t_2261_2@2003", "离异", "40"),
        ("gb_t_3304@1991", "畲族", "22"),
        ("gb_t_3304@1991", "汉", "01"),
        ("gb_t_4658@2006", "大专", "30"),
        ("gb_t_12406@2022", "人民币元", "CNY"),
        ("gb_t_12406@2022", "港币", "HKD"),
        ("gb_t_12406@2022", "港元", "HKD"),
        ("gb_t_12406@2022", "香港元", "HKD"),
        ("gb_t_12406@2022", "156", "CNY"),
        ("gb_t_2659_1@2022", "中华人民共和国", "CHN"),
        ("gb_t_2659_1@2022", "156", "CHN"),
        ("gb_t_4754_section@2017", "制造业", "C"),
        ("ga_t_2000_156@2016", "身份证", "111"),
        ("reg_state@1", "在营（开业）企业", "1"),
        ("reg_state@1", "吊销,未注销", "2"),
        ("reg_state@1", "已注销", "4"),
        ("division@2026", "浙江省杭州市临平区", "330113"),
        ("division@2026", "浙江", "330000"),
    ],
)
def test_departments_may_write_a_code_in_other_words(name: str, spelling: str, code: str) -> None:
    assert load(name).spellings[spelling] == code


def test_the_lists_have_as_many_codes_as_their_standards() -> None:
    sizes = {name: len(load(name).codes) for name in available()}
    assert sizes["gb_t_2261_1@2003"] == 4
    assert sizes["gb_t_2261_2@2003"] == 8
    assert sizes["gb_t_3304@1991"] == 58  # 56 ethnic groups, 97 and 98
    assert sizes["gb_t_2659_1@2022"] == 249
    assert sizes["gb_t_4754_section@2017"] == 20
    assert len([code for code in load("division@2026").codes if code.endswith("0000") and _open(code)]) == 34


def _open(code: str) -> bool:
    return load("division@2026").valid[code][1] is None


def test_divisions_of_zhejiang_are_those_of_today_and_remember_those_that_were() -> None:
    divisions = load("division@2026")
    today = {code for code in divisions.codes if code.startswith("33") and _open(code)}
    assert len(today) == 1 + 11 + 90
    assert divisions.codes["330113"][0] == "临平区"
    assert divisions.codes["330114"][0] == "钱塘区"
    assert divisions.valid["330114"] == (date(2021, 4, 9), None)
    assert divisions.codes["330104"][0] == "江干区"
    assert divisions.valid["330104"] == (None, date(2021, 4, 9))
    assert "830000" not in divisions.codes


@pytest.mark.parametrize(
    ("code", "first", "last"),
    [
        ("330184", 1995, 2001),  # 余杭市, a district since 2001
        ("330110", 2001, None),  # 余杭区, smaller since 2021, but never without its code
        ("330283", 1995, 2016),  # 奉化市
        ("330383", 2019, None),  # 龙港市
        ("500000", 1997, None),  # 重庆市
        ("460300", 2012, None),  # 三沙市
    ],
)
def test_a_division_is_in_force_from_the_year_it_appeared_to_the_year_it_was_abolished(code, first, last) -> None:
    begins, ends = load("division@2026").valid[code]
    assert begins
    assert begins.year == first
    assert (ends.year if ends else None) == last


def test_no_division_ends_before_it_begins() -> None:
    both = [one for one in load("division@2026").valid.values() if None not in one]
    assert len(both) > 1000
    assert all(first <= last for first, last in both)


def test_a_name_that_many_divisions_share_means_none_of_them() -> None:
    assert "朝阳区" not in load("division@2026").spellings


def test_a_standard_brings_the_spellings_of_the_lists_its_fields_cite() -> None:
    found = spellings(find_standard("population@1"))
    assert found["gb_t_2261_1@2003"]["女"] == "2"
    assert "reg_state@1" not in found


def test_an_unknown_list_is_answered_with_the_nearest() -> None:
    with pytest.raises(StandardError, match=r"Did you mean 'gb_t_3304@1991'\?"):
        load("gb_t_3304@1990")


MISTAKES = {
    "a code twice": ("1,男,,,,\n1,女,,,,\n", 3, "'1' is empty or repeated"),
    "no code": (",男,,,,\n", 2, "'' is empty or repeated"),
    "an alias of two codes": ("1,男,,甲;乙,,\n2,女,,乙,,\n", 3, "'乙' means both 1 and 2"),
    "a day that is none": ("1,男,,,2021-02-30,\n", 2, "'2021-02-30' is not a date"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_list_is_answered_with_file_and_line(mistake: str, tmp_path: Path) -> None:
    rows, line, said = MISTAKES[mistake]
    path = tmp_path / "sex.csv"
    path.write_text("code,zh,en,aliases,valid_from,valid_to\n" + rows, encoding="utf-8")
    index = tmp_path / "index.yaml"
    index.write_text("standard: 试验\ncomplete: true\n", encoding="utf-8")
    with pytest.raises(StandardError) as caught:
        read_list(path, "sex@1", read(index))
    assert f"{path}:{line}" in caught.value.en
    assert said in caught.value.en


def test_other_columns_are_answered_with_the_header_to_write(tmp_path: Path) -> None:
    path = tmp_path / "sex.csv"
    path.write_text("code,name\n1,男\n", encoding="utf-8")
    index = tmp_path / "index.yaml"
    index.write_text("standard: 试验\ncomplete: true\n", encoding="utf-8")
    with pytest.raises(StandardError, match="code,zh,en,aliases,valid_from,valid_to"):
        read_list(path, "sex@1", read(index))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_the_files_have_no_stray_blanks_and_stand_in_the_order_of_their_codes(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [cell for row in rows for cell in row if cell != cell.strip()] == []
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
