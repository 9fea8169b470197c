"""A resource read by the log of its database has a process of its own, started again when it ends; nobody else pulls it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from shutong import supervisor as under_test
from shutong.index import read_index
from shutong.layout import init
from shutong.running import follower
from shutong.settings import read
from shutong.supervisor import Program, Supervisor, python


@pytest.fixture
def home(tmp_path):
    init(tmp_path / "home", "zhejiang")
    return tmp_path / "home"


def test_the_index_knows_what_is_followed(home):
    path = next(one for one in (home / "resources").glob("*/*.yaml") if "kind: sql" in one.read_text())
    before = {one.resource: one.followed for one in read_index(home)}
    assert not any(before.values())
    kept = [line for line in path.read_text().splitlines() if not line.startswith("read:") and "cursor:" not in line]
    path.write_text("\n".join([*kept, "read: {mode: cdc, every: 1s, max_lag: 5GB, drop_slot_after: 20GB}", ""]))
    os.utime(path, (time.time() + 5, time.time() + 5))
    assert [one.name for one in read_index(home) if one.followed] == [path.stem]


def test_the_follower_of_a_resource_is_started_again(home):
    program = follower(read({"SHUTONG_HOME": str(home)}), "swj.taxpayer")
    assert program.again
    assert program.command[1:] == ("-m", "shutong", "follow", "swj.taxpayer")
    assert program.environment["SHUTONG_HOME"] == str(home)


def test_a_program_to_be_started_again_is_no_reason_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(under_test, "AGAIN_SECONDS", (0.1, 60.0))
    with Supervisor(tmp_path) as running:
        first = running.start(Program("lasting", python("-c", "import time; time.sleep(600)"), again=True))
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while running._running["lasting"].pid == first:
            running.check()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        second = running._running["lasting"].pid
        running.end("lasting")
        running.end("lasting")
        with pytest.raises(ProcessLookupError):
            os.kill(second, 0)
        running.check()
