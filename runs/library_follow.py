"""Follow a library: merge and publish it as soon as a resource of it has landed, so that look-ups answer at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from runs.batch import Parts
from runs.errors import unknown_library
from runs.follow import alone
from runs.reports import LibraryReport
from runs.steps import Steps
from schemas.errors import ShutongError

LOOKS = 0.2  # seconds between two looks at what is released
_BACKOFF = (1.0, 60.0)  # seconds: first and longest wait after an error

What = Literal["published", "failed"]


@dataclass(frozen=True, slots=True)
class LibraryNews:
    """What a round came to: the `report` of the publication, or the `error`; `seconds` it took, or the wait."""

    what: What
    seconds: float
    report: LibraryReport | None = None
    error: ShutongError | None = None


class LibraryFollower:
    """Follows one library until `stop` is set; what it was doing then is finished.

    `tell` hears of everything, `new_run` makes run ids. A round takes in all that was released before it began; after
    an error it is tried again, later each time. Killed at any moment, the next one goes on.
    """

    def __init__(
        self, parts: Parts, library: str, *, tell: Callable[[LibraryNews], None], new_run: Callable[[], str]
    ) -> None:
        self.stop = threading.Event()
        self._parts, self._library, self._tell, self._new_run = parts, library, tell, new_run
        libraries = {one.standard.library for one in parts.resources.values()}
        if library not in libraries:
            raise unknown_library(library, sorted(one for one in libraries if one))
        self._tables = [one.table for one in parts.resources.values() if one.standard.library == library]
        self._done: Mapping[str, int] = {}

    def follow(self) -> None:
        """Until `stop`. Raises RUN-FOLLOWED-TWICE where somebody else follows the library."""
        patience = _BACKOFF[0]
        with alone(self._parts.tables.folder / "locks", f"library-{self._library}"):
            while not self.stop.is_set():
                now = self._released()
                if now == self._done:
                    self.stop.wait(LOOKS)
                    continue
                try:
                    self._round()
                except ShutongError as error:
                    self._tell(LibraryNews("failed", patience, error=error))
                    self.stop.wait(patience)
                    patience = min(patience * 2, _BACKOFF[1])
                else:
                    self._done, patience = now, _BACKOFF[0]

    def _round(self) -> None:
        start, steps, run = time.monotonic(), Steps(self._parts), f"{self._new_run()}-{self._library}"
        steps.merge(self._library, run)
        report = steps.publish(self._library, run)
        self._tell(LibraryNews("published", time.monotonic() - start, report=report))

    def _released(self) -> Mapping[str, int]:
        """What is released of the library's resources: snapshots by table."""
        release = self._parts.state.release()
        pins = release.tables if release else {}
        return {table: pins[table].snapshot for table in self._tables if table in pins}
