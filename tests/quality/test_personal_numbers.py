"""Numbers of persons in free text are found however they are spaced or wide, and nothing else is taken for one."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.personal_numbers import masked, named
from schemas.load import find_standard
from sharing.masks import id_number
from shutong.commands.quality_report_reader import Reader
from shutong.commands.quality_report_rows import LONGEST, _begun

CITIZEN = "330106198001017776"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"身份证{CITIZEN}", "身份证330***********7776"),
        (f"X{CITIZEN}Y", "X330***********7776Y"),
        ("330106 19800101 7776", "330***********7776"),
        ("330106\u300019800101-777x", "330***********777x"),
        ("证３３０１０６１９８００１０１７７７６", "证330***********7776"),
        ("旧证330106800101123", "旧证330********1123"),
        ("电话138 1234 5678联系", "电话138****5678联系"),
        ("tel 138-1234-5678", "tel 138****5678"),
        ("１３８１２３４５６７８", "138****5678"),
        ("2020-01-01 13812345678", "2020-01-01 138****5678"),
    ],
)
def test_a_number_of_a_person_is_masked_in_whatever_text(text, told):
    assert masked(text, id_number) == told
    assert named(text)


@pytest.mark.parametrize(
    "text",
    ["文三路１３８号", "2020-01-01..2021-01-01", "注册资本 1,000,000,000,000", "0571-88886666", "12345678901234567890",
     "91330114MA99QL1A9T", "", "3.14159"],
)  # fmt: skip
def test_what_is_no_number_of_a_person_stays_as_it_is(text):
    assert masked(text, id_number) == text
    assert not named(text)


@given(st.text(), st.text())
def test_no_text_around_it_gives_a_number_away(before, after):
    text = f"{before}|{CITIZEN}|{after}"
    assert CITIZEN not in masked(text, id_number)


def test_a_spaced_number_in_a_name_is_masked_in_a_report():
    name = find_standard("legal_person@1", ()).field("ent_name")
    cell = Reader(date(2026, 1, 1)).cell(name, "联系 138 1234 5678", hidden=False)
    assert (cell.shown, cell.how) == ("联系 138****5678", "masked")


@pytest.mark.parametrize(
    ("value", "hidden", "shown"),
    [("暂无", False, "暂无"), (r"\N", False, r"\N"), ("张三", False, "汉{2}"), ("暂无", True, "汉{2}")],
)
def test_a_word_that_stands_for_nothing_is_shown_as_it_came(value, hidden, shown):
    person = find_standard("legal_person@1", ()).field("legal_rep_name")
    assert Reader(date(2026, 1, 1)).cell(person, value, hidden=hidden, understood=False).shown == shown


def test_of_a_text_of_a_megabyte_a_report_shows_the_beginning():
    assert _begun("字" * 10**6) == "字" * (LONGEST - 1) + "…"
    assert _begun("字" * LONGEST) == "字" * LONGEST
