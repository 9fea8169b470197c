"""Several processes that do something at once, forked from one that has imported what they need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FORKING = """
import os, sys, traceback
names, arguments = sys.argv[1].split(","), sys.argv[2:]
children = []
for name in names:
    children.append(os.fork())
    if children[-1] == 0:
        try:
            act(name, *arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def at_once(code: str, names: Sequence[str], *arguments: str) -> None:
    """Let each of the processes call `act(name, *arguments)` as the code defines it; none may fail."""
    strict = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]  # of threads where it forks
    command = [sys.executable, *strict, "-c", code + _FORKING, ",".join(names), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
