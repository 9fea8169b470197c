"""What each generation changed, and what was there before: so that readers are told of changes, none missed or doubled.

The log of a library begins when somebody first asks for changes, and costs nothing before. It holds for each
generation the records that it changed as they were until then; what they are since stands in the files in force, or
among those that a later one changed again. So the state at any generation still told of is known exactly.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import ClassVar, Final

import orjson
import zstandard

from schemas.values import Json
from warehouse.clock import now, now_text
from warehouse.errors import WarehouseError
from warehouse.serving import ServingStore, open_view
from warehouse.serving_errors import TornGenerationError
from warehouse.serving_file import GONE, OpenFile, current
from warehouse.serving_view import DAMAGE, View

LOG = logging.getLogger(__name__)
FILE: Final = "changes.sqlite"
KEEP_DAYS: Final = 7
MOST_KEPT: Final = 1_000_000  # records of generations before, about half a gigabyte
MOST_CHANGED: Final = 250_000  # records a generation may change and be told of; beyond, readers begin anew
_WAIT: Final = 10.0  # seconds that readers and a publisher wait for each other
_LOOKED_UP: Final = 500  # keys asked for in one statement
_CHECKSUM: Final = -4  # where a zstd frame's checksum of its content begins
_TABLES: Final = """
CREATE TABLE about (epoch TEXT NOT NULL, floor INTEGER NOT NULL, newest INTEGER NOT NULL);
CREATE TABLE generation (id INTEGER PRIMARY KEY, at TEXT NOT NULL, records INTEGER NOT NULL);
CREATE TABLE was (generation INTEGER NOT NULL, key BLOB NOT NULL, record BLOB,
    PRIMARY KEY (generation, key)) WITHOUT ROWID;
CREATE INDEX was_key ON was (key, generation);
"""


class ForgottenError(WarehouseError):
    """The changes since a generation are not known, or not any more."""

    def __init__(self, library: str, since: int) -> None:
        super().__init__(
            "WH-CHANGES-FORGOTTEN",
            zh=f"{library} 自第 {since} 代以来的变更已不再保留",
            en=f"what changed in {library} since generation {since} is not known any more",
            fix_zh="从现在的版本重新开始，并重新取得所需的记录",
            fix_en="Begin with the generation of now, and fetch the records you need anew",
        )


class NoLogError(WarehouseError):
    """The log of changes cannot be read or begun right now."""

    retryable: ClassVar[bool] = True

    def __init__(self, library: str) -> None:
        super().__init__(
            "WH-CHANGES-LOG",
            zh=f"{library} 的变更记录暂时无法读写",
            en=f"the log of changes of {library} cannot be read or written right now",
            fix_zh="稍后重试；发布目录须可写",
            fix_en="Try again later; the folder of published files must be writable",
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A record that changed between two generations: as it was and as it is then; None where there is none.

    One that came and went in between is there neither before nor after.
    """

    place: bytes
    was: Mapping[str, Json] | None
    now: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class Span:
    """What is known: changes after `floor` up to `newest`; `epoch` tells this log from one that was begun anew."""

    epoch: str
    floor: int
    newest: int


