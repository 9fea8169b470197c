"""Leave in order: a worker that is asked to end says so first, answers what it has in work, and turns the rest away."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sharing.metrics import lives

LONGEST: Final = 15.0  # seconds that calls in work have before the worker ends all the same
TURNING: Final = 0.5  # seconds in which newcomers are told, so that few find the door shut
REPLACED: Final = 60.0  # seconds that a worker waits at most for the one that takes its place
_LOOK: Final = 0.02
_MOVED, _STARTED = "moved", ".started"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Work:
    """What a worker has in work: calls `going`, and those `waiting` for the rest of their own bodies.

    `leaving` while it is about to stop, `closed` when it takes no more.
    """

    most: int
    going: int = 0
    waiting: int = 0
    leaving: bool = False
    closed: bool = False


class Drain:
    """Takes SIGTERM in the place of the server, which ends at SIGINT, and passes it on when nothing is in work.

    The worker goes on answering for `seconds`, not ready, each answer closing its connection. One that is replaced,
    because the service was told to read its settings again, turns nobody away: it waits for the one in its place.
    """

    def __init__(self, work: Work, seconds: float, room: Path | None = None) -> None:
        self._work, self._seconds, self._room = work, seconds, room
        self._leaving: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """From now on; only under a server, whose main thread this is."""
        if self._room is None or threading.current_thread() is not threading.main_thread():
            return
        (self._room / f"{os.getpid()}{_STARTED}").touch()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._asked)

    def _asked(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._leave())

    async def _leave(self) -> None:
        work = self._work
        work.leaving = True
        place = moved(self._room)
        if place is not None:
            await self._replaced(place)
        else:
            await asyncio.sleep(self._seconds)
            work.closed = True
        await asyncio.sleep(TURNING)
        end = time.monotonic() + LONGEST
        while work.going + work.waiting and time.monotonic() < end:  # noqa: ASYNC110 the hot path sets no event
            await asyncio.sleep(_LOOK)
        if work.going + work.waiting:
            _log.warning("leaving with %d calls in work", work.going + work.waiting)
        os.kill(os.getpid(), signal.SIGINT)

    async def _replaced(self, place: int) -> None:
        """Until as many new workers have started as leave up to this one."""
        end = time.monotonic() + REPLACED
        while time.monotonic() < end and _newcomers(self._room) <= place:  # noqa: ASYNC110 of other processes
            await asyncio.sleep(_LOOK * 5)


def move(room: Path, workers: list[int]) -> None:
    """Say which workers are replaced, by process id, in the order they will be asked to end."""
    draft = room / f"{_MOVED}.draft"
    draft.write_text("\n".join(map(str, workers)), "ascii")
    draft.replace(room / _MOVED)


def moved(room: Path | None) -> int | None:
    """The place of this worker among those that are replaced; None when it is not."""
    with suppress(OSError, ValueError):
        return _listed(room).index(os.getpid())
    return None


def _listed(room: Path | None) -> list[int]:
    return [int(one) for one in (room / _MOVED).read_text("ascii").split()] if room is not None else []


def _newcomers(room: Path | None) -> int:
    """How many workers have started that are not among those that leave, nor are gone."""
    if room is None:
        return 0
    before = set(_listed(room))
    started = (int(one.name.removesuffix(_STARTED)) for one in room.glob("*" + _STARTED))
    return sum(1 for one in started if one not in before and lives(one))
