"""Read and parse what comes next in threads while the caller works on what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

_AHEAD = 2  # results worked on at once


def ahead(values: Iterator[T], work: Callable[[T], U]) -> Iterator[tuple[T, U]]:
    """Each of `values` with what `work` makes of it, in order; the iterator is only ever advanced by one thread.

    An error of the iterator or of `work` is raised where its value would have come. Threads end with the generator.
    """
    pool = ThreadPoolExecutor(_AHEAD + 1, thread_name_prefix="file-ahead")
    try:
        coming: Future[T | None] | None = pool.submit(next, values, None)
        working: deque[tuple[T, Future[U]]] = deque()
        while coming is not None or working:
            while coming is not None and len(working) < _AHEAD:
                value = coming.result()
                coming = None
                if value is not None:
                    working.append((value, pool.submit(work, value)))
                    coming = pool.submit(next, values, None)
            if working:
                value, done = working.popleft()
                yield value, done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
