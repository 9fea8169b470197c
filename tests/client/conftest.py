"""A real server that the client's tests ask, started once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "sharing")]

from client_town import Exchange, lay_out  # noqa: E402

from infra.testing.postgres import free_port  # noqa: E402

RUN = "import sys; from sharing.serve import serve; serve('client_town:served', port=int(sys.argv[1]), workers=1)"


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder = tmp_path_factory.mktemp("exchange")
    port = free_port()
    built = lay_out(folder, f"http://127.0.0.1:{port}")
    env = os.environ | {
        "TOWN_FOLDER": str(folder), "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE), str(ROOT / "tests/sharing")])
    }  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", RUN, str(port)], env=env, stdout=log, stderr=log,
                                   start_new_session=True)  # fmt: skip
    try:
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < end, (folder / "server.log").read_text()
            try:
                httpx.get(built.address + "/healthz", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield built
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
