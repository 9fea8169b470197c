"""Start the processes of a deployment, watch them, and stop them again: Airflow's four, the API, the demo's sources."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self

from schemas.errors import ShutongError

LOG = logging.getLogger(__name__)
STOP_SECONDS = 20.0
AGAIN_SECONDS = (2.0, 60.0)  # before a program that ended is started again: at first, and at most


class ProcessError(ShutongError):
    """A supervised process ended by itself."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running: its name, command and extra environment; `again`: started anew when it ends."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    again: bool = False


@dataclass(slots=True)
class _Again:
    """A program that is started anew when it ends: when it began, how long to wait, and until when it waits."""

    program: Program
    began: float
    pause: float = AGAIN_SECONDS[0] / 2
    due: float | None = None


class Supervisor:
    """The processes of one deployment as a context manager; leaving it ends exactly what it started.

    Each process leads a group of its own, so that its children end with it; its output goes to `<logs>/<name>.log`.
    Being asked to end (SIGTERM) leaves it too, whatever is being waited for; asked again, it finishes what it began.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._again: dict[str, _Again] = {}
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        if self._main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main:
            before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.stop()
        if self._main:
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is _leave else before)

    def start(self, program: Program) -> int:
        """Start a program; returns its process id."""
        with (self._logs / f"{program.name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - commands are ours
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **program.environment},
                start_new_session=True,
            )
        self._running[program.name] = process
        if program.again:
            self._again.setdefault(program.name, _Again(program, 0.0)).began = time.monotonic()
        return process.pid

    def end(self, name: str) -> None:
        """End one program for good; one that does not run is no error."""
        self._again.pop(name, None)
        process = self._running.pop(name, None)
        if process is not None:
            _end([process])

    def check(self) -> None:
        """Raise ProcessError when one of them has ended; those to be started again are."""
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            if name in self._again:
                self._revive(name)
            else:
                tail = self.log_tail(name)
                raise ProcessError(
                    "SYS-PROCESS-DIED",
                    zh=f"进程 {name} 已退出（代码 {process.returncode}）：{tail}",
                    en=f"process {name} ended with code {process.returncode}: {tail}",
                    fix_zh=f"查看 {self._logs / name}.log 后重新启动",
                    fix_en=f"Read {self._logs / name}.log, then start again",
                )

    def wait(self, ready: Callable[[], bool], what: tuple[str, str], seconds: float, pause: float = 0.3) -> float:
        """Wait until `ready()`, `what` being its name in Chinese and English; returns the seconds it took.

        Ends early when a process dies.
        """
        began = time.monotonic()
        while not ready():
            self.check()
            if time.monotonic() - began > seconds:
                raise ProcessError(
                    "SYS-NOT-READY",
                    zh=f"{what[0]}在 {seconds:.0f} 秒内未就绪",
                    en=f"{what[1]} was not ready within {seconds:.0f} s",
                    fix_zh=f"查看 {self._logs} 中的日志",
                    fix_en=f"Read the logs in {self._logs}",
                )
            time.sleep(pause)
        return time.monotonic() - began

    def log_tail(self, name: str, lines: int = 5) -> str:
        """The last lines a process wrote."""
        path = self._logs / f"{name}.log"
        return " / ".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self) -> None:
        """Ask every process to end, then make those that do not."""
        _end(list(self._running.values()))
        self._running.clear()
        self._again.clear()

    def _revive(self, name: str) -> None:
        """Start a program anew that has ended, after a pause that grows while it keeps ending at once."""
        one, now = self._again[name], time.monotonic()
        if one.due is None:
            lasted = now - one.began > AGAIN_SECONDS[1]
            one.pause = AGAIN_SECONDS[0] if lasted else min(one.pause * 2, AGAIN_SECONDS[1])
            one.due = now + one.pause
            LOG.warning("%s: %s", name, self.log_tail(name, 1))
        elif now >= one.due:
            one.due = None
            self.start(one.program)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
        _signal(process, signal.SIGKILL)  # what is left of its group


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """End as a signal would have ended us, but through every `finally`."""
    sys.exit(128 + number)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def free_port(wanted: int = 0) -> int:
    """`wanted` when it is free on loopback, else a free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")


def python(*arguments: str) -> tuple[str, ...]:
    """A command: the interpreter we run in, with arguments."""
    return (sys.executable, *arguments)
