"""Read one received column as a field's type: values, what could not be understood, what was repaired."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from schemas import capital, normalise
from schemas.standard import Field
from schemas.validators import arrow, scalar, spec

TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "code": pa.string(),
    "uscc": pa.string(),
    "org_code": pa.string(),
    "citizen_id": pa.string(),
    "integer": pa.int64(),
    "decimal": capital.AMOUNT,
    "capital": capital.AMOUNT,
    "date": pa.date32(),
    "datetime": normalise.TIMESTAMP,
    "boolean": pa.bool_(),
}
_UNITS = {"元": 1, "万元": capital.WAN, "亿元": 100_000_000}
_TRUE, _FALSE = ("1", "TRUE", "T", "YES", "Y", "是", "真"), ("0", "FALSE", "F", "NO", "N", "否", "假")
_INTEGER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.0+)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+ *(?:Z|[+-][\d:]+)?)?|\d{8}(?:\d{6})?", re.ASCII)
_LEGACY_ID = "^[0-9]{15}$"  # GB 11643-1989: two digits of the year, no check character


@dataclass(frozen=True, slots=True)
class Column:
    """A field's column: typed values, the two marks (never null), and the spellings not understood with their counts.

    A code that no list knows is kept as text for the code rule to find: not bad, but counted in `unparsed`.
    `currencies` (ISO 4217) only comes with an amount of capital.
    """

    values: pa.Array
    bad: pa.Array
    repaired: pa.Array
    unparsed: Mapping[str, int]
    currencies: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a field needs besides the column: words for nothing, the codes by spelling, the day it is."""

    field: Field
    sentinels: tuple[str, ...]
    codes: Mapping[str, str]
    today: date


def read(received: pa.Array, reading: Reading) -> Column:
    """`received` (string, null where the source has null) as a column of the field's type, see TYPES."""
    return _READERS[reading.field.type](received, reading)


def _text(received: pa.Array, reading: Reading) -> Column:
    values = normalise.without(normalise.text(received), reading.sentinels)
    return Column(values, _no(received), _true(pc.not_equal(values, received)), {})


def _code(received: pa.Array, reading: Reading) -> Column:
    if not reading.codes:
        return _text(received, reading)

    def known(spelling: str) -> str | None:
        folded = normalise.fold(spelling)
        for one in (spelling, folded, folded.upper()):
            if one in reading.codes:
                return reading.codes[one]
        return None

    found = normalise.distinct(received, known, pa.string())  # before sentinels: 无 is the name of some codes
    other = normalise.without(normalise.text(received), reading.sentinels)
    repaired = _true(pc.not_equal(found, received))
    unknown = pc.and_(found.is_null(), other.is_valid())
    return Column(pc.coalesce(found, other), _no(received), repaired, _count(received, unknown))


def _uscc(received: pa.Array, reading: Reading) -> Column:
    return _checked("uscc", received, _identifier(received, reading), reading)


def _org_code(received: pa.Array, reading: Reading) -> Column:
    return _checked("org_code", received, _identifier(received, reading), reading)


def _citizen_id(received: pa.Array, reading: Reading) -> Column:
    values = _identifier(received, reading)
    legacy = _true(pc.match_substring_regex(values, _LEGACY_ID))
    if legacy.true_count:
        upgraded = normalise.distinct(values.filter(legacy), lambda one: _upgrade(one, reading.today), pa.string())
        values = pc.replace_with_mask(values, legacy, upgraded)
    return _checked("citizen_id", received, values, reading)


def _identifier(received: pa.Array, reading: Reading) -> pa.Array:
    return normalise.without(normalise.identifier(received), reading.sentinels)


def _checked(kind: str, received: pa.Array, values: pa.Array, reading: Reading) -> Column:
    """Repaired is what was wrong as received and is right now; what stays wrong stays, for the rules to judge."""
    right = _true(arrow.valid(kind, values, reading.today))
    if values.equals(received):
        return Column(values, _no(received), _no(received), {})
    as_received = _true(arrow.valid(kind, received, reading.today))
    return Column(values, _no(received), pc.and_not(right, as_received), {})


def _upgrade(legacy: str, today: date) -> str:
    """The 18-digit number of a 15-digit one (GB 11643-1999): century and check character; unchanged if no date."""
    assert spec.CITIZEN_ID.check  # noqa: S101 - the table says so
    body = f"{legacy[:6]}19{legacy[6:]}"
    upgraded = body + scalar.check_character(spec.CITIZEN_ID.check, body)
    return upgraded if scalar.valid("citizen_id", upgraded, today) else legacy


