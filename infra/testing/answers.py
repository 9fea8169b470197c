"""Stand between an S3 client and its store on loopback: answer in its place, or break its answers off half way."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal

Fault = Literal["", "busy", "expired", "half"]
_SAID: Final = {
    "busy": (HTTPStatus.SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate."),
    "expired": (HTTPStatus.BAD_REQUEST, "ExpiredToken", "The provided token has expired."),
}
_HOPS: Final = {"connection", "keep-alive", "transfer-encoding", "content-length"}  # headers of one link only


@dataclass(slots=True)
class Answers:
    """A way to the store. `fault`: what answers are like, to so many more requests (`times`, below 0 all of them).

    busy: 503 SlowDown; expired: 400 ExpiredToken; half: of each object asked for half its bytes, then the line ends.
    """

    port: int
    fault: Fault = ""
    times: int = -1
    given: int = 0  # faulty answers since the last `go_wrong`

    def go_wrong(self, fault: Fault, times: int = -1) -> None:
        """From the next request on; with an empty fault all is well again."""
        self.fault, self.times, self.given = fault, times, 0

    def due(self, method: str) -> Fault:
        """What befalls this request."""
        if not self.fault or self.times == 0 or (self.fault == "half" and method != "GET"):
            return ""
        self.times, self.given = self.times - 1, self.given + 1
        return self.fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store, self.way = store, Answers(int(self.server_address[1]))

    def handle_error(self, *_args: object) -> None:
        """A client may go at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.way.due(self.command)
        status: int
        if fault in _SAID:
            status, code, message = _SAID[fault]
            told = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            self._answer(status, {"Content-Type": "application/xml"}, told, len(told))
            return
        status, headers, content, length = self._asked(body)
        half = fault == "half" and length > 1
        self._answer(status, headers, content[: length // 2] if half else content, length)
        self.close_connection |= half

    def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes, int]:
        """What the store says: status, headers, content, and how long the content is, or would be."""
        link = HTTPConnection("127.0.0.1", self.server.store, timeout=30)
        link.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {"connection", "expect"}:
                link.putheader(name, value)
        link.endheaders(body)
        with link.getresponse() as answer:
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOPS}
            content, length = answer.read(), int(answer.headers.get("Content-Length") or 0)
        link.close()
        return answer.status, headers, content, length if self.command == "HEAD" else len(content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes, length: int) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 (names http.server asks for)

    def log_message(self, *_args: object) -> None:
        """Nothing: tests read what they assert on."""


@contextlib.contextmanager
def between(store: int) -> Iterator[Answers]:
    """A way to the store on port `store`; it answers by itself until something else is said."""
    listening = _Server(store)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield listening.way
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(5)
