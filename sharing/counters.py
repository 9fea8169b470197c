"""Calls counted by the minute, the hour and the day, at once however many records there are."""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias

import orjson

from sharing import segments
from sharing.calls import today
from sharing.meter import SEAL

FILE: Final = "counters.db"
By: TypeAlias = Literal["minute", "hour", "day"]
PLACES: Final[Mapping[By, int]] = {"minute": 16, "hour": 13, "day": 10}  # of `2026-01-31T10:05`
KEPT_DAYS: Final[Mapping[By, int]] = {"minute": 35, "hour": 400}  # those of days are kept for good
_WAIT_SECONDS: Final = 30.0
_NAMES: Final = ("department", "library", "resource", "grant_id", "matter", "operation", "status")
_SUMS: Final = ("calls", "parts", "repeats", "units", "keys")
_MAKE: Final = f"""
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS seen (segment TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alike (id INTEGER PRIMARY KEY, {", ".join(_NAMES)}, UNIQUE ({", ".join(_NAMES)}));
{
    "".join(
        f'''
CREATE TABLE IF NOT EXISTS by_{by} (at TEXT, alike INTEGER, {", ".join(_SUMS)}, PRIMARY KEY (at, alike)) WITHOUT ROWID;
'''
        for by in PLACES
    )
}
COMMIT;
"""
_Alike: TypeAlias = tuple[str, str, str, str, str, str, int]  # as _NAMES; "" where there is none
_Sums: TypeAlias = list[int]  # as _SUMS


@dataclass(frozen=True, slots=True)
class Count:
    """Calls alike in all but the moment within `at`: `2026-01-31`, `2026-01-31T10` or `2026-01-31T10:05`, Shanghai.

    `parts` are those of calls that ask several libraries, which are counted too, under none. Text that is not there is
    empty.
    """

    at: str
    department: str
    library: str
    resource: str
    grant: str
    matter: str
    operation: str
    status: int
    calls: int
    parts: int
    repeats: int
    units: int
    keys: int


@dataclass(slots=True)
class _Live:
    """What was counted of a segment that may still grow, and how far it was read."""

    at: segments.Place
    last: bytes = b""
    continues: str | None = None  # the segment of the same process before it, which is full
    sums: dict[tuple[str, _Alike], _Sums] = field(default_factory=dict)  # by the minute


