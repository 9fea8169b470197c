"""Follow one resource by the log of its database: read in full once, then take, check and land changes as they come."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from connectors.changes.feed import ChangeFeed, Lag
from runs import modes
from runs.batch import Parts
from runs.errors import already_followed, not_followed, reserved_too_long
from runs.followed import LOG, Changes, Followed, InFull, begun
from runs.reports import Report
from runs.resources import Resource
from runs.steps import Steps
from schemas.errors import ShutongError
from schemas.values import Batch, Position, Source

_QUIET = 10.0  # seconds without a change after which the log is opened anew
_LOOKS = 30.0  # seconds between two looks at how much log the source keeps for us
_BACKOFF = (1.0, 60.0)  # seconds: first and longest wait while the source does not answer

What = Literal["full", "changes", "merged", "behind", "waiting", "failed"]


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened: `report` of what landed, `lag`, the `error` that is waited for, `seconds` it took."""

    what: What
    report: Report | None = None
    lag: Lag | None = None
    error: ShutongError | None = None
    seconds: float = 0.0


class Follower:
    """Follows one resource until `stop` is set; what it was doing then is finished.

    `tell` hears of everything; `new_run` makes run ids. Killed at any moment, the next one goes on where this one was:
    the position is durable with the batch it allows, and the log is let go of only after that.
    """

    def __init__(
        self,
        parts: Parts,
        resource: Resource,
        feed: ChangeFeed,
        *,
        tell: Callable[[News], None],
        new_run: Callable[[], str],
    ) -> None:
        if resource.reading.mode != "cdc":
            raise not_followed(resource.id)
        self.stop = threading.Event()
        self._parts, self._resource, self._feed, self._tell, self._new_run = parts, resource, feed, tell, new_run
        self._following = resource.reading.following
        self._unmerged, self._merged, self._looked = True, float("-inf"), float("-inf")
        self._patience = _BACKOFF[0]

    def follow(self, *, in_full: bool = False) -> None:
        """Until `stop`; `in_full` reads everything once more first. Errors that waiting does not mend are raised."""
        parts, resource = self._parts, self._resource
        with alone(parts.tables.folder / "locks", resource.id), closing(self._feed):
            self._ingest(Followed)  # what a follower that died had pulled
            while not self.stop.is_set():
                try:
                    if in_full or not begun(self._position()):
                        self._read_in_full(everything=in_full)
                        in_full = False
                    self._look()
                    self._take_changes()
                except ShutongError as error:
                    if not error.retryable:
                        raise
                    self._tell(News("waiting", error=error, seconds=self._patience))
                    self.stop.wait(self._patience)
                    self._patience = min(self._patience * 2, _BACKOFF[1])
            self._merge()

    def _position(self) -> Position | None:
        return self._parts.state.position(self._resource.id)

    def _read_in_full(self, *, everything: bool) -> None:
        parts, resource, start = self._parts, self._resource, time.monotonic()
        with closing(parts.open_source(resource)) as source:
            columns = list(source.stream().columns)
        modes.fitting(resource, columns, self._feed.key())
        landed = parts.state.released(resource.table) is not None

        def whole(source: Source) -> Source:
            def gone() -> Iterator[Batch]:
                return modes.swept(parts, resource, source)

            return InFull(source, self._feed, gone if landed else None)

        report = self._ingest(whole, everything=everything)
        self._merge()
        self._tell(News("full", report=report, seconds=time.monotonic() - start))

    def _take_changes(self) -> None:
        """Until nothing has come for a while; each lot is landed, and only then let go of at the source."""
        position = self._position()
        if position is None:
            return
        found = self._feed.changes(Position({LOG: position.cursor[LOG]}), self.stop.is_set, _QUIET)
        with closing_iterator(found):
            for batch in found:
                start = time.monotonic()
                self._patience = _BACKOFF[0]
                if batch.rows.num_rows or batch.position is None:
                    report = self._ingest(lambda source, batch=batch: Changes(source, batch, found))  # type: ignore[misc]
                    self._unmerged |= report.changed
                    self._let_go()
                    self._tell(News("changes", report, self._lag(), seconds=time.monotonic() - start))
                else:
                    self._parts.state.commit_position(self._resource.id, self._with(batch.position))
                    self._let_go()
                self._merge(every=self._following.merge_every.total_seconds())
                self._look()
                self.stop.wait(max(0.0, self._following.every.total_seconds() - (time.monotonic() - start)))
        self._merge(every=self._following.merge_every.total_seconds())

    def _ingest(self, dress: Callable[[Source], Source], *, everything: bool = False) -> Report:
        """One run: pull what the dressed source has, check and land it, with what died before."""
        resource, run = self._resource, self._new_run()
        plain = self._parts.open_source

        def opened(asked: Resource) -> Source:
            return dress(plain(asked)) if asked == resource else plain(asked)

        steps = Steps(replace(self._parts, open_source=opened))
        return steps.ingest(resource.id, run, trigger="follow", everything=everything)

    def _with(self, position: Position) -> Position:
        known = self._position()
        return Position({**(known.cursor if known else {}), **position.cursor})

    def _let_go(self) -> None:
        position = self._position()
        if position is not None:
            self._feed.done(Position({LOG: position.cursor[LOG]}))

    def _lag(self) -> Lag | None:
        position = self._position()
        return self._feed.lag(Position({LOG: position.cursor[LOG]})) if begun(position) and position else None

    def _look(self) -> None:
        """Now and then: how much log the source keeps for us, and whether that is too much."""
        if time.monotonic() - self._looked < _LOOKS:
            return
        self._looked = time.monotonic()
        lag = self._lag()
        if lag is None or lag.bytes is None or lag.bytes <= self._following.max_lag:
            return
        self._tell(News("behind", lag=lag))
        limit = self._following.drop_slot_after
        if limit is not None and lag.bytes > limit:
            self._feed.drop()
            raise reserved_too_long(self._resource.id, f"{lag.bytes / 1e9:.1f} GB")

    def _merge(self, every: float = 0.0) -> None:
        """Merge and publish the library when something landed and the last time is `every` seconds ago."""
        library, start = self._resource.standard.library, time.monotonic()
        if not library or not self._unmerged or start - self._merged < every:
            return
        steps, run = Steps(self._parts), f"{self._new_run()}-{library}"
        try:
            steps.merge(library, run)
            steps.publish(library, run)
        except ShutongError as error:  # changes go on landing; the library is tried again
            self._tell(News("failed", error=error))
        else:
            self._unmerged = False
            self._tell(News("merged", seconds=time.monotonic() - start))
        self._merged = time.monotonic()


@contextmanager
def alone(folder: Path, resource: str) -> Iterator[None]:
    """Be the only follower of the resource; RUN-FOLLOWED-TWICE where there is one. A dead one holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"follow-{resource}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise already_followed(resource, os.read(handle, 20).decode()) from None
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


@contextmanager
def closing_iterator(found: Iterator[Batch]) -> Iterator[None]:
    """Close a generator that may not have come to its end."""
    try:
        yield
    finally:
        close = getattr(found, "close", None)
        if close is not None:
            with suppress(ShutongError):
                close()
