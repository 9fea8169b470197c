"""Child processes whose time and peak memory are measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_SECONDS = 60.0


class BenchmarkError(Exception):
    """A child failed: the figure would mean nothing."""


@dataclass(frozen=True)
class Ended:
    """A child that ended: what it printed as JSON, its wall seconds and peak resident MiB."""

    said: dict[str, Any]
    seconds: float
    mib: float


def run(command: list[str], environment: Mapping[str, str]) -> Ended:
    """Run a Python child to its end."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaint:
        child = subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **environment}, stdout=said, stderr=complaint
        )
        _, status, usage = os.wait4(child.pid, 0)  # this child's own peak, not that of all children so far
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        said.seek(0)
        complaint.seek(0)
        if child.returncode:
            words = (said.read() + complaint.read()).decode(errors="replace")
            raise BenchmarkError(f"{' '.join(command)}: exit {child.returncode}\n{words}")
        return Ended(json.load(said), seconds, usage.ru_maxrss / 1024)


@contextmanager
def server(command: list[str], environment: Mapping[str, str], url: str, log: Path) -> Iterator[int]:
    """A server while the block runs, answering at `url`; gives its process id."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(url, child, log)
        yield child.pid
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _wait(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise BenchmarkError(f"{url} did not come up:\n{log.read_text()}")


def tree_peak_mib(pid: int) -> float:
    """Peak resident MiB of a process and all its children, added up (shared pages count in each)."""
    status = Path(f"/proc/{pid}/status").read_text()
    own = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(tree_peak_mib(int(child)) for child in children)
