"""The load generator: keep-alive HTTP/1.1 over plain sockets in one epoll loop, lighter than any server it drives."""

from __future__ import annotations

import itertools
import json
import re
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Caller:
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests, self._got, self._wanted, self._since = requests, b"", 0, 0.0

    def send(self) -> None:
        """Ask the next question."""
        self._got, self._wanted, self._since = b"", 0, time.perf_counter()
        self.socket.sendall(next(self._requests))

    def receive(self) -> tuple[bytes, float] | None:
        """The status and seconds of an answer that is complete, else None."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        self._got += part
        if not self._wanted:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return None
            length = LENGTH.search(self._got, 0, end + 2)
            if length is None:
                raise ValueError("an answer without content-length")
            self._wanted = end + 4 + int(length[1])
        if len(self._got) < self._wanted:
            return None
        return self._got[9:12], time.perf_counter() - self._since


def drive(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, object]:
    """Keep `connections` busy for `seconds`; calls, statuses and latencies in milliseconds."""
    turn = itertools.cycle(requests)
    callers = {one.socket.fileno(): one for one in (Caller(port, turn) for _ in range(connections))}
    poll = select.epoll()
    for number, one in callers.items():
        poll.register(number, select.EPOLLIN)
        one.send()
    statuses: Counter[bytes] = Counter()
    took: list[float] = []
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        for number, _ in poll.poll(1.0):
            answer = callers[number].receive()
            if answer is None:
                continue
            statuses[answer[0]] += 1
            took.append(answer[1])
            callers[number].send()
    took.sort()
    return {
        "calls_per_second": len(took) / (now - began),
        "statuses": {status.decode(): calls for status, calls in statuses.items()},
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[len(took) * 99 // 100] * 1000,
    }


def main(path: Path) -> None:
    """Run what a JSON file says: {port, path, headers, keys, connections, seconds}."""
    said = json.loads(path.read_text())
    headers = "".join(f"{name}: {value}\r\n" for name, value in said["headers"].items())
    requests = [
        f"GET {said['path']}/{key} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode() for key in said["keys"]
    ]
    print(json.dumps(drive(said["port"], requests, said["connections"], said["seconds"])))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
