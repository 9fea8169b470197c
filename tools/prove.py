"""Run the full counts of kills and sizes, part by part; a part that passed for this very code is not run again."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
RECORD = TOP / "var" / "prove.json"
MARK = "pytest.mark.prove"
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
KEPT = 5  # versions of the code whose results are remembered
SHOWN = 60  # last lines of a part that failed


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to prove, and the command that does."""

    name: str
    command: tuple[str, ...]


def parts() -> list[Part]:
    """The kills at every named point, then each test file with full counts, then the real register at its full size."""
    files = sorted(path for path in (TOP / "tests").rglob("test_*.py") if MARK in path.read_text(encoding="utf-8"))
    full = [Part(f"full counts: {path.relative_to(TOP)}", _marked("prove", str(path))) for path in files]
    return [
        Part("kills at every named point", _marked("kills and not prove", "tests")),
        *full,
        Part("benchmark at full size", (sys.executable, "benchmarks/first.py")),
    ]


def _marked(marker: str, place: str) -> tuple[str, ...]:
    return (*PYTEST, "-m", marker, place)


def version() -> str:
    """What stands for the code as it is: the commit, and a digest of whatever differs from it."""
    head = _git("rev-parse", "HEAD").decode().strip()
    changes = _git("diff", "HEAD") + b"".join(
        name + (TOP / os.fsdecode(name)).read_bytes()
        for name in _git("ls-files", "--others", "--exclude-standard", "-z").split(b"\0")
        if name
    )
    return f"{head}+{hashlib.sha256(changes).hexdigest()[:12]}" if changes else head


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=TOP, check=True, capture_output=True).stdout


def remembered() -> dict[str, dict[str, float]]:
    """Seconds of each part that passed, per version of the code, the newest last."""
    if not RECORD.exists():
        return {}
    told: dict[str, dict[str, float]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return told


def remember(code: str, passed: Mapping[str, float]) -> None:
    """Write down what passed; a kill leaves the record as it was."""
    known = {key: value for key, value in remembered().items() if key != code} | {code: dict(passed)}
    newest = dict(list(known.items())[-KEPT:])
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    beside = RECORD.with_suffix(".part")
    beside.write_text(json.dumps(newest, indent=1), encoding="utf-8")
    beside.replace(RECORD)


def prove(part: Part) -> tuple[bool, float]:
    """Run a part; whether it passed, and its seconds. What it says is shown when it fails."""
    start = time.monotonic()
    done = subprocess.run(
        part.command,
        cwd=TOP,
        env={**os.environ, "SHUTONG_PROVE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-SHOWN:]))
    return done.returncode == 0, round(time.monotonic() - start, 1)


def main(arguments: list[str] | None = None) -> int:
    """Prove every part that has not passed yet; 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="only say what there is to prove, and what passed")
    parser.add_argument("--again", action="store_true", help="run the parts that passed as well")
    asked = parser.parse_args(arguments)
    code = version()
    passed = {} if asked.again else remembered().get(code, {})
    failed = False
    for part in parts():
        if part.name in passed or asked.list:
            known = f"passed before, {passed[part.name]:.1f} s" if part.name in passed else "to do"
            print(f"{part.name}: {known}", flush=True)
            continue
        fine, seconds = prove(part)
        print(f"{part.name}: {'passed' if fine else 'FAILED'}, {seconds:.1f} s", flush=True)
        failed |= not fine
        if fine:
            passed[part.name] = seconds
            remember(code, passed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
