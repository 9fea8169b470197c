"""Count in working days 工作日: weekends, the State Council's holidays, and weekends worked in exchange."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn, cast

from schemas.errors import StandardError

# 国务院办公厅关于2024年、2025年、2026年部分节假日安排的通知; of 2027, which is not announced yet, the days that
# 全国年节及纪念日放假办法（2024年修订） itself names.
SHIPPED = Path(__file__).with_suffix(".csv")
_COLUMNS = ["from", "to", "kind", "name"]
_KINDS = ("off", "work", "statutory")
_SATURDAY = 5
_LONGEST = 31  # days of one line: more is a slip of the pen

Kind = Literal["off", "work", "statutory"]


class _Line(NamedTuple):
    first: date
    last: date
    kind: Kind

    def days(self) -> Iterator[date]:
        return (self.first + timedelta(days) for days in range((self.last - self.first).days + 1))


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days that are off though they are weekdays, and worked though they are weekends.

    `announced` are the years whose arrangement is known; of any other year only weekends and what the law names are
    off, and dates in it may move once the arrangement is published.
    """

    off: frozenset[date] = field(default_factory=frozenset)
    work: frozenset[date] = field(default_factory=frozenset)
    announced: frozenset[int] = field(default_factory=frozenset)

    def works(self, day: date) -> bool:
        """True on a working day."""
        return day in self.work or (day.weekday() < _SATURDAY and day not in self.off)

    def after(self, day: date, days: int) -> date:
        """The last day of a term of `days` working days that begins with `day`.

        The day a term begins is not counted (民法典 article 201); no days at all end on `day` itself.
        """
        while days > 0:
            day += timedelta(1)
            days -= self.works(day)
        return day

    def between(self, start: date, end: date) -> int:
        """Working days after `start` up to and including `end`; 0 when `end` is not later."""
        return sum(self.works(start + timedelta(days)) for days in range(1, (end - start).days + 1))


def read_calendar(own: Path | None = None) -> Calendar:
    """The calendar as shipped, with what a deployment's `calendar.csv` says instead or besides.

    The file has the columns from, to, kind (off | work) and name, one line per holiday or worked weekend. Its word
    counts for each day it names; a year it names is announced, and what was only statutory there goes. A file that is
    not there is nothing. Raises StandardError (STD-CALENDAR) with file and line.
    """
    if own is None or not own.exists():
        return _shipped()
    said, shipped = _read(own), _lines()
    announced = {line.first.year for line in said if line.kind != "statutory"}
    before = [line for line in shipped if line.kind != "statutory" or line.first.year not in announced]
    return _calendar([*before, *said])


@cache
def _shipped() -> Calendar:
    return _calendar(_lines())


@cache
def _lines() -> tuple[_Line, ...]:
    return tuple(_read(SHIPPED))


def _calendar(lines: list[_Line] | tuple[_Line, ...]) -> Calendar:
    kinds: dict[date, Kind] = {day: line.kind for line in lines for day in line.days()}
    return Calendar(
        off=frozenset(day for day, kind in kinds.items() if kind != "work"),
        work=frozenset(day for day, kind in kinds.items() if kind == "work"),
        announced=frozenset(line.first.year for line in lines if line.kind != "statutory"),
    )


def _read(path: Path) -> list[_Line]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        _refuse(path, 1, "不能按 UTF-8 读取", "cannot be read as UTF-8")
    rows = csv.reader(text.splitlines())
    if (head := next(rows, [])) != _COLUMNS:
        _refuse(path, 1, f"表头应为 {','.join(_COLUMNS)}", f"the head should be {','.join(_COLUMNS)}, not {head}")
    return [_line(path, number, row) for number, row in enumerate(rows, start=2) if any(row)]


def _line(path: Path, number: int, row: list[str]) -> _Line:
    first, last, kind, _ = (*row, "", "", "", "")[:4]
    try:
        begins = date.fromisoformat(first)
        ends = date.fromisoformat(last) if last else begins
    except ValueError:
        _refuse(path, number, f"“{first}”至“{last}”不是日期", f"'{first}' to '{last}' are no dates")
    if kind not in _KINDS:
        _refuse(path, number, f"“{kind}”应为 off 或 work", f"'{kind}' should be off or work")
    if not 0 <= (ends - begins).days < _LONGEST:
        _refuse(path, number, "结束早于开始，或超过一个月", "it ends before it begins, or lasts over a month")
    return _Line(begins, ends, cast("Kind", kind))


def _refuse(path: Path, line: int, zh: str, en: str) -> NoReturn:
    raise StandardError(
        "STD-CALENDAR",
        zh=f"{path}:{line}：{zh}",
        en=f"{path}:{line}: {en}",
        fix_zh="每行写一段，例如 2027-02-05,2027-02-11,off,春节 或 2027-02-20,2027-02-20,work,春节调休",
        fix_en="Write one span a line, such as 2027-02-05,2027-02-11,off,春节 or 2027-02-20,2027-02-20,work,春节调休",
    )
