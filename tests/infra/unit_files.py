"""Read systemd's unit files as a test needs them, and run what one of them starts in a temporary deployment."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
UNITS = TOP / "infra" / "systemd"
PYTHON, WEED = "/opt/shutong/.venv/bin/python", "/opt/shutong/.venv/bin/weed"


def settings(path: Path) -> dict[str, list[str]]:
    """Every setting of a unit, `Section.Name`, with its values in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(f"{section}.{name}", []).append(value)
    return found


def commands(path: Path, instance: str = "") -> list[list[str]]:
    """What a unit starts, in order, as words; our interpreter stands where the unit names its own."""
    lines = settings(path).get("Service.ExecStart", [])
    programs = {PYTHON: sys.executable, WEED: str(Path(sys.executable).with_name("weed"))}
    return [
        [programs.get(word, word).replace("%i", instance) for word in shlex.split(line, comments=False)]
        for line in lines
    ]


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def environment(home: Path, **more: str) -> Mapping[str, str]:
    """What a unit's process knows: nothing of ours but the path, and the settings of the deployment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "SHUTONG_HOME": str(home), "SHUTONG_LANG": "en", "PYTHONPATH": str(TOP), **more}


@contextlib.contextmanager
def started(command: list[str], told: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process while the block lasts, leading a group of its own that ends with it."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=told, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=log.parent, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    """Wait for `ready`; what the process said is told where it ends or takes too long."""
    last = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < last, log.read_text(errors="replace")[-3000:]
        time.sleep(0.1)


def ended(process: subprocess.Popen[bytes], seconds: float = 60) -> int:
    """The exit code after systemd's way of stopping a service: SIGTERM to its main process."""
    process.terminate()
    return process.wait(seconds)


def module_of(command: list[str]) -> str:
    """The words behind the interpreter, for comparing a unit's command with a container's."""
    return re.sub(r"^.*?/bin/", "", " ".join(command))
