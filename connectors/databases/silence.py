"""Give up on a PostgreSQL server that took a question and never answers, whatever the connection is waiting for."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Protocol


class Waiting(Protocol):
    """What is needed of a psycopg connection."""

    wait: Callable[..., object]

    def fileno(self) -> int:
        """The number of its socket."""
        ...


def within_silence(seconds: float, connection: Waiting) -> None:
    """Let no wait of `connection` last longer than `seconds` (0: as long as it likes); then it counts as lost.

    libpq itself notices a peer that is gone, but waits for ever for one that takes bytes and sends none.
    """
    if seconds <= 0:
        return
    plain = connection.wait

    def wait(*words: object, **more: object) -> object:
        timer = threading.Timer(seconds, _end, (connection,))
        timer.daemon = True
        timer.start()
        try:
            return plain(*words, **more)
        finally:
            timer.cancel()

    connection.wait = wait


def _end(connection: Waiting) -> None:
    """End the link from another thread: whoever waits on it sees that it was lost."""
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)
