"""Run one way of reading in a process of its own: rows, seconds, CPU seconds on both sides, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WAYS = Path(__file__).with_name("ways.py")
# No message to dlt's makers; compiled modules are kept, so that no way is charged for compiling what it imports.
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "PYTHONDONTWRITEBYTECODE": ""}
TICKS = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """A way failed: its figure would mean nothing."""


@dataclass(frozen=True)
class Measured:
    """One reading: `cpu` is the reader's own, `server_cpu` the database's, both in seconds; `mib` is peak memory."""

    rows: int
    seconds: float
    cpu: float
    server_cpu: float
    mib: float
    told: Mapping[str, object]

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


def way(name: str, plan: Mapping[str, object], server: int) -> Measured:
    """Run the function `name` of ways.py over a plan; `server` is the database's main process."""
    with tempfile.TemporaryDirectory(prefix="shutong-way-") as folder:
        before = cpu_of(server)
        ended = subprocess.run(
            [sys.executable, str(WAYS), name, json.dumps({**plan, "folder": folder})],
            capture_output=True,
            check=False,
            env={**os.environ, **QUIET},
        )
        if ended.returncode:
            raise BenchmarkError(f"{name}: exit {ended.returncode}\n{ended.stderr.decode(errors='replace')[-4000:]}")
        for line in ended.stderr.decode(errors="replace").splitlines():
            if line.startswith("    ") and "CPU" in line:  # what a way says of its steps
                print(line)
        told = json.loads(ended.stdout.splitlines()[-1])
        time.sleep(0.2)  # a database process adds its time to the main one's when it has ended
        server_cpu = cpu_of(server) - before
    return Measured(told["rows"], told["seconds"], told["cpu"], server_cpu, told["mib"], told)


def floor(command: list[str], environment: Mapping[str, str], rows: int, server: int) -> Measured:
    """Run a command whose output goes nowhere."""
    before, began = cpu_of(server), time.perf_counter()
    child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise BenchmarkError(f"{command[0]}: exit {child.returncode}")
    time.sleep(0.2)
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(rows, seconds, cpu, cpu_of(server) - before, usage.ru_maxrss / 1024, {})


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, its threads, its living children and those that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # ended since it was listed: counted with its parent's
        return 0.0
    own = sum(int(ticks) for ticks in fields[11:15]) / TICKS
    return own + sum(cpu_of(int(child)) for child in _children(pid))


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
