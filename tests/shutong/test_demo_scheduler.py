"""The demo as a user runs it: real scheduler, real API, compared with the ledger, nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

SIZES = ("--firms", "250", "--persons", "250")
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
LISTEN = "0A"
INGESTS = (
    "ingest__gongan__population",
    "ingest__mzj__institution",
    "ingest__mzj__social_org",
    "ingest__scjg__enterprise_base",
    "ingest__swj__taxpayer",
)
TAMPERED = """
import sys
from dataclasses import replace
sys.path.insert(0, {folder!r})
from demo_town import standard_without
from test_demo import rename_a_firm
from shutong.demo import run as demo, systems
from shutong.printing import Voice
from shutong.settings import read

lay_out, generate = demo._lay_out, systems.generate

def without_a_rule(home):
    lay_out(home)
    if {what!r} == "rule":
        standard_without(home, "legal_person", "est_not_future")

def with_a_changed_row(home, **sizes):
    ledger = generate(home, **sizes)
    if {what!r} == "row":
        rename_a_firm(home, ledger)
    return ledger

demo._lay_out, systems.generate = without_a_rule, with_a_changed_row
sys.exit(demo.run(read(), Voice("en"), once=True, firms=250, persons=250))
"""


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SHUTONG_", "AIRFLOW"))}
    ports = {"SHUTONG_API_PORT": "0", "SHUTONG_AIRFLOW_PORT": "0"}
    return {**kept, **ports, "SHUTONG_HOME": str(home), "SHUTONG_LANG": "en"}


def processes_of(home: Path) -> dict[int, set[str]]:
    """Process id → open files of every process that belongs to that folder.

    By its environment, command line or open files: programs that give themselves a title overwrite the first two, but
    what the supervisor starts writes to a log in the folder.
    """
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            files = {str(link.readlink()) for link in (folder / "fd").iterdir()}
            words = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(home).encode() in words or any(name.startswith(f"{home}/") for name in files):
            found[int(folder.name)] = files
    return found


def listening(processes: dict[int, set[str]]) -> set[tuple[str, int]]:
    """(address in hexadecimal, port) that any of them listens on."""
    sockets = {name for files in processes.values() for name in files}
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            cells = line.split()
            address, _, port = cells[1].partition(":")
            if cells[3] == LISTEN and f"socket:[{cells[9]}]" in sockets:
                found.add((address, int(port, 16)))
    return found


def run(command: list[str], home: Path, seconds: float) -> tuple[int, str, set[tuple[str, int]]]:
    """Run to the end; its code, output, and every address it listened on meanwhile."""
    log = home.with_name("output.txt")
    heard: set[tuple[str, int]] = set()
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment(home), stdout=out, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + seconds
            while process.poll() is None and time.monotonic() < deadline:
                heard |= listening(processes_of(home))
                time.sleep(2.0)
        finally:
            if process.poll() is None:
                process.terminate()  # it then stops what it started
                process.wait(60)
    return process.returncode, log.read_text(encoding="utf-8", errors="replace"), heard


@pytest.mark.scheduler
@pytest.mark.timeout(540)
def test_the_demo_agrees_with_its_ledger_was_scheduled_and_leaves_nothing_behind(tmp_path):
    home = tmp_path / "home"
    code, said, heard = run([sys.executable, "-m", "shutong", "demo", "--once", *SIZES], home, 480)
    assert code == 0, said
    assert "every figure agrees with the ledger" in said
    for dag in INGESTS:
        runs = re.search(rf"^\s*{dag} .*\bscheduled success (\d+)", said, re.MULTILINE)
        assert runs, f"{dag} did not run by its schedule:\n{said}"
        assert int(runs[1]) >= 1
    for library in ("legal_person", "population"):
        assert re.search(rf"^\s*merge__{library} .*\basset_triggered success \d+", said, re.MULTILINE), said
    assert "manual" not in said
    assert processes_of(home) == {}
    assert len(heard) >= 3, "the API, Airflow and the tax service listened"
    assert {address for address, _ in heard} <= LOOPBACK


@pytest.mark.prove
@pytest.mark.scheduler
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("what", "told"), [("rule", "legal_person@1 est_not_future"), ("row", "enterprise_base digest")]
)
def test_the_demo_fails_when_a_rule_is_deleted_or_a_seeded_row_changed(tmp_path, what, told):
    home = tmp_path / "home"
    script = TAMPERED.format(folder=str(Path(__file__).parent), what=what)
    code, said, _ = run([sys.executable, "-c", script], home, 600)
    assert code == 1, said
    assert "✗ 1 differences" in said
    assert told in said
    assert processes_of(home) == {}
