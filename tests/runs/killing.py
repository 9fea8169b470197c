"""Run a script of kills in a process of its own, and hold what it tells of each scenario against the undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def killed(script: str, *arguments: object, patience: float) -> None:
    """Run a script of this folder to its end, which it must reach within `patience` seconds."""
    search = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def told(folder: Path) -> dict[str, dict]:
    """What the script told of each scenario, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}


def as_if_undisturbed(told: Mapping[str, dict], undisturbed: str = "never") -> None:
    """All of them ended with what `undisturbed` ended with, and one more run moved nothing."""
    assert len(told) > 1
    for name, one in told.items():
        assert one["seen"] == told[undisturbed]["seen"], name
        assert not one["moved"], name
