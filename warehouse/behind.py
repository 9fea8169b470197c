"""Do work in order in a thread behind the caller's, at most so much of it waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Behind:
    """One thread and the work that waits for it; an error comes out at every later call, and nothing more is done."""

    def __init__(self, name: str, *, ahead: int = 2) -> None:
        self._pool, self._ahead = ThreadPoolExecutor(1, thread_name_prefix=name), ahead
        self._waiting: deque[Future[None]] = deque()
        self._stopped = False
        self._error: BaseException | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Hand over the next work as soon as there is room; what earlier work raised."""
        self._leave(self._ahead - 1)
        self._waiting.append(self._pool.submit(self._one, work))

    def wait(self) -> None:
        """Return when all is done; what it raised."""
        self._leave(0)

    def stop(self) -> None:
        """End the thread; what waits is not done."""
        self._stopped = True
        self._pool.shutdown(cancel_futures=True)
        self._waiting.clear()

    def _leave(self, waiting: int) -> None:
        while len(self._waiting) > waiting:
            self._waiting.popleft().result()
        if self._error is not None:
            raise self._error

    def _one(self, work: Callable[[], None]) -> None:
        if self._stopped or self._error is not None:
            return
        try:
            work()
        except BaseException as error:
            self._error = error
            raise
