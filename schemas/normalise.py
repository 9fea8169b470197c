"""Turn what was received into what was meant, losing nothing: widths, blanks, case, dates and words for nothing."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

CHINA = ZoneInfo("Asia/Shanghai")
TIMESTAMP = pa.timestamp("us", "Asia/Shanghai")

# Words that departments write where there is nothing to write 空值. Compared after folding, in any case.
SENTINELS = (
    "", "N/A", "#N/A", "-", "--", "---", "—", "——", "/", "\\", "\\N", "NULL", "None", "NaN", "nil", "[]",
    "无", "暂无", "空", "无数据", "空值",
)  # fmt: skip
# Dates that mean "without end" 长期; a field that lists one of them means all of them.
LONG_TERM = ("9999-09-09", "9999-12-31", "2099-12-31", "99991231", "20991231", "99990909", "长期", "长期有效", "永久")

_BLANKS = " \t\r\n\v\f\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
_HYPHENS = "\\-\u2010-\u2015\u2212\ufe63\uff0d"
_WIDE: dict[int, int | str] = {0x3000: " "} | {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # ！ to ～
_WIDE_ALPHANUMERIC = {code: plain for code, plain in _WIDE.items() if isinstance(plain, str) or chr(plain).isalnum()}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}  # ASCII only: 'ı'.upper() would become an I
_OUTER = re.compile(f"^[{_BLANKS}]+|[{_BLANKS}]+$")
_INNER = re.compile(f"[{_BLANKS}{_HYPHENS}]+")

# RE2 finds the few values that need work at memory speed, so that Python sees only those.
_TEXT_WORK = f"[０-９Ａ-Ｚａ-ｚ\u3000]|^[{_BLANKS}]|[{_BLANKS}]$"
_IDENTIFIER_DONE = "^[0-9A-Z]*$"

_DAY = re.compile(
    r"(?:(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{4})年(\d{1,2})月(\d{1,2})日"
    r"|(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?)(?:(?:(?<=日)|[T ] *)(?P<rest>\S.*))?",
    re.ASCII,
)
_TIME = re.compile(
    r"(\d{1,2})(?:[:;](\d{1,2})(?:[:;](\d{1,2})(?:\.(\d{1,6})0*)?)?|时(\d{1,2})分(?:(\d{1,2})秒)?)"
    r" *(?:(Z)|([+-])(0\d|1[0-4]):?([0-5]\d))?",
    re.ASCII,
)
_FIRST_YEAR = 1800  # 11111111 is a filler, not a day in the year 1111


def fold(text: str) -> str:
    """`text` with every full-width ASCII form and U+3000 as ASCII, without blanks around it; other characters stay."""
    return _OUTER.sub("", text.translate(_WIDE))


def fold_text(text: str) -> str:
    """A name or an address as we keep it: full-width digits and letters as ASCII, no blanks around it.

    Chinese punctuation, full-width brackets included, is part of a name, and CJK compatibility characters are people's
    names: this is not NFKC, which would change both.
    """
    return _OUTER.sub("", text.translate(_WIDE_ALPHANUMERIC))


def fold_identifier(text: str) -> str:
    """An identifier as we keep it: ASCII width, upper case, without blanks and hyphens anywhere."""
    return _INNER.sub("", text.translate(_WIDE)).translate(_UPPER)


def text(values: pa.Array) -> pa.Array:
    """`fold_text` of each value; string in, string out, null stays null."""
    return _rewritten(values, pc.match_substring_regex(values, _TEXT_WORK), fold_text)


def identifier(values: pa.Array) -> pa.Array:
    """`fold_identifier` of each value; string in, string out, null stays null."""
    return _rewritten(values, pc.invert(pc.match_substring_regex(values, _IDENTIFIER_DONE)), fold_identifier)


def distinct(values: pa.Array, function: Callable[[str], object], type_: pa.DataType) -> pa.Array:
    """`function` of each value, called once for each distinct one; null stays null."""
    encoded = values.dictionary_encode()
    answers = pa.array([function(one) for one in encoded.dictionary.to_pylist()], type_)
    return answers.take(encoded.indices)


def _rewritten(values: pa.Array, work: pa.Array, function: Callable[[str], str]) -> pa.Array:
    work = work.fill_null(False)  # noqa: FBT003 - the value to fill with
    if not work.true_count:
        return values
    return pc.replace_with_mask(values, work, distinct(values.filter(work), function, values.type))


def is_sentinel(values: pa.Array, words: Iterable[str]) -> pa.Array:
    """Which values, folded by `text` or `identifier`, are one of `words` in whatever case or width; null: false."""
    return pc.is_in(values, value_set=pa.array(sorted(_forms(words)), values.type))


def without(values: pa.Array, words: Iterable[str] = SENTINELS) -> pa.Array:
    """`values` with null for those that are one of `words`."""
    return pc.if_else(is_sentinel(values, words), pa.scalar(None, values.type), values)


def _forms(words: Iterable[str]) -> set[str]:
    forms = set()
    widen = {plain: code for code, plain in _WIDE.items() if isinstance(plain, int)}
    for word in words:
        for cased in (word, word.lower(), word.upper(), word.capitalize()):
            forms |= {cased, fold(cased), fold_text(cased), fold_text(cased.translate(widen)), fold_identifier(cased)}
    return forms if "" in words else forms - {""}


def long_term(words: Iterable[str]) -> tuple[str, ...]:
    """A date field's sentinels: with all of LONG_TERM as soon as they name one of them."""
    given = tuple(words)
    return (*given, *LONG_TERM) if set(given) & set(LONG_TERM) else given


