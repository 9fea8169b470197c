"""What is read by the column is read exactly as one by one: any text, any slice, any null."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import capital, lanes, normalise
from schemas.reading import Reading, read
from schemas.standard import Field
from schemas.texts import nulled
from schemas.validators import scalar
from schemas.widths import BLANKS

TODAY = date(2026, 3, 1)
ODD = "0129-/.年月日 T:+,XxaAzZ０９Ａｚ－／　\u00a0\u1680\u200b\u2028\u202f\ufeff，（）、。(万亿元美人民币\\N—ǅ\x00\n\t𠮷㐂ıſ"
USUAL = (
    *lanes.spelled(),
    *(
        "1988-07-01 00:00:00",
        "1991-12-31 23:59:59",
        "1992-01-01",
        "9999-12-31",
        "2099/12/31",
        "1900-02-29",
        "2000-02-29",
    ),
    *("1799-12-31", "1800-01-01", "00000000", "11111111", "20190230", "2019-04-04 24:00:00", "2019-13-01", "20191301"),
    *(
        "0",
        "-3",
        "007",
        "-0",
        "1,200",
        "12.50",
        "-0.5",
        ".5",
        "5.",
        "1.2.3",
        "0.1234567",
        "1.0000000",
        "-",
        "--",
        "-.5",
    ),
    *("999999999999.123456", "1234567890123.5", "123456789012345678", "1234567890123456789", "9223372036854775808"),
    *("5000万元", "84(万美元)", "91350100M000100Y43", "11010519491231002x", "110105491231002", "330106000012345"),
    *("N/A", "无", "", " ", "\u3000", "Ａ", "ｚ　", "—", "\u00a0甲\u00a0", "（甲）有限公司。", "㐂𠮷"),
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A usual spelling with a few characters changed, put in or left out, or anything."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.text(max_size=8) | st.text(ODD, max_size=12))
    text = list(draw(st.sampled_from(USUAL)))
    for _ in range(draw(st.integers(0, 2))):
        place, one = draw(st.integers(0, len(text))), draw(st.sampled_from(ODD))
        text[place : place + draw(st.integers(0, 1))] = draw(st.sampled_from([[one], []]))
    return "".join(text)


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    """A column with nulls, some of them over bytes, that may be a slice of a longer one."""
    values = draw(st.lists(texts() | st.none(), max_size=16))
    array = pa.array(values, pa.string())
    if values and draw(st.booleans()):
        array = nulled(array, pa.array([draw(st.integers(0, len(values) - 1))]).to_numpy())
    first = draw(st.integers(0, 3))
    return array.slice(first, max(0, len(array) - first - draw(st.integers(0, 3))))


def checked(lane: lanes.Lane, values: pa.Array, expected: object) -> None:
    """Every row in the lane has the value and the mark that `expected` gives for its text."""
    assert lane.values.to_pylist() == [
        expected(text)[0] if inside else None for text, inside in zip(values.to_pylist(), lane.rows, strict=True)
    ]
    for text, inside, repaired in zip(values.to_pylist(), lane.rows, lane.repaired, strict=True):
        assert not inside or repaired == expected(text)[1]
        assert inside or not repaired
        assert not (inside and text is None)


@given(columns())
def test_folding_by_the_column_is_folding_one_by_one(values):
    for by_column, one in (
        (normalise.folded_text, normalise.fold_text),
        (normalise.folded_identifier, normalise.fold_identifier),
    ):
        folded = by_column(values)
        received = values.to_pylist()
        expected = [None if text is None else one(text) for text in received]
        assert folded.values.to_pylist() == expected
        assert list(folded.changed) == [row for row, text in enumerate(received) if text != expected[row]]


@pytest.mark.parametrize("blank", [one for one in BLANKS if one != "-"])
def test_every_blank_is_taken_off_both_ends_and_out_of_identifiers(blank):
    values = pa.array([f"{blank}甲", f"甲{blank}", blank, f"甲{blank}乙", f"1{blank}A"])
    assert normalise.text(values).to_pylist() == [normalise.fold_text(one) for one in values.to_pylist()]
    assert normalise.identifier(values).to_pylist() == ["甲", "甲", "", "甲乙", "1A"]


def test_every_character_of_the_basic_plane_is_folded_alike_by_the_column():
    every = [f"{chr(code)}甲{chr(code)}1" for code in (*range(0xD800), *range(0xE000, 0x10000))]
    values = pa.array(every)
    assert normalise.text(values).to_pylist() == [normalise.fold_text(one) for one in every]
    assert normalise.identifier(values).to_pylist() == [normalise.fold_identifier(one) for one in every]


@given(columns())
def test_a_word_for_nothing_is_found_by_the_column(values):
    forms = normalise.forms_of(normalise.SENTINELS)
    rows = normalise.sentinels(values, normalise.SENTINELS)
    assert list(rows) == [row for row, text in enumerate(values.to_pylist()) if text in forms]


ENDLESS = frozenset({date(9999, 12, 31), date(2099, 12, 31)})


@given(columns())
def test_days_by_the_column_are_days_one_by_one(values):
    def expected(text):
        day = normalise.parse_date(text)
        assert day is not None
        return (None, False) if day in ENDLESS else (day, not day_is_plain(text))

    checked(lanes.days(values, ENDLESS), values, expected)


@given(columns())
def test_instants_by_the_column_are_instants_one_by_one(values):
    def expected(text):
        instant = normalise.parse_datetime(text)
        assert instant is not None
        return (None, False) if instant.date() in ENDLESS else (instant, not day_is_plain(text))

    checked(lanes.instants(values, ENDLESS), values, expected)


def day_is_plain(text: str) -> bool:
    return text[:8].isdigit() or (text[4] == text[7] == "-" and len(text) >= len("2019-04-04"))


@given(columns())
def test_whole_numbers_by_the_column_are_those_one_by_one(values):
    checked(lanes.whole_numbers(values), values, lambda text: (int(text), False))


@pytest.mark.parametrize("power", [-4, 0, 4])
@given(columns())
@example(pa.array(["12.50", "0.000001", "-999999999999.123456", "0.12", "0.123", "5"]))
def test_amounts_by_the_column_are_exact(power, values):
    def expected(text):
        held = capital.held(Decimal(text).scaleb(power))
        assert held is not None
        return held, False

    checked(lanes.amounts(values, capital.AMOUNT, power), values, expected)


def test_the_usual_spellings_are_read_by_the_column():
    spelled = pa.array(list(lanes.spelled()))
    assert lanes.days(spelled, ()).rows.all()
    assert lanes.instants(spelled, ()).rows.all()
    assert lanes.whole_numbers(pa.array(["0", "18", "-3", "123456789012345678"])).rows.all()
    assert lanes.amounts(pa.array(["5000", "5000.00", "-0.5", "1.123456"]), capital.AMOUNT).rows.all()


def test_a_day_in_the_years_of_summer_time_is_left_to_the_calendar():
    assert not lanes.instants(pa.array(["1988-07-01 00:00:00"]), ()).rows.any()
    assert lanes.days(pa.array(["1988-07-01 00:00:00"]), ()).values.to_pylist() == [date(1988, 7, 1)]


@given(columns())
def test_identifiers_are_repaired_when_they_were_wrong_and_are_right(values):
    for kind in ("uscc", "citizen_id", "org_code"):
        column = read(values, Reading(Field("x", "x", "x", kind), normalise.SENTINELS, {}, TODAY))
        for received, value, repaired in zip(
            values.to_pylist(), column.values.to_pylist(), column.repaired.to_pylist(), strict=True
        ):
            right = value is not None and scalar.valid(kind, value, TODAY)
            assert repaired == (right and not scalar.valid(kind, received, TODAY))


@pytest.mark.parametrize("words", [("20190-4-04",), ("2019-04-04",), ("1900-01-01", "9999-09-09")])
@given(values=columns())
def test_a_day_that_is_a_word_for_nothing_is_nothing_however_it_is_spelled(words, values):
    forms, endless = normalise.forms_of(words), {normalise.parse_date(one) for one in words} - {None}
    column = read(values, Reading(Field("x", "x", "x", "date"), words, {}, TODAY))
    for text, day, bad in zip(values.to_pylist(), column.values.to_pylist(), column.bad.to_pylist(), strict=True):
        parsed = None if text is None else normalise.parse_date(text)
        nothing = text is None or normalise.fold_text(text) in forms or parsed in endless
        assert day == (None if nothing else parsed)
        assert bad == (not nothing and parsed is None)
