"""The small town under a real server, with limits, an access log and traces as a test wants them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
from sharing_town import GRANTS, Shelf, Town, build, configure

from sharing.catalog import SharingConfig
from sharing.operating import LogTerms, Operating, TraceTerms

ROOT = Path(__file__).parents[2]
RUN = """
import json, os, sys
from sharing.serve import serve
serve("operated_town:operated", port=int(sys.argv[1]), workers=int(sys.argv[2]), drain_seconds=int(sys.argv[3]))
"""
SEEKING = GRANTS.replace("fields: [uscc, capital]", "fields: [uscc, ent_name, capital]\n    find: [ent_name]")


@dataclass
class Page:
    """What a fake library finds."""

    records: list[dict[str, object]]
    after: str | None = None


class SlowShelf(Shelf):
    """A library whose pages take their time."""

    def page(self, equal, *, prefix=None, limit=100, after=None, keep=None) -> Page:
        time.sleep(float(os.environ.get("TOWN_SLOW", "0")))
        return Page([dict(row) for row in self.rows.values()][:1])


def operated() -> SharingConfig:
    """The factory of the server; what differs from test to test comes through the environment."""
    folder = Path(os.environ["TOWN_FOLDER"])
    config = configure(folder)
    firms = config.libraries["legal_person"]
    slow = SlowShelf(dict(firms.records.rows))
    limit = folder / "calls"
    operating = Operating(
        calls=int(limit.read_text()) if limit.exists() else 1024,
        body_seconds=int(os.environ.get("TOWN_BODY", "20")),
        drain_seconds=int(os.environ.get("TOWN_DRAIN", "0")),
        log=LogTerms(folder / "logs" / "access.jsonl"),
        traces=TraceTerms(os.environ["TOWN_TRACES"], 0) if "TOWN_TRACES" in os.environ else None,
    )
    libraries = {**config.libraries, "legal_person": replace(firms, records=slow)}
    return replace(config, libraries=libraries, operating=operating)


@dataclass
class Running:
    """A server that runs: its process, address, and the town it serves."""

    town: Town
    process: subprocess.Popen[bytes]
    address: str

    def client(self, who: str | None = "tax") -> httpx.Client:
        headers = {"X-Api-Key": self.town.keys[who]} if who else {}
        return httpx.Client(base_url=self.address, headers=headers, trust_env=False, timeout=60)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@contextmanager
def running(folder: Path, workers: int = 1, drain: int = 0, **told: str) -> Iterator[Running]:
    """A real Granian over a town laid out in the folder; it is ended at the end, whatever happened."""
    town = build(folder, SEEKING)
    town.desk.close()
    with socket.socket() as sought:
        sought.bind(("127.0.0.1", 0))
        port = sought.getsockname()[1]
    env = os.environ | told | {
        "TOWN_FOLDER": str(folder), "TOWN_DRAIN": str(drain),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
    }  # fmt: skip
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", RUN, str(port), str(workers), str(drain)], env=env,
                                   stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    served = Running(town, process, f"http://127.0.0.1:{port}")
    try:
        until(lambda: status(served, "/readyz") == 200, served)
        yield served
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        town.config.engine.dispose()


def status(served: Running, path: str) -> int:
    """The status of one page over a connection of its own; 0 when nobody answers."""
    try:
        return httpx.get(served.address + path, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def until(true, served: Running, seconds: float = 90) -> None:
    """Wait for something to become true while the server lives."""
    end = time.monotonic() + seconds
    while not true():
        log = (served.town.folder / "server.log").read_text("utf-8", "replace")
        assert served.process.poll() is None, log
        assert time.monotonic() < end, log
        time.sleep(0.02)


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A sink for traces on loopback: its address, and what was sent to it."""
    sent: list[bytes] = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_told: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", sent
        finally:
            server.shutdown()
            thread.join()
