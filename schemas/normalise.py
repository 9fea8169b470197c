"""Turn what was received into what was meant, losing nothing: widths, blanks, case, dates and words for nothing."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import widths
from schemas.texts import Booleans, Numbers, marked, nulled, picked, texts, there
from schemas.widths import BLANKS, HYPHENS, WIDE, WIDE_ALPHANUMERIC

CHINA = ZoneInfo("Asia/Shanghai")
TIMESTAMP = pa.timestamp("us", "Asia/Shanghai")

# Words that departments write where there is nothing to write 空值. Compared after folding, in any case.
SENTINELS = (
    "", "N/A", "#N/A", "-", "--", "---", "—", "——", "/", "\\", "\\N", "NULL", "None", "NaN", "nil", "[]",
    "无", "暂无", "空", "无数据", "空值",
)  # fmt: skip
# Dates that mean "without end" 长期; a field that lists one of them means all of them.
LONG_TERM = ("9999-09-09", "9999-12-31", "2099-12-31", "99991231", "20991231", "99990909", "长期", "长期有效", "永久")

_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}  # ASCII only: 'ı'.upper() would become an I
_OUTER = re.compile(f"^[{BLANKS}]+|[{BLANKS}]+$")
_INNER = re.compile(f"[{BLANKS}{HYPHENS}]+")

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
FIRST_YEAR = 1800  # 11111111 is a filler, not a day in the year 1111


def fold(text: str) -> str:
    """`text` with every full-width ASCII form and U+3000 as ASCII, without blanks around it; other characters stay."""
    return _OUTER.sub("", text.translate(WIDE))


def fold_text(text: str) -> str:
    """A name or an address as we keep it: full-width digits and letters as ASCII, no blanks around it.

    Chinese punctuation, full-width brackets included, is part of a name, and CJK compatibility characters are people's
    names: this is not NFKC, which would change both.
    """
    return _OUTER.sub("", text.translate(WIDE_ALPHANUMERIC))


def fold_identifier(text: str) -> str:
    """An identifier as we keep it: ASCII width, upper case, without blanks and hyphens anywhere."""
    return _INNER.sub("", text.translate(WIDE)).translate(_UPPER)


@dataclass(frozen=True, slots=True)
class Folded:
    """Folded values, and the rows (ascending) where they are not what was received."""

    values: pa.Array
    changed: Numbers


def text(values: pa.Array) -> pa.Array:
    """`fold_text` of each value; string in, string out, null stays null."""
    return folded_text(values).values


def identifier(values: pa.Array) -> pa.Array:
    """`fold_identifier` of each value; string in, string out, null stays null."""
    return folded_identifier(values).values


def folded_text(values: pa.Array) -> Folded:
    """`text`, and which rows it changed."""
    return _rewritten(values, widths.unfolded_texts(texts(values)), widths.fold_texts)


def folded_identifier(values: pa.Array) -> Folded:
    """`identifier`, and which rows it changed."""
    return _rewritten(values, widths.unfolded_identifiers(texts(values)), widths.fold_identifiers)


def distinct(values: pa.Array, function: Callable[[str], object], type_: pa.DataType) -> pa.Array:
    """`function` of each value, called once for each distinct one; null stays null."""
    encoded = values.dictionary_encode()
    answers = pa.array([function(one) for one in encoded.dictionary.to_pylist()], type_)
    return answers.take(encoded.indices)


def _rewritten(values: pa.Array, rows: Numbers, fold_: Callable[[pa.Array], pa.Array]) -> Folded:
    if len(rows):
        rows = rows[there(values)[rows]]
    if not len(rows):
        return Folded(values, rows)
    received = picked(values, rows)
    folded = fold_(received)
    differ = pc.not_equal(received, folded)
    rows = rows[differ.to_numpy(zero_copy_only=False)]
    return Folded(pc.replace_with_mask(values, marked(len(values), rows), folded.filter(differ)), rows)


def is_sentinel(values: pa.Array, words: Iterable[str]) -> pa.Array:
    """Which values, folded by `text` or `identifier`, are one of `words` in whatever case or width; null: false."""
    return marked(len(values), sentinels(values, tuple(words)))


def sentinels(values: pa.Array, words: tuple[str, ...]) -> Numbers:
    """The rows of `is_sentinel`, ascending: texts with the length and the first byte of a word are looked at."""
    known = _words(words)
    received = texts(values)
    lengths = received.lengths
    likely = np.flatnonzero(lengths <= known.longest)
    if len(likely):
        likely = likely[known.lengths[lengths[likely]]]
        # An empty text has no first byte; with "" among the words any byte will do.
        first = received.data[np.minimum(received.edges[likely], len(received.data) - 1)] if len(received.data) else 0
        likely = likely[(lengths[likely] == 0) | known.beginnings[first]]
    if not len(likely):
        return likely
    found = pc.is_in(picked(values, likely), value_set=known.forms)
    rows: Numbers = likely[found.to_numpy(zero_copy_only=False)]
    return rows


def without(values: pa.Array, words: Iterable[str] = SENTINELS) -> pa.Array:
    """`values` with null for those that are one of `words`."""
    return nulled(values, sentinels(values, tuple(words)))


@dataclass(frozen=True, slots=True)
class _Words:
    """Words for nothing in all their forms, and what their bytes look like: lengths and first bytes."""

    forms: pa.Array
    longest: int
    lengths: Booleans
    beginnings: Booleans


@lru_cache(maxsize=256)
def _words(words: tuple[str, ...]) -> _Words:
    forms = sorted(forms_of(words))
    written = [one.encode() for one in forms]
    longest = max(map(len, written), default=0)
    lengths, beginnings = np.zeros(longest + 1, np.bool_), np.zeros(256, np.bool_)
    for one in written:
        lengths[len(one)] = True
        if one:
            beginnings[one[0]] = True
    return _Words(pa.array(forms, pa.string()), longest, lengths, beginnings)


def forms_of(words: Iterable[str]) -> set[str]:
    """The spellings, as they are once folded, that count as one of `words`."""
    forms = set()
    widen = {plain: code for code, plain in WIDE.items() if isinstance(plain, int)}
    for word in words:
        for cased in (word, word.lower(), word.upper(), word.capitalize()):
            forms |= {cased, fold(cased), fold_text(cased), fold_text(cased.translate(widen)), fold_identifier(cased)}
    return forms if "" in words else forms - {""}


def long_term(words: Iterable[str]) -> tuple[str, ...]:
    """A date field's sentinels: with all of LONG_TERM as soon as they name one of them."""
    given = tuple(words)
    return (*given, *LONG_TERM) if set(given) & set(LONG_TERM) else given


@lru_cache(maxsize=1 << 16)
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
    if day[0] < FIRST_YEAR:
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
