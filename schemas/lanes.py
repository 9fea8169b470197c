"""The usual spellings of days, instants and numbers, read by the column; any other is left for the parser."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.normalise import FIRST_YEAR, TIMESTAMP
from schemas.texts import Booleans, Bytes, Numbers, bitmap, columns, marks, texts, there

_DIGITS = {
    "Y": 4,
    "M": 2,
    "m": 1,
    "D": 2,
    "d": 1,
    "H": 2,
    "N": 2,
    "S": 2,
    "F": 6,
    "f": 3,
    "g": 1,
}  # a letter, its digits
_DAYS = (
    *(f"Y{sep}{month}{sep}{day}" for sep in "-/." for month, day in itertools.product("Mm", "Dd")),
    *(f"Y年{month}月{day}日" for month, day in itertools.product("Mm", "Dd")),
    "YMD",
)
_TIMES = tuple(f"Y{sep}M{sep}D{gap}H:N:S{rest}" for sep in "-/." for gap in " T" for rest in ("", ".F", ".f", ".g"))
SHAPES = (*_DAYS, *_TIMES, "YMDHNS")
_LAST_YEAR = 9999
_EPOCH = date(1970, 1, 1)
_NONE = np.zeros(0, np.int64)
_STEADY = (date(1992, 1, 1) - _EPOCH).days  # from here on China keeps UTC+8; summer time ended in 1991
_DAY_MICROSECONDS, _AHEAD_MICROSECONDS = 86_400_000_000, 8 * 3_600_000_000
# Days since 1970 of the first of each month from FIRST_YEAR on, and of one more month: the last has a length too.
_MONTHS: npt.NDArray[np.int32] = (
    np.arange((FIRST_YEAR - 1970) * 12, (_LAST_YEAR - 1969) * 12 + 1)
    .astype("datetime64[M]")
    .astype("datetime64[D]")
    .astype(np.int32)
)
_TOO_LONG = 64  # bytes: no shape is as long
_MOST_DIGITS = 18  # that int64 surely holds
_SCALE = 6  # decimals of an amount
_POINT, _MINUS, _ZERO = ord("."), ord("-"), ord("0")


@dataclass(frozen=True, slots=True)
class Lane:
    """What was read by the column: which `rows`, the values there (null elsewhere), which of them were `repaired`."""

    rows: Booleans
    values: pa.Array
    repaired: Booleans


@dataclass(frozen=True, slots=True)
class _Shape:
    """A spelling of fixed length: the letters with the places of their digits, the other bytes with theirs."""

    text: str
    length: int
    digits: Mapping[str, slice]
    others: tuple[tuple[int, int], ...]

    @property
    def plain(self) -> bool:
        """Whether this is how we write it: years, months and days joined by hyphens or not at all."""
        return self.text.startswith(("Y-M-D", "YMD"))


@cache
def _shapes() -> Mapping[int, tuple[_Shape, ...]]:
    """The shapes by their length in bytes."""
    found: dict[int, tuple[_Shape, ...]] = {}
    for text in SHAPES:
        place, digits, others = 0, {}, []
        for one in text:
            if one in _DIGITS:
                digits[one] = slice(place, place + _DIGITS[one])
                place += _DIGITS[one]
                continue
            for byte in one.encode():
                others.append((place, byte))
                place += 1
        found[place] = (*found.get(place, ()), _Shape(text, place, digits, tuple(others)))
    return found


def days(values: pa.Array, endless: Collection[date]) -> Lane:
    """Days (date32): a time of day may follow and is left out; those that mean "without end" are read as null."""
    return _moments(values, pa.date32(), endless)


def instants(values: pa.Array, endless: Collection[date]) -> Lane:
    """Instants (timestamp[us, Asia/Shanghai]) of texts without zone, from 1992 on; null on a day without end."""
    return _moments(values, TIMESTAMP, endless)


def _moments(values: pa.Array, type_: pa.DataType, endless: Collection[date]) -> Lane:
    valid, lengths = there(values), texts(values).lengths
    rows, kept, repaired = (np.zeros(len(values), np.bool_) for _ in range(3))
    never = np.array([(day - _EPOCH).days for day in endless], np.int32)
    read = np.zeros(len(values), np.int32 if pa.types.is_date(type_) else np.int64)
    for length in np.flatnonzero(np.bincount(np.minimum(lengths, _TOO_LONG), minlength=_TOO_LONG)).tolist():
        shapes = _shapes().get(length, ())
        chosen = valid & (lengths == length)
        if not shapes or not chosen.any():
            continue
        whole = chosen.all()
        places = np.flatnonzero(chosen)
        characters = columns(values if whole else values.filter(marks(chosen)), length)
        for shape in shapes:
            right, since, moments = _read(shape, characters, instants=read.dtype == np.int64)
            found = places[right]
            if not len(found):
                continue
            rows[found] = True
            kept[found] = ~np.isin(since[right], never) if len(never) else True
            repaired[found] = not shape.plain
            read[found] = moments[right]
    answer = pa.Array.from_buffers(type_, len(values), [bitmap(kept), pa.py_buffer(read)])
    return Lane(rows, answer, repaired & kept)


def _read(shape: _Shape, characters: Bytes, *, instants: bool) -> tuple[Booleans, Numbers, Numbers]:
    """Which of the texts (place × text) have the shape and name a time that exists, their days and what they name."""
    right = np.ones(characters.shape[1], np.bool_)
    for place, byte in shape.others:
        right &= characters[place] == byte
        if not right.any():
            return right, _NONE, _NONE
    digits = characters - np.uint8(_ZERO)  # a byte below '0' becomes a large number
    for span in shape.digits.values():
        for row in digits[span]:
            right &= row <= 9  # noqa: PLR2004 - a digit
    parts = {letter.upper(): _number(digits[span]) for letter, span in shape.digits.items() if letter not in "Ffg"}
    year, month, day = parts["Y"], parts["M"], parts["D"]
    right &= (year >= FIRST_YEAR) & (month >= 1) & (month <= 12)  # noqa: PLR2004 - months of a year
    number = np.where(right, (year - FIRST_YEAR) * 12 + month - 1, 0)
    first = _MONTHS[number]
    right &= (day >= 1) & (day <= _MONTHS[number + 1] - first)
    since = first + day - 1
    if "H" in parts:
        right &= (parts["H"] < 24) & (parts["N"] < 60) & (parts["S"] < 60)  # noqa: PLR2004 - of a clock
    if not instants:
        return right, since, since
    right &= since >= _STEADY
    moment = since.astype(np.int64) * _DAY_MICROSECONDS - _AHEAD_MICROSECONDS
    if "H" in parts:
        moment += ((parts["H"] * 60 + parts["N"]) * 60 + parts["S"]).astype(np.int64) * 1_000_000
    for letter in "Ffg":
        if letter in shape.digits:
            moment += _number(digits[shape.digits[letter]]).astype(np.int64) * 10 ** (6 - _DIGITS[letter])
    return right, since, moment


def _number(digits: Bytes) -> npt.NDArray[np.int32]:
    number: npt.NDArray[np.int32] = digits[0].astype(np.int32)
    for one in digits[1:]:
        number *= 10
        number += one
    return number


def whole_numbers(values: pa.Array) -> Lane:
    """Whole numbers (int64) of up to 18 digits, with or without a minus."""
    numbers = _numerals(values)
    rows = numbers.rows & (numbers.decimals == 0)
    answer = pa.Array.from_buffers(pa.int64(), len(values), [bitmap(rows), pa.py_buffer(numbers.digits)])
    return Lane(rows, answer, np.zeros_like(rows))


def amounts(values: pa.Array, type_: pa.DataType, power: int = 0) -> Lane:
    """Numbers like -12.50, times ten to the `power`, as a decimal with six decimals: those that need no more."""
    numbers = _numerals(values)
    shift = _SCALE + power - numbers.decimals
    rows = numbers.rows & (shift >= 0) & (numbers.lengths + shift <= _MOST_DIGITS)
    digits = numbers.digits * _TENS[np.where(rows, shift, 0)]
    words = np.stack([digits, digits >> 63], axis=1)  # 128 bits, the sign carried on
    answer = pa.Array.from_buffers(type_, len(values), [bitmap(rows), pa.py_buffer(words)])
    return Lane(rows, answer, np.zeros_like(rows))


_TENS = 10 ** np.arange(_MOST_DIGITS + 1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Numerals:
    """Numbers without their point: the marks of rows that are one, all digits, and how many stand behind the point.

    `lengths` counts the digits.
    """

    rows: Booleans
    digits: Numbers
    decimals: Numbers
    lengths: Numbers


def _numerals(values: pa.Array) -> _Numerals:
    received, valid = texts(values), there(values)
    starts, ends, data = received.edges[:-1], received.edges[1:], received.data
    lengths = received.lengths.astype(np.int64)
    rows = valid & (lengths > 0)
    decimals = np.zeros(len(values), np.int64)
    strange = received.counts(received.bytes - np.uint8(_ZERO) > 9)  # noqa: PLR2004 - not a digit
    odd = np.flatnonzero(rows & (strange > 0))
    if len(odd):
        negative = (data[starts[odd]] == _MINUS).astype(np.int64)
        lengths[odd] -= strange[odd]
        left = odd[strange[odd] - negative == 1]
        rows[odd[(strange[odd] - negative) != 0]] = False
        for places in (2, 1, 3, 4, 5, 6):
            least = starts[left] + 1 + (data[starts[left]] == _MINUS)  # a digit stands before the point
            point = np.maximum(ends[left] - 1 - places, 0)
            found = (point >= least) & (data[point] == _POINT)
            decimals[left[found]] = places
            left = left[~found]
        rows[decimals > 0] = True
    rows &= (lengths > 0) & (lengths <= _MOST_DIGITS)
    digits = np.zeros(len(values), np.int64)
    whole = rows.all()
    digits[rows] = _integers(values if whole else values.filter(marks(rows)), decimals[rows] > 0)
    return _Numerals(rows, digits, decimals, lengths)


def _integers(values: pa.Array, pointed: Booleans) -> Numbers:
    """The numbers that texts of digits, a minus before them, would be without the point that some of them have."""
    received = texts(values)
    edges, data = received.edges - received.edges[0], received.bytes
    if pointed.any():
        edges[1:] -= np.cumsum(pointed.view(np.uint8), dtype=np.int32)
        data = data[data != _POINT]
    plain = pa.StringArray.from_buffers(len(values), pa.py_buffer(edges), pa.py_buffer(data))
    numbers: Numbers = plain.cast(pa.int64()).to_numpy()
    return numbers


def without(lane: Lane, rows: Numbers) -> Lane:
    """The lane without some rows, which are left to the parser."""
    if not len(rows):
        return lane
    left = lane.rows.copy()
    left[rows] = False
    return Lane(left, lane.values, lane.repaired & left)


def merged(lane: Lane, rest: pa.Array) -> pa.Array:
    """The lane's values, and `rest` in the rows it left, in their order."""
    return pc.replace_with_mask(lane.values, marks(~lane.rows), rest) if len(rest) else lane.values


def spelled() -> Iterator[str]:
    """An example of each shape, for tests: 2019-04-04 14:21:54.123456, shortened as the shape has it."""
    numbers = {"Y": "2019", "M": "04", "m": "4", "D": "04", "d": "4", "H": "14", "N": "21", "S": "54"}
    numbers |= {"F": "123456", "f": "123", "g": "1"}
    for text in SHAPES:
        yield "".join(numbers.get(one, one) for one in text)
