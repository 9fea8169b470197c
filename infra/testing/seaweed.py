"""Start a SeaweedFS server with its S3 gateway on free loopback ports, and stop it again."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

STARTS_WITHIN = 60.0  # seconds
_PARTS = ("master.port", "volume.port", "filer.port", "s3.port")


@dataclass(slots=True)
class Seaweed:
    """A running S3 store: where it listens and who may do everything in it."""

    port: int
    access_key: str
    secret_key: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End the server at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def running() -> Iterator[Seaweed]:
    """A fresh store without buckets; its folder goes when it stops."""
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        raise FileNotFoundError("SeaweedFS is not installed: run `uv sync`")
    folder = Path(tempfile.mkdtemp(prefix="shutong-weed-"))
    free = _free_ports(2 * len(_PARTS))
    store = Seaweed(free[-1], "a-tests-own", "its-secret-key")
    ports = [f"-{part}.grpc={free.pop(0)}" for part in _PARTS] + [f"-{part}={free.pop(0)}" for part in _PARTS]
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": store.access_key, "secretKey": store.secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    command = [
        str(program), "-logtostderr=true", "-v=0", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={folder / 's3.json'}", *ports,
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=100", "-master.volumeSizeLimitMB=64",
        "-master.telemetry=false", "-master.volumePreallocate=false", "-volume.minFreeSpace=100MiB",
        f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}",
    ]  # fmt: skip
    try:
        with (folder / "log").open("wb") as log:
            store.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
        _answers(store, folder / "log")
        try:
            yield store
        finally:
            store.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Different loopback ports nobody listens on just now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _answers(store: Seaweed, log: Path) -> None:
    """Wait until the gateway refuses a request of nobody."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and store.process is not None and store.process.poll() is None:
        link = HTTPConnection("127.0.0.1", store.port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(link):
            link.request("GET", "/")
            if link.getresponse().status == HTTPStatus.FORBIDDEN:
                return
        time.sleep(0.1)
    raise TimeoutError(f"SeaweedFS did not start on port {store.port}: {log.read_text('utf-8', 'replace')[-3000:]}")
