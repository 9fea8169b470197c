"""Read what the meter wrote: every recorded call, totals by day, and whether anything was changed afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sharing import segments
from sharing.calls import Call

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Total:
    """Calls that agree in everything but when in the day they came; `units` is what they cost of the quota."""

    day: str
    department: str | None
    library: str | None
    grant: str | None
    status: int
    calls: int
    units: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a segment: `damaged`, `torn`, `cut`, `missing`, `empty`; of a seal: `forged`, `unlike`."""

    segment: str
    kind: str
    record: int
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What `verify` saw: how many segments and calls, and what is wrong."""

    segments: int
    calls: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """True when every record that was written whole is there, unchanged."""
        return all(finding.kind in {"torn", "empty"} for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded call, where it lies, and the value of the chain behind it."""

    segment: str
    record: int
    chain: bytes
    call: Call


class Archived(Protocol):
    """Segments that were put away, of which the files need not be there any more."""

    def names(self) -> Collection[str]:
        """The file names they had."""
        ...

    def kept(self, name: str) -> Iterable[tuple[bytes, bytes]]:
        """Payload and chain value of each record of a segment, in their order."""
        ...


_Bucket = tuple[str, str | None, str | None, str | None, int]


class Ledger:
    """The call records in a meter folder, written by any number of processes, some of them still running.

    Totals are remembered and only what is new is read; safe for many threads. Totals are of the files alone; all else
    is told from `archived` too, where it has segments whose files are gone.
    """

    def __init__(self, folder: Path, archived: Archived | None = None) -> None:
        self.folder, self._archived = folder, archived
        self._read: dict[str, segments.Place] = {}
        self._counts: Counter[_Bucket] = Counter()
        self._units: Counter[_Bucket] = Counter()
        self._reading = threading.Lock()

    def records(self, since: str | None = None, holding: bytes = b"") -> Iterator[Call]:
        """Every call recorded, segment by segment; those of `since` (ISO day) and later when it is given.

        Only records with the bytes `holding` in them are looked at closely: ten times as quick where they are few.
        """
        for name in self._names(since):
            for stored in self._stored(name, chained=False):
                call = Call.read(stored.payload) if holding in stored.payload else None
                if call is not None and (since is None or call.day >= since):
                    yield call

    def totals(self, *, department: str | None = None, since: str | None = None) -> list[Total]:
        """Calls by day, department, library, grant and status, latest day first; of one department when named."""
        with self._reading:
            self._refresh(since)
            found = [
                Total(*bucket, calls=calls, units=self._units[bucket])
                for bucket, calls in self._counts.items()
                if (since is None or bucket[0] >= since) and (department is None or bucket[1] == department)
            ]
        return sorted(found, key=lambda t: (t.day, t.department or "", t.library or "", t.grant or "", t.status))[::-1]

    def units(self, day: str, department: str, grant: str) -> int:
        """How much of its quota a grant has used on a day, as recorded."""
        return sum(t.units for t in self.totals(department=department, since=day) if (t.day, t.grant) == (day, grant))

    def record(self, segment: str, number: int) -> tuple[Call, bytes] | None:
        """The call that is record `number` of a segment, and the chain value behind it; None when it is not there.

        Every record before it is checked on the way.
        """
        for stored in self._stored(segment) if segment in self._names(None) else ():
            if stored.after.records == number + 1:
                call = Call.read(stored.payload)
                return (call, stored.after.chain) if call is not None else None
        return None

    def days(self) -> list[str]:
        """The days there are segments of, ISO 8601, the earliest first."""
        names = {name[:8] for name in self._names(None)}
        return sorted(f"{name[:4]}-{name[4:6]}-{name[6:]}" for name in names)

    def entries(self, day: str) -> Iterator[Entry]:
        """Every call in the segments of that day, in the order of their names; each record before it is checked."""
        for name in self._names(day):
            if name[:8] != day.replace("-", ""):
                return
            for stored in self._stored(name):
                call = Call.read(stored.payload)
                if call is not None:
                    yield Entry(name, stored.after.records - 1, stored.after.chain, call)

    def chain_values(self, day: str) -> Iterator[tuple[str, int, bytes]]:
        """Segment, number and chain value of every call in the segments of that day, in the order of their names."""
        return ((one.segment, one.record, one.chain) for one in self.entries(day))

    def verify(self) -> Audit:
        """Check every checksum, every chain and every witness."""
        findings: list[Finding] = []
        calls, places, headers = 0, {}, []
        names = self._names(None)
        for name in names:
            at = segments.start(name)
            last = b""
            chains = {0: at.chain}
            for stored in self._stored(name):
                if not at.records:
                    headers.append(stored.payload)
                at, last = stored.after, stored.payload
                chains[at.records] = at.chain
                calls += Call.read(stored.payload) is not None
            places[name] = chains
            if (kind := self._tail(name, at, last)) is not None:
                findings.append(_finding(name, kind, at.records))
        for name, head in segments.witnessed(headers).items():
            if name not in places:
                findings.append(_finding(name, "missing", head.records))
            elif places[name].get(head.records) != head.chain:
                findings.append(_finding(name, "cut", len(places[name]) - 1))
        return Audit(len(names), calls, tuple(findings))

    def _names(self, since: str | None) -> list[str]:
        there = {path.name for path in self._segments(since)}
        if self._archived is not None:
            first = "" if since is None else since.replace("-", "")
            there |= {name for name in self._archived.names() if name[:8] >= first}
        return sorted(there)

    def _stored(self, name: str, *, chained: bool = True) -> Iterator[segments.Stored]:
        path = self.folder / name
        if self._archived is None or path.exists():
            return segments.scan(path, segments.start(name), chained=chained)
        return segments.replay(name, self._archived.kept(name))

    def _tail(self, name: str, at: segments.Place, last: bytes) -> str | None:
        path = self.folder / name
        if self._archived is None or path.exists():
            return _tail(path, at, last)
        return None if at.records == sum(1 for _ in self._archived.kept(name)) else "damaged"

    def _segments(self, since: str | None) -> list[Path]:
        # A segment holds one day's calls, so the day in its name says whether it can matter; one day of slack covers
        # a call that arrived before midnight and was recorded after it.
        first = "" if since is None else since.replace("-", "")
        return [path for path in sorted(self.folder.glob("*" + segments.SUFFIX)) if path.name[:8] >= first]

    def _refresh(self, since: str | None) -> None:
        for path in self._segments(since):
            at = self._read.get(path.name, segments.start(path.name))
            for stored in segments.scan(path, at, chained=False):
                at = stored.after
                call = Call.read(stored.payload)
                if call is not None and (call.repeats is None or call.units):
                    bucket = (call.day, call.department, call.library, call.grant, call.status)
                    self._counts[bucket] += call.repeats is None
                    self._units[bucket] += call.units
            self._read[path.name] = at


def _tail(path: Path, at: segments.Place, last: bytes) -> str | None:
    kind = segments.beyond(path, at)
    if kind == "torn" and b'"sealed"' in last:
        return "damaged"
    return "empty" if kind is None and at.records == 0 else kind


_WORDS = {
    "damaged": ("第 {n} 条记录被改动或损坏", "record {n} was changed or damaged"),
    "torn": ("第 {n} 条记录未写完（进程被中断），其应答没有发出", "record {n} was not finished; its answer never left"),
    "cut": ("第 {n} 条之后本应还有记录，已被删去或改动", "records after {n} were once there and are gone or changed"),
    "missing": ("整个文件不见了（曾有 {n} 条记录）", "the whole file is gone (it held {n} records)"),
    "empty": ("文件没有内容（进程刚启动就被中断）", "the file is empty (its process died while starting)"),
}


def _finding(segment: str, kind: str, record: int) -> Finding:
    zh, en = _WORDS[kind]
    return Finding(segment, kind, record, zh.format(n=record), en.format(n=record))
