"""Look records up in one generation: in the file of changes first, then in the file that holds everything else."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Any

import lmdb
import orjson
import zstandard

from schemas.values import Json
from warehouse.serving_errors import BadPageError, NotIndexedError, TornGenerationError
from warehouse.serving_file import (
    GONE,
    DamagedFileError,
    Generation,
    OpenFile,
    Record,
    index_key,
    index_keys,
    record_of,
    shortened,
)
from warehouse.serving_index import BETWEEN, pairs_from

DAMAGE = (
    zstandard.ZstdError,
    orjson.JSONDecodeError,
    lmdb.Error,
    ValueError,
    DamagedFileError,
)  # what reading a damaged file raises
LOOKED_AT = 20_000  # records a page looks at, at most; it ends there and says where to go on
_NO_FILTER: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Page:
    """Records in the order of what they were asked by, and the mark with which the next page is asked for.

    `after` is None when there is nothing behind. `generation` says what the page comes from, and how fresh that is.
    """

    records: list[Record] = field(default_factory=list)
    after: str | None = None
    generation: Generation | None = None


class Found(Mapping[str, Record]):
    """Records by key, each read when it is asked for: what is let go of at once costs half of what is kept.

    Raises TornGenerationError.
    """

    __slots__ = ("_first", "_info", "_places", "_texts")

    def __init__(self, info: Generation, file: OpenFile, texts: Mapping[str, zstandard.BufferSegment]) -> None:
        self._info, self._places, self._first, self._texts = info, file.places, file.first, texts

    def __getitem__(self, key: str) -> Record:
        """The record with that key."""
        text = self._texts[key]
        try:
            return record_of(self._places, self._first, text.tobytes())
        except DAMAGE as error:
            raise TornGenerationError(self._info.library, self._info.id, type(error).__name__) from error

    def __iter__(self) -> Iterator[str]:
        """The keys, in order."""
        return iter(self._texts)

    def __len__(self) -> int:
        """How many were found."""
        return len(self._texts)

    def __contains__(self, key: object) -> bool:
        """Whether there is a record with that key."""
        return key in self._texts


class View:
    """One generation, whole, whatever is published meanwhile; for many threads."""

    def __init__(self, top: OpenFile, base: OpenFile | None) -> None:
        self.info = top.info
        self.files = (top, base) if base is not None else (top,)
        self.base, self.changes = self.files[-1], top if base is not None else None

    def get(self, key: str) -> Record | None:
        """The record with that key, or None."""
        name = index_key(key)
        if not name:
            return None
        try:
            for file in self.files:
                with file.begin() as read:
                    packed = read.get(name)
                    if packed is not None:
                        return file.unpack(packed) if packed != GONE else None
        except DAMAGE as error:
            raise TornGenerationError(self.info.library, self.info.id, type(error).__name__) from error
        return None

    def get_many(self, keys: Iterable[str]) -> Mapping[str, Record]:
        """The records found, by key; keys that are not there are left out. Each is read when it is asked for."""
        wanted = sorted({*keys} - {""})  # neighbours stand on one page
        with self._reading() as read:
            found = read.all_packed(wanted)
            # A file of changes is packed with the dictionary of the one below.
            texts = self.base.texts(list(found.values()))
            return Found(self.info, self.base, dict(zip(found, texts, strict=True)))

    def find(self, name: str, value: str, limit: int = 20) -> list[Record]:
        """Up to `limit` records whose field `name` is exactly `value`, in the order of their keys."""
        if name == self.info.key:
            record = self.get(value)
            return [] if record is None else [record][:limit]
        self._refuse_unknown((name,))
        if not value or limit < 1:
            return []
        with self._reading() as read:
            found = (read.record(key) for _, key in read.valued(name, index_key(value), b""))
            return list(islice((one for one in found if one is not None and said(one[name]) == value), limit))

    def page(self, equal: Mapping[str, str] = _NO_FILTER, *, prefix: tuple[str, str] | None = None, limit: int = 100,
             after: str | None = None, keep: Callable[[Record], bool] | None = None) -> Page:  # fmt: skip
        """Up to `limit` records whose fields are `equal` to these and whose `prefix` field begins so, from a mark on.

        One of the fields at least is the key or indexed, or none is asked for: then every record comes, by key. Those
        that `keep` refuses are as if they were not there. Raises NotIndexedError, BadPageError.
        """
        asked = [*equal, *([prefix[0]] if prefix else [])]
        driving = self._driving(equal, prefix)
        if asked and driving is None:
            self._refuse_unknown(asked[:1])
        start = _mark(after, self.info.library)
        records: list[Record] = []
        shown = last = b""  # places: of the last record on the page, of the last one looked at
        with self._reading() as read:
            for looked, (place, key) in enumerate(read.along(driving, equal, prefix, start)):
                if looked >= LOOKED_AT:
                    return Page(records, _marked(last), self.info)
                last, record = place, read.record(key)
                if record is None or not _meets(record, equal, prefix) or not (keep is None or keep(record)):
                    continue
                if len(records) >= limit:
                    return Page(records, _marked(shown), self.info)
                shown = place
                records.append(record)
        return Page(records, None, self.info)

    def raw(self, keys: Iterable[bytes]) -> Iterator[bytes | None]:
        """The records as they are kept, None for each that is not there."""
        with self._reading() as read:
            for key in keys:
                packed = read.packed(key)
                yield None if packed is None else packed[0]

    def _driving(self, equal: Mapping[str, str], prefix: tuple[str, str] | None) -> str | None:
        """The field whose order is followed: one asked for exactly before one whose beginning is."""
        for name in (*equal, *([prefix[0]] if prefix else [])):
            if name == self.info.key or name in self.info.indexed:
                return name
        return None

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.info.indexed:
                raise NotIndexedError(self.info.library, name, (self.info.key, *self.info.indexed))

    @contextmanager
    def _reading(self) -> Iterator[_Reading]:
        begun: list[Any] = []
        try:
            begun.extend(one.begin() for one in self.files)
            yield _Reading(self.files, begun)
        except DAMAGE as error:
            raise TornGenerationError(self.info.library, self.info.id, type(error).__name__) from error
        finally:
            for one in begun:
                one.abort()


class _Reading:
    """The files of a view with a transaction on each, for one thread and one call."""

    def __init__(self, files: tuple[OpenFile, ...], begun: list[Any]) -> None:
        self._open = list(zip(files, begun, strict=True))

    def packed(self, key: bytes) -> tuple[bytes, OpenFile] | None:
        """A record as the first file that knows its key keeps it."""
        for file, read in self._open:
            packed = read.get(key)
            if packed is not None:
                return None if packed == GONE else (packed, file)
        return None

    def all_packed(self, wanted: Sequence[str]) -> dict[str, bytes]:
        """Those of the keys that are there, and their records."""
        names, packed = index_keys(wanted), list[bytes | None]()
        for _file, read in reversed(self._open):
            below, packed = packed, list(map(read.get, names))
            if below:
                packed = [old if new is None else new for new, old in zip(packed, below, strict=True)]
        return {key: one for key, one in zip(wanted, packed, strict=True) if one}

    def record(self, key: bytes) -> Record | None:
        packed = self.packed(key)
        return None if packed is None else packed[1].unpack(packed[0])

    def along(self, name: str | None, equal: Mapping[str, str], prefix: tuple[str, str] | None,
              start: bytes) -> Iterator[tuple[bytes, bytes]]:  # fmt: skip
        """Places and keys in the order of a field, those behind the place `start`."""
        key = self._open[0][0].info.key
        if name is None or name == key:
            exact = index_key(equal[key]) if name == key and key in equal else None
            begins = shortened(prefix[1]) if prefix and name == key and exact is None else exact or b""
            for found in self._keys(max(begins, start + b"\0" if start else b"")):
                if not found.startswith(begins) or (exact is not None and found != exact):
                    return
                yield found, found
        elif name in equal:
            yield from self.valued(name, index_key(equal[name]), start)
        else:
            yield from self._pairs(name, shortened((prefix or ("", ""))[1]), start)

    def valued(self, name: str, value: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same for one value of an indexed field."""
        return self._pairs(name, value + BETWEEN, start)

    def _pairs(self, name: str, begins: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        first = max(begins, start + b"\0" if start else b"")
        ways = [pairs_from(read, file.indexes[name], first) for file, read in self._open]
        ways = [*ways[:-1], self._unchanged(ways[-1])] if len(ways) > 1 else ways
        for pair in merge(*ways) if len(ways) > 1 else ways[0]:
            if not pair.startswith(begins):
                return
            yield pair, pair[pair.index(BETWEEN) + 1 :]

    def _unchanged(self, pairs: Iterator[bytes]) -> Iterator[bytes]:
        """Pairs of the lower file whose records the upper one says nothing about."""
        file, read = self._open[0]
        return (one for one in pairs if read.get(one[one.index(BETWEEN) + 1 :], db=file.records) is None)

    def _keys(self, start: bytes) -> Iterator[bytes]:
        ways = [_keys(read, file.records, start) for file, read in self._open]
        last = b""
        for key in merge(*ways) if len(ways) > 1 else ways[0]:
            if key != last:
                yield key
            last = key


def _keys(read: Any, database: Any, start: bytes) -> Iterator[bytes]:  # noqa: ANN401 (LMDB's handles)
    with read.cursor(db=database) as cursor:
        there = cursor.set_range(start) if start else cursor.first()
        while there:
            yield cursor.key()
            there = cursor.next()


def said(value: Json) -> str:
    """A value as it is looked up: text as it stands, numbers and truth as JSON writes them, nothing as nothing."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def _meets(record: Record, equal: Mapping[str, str], prefix: tuple[str, str] | None) -> bool:
    return all(said(record.get(name)) == value for name, value in equal.items()) and (
        prefix is None or said(record.get(prefix[0])).startswith(prefix[1])
    )


def _marked(place: bytes) -> str:
    return base64.urlsafe_b64encode(place).decode()


def _mark(after: str | None, library: str) -> bytes:
    try:
        return base64.b64decode(after or "", altchars=b"-_", validate=True)
    except ValueError as error:
        raise BadPageError(library) from error
