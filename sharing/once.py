"""Count a call once that its caller sends again under its own number, while several calls are under way at a time."""

from __future__ import annotations

import asyncio
import sqlite3

from sharing.calls import Call
from sharing.errors import UnavailableError
from sharing.repeats import First, Repeats


class Once:
    """The numbers that the calls of this process hold, on one event loop, over the index of all processes."""

    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats
        self._holding: set[str] = set()

    async def begin(self, call: Call) -> First | None:
        """What was recorded today under the number of this call, which it holds from now on; None when it is new.

        Raises RepeatedError, UnderWayError; UnavailableError when it cannot be known.
        """
        repeats = self._repeats
        try:
            if not repeats.is_open(call.day):
                await asyncio.to_thread(repeats.open, call.day)
            try:
                first = repeats.take(call)
            except LookupError:
                self._holding.add(call.id)
                return await asyncio.to_thread(repeats.learn, call)
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError.state() from error
        self._holding.add(call.id)
        return first

    def settle(self, call: Call) -> None:
        """The call is recorded: sent again under its number it is not counted again."""
        if call.id in self._holding:
            self._holding.discard(call.id)
            try:
                self._repeats.settle(call)
            except sqlite3.Error:  # the index forgets, the call records do not: they are asked next time
                self._repeats.release(call)

    def let_go(self, call: Call) -> None:
        """The call is over, however it ended."""
        if call.id in self._holding:
            self._holding.discard(call.id)
            self._repeats.release(call)

    def close(self) -> None:
        """Let go of the files."""
        self._repeats.close()
