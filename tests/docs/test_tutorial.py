"""The tutorial, executed as it stands: each command ends well and prints the lines the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from shutong.cli import main

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


def in_a_shell(command: str, folder: Path, variables: dict[str, str]) -> tuple[int, str, str]:
    """The exit code of a command that is run as readers run it, and what it says."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SHUTONG_")}
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder, env=kept | variables | {"PATH": path}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def in_this_process(command: str, folder: Path, variables: dict[str, str]) -> tuple[int, str, str]:
    """The same, where what the command imports is imported once; a command of the system goes to the shell."""
    program, *words = shlex.split(command)
    if program != "shutong" or "\n" in command:
        return in_a_shell(command, folder, variables)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in [one for one in os.environ if one.startswith("SHUTONG_")]:
            patch.delenv(name)
        done = CliRunner().invoke(main, words, env=variables)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(("name", "run"), [("tutorial.md", in_a_shell), ("tutorial.zh-CN.md", in_this_process)])
def test_the_tutorial_does_what_it_says(name, run, tmp_path):
    told = steps((DOCS / name).read_text())
    assert sum(bool(shown) for _, shown in told) >= 5
    variables: dict[str, str] = {}
    for command, shown in told:
        if command.startswith("export "):
            variables |= dict(one.split("=", 1) for one in shlex.split(command)[1:])
            continue
        code, said, wrong = run(command, tmp_path, variables)
        assert code == 0, f"{command}\n{said}{wrong}"
        for line in shown:
            wanted = ".*".join(re.escape(part.strip()) for part in line.split("…"))
            assert re.search(wanted, said), f"{command}\n{line}\n{said}"


def test_the_commands_of_the_tutorial_are_the_same_in_both_languages():
    both = [
        [command for command, _ in steps((DOCS / name).read_text()) if command.startswith(("shutong ", "sed "))]
        for name in ("tutorial.md", "tutorial.zh-CN.md")
    ]
    assert both[0] == both[1]
