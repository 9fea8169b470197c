"""The tax bureau's service 税务接口: paged, token-protected JSON over HTTP, as a process of its own.

    python -m shutong.demo.rest_service --port 8131 --data taxpayers.json --token-file token

GET /taxpayers?page=1&size=200 with `Authorization: Bearer <token>` answers
{"total": 1200, "page": 1, "pages": 6, "data": [{…}, …]}; GET /health answers without a token. Port 0 takes a free one;
`--port-file` is where the chosen port is written once the service listens.
"""

from __future__ import annotations

import argparse
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

LARGEST_PAGE = 1000


class TaxService(ThreadingHTTPServer):
    """Serves the records of one JSON file, read anew whenever the file changes."""

    daemon_threads = True

    def __init__(self, port: int, data: Path, token: str) -> None:
        super().__init__(("127.0.0.1", port), _Answer)
        self.data, self.token = data, token
        self._read: tuple[int, list[object]] = (-1, [])

    def records(self) -> list[object]:
        """All records, in the order of the file."""
        changed = self.data.stat().st_mtime_ns
        if self._read[0] != changed:
            self._read = (changed, json.loads(self.data.read_text(encoding="utf-8")))
        return self._read[1]


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TaxService

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/health":
            return self._send(200, {"status": "up"})
        if not hmac.compare_digest(
            self.headers.get("Authorization", "").encode(), f"Bearer {self.server.token}".encode()
        ):
            return self._send(401, {"error": "token required", "message": "缺少或错误的令牌"})
        if address.path != "/taxpayers":
            return self._send(404, {"error": "not found", "message": "没有这个接口"})
        asked = parse_qs(address.query)
        try:
            page, size = int(asked.get("page", ["1"])[0]), int(asked.get("size", ["200"])[0])
        except ValueError:
            page, size = 0, 0
        if page < 1 or not 1 <= size <= LARGEST_PAGE:
            return self._send(400, {"error": "page or size out of range", "message": "页码或每页条数不正确"})
        records = self.server.records()
        start = (page - 1) * size
        body = {
            "total": len(records),
            "page": page,
            "pages": -(-len(records) // size),
            "data": records[start : start + size],
        }
        return self._send(200, body)

    def _send(self, status: int, body: object) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet: a request line could carry a code."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--port-file", type=Path)
    asked = parser.parse_args(arguments)
    token = asked.token_file.read_text(encoding="utf-8").strip()
    if not token:
        parser.error("the token file is empty 令牌文件为空")
    with TaxService(asked.port, asked.data, token) as service:
        if asked.port_file:
            part = asked.port_file.with_suffix(".part")
            part.write_text(str(service.server_address[1]), encoding="ascii")
            part.replace(asked.port_file)
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
