"""Run the full counts of kills and sizes, some parts at a time; one that passed for this very code is not run again."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
RECORD = TOP / "var" / "prove.json"
# A test that says how long it may take keeps to that; others do not fail because lanes share the cores.
PYTEST = (sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--timeout=3000")
KILLS = "kills and not prove"
APART = ("dags", "runs", "shutong")  # tests that take minutes each; those of other folders share what a file sets up
LANES = (os.cpu_count() or 1) + 1  # while one waits for a disk or a server, the others go on
KEPT = 5  # versions of the code whose results are remembered
SHOWN = 60  # last lines of a part that failed


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to prove, and the command that does; `alone`: its figures need the machine for themselves."""

    name: str
    command: tuple[str, ...]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a part ended: its status, what it left out, last lines, seconds, CPU seconds, MiB of its largest process."""

    code: int
    skipped: tuple[str, ...]
    last: str
    seconds: float
    cpu: float
    mib: int

    @property
    def fine(self) -> bool:
        """Whether everything of it was tried and passed: a server that is missing proves nothing."""
        return self.code == 0 and not self.skipped

    @property
    def judged(self) -> str:
        """In a word."""
        return "passed" if self.fine else "FAILED" if self.code else "LEFT OUT"


def parts() -> list[Part]:
    """Files that try more when asked to, tests with full counts, the kills at every named point, the benchmark."""
    known, counted = _with("pytest.mark.prove"), _with("SHUTONG_PROVE")
    more = [Part(f"more cases: {path}", (*PYTEST, path)) for path in counted if path not in known]
    tests = _collected("prove", known)
    shared = dict.fromkeys(_file(test) for test in tests if not _apart(test))
    full = [Part(f"full counts: {test}", (*PYTEST, test)) for test in tests if _apart(test)]
    for path in shared:  # a file with more cases as well is run whole
        only = () if path in counted else ("-m", "prove or kills")
        full.append(Part(f"full counts: {path}", (*PYTEST, *only, path)))
    killing = dict.fromkeys(map(_file, _collected(KILLS, _with("pytest.mark.kills"))))
    kills = [
        Part(f"kills at every named point: {path}", (*PYTEST, "-m", KILLS, path))
        for path in killing
        if path not in shared
    ]
    last = Part("benchmark at full size", (sys.executable, "benchmarks/first.py"), alone=True)
    return [*more, *full, *kills, last]


def _file(test: str) -> str:
    return test.partition("::")[0]


def _apart(test: str) -> bool:
    return test.split("/")[1] in APART


def _with(said: str) -> list[str]:
    files = sorted((TOP / "tests").rglob("test_*.py"))
    return [str(path.relative_to(TOP)) for path in files if said in path.read_text(encoding="utf-8")]


def _collected(marked: str, files: Sequence[str]) -> list[str]:
    command = (*PYTEST, "-p", "no:randomly", "-m", marked, "--collect-only", *files)
    done = subprocess.run(command, cwd=TOP, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return [line for line in done.stdout.splitlines() if "::" in line]


def _environment() -> dict[str, str]:
    return {**os.environ, "SHUTONG_PROVE": "1"}


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


def prove(part: Part) -> Ended:
    """Run a part to its end."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(part.command, cwd=TOP, env=_environment(), stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read().decode(errors="replace").splitlines()
    skipped = tuple(line for line in said if line.startswith("SKIPPED ["))
    seconds, cpu = time.monotonic() - start, used.ru_utime + used.ru_stime
    last = "\n".join(said[-SHOWN:])
    return Ended(process.returncode, skipped, last, round(seconds, 1), round(cpu, 1), used.ru_maxrss >> 10)


def proved(wanted: Sequence[Part], lanes: int) -> Iterator[tuple[Part, Ended]]:
    """Each part as it ends; what needs the machine for itself comes last."""
    with ThreadPoolExecutor(lanes) as pool:
        running = {pool.submit(prove, part): part for part in wanted if not part.alone}
        try:
            for ended in as_completed(running):
                yield running[ended], ended.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    for part in wanted:
        if part.alone:
            yield part, prove(part)


def main(arguments: list[str] | None = None) -> int:
    """Prove every part that has not passed yet; 1 when one fails, or leaves out what this machine does not have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="only say what there is to prove, and what passed")
    parser.add_argument("--again", action="store_true", help="run the parts that passed as well")
    parser.add_argument("--only", default="", metavar="WORD", help="the parts whose name has it in it")
    parser.add_argument("--lanes", type=int, default=LANES, help=f"parts at a time ({LANES})")
    asked = parser.parse_args(arguments)
    code = version()
    passed = {} if asked.again else remembered().get(code, {})
    lasted = {name: seconds for one in remembered().values() for name, seconds in one.items()}
    # The longest first, as far as one knows, so that no lane is left alone with one at the end.
    wanted = sorted(parts(), key=lambda part: -lasted.get(part.name, float("inf")))
    wanted = [part for part in wanted if asked.only in part.name]
    if not wanted:
        parser.error(f"no part has {asked.only!r} in its name; --list tells what there is")
    for part in wanted:
        if part.name in passed or asked.list:
            known = f"passed before, {passed[part.name]:.1f} s" if part.name in passed else "to do"
            print(f"{part.name}: {known}", flush=True)
    if asked.list:
        return 0
    failed, start, total = False, time.monotonic(), 0.0
    for part, ended in proved([part for part in wanted if part.name not in passed], asked.lanes):
        taken = f"{ended.seconds:.1f} s, {ended.cpu:.1f} s of CPU, {ended.mib} MiB"
        print(
            "\n".join([*([ended.last] if ended.code else ended.skipped), f"{part.name}: {ended.judged}, {taken}"]),
            flush=True,
        )
        total += ended.cpu
        failed |= not ended.fine
        if ended.fine:
            passed[part.name] = ended.seconds
            remember(code, passed)
    print(f"{time.monotonic() - start:.0f} s, {total:.0f} s of CPU")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
