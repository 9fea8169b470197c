"""Give up on a driver that waits for ever: some know no time limit while they connect."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar


class _Closes(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closes)


def within(seconds: float, connect: Callable[[], T]) -> T:
    """What `connect` returns or raises; TimeoutError after so many seconds. A connection that comes later is closed."""
    answer: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
    given_up = threading.Event()

    def ask() -> None:
        try:
            made = connect()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            answer.put((None, error))
            return
        answer.put((made, None))
        if given_up.is_set():
            made.close()

    threading.Thread(target=ask, daemon=True, name="shutong-connect").start()
    try:
        made, error = answer.get(timeout=seconds)
    except queue.Empty:
        given_up.set()
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None
    if error is not None:
        raise error
    if made is None:
        raise TypeError("a driver returned no connection")
    return made
