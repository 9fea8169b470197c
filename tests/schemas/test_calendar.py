"""Terms are counted in working days as the State Council's notices have them, and as a deployment corrects them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendar import Calendar, read_calendar
from schemas.errors import StandardError

SHIPPED = read_calendar()
DAYS = st.dates(date(2024, 1, 1), date(2027, 12, 31))
# As the notices say: weekdays that are off, weekends that are worked (month-day).
OFF = {
    2024: "01-01 02-12 02-13 02-14 02-15 02-16 04-04 04-05 05-01 05-02 05-03 06-10 09-16 09-17 10-01 10-02 10-03 10-04"
    " 10-07",
    2025: "01-01 01-28 01-29 01-30 01-31 02-03 02-04 04-04 05-01 05-02 05-05 06-02 10-01 10-02 10-03 10-06 10-07 10-08",
    2026: "01-01 01-02 02-16 02-17 02-18 02-19 02-20 02-23 04-06 05-01 05-04 05-05 06-19 09-25 10-01 10-02 10-05 10-06"
    " 10-07",
}
WORKED = {
    2024: "02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    2025: "01-26 02-08 04-27 09-28 10-11",
    2026: "01-04 02-14 02-28 05-09 09-20 10-10",
}


def days_of(year):
    return [date(year, 1, 1) + timedelta(days) for days in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]


@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_the_announced_years_are_as_the_notices_say(year):
    off = [f"{day:%m-%d}" for day in days_of(year) if day.weekday() < 5 and not SHIPPED.works(day)]
    worked = [f"{day:%m-%d}" for day in days_of(year) if day.weekday() >= 5 and SHIPPED.works(day)]
    assert (" ".join(off), " ".join(worked)) == (OFF[year], WORKED[year])
    assert year in SHIPPED.announced


@pytest.mark.parametrize(("year", "working"), [(2024, 251), (2025, 248), (2026, 248)])
def test_a_year_has_so_many_working_days(year, working):
    assert SHIPPED.between(date(year - 1, 12, 31), date(year, 12, 31)) == working


def test_a_year_that_is_not_announced_has_what_the_law_names_and_says_so():
    assert 2027 not in SHIPPED.announced
    assert not SHIPPED.works(date(2027, 2, 5))
    assert not SHIPPED.works(date(2027, 10, 1))
    assert SHIPPED.works(date(2027, 10, 4))
    assert SHIPPED.works(date(2030, 10, 1))


def test_a_term_that_begins_before_the_spring_festival_ends_after_it():
    assert SHIPPED.after(date(2026, 2, 13), 1) == date(2026, 2, 14)  # a Saturday that is worked
    assert SHIPPED.after(date(2026, 2, 14), 1) == date(2026, 2, 24)
    assert SHIPPED.after(date(2026, 2, 13), 5) == date(2026, 2, 27)
    assert SHIPPED.after(date(2026, 2, 16), 0) == date(2026, 2, 16)


@given(day=DAYS, days=st.integers(1, 60))
def test_a_term_ends_on_a_working_day_and_holds_as_many_as_it_should(day, days):
    end = SHIPPED.after(day, days)
    assert SHIPPED.works(end)
    assert SHIPPED.between(day, end) == days


def test_a_deployment_announces_a_year_and_what_was_only_statutory_goes(tmp_path):
    own = tmp_path / "calendar.csv"
    own.write_text(
        "from,to,kind,name\n2027-02-04,2027-02-10,off,春节\n2027-02-13,,work,春节调休\n\n2026-12-28,,off,本省放假\n",
        encoding="utf-8-sig",
    )
    calendar = read_calendar(own)
    assert calendar.announced >= {2026, 2027}
    assert not calendar.works(date(2027, 2, 10))
    assert calendar.works(date(2027, 2, 13))
    assert calendar.works(date(2027, 9, 15))  # the statutory day of the shipped file: the announcement is all there is
    assert not calendar.works(date(2026, 12, 28))
    assert not calendar.works(date(2026, 2, 16))


def test_without_a_file_the_shipped_calendar_counts(tmp_path):
    assert read_calendar(tmp_path / "calendar.csv") == SHIPPED
    assert Calendar().works(date(2026, 10, 1))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("day,kind\n", 1, "head"),
        ("from,to,kind,name\n2027-13-01,,off,x\n", 2, "no dates"),
        ("from,to,kind,name\n2027-01-01,,holiday,x\n", 2, "off or work"),
        ("from,to,kind,name\n\n2027-01-05,2027-01-01,off,x\n", 3, "ends before"),
        ("from,to,kind,name\n2027-01-05,2028-01-01,off,x\n", 2, "over a month"),
        ("from,to,kind,name\n2027-01-05\n", 2, "off or work"),
    ],
)
def test_a_slip_in_the_file_is_told_with_its_line(tmp_path, text, line, said):
    own = tmp_path / "calendar.csv"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(StandardError) as caught:
        read_calendar(own)
    assert caught.value.code == "STD-CALENDAR"
    assert f"calendar.csv:{line}: " in caught.value.en
    assert said in caught.value.en


def test_a_file_in_another_encoding_is_refused(tmp_path):
    own = tmp_path / "calendar.csv"
    own.write_bytes("from,to,kind,name\n2027-01-01,,off,元旦\n".encode("gb18030"))
    with pytest.raises(StandardError, match="STD-CALENDAR"):
        read_calendar(own)
