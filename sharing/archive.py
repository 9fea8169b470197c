"""Call records put away in the warehouse: one table, a commit a day, from which the chains can still be checked."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from sharing import merkle, segments
from sharing.archive_refusals import too_soon, unlike_seal, unlike_table
from sharing.calls import today
from sharing.counters import Counters
from sharing.day_seals import DaySeal
from sharing.ledger import Ledger
from warehouse.sql import quote

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.tables import Tables

TABLE: Final = "meter.calls"
MARK: Final = "archived"  # a file beside the records: there are records that were put away
LEAST_DAYS: Final = 62  # quotas of a month, and statements of the month before, are of the files
KEPT_DAYS: Final = 400  # more than usage goes back, so that lost counters can be made again
_SNAPSHOTS: Final = 30
# What can be read of a call without opening its payload; what is personal in there is an HMAC.
_SHOWN: Final = ("id", "at", "department", "app", "operation", "library", "resource", "grant", "matter", "case", "code")
_NUMBERS: Final = ("status", "units", "micros", "size")


@dataclass(frozen=True, slots=True)
class PutAway:
    """What was put away: a day, ISO 8601, its records and calls."""

    day: str
    segments: int
    calls: int


class Archive:
    """The put-away records of a deployment; use one from one thread."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._names: Mapping[str, int] | None = None

    def names(self) -> Collection[str]:
        """The segments that were put away."""
        return self._counted()

    def kept(self, name: str) -> Iterable[tuple[bytes, bytes]]:
        """Payload and chain value of each record of a segment, in their order."""
        head = self._tables.head(TABLE)
        if head is None:
            return
        rows = self._tables.read(
            TABLE, head.snapshot, ["record", "payload", "chain"], f"{quote('segment')} = ?", [name]
        )
        rows = rows.sort_by("record")
        yield from zip(rows["payload"].to_pylist(), rows["chain"].to_pylist(), strict=True)

    def put(self, folder: Path, seals: Sequence[DaySeal]) -> Sequence[PutAway]:
        """Put away the records of every sealed day that are not yet, a commit a day; once more changes nothing.

        Killed in between it leaves whole days. Raises ArchiveError (SHR-ARCHIVE-SEAL) where records are not those that
        were sealed, and WarehouseError.
        """
        done, ledger = list[PutAway](), Ledger(folder)
        days: dict[str, list[Path]] = {}
        for path in sorted(folder.glob("*" + segments.SUFFIX)):
            if segments.grows(path, segments.start(path.name)):
                days.setdefault(path.name[:8], []).append(path)
        for seal in seals:
            paths = days.get(seal.day.replace("-", ""), [])
            if all(path.name in self.names() for path in paths):
                continue
            with self._tables.lock("meter-archive"):
                self._names = None  # another process may have been faster
                fresh = [path for path in paths if path.name not in self.names()]
                if not fresh:
                    continue
                if merkle.root([one.chain for one in ledger.entries(seal.day)]).hex() != seal.root:
                    raise unlike_seal(seal.day)
                self._commit(seal, fresh)
                done.append(PutAway(seal.day, len(fresh), seal.calls))
            self._mark(folder)
        if done:
            self._tables.expire(TABLE, _SNAPSHOTS)
        return done

    def remove(self, folder: Path, keep_days: int = KEPT_DAYS) -> int:
        """Remove the files of days more than so long ago once the table has the same; how many. Raises ArchiveError.

        SHR-ARCHIVE-SOON for fewer than LEAST_DAYS, SHR-ARCHIVE-TABLE where the table has something else.
        """
        if keep_days < LEAST_DAYS:
            raise too_soon(LEAST_DAYS)
        first = (date.fromisoformat(today()) - timedelta(days=keep_days)).strftime("%Y%m%d")
        old = [path for path in sorted(folder.glob("*" + segments.SUFFIX)) if path.name[:8] < first]
        gone = [path for path in old if path.name in self._counted()]
        if not gone:
            return 0
        Counters(folder).read("day")  # what they hold is counted before they go
        for path in gone:
            ours, theirs = (
                _end(segments.scan(path, segments.start(path.name))),
                _end(segments.replay(path.name, self.kept(path.name))),
            )
            if ours != theirs or segments.beyond(path, ours) == "damaged":
                raise unlike_table(path.name)
            path.unlink()
        _sync(folder)
        return len(gone)

    def _counted(self) -> Mapping[str, int]:
        if self._names is None:
            head = self._tables.head(TABLE)
            if head is None:
                return {}
            rows = f"SELECT segment, count(*) FROM {self._tables.relation(TABLE, head.snapshot)} GROUP BY segment"
            with self._tables.connect() as connection:
                self._names = dict(connection.execute(rows).fetchall())
        return self._names

    def _commit(self, seal: DaySeal, paths: Sequence[Path]) -> None:
        from warehouse.tables import Staged

        self._tables.ensure(TABLE, _schema())
        tables = (rows for path in paths if (rows := _rows(seal.day, path)).num_rows)
        staged = [self._tables.stage(TABLE, rows, sort=("segment", "record")) for rows in tables]
        whole = Staged(TABLE, tuple(name for one in staged for name in one.files), sum(one.rows for one in staged))
        self._tables.commit(whole, {"meter-day": seal.day, "meter-root": seal.root})
        self._names = None

    def _mark(self, folder: Path) -> None:
        mark = folder / MARK
        if not mark.exists():
            mark.touch()
            _sync(folder)


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [("day", pa.string()), ("segment", pa.string()), ("record", pa.int64()), ("chain", pa.binary()),
         ("payload", pa.binary()), *((name, pa.string()) for name in _SHOWN),
         *((name, pa.int64()) for name in _NUMBERS)]
    )  # fmt: skip


def _rows(day: str, path: Path) -> pa.Table:
    """Every record of a segment, its header and seal too, which are no calls."""
    import pyarrow as pa

    rows = []
    for stored in segments.scan(path, segments.start(path.name)):
        told = orjson.loads(stored.payload)
        shown = {name: told.get(name) for name in (*_SHOWN, *_NUMBERS)} if "id" in told else {}
        rows.append({"day": day, "segment": path.name, "record": stored.after.records - 1, "chain": stored.after.chain,
                     "payload": stored.payload, **shown})  # fmt: skip
    return pa.Table.from_pylist(rows, _schema())


def _end(stored: Iterable[segments.Stored]) -> segments.Place:
    at = segments.Place(0, 0, b"")
    for one in stored:
        at = one.after
    return at


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