class ChangeLog:
    """The log of changes of one library, for the readers of its serving store; safe for many threads."""

    def __init__(self, store: ServingStore) -> None:
        self._store, self._path = store, store.folder / FILE

    def begin(self) -> tuple[Span, View]:
        """What is known, and the view it is known up to; the log is begun where there is none yet. NoLogError."""
        view = self._store.view()
        try:
            if not self._path.exists():
                _create(self._path, current(self._store.folder))
            with _reading(self._path) as log:
                span = _span(log)
            if view.info.id < span.floor:
                self._store.refresh()
            return span, self._store.view()
        except (sqlite3.Error, OSError) as error:
            raise NoLogError(self._store.library) from error

    def between(self, epoch: str, since: int, upto: int, after: bytes, limit: int) -> tuple[list[Change], bool]:
        """Up to `limit` records that changed after generation `since` up to `upto`, by key behind the place `after`.

        Says also whether that was all. Raises ForgottenError, NoLogError.
        """
        library, view = self._store.library, self._store.view()
        newest = view.info.id
        if upto > newest:  # this reader passes over a damaged generation
            raise NoLogError(library)
        try:
            with _reading(self._path) as log:
                span = _span(log)
                if span.epoch != epoch or since < span.floor or span.newest < upto:
                    raise ForgottenError(library, since)
                first = log.execute(
                    "SELECT key, record, min(generation) FROM was WHERE generation > ? AND generation <= ? AND key > ?"
                    " GROUP BY key ORDER BY key LIMIT ?", (since, upto, after, limit + 1),
                ).fetchall()  # fmt: skip
                keys = [key for key, *_ in first[:limit]]
                later = dict(_later(log, keys, upto, newest))
        except sqlite3.Error as error:
            raise NoLogError(library) from error
        rest = [key for key in keys if key not in later]
        present = {key: _unpacked(view, one) for key, one in zip(rest, view.raw(rest), strict=True)}
        found = [
            Change(key, _record(was), _record(later[key]) if key in later else present[key])
            for key, was, _ in first[:limit]
        ]
        return found, len(first) <= limit


def note(home: Path, number: int) -> None:
    """Write down what the built generation `number` changes, before it is switched to; nothing where no log was begun.

    What a publisher that died wrote of a generation that never came to be is taken back. A log that cannot be written
    stops no publication: its readers are told to begin anew.
    """
    path = home / FILE
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT, isolation_level=None)) as log:
            log.execute("PRAGMA synchronous = FULL")
            log.execute("BEGIN IMMEDIATE")
            _note(log, home, number)
            log.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        LOG.warning("%s: its log of changes has a gap (%s)", home.name, type(error).__name__)


def _note(log: sqlite3.Connection, home: Path, number: int) -> None:
    floor, newest = log.execute("SELECT floor, newest FROM about").fetchone()
    log.execute("DELETE FROM was WHERE generation >= ?", (number,))
    log.execute("DELETE FROM generation WHERE id >= ?", (number,))
    (last,) = log.execute("SELECT coalesce(max(id), ?) FROM generation", (floor,)).fetchone()
    before = current(home)
    count = _compared(log, home, before, number) if min(newest, last) == before else None
    if count is None:  # a generation went by unseen, or too much changed
        log.execute("DELETE FROM was")
        log.execute("DELETE FROM generation")
        floor = number
    else:
        log.execute("INSERT INTO generation VALUES (?, ?, ?)", (number, now_text(), count))
        floor = _forget(log, floor)
    log.execute("UPDATE about SET floor = ?, newest = ?", (floor, number))


def _compared(log: sqlite3.Connection, home: Path, before: int, number: int) -> int | None:
    """How many records differ, written down; None when they are too many, or the file before is damaged."""
    count = 0
    try:
        for key, record in differing(open_view(home, before), open_view(home, number)):
            count += 1
            if count > MOST_CHANGED:
                return None
            log.execute("INSERT INTO was VALUES (?, ?, ?)", (number, key, record))
    except (TornGenerationError, *DAMAGE, FileNotFoundError):
        return None
    return count


def differing(old: View, new: View) -> Iterator[tuple[bytes, bytes | None]]:
    """The keys of the records that differ, in order, each with the old one as JSON; None where there was none.

    Records are told apart by the checksums and sizes they are kept with.
    """
    if old.info.digest == new.info.digest and old.info.fields == new.info.fields:
        return
    if old.base is new.base:  # what neither file of changes names is in the base, the same for both
        keys = sorted({key for file in (old.changes, new.changes) if file for key, _ in _pairs(file)})
        for key, was, is_now in zip(keys, old.raw(keys), new.raw(keys), strict=True):
            if not _same(was, is_now):
                yield key, _told(old, was)
        return
    yield from _lockstep(old, new)


