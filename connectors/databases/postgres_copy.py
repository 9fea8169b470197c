"""Receive what COPY sends in blocks of whole records: one call per record, no Python generator between it and libpq."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

BLOCK_ROWS = 65_536  # in one block at most: some tables have rows of a few bytes
_MARK = b"\xef\xbb\xbf"
_CANCEL = 5.0  # seconds a server has to take note that nobody wants the rest


def copied(connection: psycopg.Connection[Any], query: bytes, size: int) -> Iterator[tuple[bytearray, int]]:
    """Blocks of about `size` bytes and the number of records in each; the last may have none.

    Each begins with UTF-8's byte order mark, which a reader of CSV leaves out, so that it leaves in the one that may
    stand in the first value. Raises psycopg's errors. Closing the iterator ends the query at the server.
    """
    ended = False
    try:
        _start(connection, query)
        take, wait = connection.pgconn.get_copy_data, _waiting(connection)
        content, records, limit = bytearray(_MARK), 0, size + len(_MARK)
        while True:
            taken, record = take(1)
            if taken > 0:
                content += record
                records += 1
                if len(content) >= limit or records >= BLOCK_ROWS:
                    yield content, records
                    content, records = bytearray(_MARK), 0
            elif taken == 0:
                wait()
            else:
                break
        _end(connection)
        ended = True
        yield content, records
    finally:
        if not ended:
            _cancel(connection)


def _start(connection: psycopg.Connection[Any], query: bytes) -> None:
    from psycopg import errors
    from psycopg.pq import ExecStatus

    link = connection.pgconn
    link.send_query(query)
    writable = select.poll()
    writable.register(link.socket, select.POLLOUT | select.POLLIN)
    while link.flush():
        writable.poll()
        link.consume_input()
    wait = _waiting(connection)
    while link.is_busy():
        wait()
    result = link.get_result()
    if result is None or result.status != ExecStatus.COPY_OUT:
        if result is not None and result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
        raise errors.ProtocolViolation("the server answered COPY with something else")


def _end(connection: psycopg.Connection[Any]) -> None:
    """Raise what ended the rows, if it was an error."""
    from psycopg import errors
    from psycopg.pq import ExecStatus

    wait = _waiting(connection)
    while True:
        while connection.pgconn.is_busy():
            wait()
        result = connection.pgconn.get_result()
        if result is None:
            return
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)


def _waiting(connection: psycopg.Connection[Any]) -> Callable[[], None]:
    """What waits for the server's next bytes and takes them in; psycopg's own way needs ten times as long each time."""
    readable = select.poll()
    readable.register(connection.pgconn.socket, select.POLLIN)
    wait, take_in = readable.poll, connection.pgconn.consume_input

    def more() -> None:
        wait()
        take_in()

    return more


def _cancel(connection: psycopg.Connection[Any]) -> None:
    import psycopg

    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=_CANCEL)