def parse_datetime(received: str) -> dt.datetime | None:
    """The instant a text names, without zone as Asia/Shanghai; None when it is not one of the spellings we know.

    2019-04-04, 2019/4/4, 2019.4.4, 20190404, 2019年4月4日, each alone (midnight) or with a time (`14:21`,
    `14:21:54.123`, `14时21分`, also `00:00;00`, seen in real exports) and a UTC offset; 20211028154247. Years 1800 to
    9999. Never an Excel serial number, never a month alone.
    """
    found = _DAY.fullmatch(fold(received))
    if found is None:
        return None
    *groups, rest = found.groups()
    day = [int(one) for one in (groups[0], *groups[2:4], *groups[4:7], *groups[7:10]) if one is not None]
    clock: list[int] = [int(one) for one in groups[10:13] if one is not None]
    zone: dt.tzinfo = CHINA
    if rest is not None:
        time = _TIME.fullmatch(rest)
        if time is None or clock:
            return None
        clock, zone = _clock(time)
    if day[0] < _FIRST_YEAR:
        return None
    try:
        return dt.datetime(*day, *clock, tzinfo=zone).astimezone(CHINA)  # type: ignore[misc,arg-type] # year to microsecond
    except (ValueError, OverflowError):  # no such day or time; out of range once in our zone
        return None


def parse_date(received: str) -> dt.date | None:
    """The day a text names, in Asia/Shanghai; None when it is not one of the spellings of `parse_datetime`."""
    instant = parse_datetime(received)
    return None if instant is None else instant.date()


def _clock(time: re.Match[str]) -> tuple[list[int], dt.tzinfo]:
    hour, minute, second, fraction, minute_zh, second_zh, utc, sign, hours, minutes = time.groups()
    clock = [
        int(hour),
        int(minute or minute_zh),
        int(second or second_zh or 0),
        int((fraction or "0").ljust(6, "0")),
    ]
    if utc:
        return clock, dt.UTC
    if sign is None:
        return clock, CHINA
    ahead = dt.timedelta(hours=int(hours), minutes=int(minutes))
    return clock, dt.timezone(-ahead if sign == "-" else ahead)


def date(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Days (date32) and whether each text was understood; null gives null and null."""
    return _understood(values, parse_date, pa.date32())


def datetime(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Instants (timestamp[us, Asia/Shanghai]) and whether each text was understood; null gives null and null."""
    return _understood(values, parse_datetime, TIMESTAMP)


def _understood(values: pa.Array, parse: Callable[[str], object], type_: pa.DataType) -> tuple[pa.Array, pa.Array]:
    parsed = distinct(values, parse, type_)
    return parsed, pc.if_else(values.is_valid(), parsed.is_valid(), pa.scalar(None, pa.bool_()))
