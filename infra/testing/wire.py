"""Stand between a client and a server on loopback: cut the line, or let it hang, after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

_PIECE = 1 << 16
Fault = Literal["", "cut", "hang", "mute"]


@dataclass(slots=True)
class Wire:
    """A line to a server. `fault`: cut or hang once `after` bytes came back; mute: never a byte, from the beginning."""

    port: int
    fault: Fault = ""
    after: int = 0
    came: int = 0  # bytes from the server since the last `breaks` or `mend`
    _links: list[socket.socket] = field(default_factory=list)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def breaks(self, fault: Fault, after: int = 0) -> None:
        """From now on, after so many further bytes from the server."""
        self.fault, self.after, self.came = fault, after, 0

    def mend(self) -> None:
        """Let everything through again; what hangs is ended."""
        self.breaks("")
        self.close()

    def close(self) -> None:
        """End every link that is open."""
        with self._changing:
            links, self._links = self._links, []
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def _keep(self, link: socket.socket) -> None:
        with self._changing:
            self._links.append(link)

    def carry(self, near: socket.socket, server: int) -> None:
        """Take a client's link."""
        self._keep(near)
        if self.fault == "mute":
            return
        far = socket.create_connection(("127.0.0.1", server), 10)
        far.settimeout(None)
        self._keep(far)
        threading.Thread(target=self._pass, args=(near, far), daemon=True).start()
        threading.Thread(target=self._pass_back, args=(far, near), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(_PIECE):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)

    def _pass_back(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := far.recv(_PIECE):
                self.came += len(piece)
                if self.fault and self.came > self.after:
                    if self.fault == "cut":
                        self.close()
                    return
                near.sendall(piece)
            near.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def between(server: int) -> Iterator[Wire]:
    """A line to the server on port `server`; everything passes until something else is said."""
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Wire(int(listener.getsockname()[1]))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                wire.carry(listener.accept()[0], server)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        wire.close()