def _lockstep(old: View, new: View) -> Iterator[tuple[bytes, bytes | None]]:
    """The same where all was built anew: both files from the first key to the last."""
    ours, theirs = _all(old), _all(new)
    left, right = next(ours, None), next(theirs, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            if left is not None:
                yield left[0], _told(old, left[1])
            left = next(ours, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None
            right = next(theirs, None)
        else:
            if not _same(left[1], right[1]):
                yield left[0], _told(old, left[1])
            left, right = next(ours, None), next(theirs, None)


def _all(view: View) -> Iterator[tuple[bytes, bytes]]:
    over = dict(_pairs(view.changes)) if view.changes is not None else {}
    there = sorted((key, packed) for key, packed in over.items() if packed != GONE)
    yield from merge(((key, packed) for key, packed in _pairs(view.base) if key not in over), there)


def _pairs(file: OpenFile) -> Iterator[tuple[bytes, bytes]]:
    with file.begin() as read, read.cursor(db=file.records) as cursor:
        yield from ((bytes(key), bytes(packed)) for key, packed in cursor)


def _same(one: bytes | None, other: bytes | None) -> bool:
    if one is None or other is None:
        return one is other
    size = zstandard.frame_content_size
    return one == other or (one[_CHECKSUM:] == other[_CHECKSUM:] and size(one) == size(other))


def _told(view: View, packed: bytes | None) -> bytes | None:
    """A record as JSON, without what is not its own: the columns that tell of sources."""
    record = _unpacked(view, packed)
    return None if record is None else orjson.dumps({name: record[name] for name in record if name[0] != "_"})


def _unpacked(view: View, packed: bytes | None) -> Mapping[str, Json] | None:
    try:
        return None if packed is None else view.base.unpack(packed)
    except DAMAGE as error:
        raise TornGenerationError(view.info.library, view.info.id, type(error).__name__) from error


def _forget(log: sqlite3.Connection, floor: int) -> int:
    """Drop what is too old or too much; the generation after which all is known."""
    oldest = now() - timedelta(days=KEEP_DAYS)
    kept = 0
    for number, at, records in log.execute("SELECT id, at, records FROM generation ORDER BY id DESC").fetchall():
        kept += records
        if kept > MOST_KEPT or datetime.fromisoformat(at) < oldest:
            log.execute("DELETE FROM was WHERE generation <= ?", (number,))
            log.execute("DELETE FROM generation WHERE id <= ?", (number,))
            return int(number)
    return floor


def _create(path: Path, number: int) -> None:
    """An empty log that knows all changes after that generation; whoever is first makes it."""
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with closing(sqlite3.connect(made, isolation_level=None)) as log:
        log.executescript(_TABLES)
        log.execute("INSERT INTO about VALUES (?, ?, ?)", (secrets.token_hex(8), number, number))
    try:
        path.hardlink_to(made)
    except FileExistsError:
        pass
    finally:
        made.unlink()


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT, isolation_level=None)) as log:
        log.execute("BEGIN")
        yield log


def _span(log: sqlite3.Connection) -> Span:
    return Span(*log.execute("SELECT epoch, floor, newest FROM about").fetchone())


def _later(
    log: sqlite3.Connection, keys: Sequence[bytes], upto: int, newest: int
) -> Iterator[tuple[bytes, bytes | None]]:
    """Of the keys, those that changed once more after `upto`, as they were at it."""
    if upto == newest:
        return
    for place in range(0, len(keys), _LOOKED_UP):
        some = keys[place : place + _LOOKED_UP]
        marks = ",".join("?" * len(some))
        for key, record, _ in log.execute(
            "SELECT key, record, min(generation) FROM was WHERE generation > ? AND generation <= ?"
            f" AND key IN ({marks}) GROUP BY key", (upto, newest, *some),
        ):  # fmt: skip
            yield key, record


def _record(told: bytes | None) -> Mapping[str, Json] | None:
    return None if told is None else orjson.loads(told)
