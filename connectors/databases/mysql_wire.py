"""Take a MySQL result off its connection in blocks of whole rows, and notice a server that no longer works on it.

PyMySQL logs in and asks; the rows it would take apart one by one are left as they lie in the block. A row is a packet:
three bytes of length, one that counts packets, and the texts one after another, each with its length before it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]

HEAD = 4  # bytes before what a packet carries
_PIECE = 1 << 16  # bytes received at once for PyMySQL
_LONGEST = 0xFFFFFF  # a packet of that length goes on in the next one
_MOST = (1 << 31) - 1  # bytes of a row: Arrow counts them with four bytes
_END, _ERROR = 0xFE, 0xFF  # first bytes of what is no row
_END_BYTES = 9  # a packet that begins like the end and is longer is a row
_LINGER = 5.0  # seconds after which a block is handed over half full
_STARTS = 15.0  # seconds until the server must have begun with the query
_LOST = 2013  # CR_SERVER_LOST
_MALFORMED = 2027  # CR_MALFORMED_PACKET
_head = struct.Struct("<I").unpack_from


class Link(Protocol):
    """What is needed of a socket."""

    def recv_into(self, room: memoryview) -> int:
        """Put into `room` what has come; 0 when the other side has ended the connection."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as they came: where in `data` each one's first value begins, and where its last one ends.

    `data` is written over when the next block is asked for.
    """

    data: bytearray
    starts: Places
    ends: Places


class Wire:
    """What PyMySQL reads through; `works` is asked each time nothing has come for `silence` seconds."""

    def __init__(self, link: Link, silence: float, works: Callable[[], bool]) -> None:
        self._link, self._silence, self._works = link, silence, works
        self._held = bytearray()
        self._piece = memoryview(bytearray(_PIECE))

    def read(self, size: int) -> bytes:
        """`size` bytes; fewer at the end of the connection."""
        while len(self._held) < size:
            count = self._receive(self._piece)
            if not count:
                break
            self._held += self._piece[:count]
        found = bytes(self._held[:size])
        del self._held[:size]
        return found

    def into(self, room: memoryview) -> int:
        """Put what has come into `room`, 1 byte at least; returns how many. A connection that ended is an error."""
        if self._held:
            found = self.read(min(len(self._held), len(room)))
            room[: len(found)] = found
            return len(found)
        return self._receive(room) or _lost()

    def whole(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        found = self.read(size)
        if len(found) < size:
            _lost()
        return found

    def unread(self, begun: memoryview) -> None:
        """Let these bytes come first again."""
        self._held[:0] = begun

    def close(self) -> None:
        """Nothing: the socket belongs to PyMySQL."""

    def _receive(self, room: memoryview) -> int:
        since = time.monotonic()
        while True:
            try:
                return self._link.recv_into(room)
            except TimeoutError:
                # A query that is not there may be about to start, or over with its last rows still on the way.
                if not self._works() and time.monotonic() - since > max(2 * self._silence, _STARTS):
                    raise TimeoutError("the server no longer knows of the query") from None


def asked(connection: Any, query: str, silence: float, works: Callable[[], bool]) -> tuple[Wire, int]:  # noqa: ANN401
    """Send the query on a PyMySQL connection; its rows are what the wire has next. Also the number of the next packet.

    The connection is good for nothing else afterwards.
    """
    wire = Wire(connection._sock, silence, works)  # noqa: SLF001 - PyMySQL gives rows to nobody but one by one
    connection._rfile.close()  # noqa: SLF001
    connection._rfile, connection._read_timeout = wire, silence  # noqa: SLF001
    connection.query(query, unbuffered=True)
    if connection._result.unbuffered_active:  # noqa: SLF001
        connection._result.unbuffered_active = False  # noqa: SLF001 - or it would fetch what is left when it goes
    return wire, int(connection._next_seq_id)  # noqa: SLF001


def blocks(wire: Wire, number: int, size: int) -> Iterator[Block]:
    """The rows in blocks of at most `size` bytes (less than 16 MiB), a longer one by itself; `number` is the first's.

    What the server says went wrong is raised as PyMySQL's error, and so is what is no row.
    """
    data = bytearray(size)
    view = memoryview(data)
    starts: list[int] = []
    filled, at, due = 0, 0, time.monotonic() + _LINGER
    while True:
        at = _walked(data, at, filled, starts)
        over = bool(starts) and _over(view[starts[-1] : at])
        if over:
            at = starts.pop()
        if starts and (over or filled == size or time.monotonic() > due):
            places = np.array([*starts, at], dtype=np.int64)
            _counted(data, places[:-1], number)
            yield Block(data, places[:-1] + HEAD, places[1:])
            number = (number + len(starts)) % 256
            view[: filled - at] = view[at:filled]
            filled, at, due = filled - at, 0, time.monotonic() + _LINGER
            starts.clear()
        if over:
            if data[HEAD - 1] != number:  # rows before it are missing
                malformed()
            return
        if filled == size:
            wire.unread(view)
            row, number = _long(wire, number)
            yield Block(row, np.array([0]), np.array([len(row)]))
            filled = at = 0
        filled += wire.into(view[filled:])


def _walked(data: bytearray, at: int, filled: int, starts: list[int]) -> int:
    """Add where each whole packet from `at` on begins; returns where the first that is not whole does."""
    add = starts.append
    while at <= filled - HEAD:
        end = at + HEAD + (_head(data, at)[0] & _LONGEST)
        if end > filled:
            break
        add(at)
        at = end
    return at


def _over(packet: memoryview) -> bool:
    """Whether the packet says that all rows have come; what it says went wrong is raised."""
    first = packet[HEAD] if len(packet) > HEAD else malformed()
    if first == _ERROR:
        from pymysql.err import raise_mysql_exception  # type: ignore[import-untyped]

        raise_mysql_exception(bytes(packet[HEAD:]))
    return first == _END and len(packet) < HEAD + _END_BYTES


def _counted(data: bytearray, places: Places, number: int) -> None:
    seen = np.frombuffer(data, np.uint8).take(places + HEAD - 1)
    if not np.array_equal(seen, (np.arange(number, number + len(places)) % 256).astype(np.uint8)):
        malformed()


def _long(wire: Wire, number: int) -> tuple[bytearray, int]:
    """A row longer than a block, its packets joined, and the number of the packet after it."""
    row = bytearray()
    while True:
        head = _head(wire.whole(HEAD))[0]
        if head >> 24 != number:
            malformed()
        number = (number + 1) % 256
        if len(row) + (head & _LONGEST) > _MOST:
            _enormous()
        row += wire.whole(head & _LONGEST)
        if head & _LONGEST < _LONGEST:
            return row, number


def malformed() -> NoReturn:
    """What the server sent is no row: PyMySQL's error for it."""
    from pymysql.err import OperationalError

    raise OperationalError(_MALFORMED, "Malformed packet: what the server sent is no row")


def _enormous() -> NoReturn:
    from pymysql.err import DataError

    raise DataError(f"A row has more than {_MOST} bytes; select fewer columns")


def _lost() -> NoReturn:
    from pymysql.err import OperationalError

    raise OperationalError(_LOST, "Lost connection to MySQL server during query")
