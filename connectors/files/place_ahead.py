"""Read a file over a network with the next blocks already asked for, so that reading and parsing overlap."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

BLOCK = 4 << 20  # bytes asked for at once
AHEAD = 2  # blocks asked for before they are wanted

Ask = Callable[[int, int], "Future[bytes]"]


class Ahead(io.RawIOBase):
    """The bytes of a remote file of `size` bytes, forwards.

    `ask` begins to fetch so many bytes from an offset; `got` waits for them and turns what failed into our errors;
    `ended` is called once at the end of the file; `release` gives the remote file back.
    """

    def __init__(
        self,
        size: int,
        ask: Ask,
        got: Callable[[Future[bytes]], bytes],
        *,
        ended: Callable[[], None] = lambda: None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._size, self._ask, self._got, self._ended, self._release = size, ask, got, ended, release
        self._asked = 0
        self._coming: deque[tuple[int, Future[bytes]]] = deque()
        self._block = memoryview(b"")
        self._over = False

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer protocol
        """What has come, as far as it fits into `buffer`; waits for the next block when nothing has."""
        if not self._block and not self._over:
            self._next()
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def _next(self) -> None:
        while self._asked < self._size and len(self._coming) <= AHEAD:
            most = min(BLOCK, self._size - self._asked)
            self._coming.append((most, self._ask(self._asked, most)))
            self._asked += most
        if not self._coming:
            self._over = True
            self._ended()
            return
        wanted, future = self._coming.popleft()
        block = self._got(future)
        self._block = memoryview(block)
        # A file that has become shorter: what comes behind is not what was listed, and the reader compares the size.
        if len(block) < wanted:
            self._size = self._asked = 0
            self._drop()
            self._over = not block

    def _drop(self) -> None:
        for _, future in self._coming:
            future.cancel()
        self._coming.clear()

    def close(self) -> None:
        """Drop what was asked for and give the remote file back; may be called twice."""
        if not self.closed:
            self._drop()
            self._release()
        super().close()
