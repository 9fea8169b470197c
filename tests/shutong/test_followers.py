"""What runs beside the scheduler: a process for each followed resource, one for alarms where somebody can be told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from types import SimpleNamespace

import httpx
import pytest
from click.testing import CliRunner

from shutong import running as as_a_whole
from shutong import supervisor as under_test
from shutong.cli import main
from shutong.commands import deployment as commands
from shutong.index import read_index
from shutong.layout import init
from shutong.running import Running, followed_libraries, follower, library_follower, pools
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


def test_a_library_is_followed_when_the_deployment_says_so(home):
    settings, path = read({"SHUTONG_HOME": str(home)}), home / "departments.yaml"
    assert followed_libraries(settings) == frozenset()
    path.write_text(path.read_text() + "followed_libraries: [legal_person]\n")
    assert followed_libraries(settings) == {"legal_person"}
    program = library_follower(settings, "legal_person")
    assert (program.again, program.command[1:]) == (True, ("-m", "shutong", "library", "follow", "legal_person"))
    path.write_text("departments: [")
    assert followed_libraries(settings) == frozenset(), "the log says what is wrong with it"


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


PEOPLE = "people: [{id: chen, name: 陈静, roles: [data_manager], mail: chen@example.gov.cn}]\n"


class Started(list):
    """A supervisor that notes what it is asked to start."""

    start = list.append

    def check(self):
        pass


def test_alarms_are_looked_at_as_soon_as_there_is_somebody_to_tell(home):
    settings, started = read({"SHUTONG_HOME": str(home)}), Started()
    now = Running(settings, started, None, None, "", pools(settings))
    now.look_after()
    assert started == []
    (home / "people.yaml").write_text(PEOPLE)
    now.look_after()
    now.look_after()
    assert [one.name for one in started] == ["alarms"]


class Halting:
    """An Airflow that fails once in the middle of being given its pools, as one does whose database is locked."""

    def __init__(self):
        self.pools, self.fails = {}, 1

    def login(self):
        pass

    def set_pools(self, wanted):
        for name, slots in wanted.items():
            if len(self.pools) == 2 and self.fails:
                self.fails -= 1
                raise httpx.HTTPError("500")
            self.pools[name] = slots


def test_nothing_begins_before_airflow_has_every_pool(home):
    settings, airflow = read({"SHUTONG_HOME": str(home)}), Halting()
    with Supervisor(home / "logs") as started:
        Running(settings, started, None, airflow, "").begin()
    assert airflow.pools == pools(settings)
    assert (airflow.fails, len(airflow.pools) > 2) == (0, True)


def test_up_and_doctor_say_that_nobody_would_hear_of_a_failure(home, monkeypatch):
    airflow = SimpleNamespace(url="http://127.0.0.1:1", home=home)

    @contextlib.contextmanager
    def running(*_):
        yield SimpleNamespace(airflow=airflow, api_url="http://127.0.0.1:2", look_after=None)

    monkeypatch.setattr(as_a_whole, "running", running)
    monkeypatch.setattr(commands, "wait_for_stop", lambda _: None)

    def said(**more):
        env = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": "en", "SHUTONG_SMTP_HOST": "", **more}
        up = CliRunner().invoke(main, ["up"], env=env, catch_exceptions=False)
        doctor = CliRunner().invoke(main, ["doctor", "--json"], env=env, catch_exceptions=False)
        (alarms,) = [one for one in json.loads(doctor.stdout)["checks"] if one["check"] == "alarms"]
        assert (doctor.exit_code, alarms["ok"]) == (0, True)
        assert up.stderr.count("nobody is told") == alarms["warns"]
        return alarms["detail"]

    assert "write people.yaml" in said()
    (home / "people.yaml").write_text(PEOPLE)
    assert "SHUTONG_SMTP_HOST" in said()
    assert "1 of 1 people" in said(SHUTONG_SMTP_HOST="127.0.0.1")
