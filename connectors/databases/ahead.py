"""Fetch in a thread while what came before is worked on, with bounded memory, and notice when nothing comes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from connectors.errors import SourceUnavailable

_POLL = 0.1  # seconds between two looks whether the consumer has gone
_LEAVE = 5.0  # seconds a fetching thread has to close its connection


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


_END: Final = object()


class Ahead:
    """The batches of one query, fetched by a thread from now on; at most `limit` bytes wait to be taken."""

    def __init__(
        self, fetch: Callable[[], Iterator[pa.RecordBatch]], system: str, *, limit: int, silence: float
    ) -> None:
        self._fetch, self._system, self._limit, self._silence = fetch, system, limit, silence
        self._waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._held = 0
        self._room = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="shutong-fetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches in order; SRC-SQL-UNAVAILABLE when the source has been silent for too long."""
        try:
            while True:
                try:
                    got = self._waiting.get(timeout=self._silence or None)
                except queue.Empty:
                    raise _hung(self._system, self._silence) from None
                if got is _END:
                    return
                if isinstance(got, _Failed):
                    raise got.error
                batch = got
                if isinstance(batch, pa.RecordBatch):
                    with self._room:
                        self._held -= batch.nbytes
                        self._room.notify()
                    yield batch
        finally:
            self.close()

    def close(self) -> None:
        """End the fetching; a thread that hangs in the driver is left behind and ends with the process."""
        with self._room:
            self._stopped = True
            self._room.notify()
        if not self._thread.is_alive() or threading.current_thread() is self._thread:
            return
        self._thread.join(_LEAVE if self._held else _POLL)

    def _run(self) -> None:
        batches = self._fetch()
        try:
            for batch in batches:
                with self._room:
                    while self._held and self._held + batch.nbytes > self._limit and not self._stopped:
                        self._room.wait()
                    if self._stopped:
                        return
                    self._held += batch.nbytes
                self._waiting.put(batch)
            self._waiting.put(_END)
        except BaseException as error:  # noqa: BLE001 - a driver's panic too must reach whoever reads
            self._waiting.put(_Failed(error))
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()


def _hung(system: str, seconds: float) -> SourceUnavailable:
    return SourceUnavailable(
        "SRC-SQL-UNAVAILABLE",
        zh=f"{system} 已 {seconds:g} 秒没有返回任何数据，视为网络或数据库已无响应",
        en=f"{system} has sent nothing for {seconds:g} seconds; the network or the database counts as hung",
        fix_zh="稍后会重试；若查询本来就慢，请加大 source.timeouts.silence，或为排序列建索引",
        fix_en="It will be tried again; if the query is slow by nature raise source.timeouts.silence.",
    )
