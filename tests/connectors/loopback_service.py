"""A real HTTP server on a free loopback port whose answers a test decides, and a source that reads it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from connectors import open_source

SECRETS = {"token": "tok-9f8e7d", "password": "pass/密word", "key": "k3y 密钥"}


class Vault:
    """The secrets of these tests."""

    def get(self, name: str) -> str:
        return SECRETS[name]


class Loopback(ThreadingHTTPServer):
    """`answer(path, query, headers, body)` gives (status, headers, bytes); `asked` has what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.clear()

    def clear(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.answer = None


class Handler(BaseHTTPRequestHandler):
    server: Loopback

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.server.asked.append((url.path, query))
        self.server.headers.append(dict(self.headers))
        self.server.bodies.append(body)
        status, headers, content = self.server.answer(url.path, query, self.headers, body)
        self.send_response(status)
        whole = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        for name, value in whole.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Loopback]:
    """The server, until the block ends."""
    server = Loopback()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def source(service: Loopback, auth=None, **options):
    """A REST source of the service that retries fast; options as a resource file has them."""
    wanted = {"path": "/list", "records": "items", "retries": {"attempts": 3, "wait": 0.01, "max_wait": 1}, **options}
    return open_source("rest", wanted, {"url": service.url, "auth": auth}, Vault())


def ok(value, **headers):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return 200, headers, text.encode()


def ids(source, position=None):
    """The ids of all records, split by split."""
    batches = [batch.rows for split in source.plan(position) for batch in source.read(split)]
    return [value for rows in batches for value in rows.column("id").to_pylist()]