class Counters:
    """The counters of a folder of call records, right to the last record that was acknowledged; safe for many threads.

    A segment to which nothing can be added is summed once, in a small SQLite file all processes share; of the others
    this process remembers what it has read. The file holds nothing that the records do not: lost or damaged, it is
    made again from them. Records that were put away and whose files are gone stay counted for as long as it lives.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / FILE
        self._live: dict[str, _Live] = {}
        self._lock = threading.Lock()

    def read(self, by: By, *, since: str = "", until: str = "9999", department: str | None = None) -> Sequence[Count]:
        """The counts from `since` to before `until` (ISO 8601, any precision), the earliest first. Raises OSError."""
        with self._lock:
            try:
                found = self._read(by, since, until, department)
            except sqlite3.OperationalError as error:
                raise OSError(str(error)) from error
            except sqlite3.DatabaseError:  # the file is damaged
                for suffix in ("", "-wal", "-shm"):
                    self._file.with_name(FILE + suffix).unlink(missing_ok=True)
                found = self._read(by, since, until, department)
        return [Count(at, *alike, *sums) for (at, alike), sums in sorted(found.items())]

    def _read(self, by: By, since: str, until: str, department: str | None) -> dict[tuple[str, _Alike], _Sums]:
        with self._opened() as connection:
            self._sum_up(connection)
            connection.execute("BEGIN")
            found = self._kept(connection, by, since, until, department)
            seen = {name for (name,) in connection.execute("SELECT segment FROM seen")}
        for name, live in self._live.items():
            if name not in seen:
                for (minute, alike), sums in live.sums.items():
                    at = minute[: PLACES[by]]
                    if since <= at < until and department in {None, alike[0]}:
                        _add(found, (at, alike), sums)
        return found

    def _kept(
        self, connection: sqlite3.Connection, by: By, since: str, until: str, department: str | None
    ) -> dict[tuple[str, _Alike], _Sums]:
        said = f"""SELECT at, {", ".join(_NAMES)}, {", ".join(_SUMS)} FROM by_{by} JOIN alike ON alike.id = alike
            WHERE at >= ? AND at < ?""" + (" AND department = ?" if department is not None else "")
        bound = (since, until) if department is None else (since, until, department)
        split = 1 + len(_NAMES)
        return {(row[0], row[1:split]): list(row[split:]) for row in connection.execute(said, bound)}

    def _sum_up(self, connection: sqlite3.Connection) -> None:
        """Read what is new, and keep the sums of segments that are finished."""
        seen = {name for (name,) in connection.execute("SELECT segment FROM seen")}
        paths = [path for path in sorted(self._folder.glob("*" + segments.SUFFIX)) if path.name not in seen]
        self._live = {path.name: self._followed(path) for path in paths}
        continued = {live.continues for live in self._live.values()}
        for name, live in self._live.items():
            if live.last == SEAL or name in continued or _long_over(name):
                _keep(connection, name, live)
        _forget_old(connection)

    def _followed(self, path: Path) -> _Live:
        live = self._live.get(path.name) or _Live(segments.start(path.name))
        if segments.grows(path, live.at):
            for stored in segments.scan(path, live.at, chained=False):
                if not live.at.records:
                    live.continues = orjson.loads(stored.payload).get("previous")
                live.at, live.last = stored.after, stored.payload
                _count(live.sums, stored.payload)
        return live

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._file, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'by_minute'").fetchone()[0]:
                connection.executescript(_MAKE)
            yield connection


def _count(sums: dict[tuple[str, _Alike], _Sums], payload: bytes) -> None:
    told = orjson.loads(payload)
    if "id" not in told:
        return
    # Not by way of a Call, which would take as long again.
    alike = (
        told["department"] or "", told["library"] or "", told["resource"] or "", told["grant"] or "",
        told["matter"] or "", told["operation"], told["status"],
    )  # fmt: skip
    place = told["at"][: PLACES["minute"]], alike
    held = sums.get(place)
    if held is None:
        held = sums[place] = [0] * len(_SUMS)
    part = told.get("family") is not None
    if told.get("repeats") is None:
        held[1 if part else 0] += 1
        held[4] += len(told["keys"]) or told["key"] is not None
    elif not part:
        held[2] += 1
    held[3] += told["units"]


def _add(sums: dict[tuple[str, _Alike], _Sums], place: tuple[str, _Alike], more: Sequence[int]) -> None:
    held = sums.get(place)
    if held is None:
        sums[place] = list(more)
    else:
        for number, value in enumerate(more):
            held[number] += value


def _keep(connection: sqlite3.Connection, name: str, live: _Live) -> None:
    """Add the sums of a finished segment, in one transaction with its name: it is never added twice."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,)).rowcount:
            numbers = {alike: _number(connection, alike) for _, alike in live.sums}
            for by, places in PLACES.items():
                whole: dict[tuple[str, int], _Sums] = defaultdict(lambda: [0] * len(_SUMS))
                for (minute, alike), sums in live.sums.items():
                    held = whole[minute[:places], numbers[alike]]
                    for number, value in enumerate(sums):
                        held[number] += value
                more = ", ".join(f"{one} = {one} + excluded.{one}" for one in _SUMS)
                connection.executemany(
                    f"INSERT INTO by_{by} VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (at, alike) DO UPDATE SET {more}",
                    [(*place, *sums) for place, sums in whole.items()],
                )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _number(connection: sqlite3.Connection, alike: _Alike) -> int:
    marks = ", ".join("?" * len(_NAMES))
    connection.execute(f"INSERT OR IGNORE INTO alike ({', '.join(_NAMES)}) VALUES ({marks})", alike)
    where = " AND ".join(f"{name} = ?" for name in _NAMES)
    found: tuple[int] = connection.execute(f"SELECT id FROM alike WHERE {where}", alike).fetchone()
    return found[0]


def _forget_old(connection: sqlite3.Connection) -> None:
    for by, days in KEPT_DAYS.items():
        first = (date.fromisoformat(today()) - timedelta(days=days)).isoformat()
        if connection.execute(f"SELECT 1 FROM by_{by} WHERE at < ? LIMIT 1", (first,)).fetchone():
            connection.execute(f"DELETE FROM by_{by} WHERE at < ?", (first,))


def _long_over(name: str) -> bool:
    """Whether nobody can be adding to a segment for its day: a process begins a new one every day."""
    return name[:8] < (date.fromisoformat(today()) - timedelta(days=1)).strftime("%Y%m%d")
