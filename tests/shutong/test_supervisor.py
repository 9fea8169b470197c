"""The supervisor over real processes: it starts them, notices one that dies, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shutong import supervisor as under_test
from shutong.supervisor import ProcessError, Program, Supervisor, free_port, python

SLEEP = "import time; time.sleep(600)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
SUPERVISING = """
import sys
from pathlib import Path
from shutong.supervisor import Program, Supervisor, python
with Supervisor(Path(sys.argv[1])) as running:
    print(running.start(Program("one", python("-c", "import time; time.sleep(600)"))), flush=True)
    running.wait(lambda: False, ("nothing", "nothing"), 600)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """True while the process exists and is not a zombie waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> bool:
    """True once the process has ended; an orphan takes a moment to."""
    deadline = time.monotonic() + 10
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def logs(tmp_path):
    return tmp_path / "logs"


def said(logs: Path, name: str) -> str:
    path = logs / f"{name}.log"
    return path.read_text() if path.exists() else ""


def test_what_it_starts_runs_with_its_environment_and_ends_when_it_is_left(logs):
    with Supervisor(logs) as running:
        code = f"import os; print(os.environ['TOWN'], os.environ['HOME'], flush=True); {SLEEP}"
        pid = running.start(Program("one", python("-c", code), {"TOWN": "杭州", "PYTHONIOENCODING": "utf-8"}))
        running.wait(lambda: "\n" in said(logs, "one"), ("one", "one"), 20, pause=0.02)
        assert alive(pid)
        running.check()
    assert said(logs, "one") == f"杭州 {os.environ['HOME']}\n"
    assert not alive(pid)


def test_leaving_through_an_error_ends_everything_too(logs):
    pids = []

    def interrupted():
        with Supervisor(logs) as running:
            pids.extend(running.start(Program(name, python("-c", SLEEP))) for name in ("one", "two"))
            assert all(map(alive, pids))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [alive(pid) for pid in pids] == [False, False]


def test_a_process_that_died_is_named_with_its_code_and_its_last_words(logs):
    dying = "import sys; print('起来'); print('no such table', file=sys.stderr); sys.exit(7)"
    with Supervisor(logs) as running:
        running.start(Program("alive", python("-c", SLEEP)))
        running.start(Program("dying", python("-c", dying), {"PYTHONIOENCODING": "utf-8"}))
        with pytest.raises(ProcessError) as raised:
            running.wait(lambda: False, ("nothing", "nothing"), 20, pause=0.02)
    error = raised.value
    assert error.code == "SYS-PROCESS-DIED"
    assert "dying" in error.zh
    assert "code 7" in error.en
    assert "起来" in error.en
    assert "no such table" in error.en
    assert str(logs / "dying.log") in error.fix_zh


def test_a_killed_process_is_noticed(logs):
    with Supervisor(logs) as running:
        pid = running.start(Program("one", python("-c", SLEEP)))
        running.check()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ProcessError, match="-9"):
            running.wait(lambda: False, ("nothing", "nothing"), 20, pause=0.02)


def test_children_of_what_it_started_end_with_it(logs):
    with Supervisor(logs) as running:
        running.start(Program("parent", python("-c", PARENT)))
        running.wait(lambda: "\n" in said(logs, "parent"), ("its child", "its child"), 20, pause=0.02)
        child = int(said(logs, "parent"))
        assert alive(child)
    assert gone(child)


def test_children_of_a_process_that_died_by_itself_end_too(logs):
    with Supervisor(logs) as running:
        pid = running.start(Program("parent", python("-c", PARENT)))
        running.wait(lambda: "\n" in said(logs, "parent"), ("its child", "its child"), 20, pause=0.02)
        os.kill(pid, signal.SIGKILL)
        child = int(said(logs, "parent"))
    assert gone(child)


def test_a_process_that_ignores_the_request_to_end_is_made_to(logs, monkeypatch):
    monkeypatch.setattr(under_test, "STOP_SECONDS", 0.3)
    with Supervisor(logs) as running:
        pid = running.start(Program("deaf", python("-c", DEAF)))
        running.wait(lambda: "deaf" in said(logs, "deaf"), ("deaf", "deaf"), 20, pause=0.02)
    assert not alive(pid)


def test_a_supervisor_that_is_asked_to_end_while_it_waits_ends_what_it_started(logs):
    process = subprocess.Popen(python("-c", SUPERVISING, str(logs)), stdout=subprocess.PIPE, text=True)
    with process:
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert gone(pid)


def test_what_a_program_did_about_being_asked_to_end_is_as_before_once_it_is_left(logs):
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor(logs):
        pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_ends_only_what_it_started(logs):
    with Supervisor(logs) as other:
        pid = other.start(Program("other", python("-c", SLEEP)))
        with Supervisor(logs) as running:
            running.start(Program("one", python("-c", SLEEP)))
        assert alive(pid)
        other.check()


def test_what_is_never_ready_is_given_up_on_in_time_and_named(logs):
    with Supervisor(logs) as running:
        running.start(Program("one", python("-c", SLEEP)))
        with pytest.raises(ProcessError) as raised:
            running.wait(lambda: False, ("共享接口", "共享接口"), 0.2, pause=0.02)
    assert raised.value.code == "SYS-NOT-READY"
    assert "共享接口" in raised.value.zh
    assert str(logs) in raised.value.fix_en


def test_waiting_says_how_long_it_took(logs):
    began = time.monotonic()
    with Supervisor(logs) as running:
        took = running.wait(lambda: time.monotonic() - began > 0.2, ("a moment", "a moment"), 20, pause=0.02)
    assert 0.1 < took < 20


def test_nothing_is_read_from_standard_input(logs):
    with Supervisor(logs) as running:
        code = f"import sys; print(repr(sys.stdin.read()), flush=True); {SLEEP}"
        running.start(Program("one", python("-c", code)))
        running.wait(lambda: said(logs, "one") == "''\n", ("an empty input", "an empty input"), 20, pause=0.02)


def test_the_port_asked_for_is_given_when_free_and_another_when_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (port, 0)
    assert free_port(port) == port


def test_a_command_runs_under_our_own_interpreter():
    assert python("-m", "shutong") == (sys.executable, "-m", "shutong")
