"""Understand what PostgreSQL's pgoutput (protocol 1) says of one table: keys touched, transactions, TRUNCATE."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

Key = tuple[str, ...]

_EPOCH = 946_684_800  # seconds from 1970 to 2000, where PostgreSQL's clock begins
_COUNT, _LENGTH = struct.Struct(">H"), struct.Struct(">I")
_BEGIN = struct.Struct(">xQqI")  # place of the commit, its time in microseconds, transaction
_COMMIT = struct.Struct(">xBQQq")  # flags, place of the commit, place after it, its time
_TEXT, _NULL, _UNSENT = b"t"[0], b"n"[0], b"u"[0]
_INSERT, _UPDATE, _DELETE, _TRUNCATE = b"I"[0], b"U"[0], b"D"[0], b"T"[0]
_RELATION, _BEGINS, _COMMITS, _NEW = b"R"[0], b"B"[0], b"C"[0], b"N"[0]
_HEAD = 5  # bytes before what a message says of a row: its kind and the table's number


class UnknownKey(Exception):
    """A row of the log names no value for a column of the key."""


@dataclass(slots=True)
class Touched:
    """What has been read since it was last taken: keys in order, transactions, and where the last of them ended."""

    keys: dict[Key, None] = field(default_factory=dict)
    transactions: set[int] = field(default_factory=set)
    ends: int | None = None  # place after the last whole transaction
    moment: float | None = None  # when that was committed, seconds since 1970
    truncated: bool = False


class Decoder:
    """Reads the messages of one slot in order; `touched` is what they came to."""

    def __init__(self, schema: str, table: str, key: Sequence[str], after: int) -> None:
        self._named, self._key, self._after = (schema, table), tuple(key), after
        self._tables: dict[int, tuple[int, ...]] = {}  # number of the table → where the key's columns are
        self._known = False  # the transaction being read lies before `after`
        self.inside = False
        self.last: int | None = None  # place after the last whole transaction beyond `after`
        self.touched = Touched()

    def take(self, message: bytes) -> None:
        """One message; UnknownKey where a row cannot be named."""
        kind = message[0]
        if kind in (_INSERT, _UPDATE, _DELETE):
            if not self._known:
                self._row(message)
        elif kind == _BEGINS:
            final, _, transaction = _BEGIN.unpack_from(message)
            self._known, self.inside = final < self._after, True
            if not self._known:
                self.touched.transactions.add(transaction)
        elif kind == _COMMITS:
            _, _, end, moment = _COMMIT.unpack_from(message)
            self.inside = False
            if not self._known:
                self.last = self.touched.ends = end
                self.touched.moment = moment / 1e6 + _EPOCH
        elif kind == _RELATION:
            self._relation(message)
        elif kind == _TRUNCATE and not self._known:
            self.touched.truncated |= any(number in self._tables for number in _truncated(message))

    def taken(self) -> Touched:
        """What was read since the last time; a transaction that goes on stays known."""
        made = self.touched
        self.touched = Touched(transactions=set(made.transactions) if self.inside else set())
        return made

    def _relation(self, message: bytes) -> None:
        number = _LENGTH.unpack_from(message, 1)[0]
        schema, at = _string(message, _HEAD)
        name, at = _string(message, at)
        self._tables.pop(number, None)
        if (schema or "pg_catalog", name) != self._named:
            return
        at += 1  # replica identity
        columns: list[str] = []
        (count,) = _COUNT.unpack_from(message, at)
        at += 2
        for _ in range(count):
            column, at = _string(message, at + 1)
            at += 8  # type and its modifier
            columns.append(column)
        if not set(self._key) <= set(columns):
            raise UnknownKey(", ".join(sorted(set(self._key) - set(columns))))
        self._tables[number] = tuple(columns.index(name) for name in self._key)

    def _row(self, message: bytes) -> None:
        places = self._tables.get(_LENGTH.unpack_from(message, 1)[0])
        if places is None:
            return
        at, old = _HEAD, None
        if message[at] != _NEW:  # K or O: the row as it was
            old, at = _values(message, at + 1, places, whole=message[0] == _UPDATE)
            self._keep(old)
        if message[0] == _DELETE:
            return
        new, _ = _values(message, at + 1, places, whole=False)
        self._keep([was if value is None and old else value for value, was in zip(new, old or new, strict=True)])

    def _keep(self, values: list[str | None]) -> None:
        if None in values:
            raise UnknownKey(", ".join(name for name, value in zip(self._key, values, strict=True) if value is None))
        self.touched.keys[tuple(map(str, values))] = None


def _values(message: bytes, at: int, places: tuple[int, ...], *, whole: bool) -> tuple[list[str | None], int]:
    """The key's values in a row that begins at `at`, and where it ends if the `whole` of it is looked at."""
    (count,) = _COUNT.unpack_from(message, at)
    at += 2
    found: dict[int, str] = {}
    for column in range(count if whole else max(places) + 1):
        kind = message[at]
        at += 1
        if kind == _TEXT:
            (length,) = _LENGTH.unpack_from(message, at)
            at += 4
            if column in places:
                found[column] = message[at : at + length].decode()
            at += length
        elif kind not in (_NULL, _UNSENT):
            raise ValueError(f"pgoutput: {kind:#x} is no value")
    return [found.get(place) for place in places], at


def _truncated(message: bytes) -> Sequence[int]:
    (count,) = _LENGTH.unpack_from(message, 1)
    return struct.unpack_from(f">{count}I", message, 6)


def _string(message: bytes, at: int) -> tuple[str, int]:
    end = message.index(b"\0", at)
    return message[at:end].decode(), end + 1
