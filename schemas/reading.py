"""Read one received column as a field's type: values, what could not be understood, what was repaired."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import capital, lanes, normalise
from schemas.lanes import Lane
from schemas.standard import Field
from schemas.texts import columns, marked, marks, nulled, picked, texts, there
from schemas.validators import arrow, spec

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
_POWERS = {1: -4, capital.WAN: 0, 100_000_000: 4}  # of ten, from a unit to 万元
_TRUE, _FALSE = ("1", "TRUE", "T", "YES", "Y", "是", "真"), ("0", "FALSE", "F", "NO", "N", "否", "假")
_INTEGER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.0+)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+ *(?:Z|[+-][\d:]+)?)?|\d{8}(?:\d{6})?", re.ASCII)
_LEGACY_LENGTH = 15  # GB 11643-1989: two digits of the year, no check character


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
    folded = normalise.folded_text(received)
    nothing = normalise.sentinels(folded.values, reading.sentinels)
    repaired = np.setdiff1d(folded.changed, nothing, assume_unique=True)
    return Column(nulled(folded.values, nothing), _no(received), marked(len(received), repaired), {})


def _code(received: pa.Array, reading: Reading) -> Column:
    if not reading.codes:
        return _text(received, reading)

    def known(spelling: str) -> str | None:
        folded = normalise.fold(spelling)
        for one in (spelling, folded, folded.upper()):
            if one in reading.codes:
                return reading.codes[one]
        return None

    encoded = received.dictionary_encode()
    spellings = encoded.dictionary
    # Before sentinels: 无 is the name of some codes.
    found = pa.array([known(one) for one in spellings.to_pylist()], pa.string())
    other = normalise.without(normalise.text(spellings), reading.sentinels)
    repaired = _true(pc.not_equal(found, spellings))
    unknown = _taken(pc.and_(found.is_null(), other.is_valid()), encoded.indices)
    values = pc.coalesce(found, other).take(encoded.indices)
    return Column(values, _no(received), _taken(repaired, encoded.indices), _count(received, unknown))


def _uscc(received: pa.Array, reading: Reading) -> Column:
    return _checked("uscc", received, _identifier(received, reading), reading)


def _org_code(received: pa.Array, reading: Reading) -> Column:
    return _checked("org_code", received, _identifier(received, reading), reading)


def _citizen_id(received: pa.Array, reading: Reading) -> Column:
    folded = _identifier(received, reading)
    legacy = np.flatnonzero(there(folded.values) & (texts(folded.values).lengths == _LEGACY_LENGTH))
    upgraded = _upgraded(picked(folded.values, legacy), reading.today)
    legacy = legacy[there(upgraded)]
    if len(legacy):
        values = pc.replace_with_mask(folded.values, marked(len(received), legacy), upgraded.drop_null())
        folded = normalise.Folded(values, np.union1d(folded.changed, legacy))
    return _checked("citizen_id", received, folded, reading)


def _identifier(received: pa.Array, reading: Reading) -> normalise.Folded:
    folded = normalise.folded_identifier(received)
    nothing = normalise.sentinels(folded.values, reading.sentinels)
    return normalise.Folded(nulled(folded.values, nothing), folded.changed)


def _checked(kind: str, received: pa.Array, folded: normalise.Folded, reading: Reading) -> Column:
    """Repaired is what was wrong as received and is right now; what stays wrong stays, for the rules to judge."""
    right = _true(arrow.valid(kind, picked(folded.values, folded.changed), reading.today))
    as_received = _true(arrow.valid(kind, picked(received, folded.changed), reading.today))
    repaired = folded.changed[pc.and_not(right, as_received).to_numpy(zero_copy_only=False)]
    return Column(folded.values, _no(received), marked(len(received), repaired), {})


def _upgraded(legacy: pa.Array, today: date) -> pa.Array:
    """The 18-digit numbers of 15-character ones (GB 11643-1999): century and check character; null if not a number."""
    check = spec.CITIZEN_ID.check
    assert check  # noqa: S101 - the table says so
    if not len(legacy):
        return legacy
    old = columns(legacy, _LEGACY_LENGTH)
    body = np.concatenate([old[:6], np.broadcast_to([[ord("1")], [ord("9")]], (2, old.shape[1])), old[6:]])
    total = np.array(check.weights) @ (body.astype(np.int64) - ord("0"))
    characters = np.frombuffer(check.table.encode(), np.uint8)[total % len(check.table)]
    written = np.concatenate([body, characters[None]]).astype(np.uint8).T.tobytes()
    edges = np.arange(len(legacy) + 1, dtype=np.int32) * (len(body) + 1)
    numbers = pa.StringArray.from_buffers(len(legacy), pa.py_buffer(edges), pa.py_buffer(written))
    right = _true(arrow.valid("citizen_id", numbers, today))
    return nulled(numbers, np.flatnonzero(~right.to_numpy(zero_copy_only=False)))


def _date(received: pa.Array, reading: Reading) -> Column:
    endless = _endless(reading.sentinels)

    def day(text: str) -> tuple[object, bool]:
        parsed = normalise.parse_date(text)
        return (None if parsed in endless else parsed), parsed is None

    lane = None if _strays(reading.sentinels) else lanes.days(received, endless)
    return _parsed(received, reading, day, _plain_instant, lane)


def _datetime(received: pa.Array, reading: Reading) -> Column:
    endless = _endless(reading.sentinels)

    def instant(text: str) -> tuple[object, bool]:
        parsed = normalise.parse_datetime(text)
        return (None if parsed and parsed.date() in endless else parsed), parsed is None

    lane = None if _strays(reading.sentinels) else lanes.instants(received, endless)
    return _parsed(received, reading, instant, _plain_instant, lane)


@lru_cache(maxsize=256)
def _endless(words: tuple[str, ...]) -> frozenset[date]:
    return frozenset(day for day in map(normalise.parse_date, words) if day)


@lru_cache(maxsize=256)
def _strays(words: tuple[str, ...]) -> bool:
    """Whether a word for nothing reads like a day that does not mean "without end"."""
    return any(normalise.parse_date(one) not in {None, *_endless(words)} for one in normalise.forms_of(words))


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

    return _parsed(received, reading, number, _plain, lanes.whole_numbers(received))


def _decimal(received: pa.Array, reading: Reading) -> Column:
    def number(text: str) -> tuple[object, bool]:
        folded = normalise.fold(text)
        value = capital.held(Decimal(folded.replace(",", ""))) if _DECIMAL.fullmatch(folded) else None
        return value, value is None

    return _parsed(received, reading, number, _plain, lanes.amounts(received, capital.AMOUNT))


def _boolean(received: pa.Array, reading: Reading) -> Column:
    def truth(text: str) -> tuple[object, bool]:
        folded = normalise.fold(text).upper()
        return (folded in _TRUE if folded in _TRUE + _FALSE else None), folded not in _TRUE + _FALSE

    return _parsed(received, reading, truth, _plain, None)


def _capital(received: pa.Array, reading: Reading) -> Column:
    unit = _UNITS.get(reading.field.unit or "")
    lane = lanes.amounts(received, capital.AMOUNT, _POWERS[unit]) if unit else None
    lane = _cleared(lane, received, reading)
    encoded = _rest(received, lane).dictionary_encode()
    kept = normalise.without(normalise.text(encoded.dictionary), reading.sentinels)
    amounts, currencies, understood = capital.columns(kept, unit)
    folded = normalise.distinct(encoded.dictionary, normalise.fold, pa.string())
    repaired = pc.and_(_true(understood), _true(pc.not_equal(folded, encoded.dictionary)))
    column = _joined(received, lane, encoded.indices, (amounts, _true(pc.invert(understood)), repaired))
    named = currencies.take(encoded.indices)
    if lane is not None:
        nameless = lanes.Lane(lane.rows, pa.nulls(len(received), pa.string()), lane.repaired)
        named = lanes.merged(nameless, named)
    return replace(column, currencies=named)


def _parsed(
    received: pa.Array,
    reading: Reading,
    parse: Callable[[str], tuple[object, bool]],
    plain: Callable[[str], bool],
    lane: Lane | None,
) -> Column:
    """The usual spellings by the column; of the rest each distinct one once through `parse` → (value, not understood).

    Spellings that are `plain` are no repair.
    """
    lane = _cleared(lane, received, reading)
    encoded = _rest(received, lane).dictionary_encode()
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
    typed = pa.array(values, TYPES[reading.field.type])
    return _joined(received, lane, encoded.indices, (typed, pa.array(bad, pa.bool_()), pa.array(repaired, pa.bool_())))


def _cleared(lane: Lane | None, received: pa.Array, reading: Reading) -> Lane | None:
    """The lane without words for nothing, which may look like a value; no lane when it has not read anything."""
    if lane is None or not lane.rows.any():
        return None
    if reading.field.type in ("date", "datetime"):
        return lane
    return lanes.without(lane, normalise.sentinels(received, reading.sentinels))


def _rest(received: pa.Array, lane: Lane | None) -> pa.Array:
    return received if lane is None else received.filter(marks(~lane.rows))


def _joined(
    received: pa.Array, lane: Lane | None, indices: pa.Array, spelled: tuple[pa.Array, pa.Array, pa.Array]
) -> Column:
    """What the lane read, and for the rest (values, bad, repaired) of each spelling."""
    values, bad, repaired = spelled[0].take(indices), _taken(spelled[1], indices), _taken(spelled[2], indices)
    if lane is not None:
        values = lanes.merged(lane, values)
        bad = lanes.merged(Lane(lane.rows, _no(received), lane.repaired), bad)
        repaired = lanes.merged(Lane(lane.rows, marks(lane.repaired), lane.repaired), repaired)
    return Column(values, bad, repaired, _count(received, bad))


def _count(received: pa.Array, rows: pa.Array) -> Mapping[str, int]:
    if not rows.true_count:
        return {}
    return {one["values"]: one["counts"] for one in received.filter(rows).value_counts().to_pylist()}


def _taken(marks_: pa.Array, indices: pa.Array) -> pa.Array:
    """The mark of each row's spelling; false where there is no spelling."""
    return _true(marks_.take(indices)) if marks_.true_count else _no(indices)


def _true(marks: pa.Array) -> pa.Array:
    return marks.fill_null(False)  # noqa: FBT003 - the value to fill with


def _no(received: pa.Array) -> pa.Array:
    return marks(np.zeros(len(received), np.bool_))


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
