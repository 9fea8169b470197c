"""Ask a server as fast as it answers, with wrk (Debian), and weigh its processes meanwhile."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from first_parts.processes import BenchmarkError

ASK = Path(__file__).with_name("ask.lua")
TICK = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True)
class Question:
    """A request with `{key}` where one of the keys goes."""

    address: str
    path: str
    keys: Sequence[str]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True)
class Load:
    """What came of it: answers in so many seconds, milliseconds of the median and the slow ones."""

    answered: int
    seconds: float
    p50: float
    p99: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0


def need_wrk() -> None:
    """Raise BenchmarkError unless wrk is there."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("wrk is not installed: apt-get install wrk (Debian)")


def ask(
    question: Question, seconds: float, connections: int = 64, *, ids: Path | None = None,
    first: Path | None = None, refusals: bool = False,
) -> Load:  # fmt: skip
    """Ask for so many whole seconds; request ids of answers go to `ids`, one body to `first`.

    Raises BenchmarkError when nothing was answered, or something refused that should not be.
    """
    need_wrk()
    with tempfile.TemporaryDirectory(prefix="shutong-ask-") as name:
        keys, headers = Path(name, "keys"), Path(name, "headers")
        keys.write_text("\n".join(question.keys) + "\n")
        headers.write_text("".join(f"{one}: {value}\n" for one, value in question.headers.items()))
        told = {"METHOD": question.method, "PATH": question.path, "KEYS": keys, "HEADERS": headers,
                "BODY": question.body, "IDS": ids, "FIRST": first}  # fmt: skip
        environment = os.environ | {f"ASK_{one}": str(value) for one, value in told.items() if value is not None}
        command = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--timeout", "20s", "-s", str(ASK)]
        command.append(question.address)
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    line = next((one for one in ended.stdout.splitlines() if one.startswith("TOLD ")), None)
    if line is None:
        raise BenchmarkError(f"{question.address}{question.path}: wrk said\n{ended.stdout}{ended.stderr}")
    load = Load(**json.loads(line.removeprefix("TOLD ").replace("nan", "0")))
    if not load.answered:
        raise BenchmarkError(f"{question.address}{question.path}: nothing was answered in {seconds} s")
    if load.refused and not refusals:
        raise BenchmarkError(f"{question.address}{question.path}: {load.refused} of {load.answered} were refused")
    return load


def tree(pid: int) -> list[int]:
    """A process and all below it that live."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(*_GONE):
            for child in task.read_text().split():
                found += tree(int(child))
    return found


def spent(pid: int) -> float:
    """CPU seconds, user and system, of a process and all below it that live."""
    total = 0
    for one in tree(pid):
        with suppress(*_GONE):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICK


def anonymous_mib(pid: int) -> float:
    """Memory in MiB of one process that no file stands behind."""
    status: list[str] = []
    with suppress(*_GONE):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in status if line.startswith("RssAnon")), 0) / 1024
