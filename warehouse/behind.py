"""Do work in order in a thread behind the caller's, at most so much of it waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Behind:
    """One thread and the work that waits for it; an error comes out at the next call, and what follows is not done."""

    def __init__(self, name: str, *, ahead: int = 2) -> None:
        self._pool, self._ahead = ThreadPoolExecutor(1, thread_name_prefix=name), ahead
        self._waiting: deque[Future[None]] = deque()
        self._broken = False

    def do(self, work: Callable[[], None]) -> None:
        """Hand over the next work as soon as there is room; what earlier work raised."""
        while len(self._waiting) >= self._ahead:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._one, work))

    def wait(self) -> None:
        """Return when all is done; what it raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def stop(self) -> None:
        """End the thread; what waits is not done."""
        self._broken = True
        self._pool.shutdown(cancel_futures=True)
        self._waiting.clear()

    def _one(self, work: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            work()
        except BaseException:
            self._broken = True
            raise
