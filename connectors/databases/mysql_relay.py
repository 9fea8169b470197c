"""Pass a MySQL conversation on, and hold the server back while the reading process has enough."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

ENOUGH = 192 << 20  # bytes of memory of the reading process
_PIECE = 1 << 18  # bytes taken from the server at once
_LOOK = 0.02  # seconds between two looks at a full reader
_BREATH = 0.002  # seconds between two pieces for a full reader that is waited for
_SHARE = 0.75  # of the bytes of a batch that were taken from the wire for it, at least
_KEEPALIVE_AFTER, _KEEPALIVE_TRIES = 30, 4  # seconds of silence before a probe, and seconds between; probes


def resident(pid: int) -> int:
    """Bytes of memory the process holds; 0 where the system does not tell (no Linux)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


class Relay:
    """A loopback port that leads to the database; the server has to wait while the process `pid` holds enough.

    What it may then receive is what was taken from it, or a little at a time while somebody waits for rows. `failed` is
    what went wrong towards the database, `moved` the bytes received from it so far.
    """

    def __init__(self, connect: Callable[[], socket.socket], pid: int) -> None:
        self._connect, self._pid = connect, pid
        self._wanted = threading.Event()
        self._wanted.set()
        self._credit = 0
        self._open: list[socket.socket] = []
        self._closed = threading.Event()
        self.failed: OSError | None = None
        self.moved = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    def wants(self) -> None:
        """Somebody waits for rows."""
        self._wanted.set()

    def has(self) -> None:
        """Nobody waits any more."""
        self._wanted.clear()

    def took(self, size: int) -> None:
        """A batch of `size` bytes was taken from the reading process."""
        self._credit = int(size * _SHARE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection; may be called twice."""
        self._closed.set()
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        threading.Thread(target=work, args=arguments, daemon=True, name="mysql-relay").start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = self._connect()
            except OSError as error:
                self.failed = error
                near.close()
                continue
            far.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if far.family != socket.AF_UNIX and hasattr(socket, "TCP_KEEPIDLE"):
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
                    far.setsockopt(socket.IPPROTO_TCP, option, _KEEPALIVE_AFTER)
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_TRIES)
            far.settimeout(None)
            self._open += [near, far]
            self._start(self._ask, near, far)
            self._start(self._answer, far, near)

    def _full(self) -> bool:
        return resident(self._pid) > ENOUGH

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := near.recv(_PIECE):
                far.sendall(piece)
        _end(far)

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        piece = bytearray(_PIECE)
        view = memoryview(piece)
        try:
            while taken := far.recv_into(piece):
                self.moved += taken
                near.sendall(view[:taken])
                self._credit -= taken
                while self._credit <= 0 and self._full() and not self._closed.is_set():
                    if self._wanted.wait(_LOOK):
                        time.sleep(_BREATH)
                        break
        except OSError as error:
            if not self._closed.is_set():
                self.failed = error
        _end(near)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
