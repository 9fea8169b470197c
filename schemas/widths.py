"""Fold widths, blanks and case by the column: find the few texts that need it, and rewrite those, as bytes of UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.texts import Booleans, Bytes, Numbers, Texts, texts

BLANKS = " \t\r\n\v\f\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
HYPHENS = "\\-\u2010-\u2015\u2212\ufe63\uff0d"
WIDE: dict[int, int | str] = {0x3000: " "} | {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # ！ to ～
WIDE_ALPHANUMERIC = {code: plain for code, plain in WIDE.items() if isinstance(plain, str) or chr(plain).isalnum()}

_BLOCK = 1 << 18  # bytes looked at at once: they stay in the cache from one test to the next
_ZERO, _UPPER_A, _LOWER_A = ord("0"), ord("A"), ord("a")
_LETTERS, _CASE = 26, 32
# First bytes: of U+00A0 (C2 A0), of the full-width forms, of U+3000; and the bytes that may follow the last two.
_NO_BREAK, _WIDE, _SPACE = 0xC2, 0xEF, 0xE3
_LEADS = (0xE1, 0xE2, 0xE3, 0xEF)  # the first bytes of every other blank, hyphen and wide form, all of three bytes


def _characters(inside: str) -> list[str]:
    pattern = re.compile(f"[{inside}]")
    return [chr(code) for code in (*range(0xD800), *range(0xE000, 0x10000)) if pattern.match(chr(code))]


def _table(chosen: Iterable[int]) -> Booleans:
    table = np.zeros(256, np.bool_)
    table[list(chosen)] = True
    return table


_SLOTS = np.zeros(256, np.int64)  # 0: not the first byte of what we look for
_SLOTS[list(_LEADS)] = range(1, len(_LEADS) + 1)


def _forms(characters: Mapping[str, int]) -> Bytes:
    """What each character of three bytes maps to, by the number that `_form` gives it; 0 for every other."""
    forms = np.zeros((len(_LEADS) + 1) << 16, np.uint8)
    for one, value in characters.items():
        written = one.encode()
        if len(written) == 3:  # noqa: PLR2004 - bytes
            forms[_SLOTS[written[0]] << 16 | written[1] << 8 | written[2]] = value
    return forms


def _plain(wide: Mapping[int, int | str]) -> dict[str, int]:
    return {chr(code): ord(to) if isinstance(to, str) else to for code, to in wide.items()}


_BLANK = _characters(BLANKS)
_REMOVED = [*_BLANK, *_characters(HYPHENS)]
_ALL_BLANKS = "".join(_BLANK)
_ASCII_BLANK = _table(ord(one) for one in _BLANK if one.isascii())
_MAY_BEGIN = _table(one.encode()[0] for one in _BLANK)
_MAY_END = _table(one.encode()[-1] for one in _BLANK)
_ASCII_REMOVED = _table(ord(one) for one in _REMOVED if one.isascii())
_LEAD = _table(_LEADS)
_BLANK_FORMS = _forms(dict.fromkeys(_BLANK, 1))
_REMOVED_FORMS = _forms(dict.fromkeys(_REMOVED, 1))
_WIDE_FORMS = _forms(_plain(WIDE))
_WIDE_ALPHANUMERIC_FORMS = _forms(_plain(WIDE_ALPHANUMERIC))


def unfolded_texts(received: Texts) -> Numbers:
    """Rows with a blank at an end, or a full-width digit, letter or space anywhere; also nulls over such bytes."""
    starts, ends, data = received.edges[:-1], received.edges[1:], received.data
    filled = np.flatnonzero(ends > starts)
    suspect = np.zeros(len(starts), np.bool_)
    begin = filled[_MAY_BEGIN.take(data.take(starts[filled]))]
    suspect[begin[_is_blank(data, starts[begin])]] = True
    end = filled[_MAY_END.take(data.take(ends[filled] - 1))]
    last = ends[end] - 1
    suspect[end[_ASCII_BLANK.take(data.take(last))]] = True
    if not received.is_ascii():
        end, last = end[data.take(last) >= 0x80], last[data.take(last) >= 0x80]  # noqa: PLR2004 - beyond ASCII
        suspect[end[_is_blank(data, last - 1) | _is_blank(data, np.maximum(last - 2, 0))]] = True
        suspect[received.rows(_wide_places(received.bytes))] = True
    return np.flatnonzero(suspect)


def unfolded_identifiers(received: Texts) -> Numbers:
    """Rows with anything but ASCII digits and upper-case letters; also nulls over such bytes."""
    data = received.bytes
    found = [np.zeros(0, np.int64)]
    for first in range(0, len(data), _BLOCK):
        block = data[first : first + _BLOCK]
        done = (block - np.uint8(_ZERO) < 10) | (block - np.uint8(_UPPER_A) < _LETTERS)  # noqa: PLR2004 - digits
        found.append(np.flatnonzero(~done) + first)
    return received.rows(np.concatenate(found))


def fold_texts(values: pa.Array) -> pa.Array:
    """Full-width digits, letters and spaces as ASCII, then no blanks at the ends; of texts without nulls."""
    received = texts(values)
    data = received.bytes.copy()
    places = np.flatnonzero((data == _WIDE) | (data == _SPACE))
    keep = np.ones(len(data), np.bool_)
    _narrow(data, keep, places, _WIDE_ALPHANUMERIC_FORMS.take(_form(data, places)))
    return pc.utf8_trim(_written(received, data, keep), characters=_ALL_BLANKS)


def fold_identifiers(values: pa.Array) -> pa.Array:
    """ASCII width, upper case, without blanks and hyphens anywhere; of texts without nulls."""
    received = texts(values)
    data = received.bytes.copy()
    keep = np.ones(len(data), np.bool_)
    places = np.flatnonzero(_LEAD.take(data))
    form = _form(data, places)
    gone = places[_REMOVED_FORMS.take(form) > 0]
    _narrow(data, keep, places, _WIDE_FORMS.take(form))
    keep[gone] = keep[gone + 1] = keep[gone + 2] = False
    gone = np.flatnonzero(data == _NO_BREAK)
    gone = gone[data[gone + 1] == 0xA0]  # noqa: PLR2004 - U+00A0 is C2 A0
    keep[gone] = keep[gone + 1] = False
    keep &= ~_ASCII_REMOVED.take(data)
    data[data - np.uint8(_LOWER_A) < _LETTERS] -= _CASE
    return _written(received, data, keep)


def _narrow(data: Bytes, keep: Booleans, places: Numbers, plain: Bytes) -> None:
    """Write the ASCII character over the first byte of each wide one and drop the other two."""
    wide = np.flatnonzero(plain)
    first = places[wide]
    data[first] = plain[wide]
    keep[first + 1] = keep[first + 2] = False


def _written(received: Texts, data: Bytes, keep: Booleans) -> pa.Array:
    before = np.zeros(len(keep) + 1, np.int32)
    np.cumsum(keep, out=before[1:])
    edges = before[received.edges - received.edges[0]]
    return pa.StringArray.from_buffers(len(edges) - 1, pa.py_buffer(edges), pa.py_buffer(data[keep]))


def _wide_places(data: Bytes) -> Numbers:
    """Where a full-width digit, letter or space begins."""
    found = []
    for first in range(0, len(data), _BLOCK):
        block = data[first : first + _BLOCK + 2]
        places = np.flatnonzero(block[:_BLOCK] == _WIDE)
        if (block == _SPACE).any():
            spaces = (block[:-2] == _SPACE) & (block[1:-1] == 0x80) & (block[2:] == 0x80)  # noqa: PLR2004 - E3 80 80
            places = np.concatenate([places, np.flatnonzero(spaces)])
        found.append(places[_WIDE_ALPHANUMERIC_FORMS.take(_form(block, places)) > 0] + first)
    return np.sort(np.concatenate(found))


def _is_blank(data: Bytes, places: npt.NDArray[np.integer]) -> Booleans:
    """Whether a blank begins at these places; true of every two-byte character of the kind of U+00A0."""
    leads = data.take(places)
    blank: Booleans = _ASCII_BLANK.take(leads) | (leads == _NO_BREAK)
    likely = np.flatnonzero(_LEAD.take(leads))
    blank[likely] |= _BLANK_FORMS.take(_form(data, places[likely])) > 0
    return blank


def _form(data: Bytes, places: npt.NDArray[np.integer]) -> Numbers:
    """A number for the three bytes from each place on, the same for the same character of three bytes."""
    form: Numbers = _SLOTS.take(data.take(places)) << 16
    form |= data.take(places + 1, mode="clip").astype(np.int64) << 8
    form |= data.take(places + 2, mode="clip")
    return form
