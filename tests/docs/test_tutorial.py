"""The tutorial, executed as it stands: each command ends well and prints the lines the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"```(console|csv)\n(.*?)```", re.DOTALL)


def steps(page: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines shown beneath it."""
    found: list[tuple[str, list[str]]] = []
    for kind, text in BLOCK.findall(page):
        if kind == "csv":
            found.append((f"mkdir -p var && cat > var/firms.csv <<'END'\n{text}END", []))
            continue
        for line in text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


@pytest.mark.parametrize("name", ["tutorial.md", "tutorial.zh-CN.md"])
def test_the_tutorial_does_what_it_says(name, tmp_path):
    told = steps((DOCS / name).read_text())
    assert sum(bool(shown) for _, shown in told) >= 5
    exports = next(command for command, _ in told if command.startswith("export "))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SHUTONG_")} | {"PATH": path}
    for command, shown in told:
        done = subprocess.run(
            ["bash", "-ec", f"{exports}\n{command}"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        for line in shown:
            wanted = ".*".join(re.escape(part.strip()) for part in line.split("…"))
            assert re.search(wanted, done.stdout), f"{command}\n{line}\n{done.stdout}"