def _date(received: pa.Array, reading: Reading) -> Column:
    endless = _endless(reading.sentinels)

    def day(text: str) -> tuple[object, bool]:
        parsed = normalise.parse_date(text)
        return (None if parsed in endless else parsed), parsed is None

    return _parsed(received, reading, day, _plain_instant)


def _datetime(received: pa.Array, reading: Reading) -> Column:
    endless = _endless(reading.sentinels)

    def instant(text: str) -> tuple[object, bool]:
        parsed = normalise.parse_datetime(text)
        return (None if parsed and parsed.date() in endless else parsed), parsed is None

    return _parsed(received, reading, instant, _plain_instant)


def _endless(words: tuple[str, ...]) -> frozenset[date]:
    return frozenset(day for day in map(normalise.parse_date, words) if day)


def _plain_instant(text: str) -> bool:
    return bool(_ISO.fullmatch(text))


def _plain(text: str) -> bool:
    return normalise.fold(text) == text


def _integer(received: pa.Array, reading: Reading) -> Column:
    def number(text: str) -> tuple[object, bool]:
        folded = normalise.fold(text)
        value = int(Decimal(folded.replace(",", ""))) if _INTEGER.fullmatch(folded) else None
        understood = value is not None and -(1 << 63) <= value < 1 << 63
        return (value if understood else None), not understood

    return _parsed(received, reading, number, _plain)


def _decimal(received: pa.Array, reading: Reading) -> Column:
    def number(text: str) -> tuple[object, bool]:
        folded = normalise.fold(text)
        value = capital.held(Decimal(folded.replace(",", ""))) if _DECIMAL.fullmatch(folded) else None
        return value, value is None

    return _parsed(received, reading, number, _plain)


def _boolean(received: pa.Array, reading: Reading) -> Column:
    def truth(text: str) -> tuple[object, bool]:
        folded = normalise.fold(text).upper()
        return (folded in _TRUE if folded in _TRUE + _FALSE else None), folded not in _TRUE + _FALSE

    return _parsed(received, reading, truth, _plain)


def _capital(received: pa.Array, reading: Reading) -> Column:
    unit = _UNITS.get(reading.field.unit or "")
    kept = normalise.without(normalise.text(received), reading.sentinels)
    amounts, currencies, understood = capital.columns(kept, unit)
    bad = _true(pc.invert(understood))
    folded = normalise.distinct(received, normalise.fold, pa.string())
    repaired = pc.and_(_true(understood), _true(pc.not_equal(folded, received)))
    return Column(amounts, bad, repaired, _count(received, bad), currencies)


def _parsed(
    received: pa.Array,
    reading: Reading,
    parse: Callable[[str], tuple[object, bool]],
    plain: Callable[[str], bool],
) -> Column:
    """Each distinct spelling once through `parse` → (value or None, not understood); `plain` ones are no repair."""
    encoded = received.dictionary_encode()
    spellings = encoded.dictionary
    nothing = normalise.is_sentinel(normalise.text(spellings), reading.sentinels).to_pylist()
    values: list[object] = []
    bad: list[bool] = []
    repaired: list[bool] = []
    for spelling, empty in zip(spellings.to_pylist(), nothing, strict=True):
        value, wrong = (None, False) if empty else parse(spelling)
        values.append(value)
        bad.append(wrong)
        repaired.append(value is not None and not plain(spelling))
    marks = _true(pa.array(bad, pa.bool_()).take(encoded.indices))
    return Column(
        pa.array(values, TYPES[reading.field.type]).take(encoded.indices),
        marks,
        _true(pa.array(repaired, pa.bool_()).take(encoded.indices)),
        _count(received, marks),
    )


def _count(received: pa.Array, rows: pa.Array) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for one in received.filter(rows).value_counts().to_pylist():
        counted[one["values"]] = one["counts"]
    return counted


def _true(marks: pa.Array) -> pa.Array:
    return marks.fill_null(False)  # noqa: FBT003 - the value to fill with


def _no(received: pa.Array) -> pa.Array:
    return pa.repeat(pa.scalar(False), len(received))  # noqa: FBT003 - the value to repeat


_READERS: Mapping[str, Callable[[pa.Array, Reading], Column]] = {
    "text": _text,
    "code": _code,
    "uscc": _uscc,
    "org_code": _org_code,
    "citizen_id": _citizen_id,
    "integer": _integer,
    "decimal": _decimal,
    "capital": _capital,
    "date": _date,
    "datetime": _datetime,
    "boolean": _boolean,
}
