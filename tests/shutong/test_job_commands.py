"""Bulk jobs and webhooks from the command line: registered, listed, worked on, ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runs.alarms.conditions import Condition
from sharing.bulk_files import JobFolder
from sharing.bulk_store import Job, JobStore, number
from sharing.webhook_store import HOOK, HookStore
from shutong.api import config_of
from shutong.cli import main
from shutong.layout import init
from shutong.running import Running, jobs, pools
from shutong.settings import read
from shutong.telling import unheard
from warehouse.state import State


def run(home: Path, *arguments: str, lang: str = "en") -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    result = CliRunner().invoke(main, arguments, env=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0):
    result = run(home, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("jobs") / "home"
    init(made, "enterprises")
    run(made, "webhook", "list")
    return made


def test_a_webhook_is_registered_listed_tried_and_removed(home: Path) -> None:
    made = told(
        home, "webhook", "add", "https://data.example.gov.cn/hook?token=1", "--as", "swj", "--library", "legal_person"
    )
    one = str(made["webhook"]["id"])
    assert made["secret"].startswith("whsec_")
    assert (home / "webhooks").exists()
    assert told(home, "webhook", "list")["webhooks"][0]["department"] == "swj"
    assert told(home, "webhook", "test", one)["message"].startswith("msg_")
    assert told(home, "webhook", "enable", one) == {"done": True}
    assert "token" not in run(home, "webhook", "list", lang="zh").output
    for who, what, code in (("swj", "x.y", "SHR-NO-GRANT"), ("nobody", "x.y", "SYS-DEPARTMENT-UNKNOWN")):
        refused = told(home, "webhook", "add", "https://b.example/", "--as", who, "--resource", what, code=1)
        assert refused["error"]["code"] == code
    assert told(home, "webhook", "add", "http://b.example/", "--as", "swj", "--library", "x", code=1)["error"][
        "code"
    ] == ("SHR-WEBHOOK-ADDRESS")
    assert told(home, "webhook", "test", "999", code=1)["error"]["code"] == "SYS-WEBHOOK"
    assert run(home, "webhook", "add", "https://b.example/", "--as", "swj").exit_code == 2
    assert (told(home, "webhook", "remove", one), told(home, "webhook", "remove", one, code=1)) == (
        {"done": True}, {"done": False},
    )  # fmt: skip


def test_a_webhook_that_fails_for_days_is_an_alarm(home: Path) -> None:
    state = State(f"sqlite:///{home}/state/state.db")
    store = HookStore(state.engine)
    hook = store.add("swj", None, "https://c.example/", ("libraries", "legal_person"), None)
    assert hook is not None
    assert unheard(state.engine) == []
    with state.engine.begin() as connection:
        connection.execute(HOOK.update().where(HOOK.c.id == hook.id).values(failing_since="2026-01-01T00:00:00+08:00"))
    (found,) = unheard(state.engine)
    assert isinstance(found, Condition)
    assert (found.kind, found.department, found.resource) == ("failed", "swj", f"webhook {hook.id}")
    assert f"shutong webhook enable {hook.id}" in found.next_en
    assert store.remove(hook.id)
    state.close()


def test_jobs_are_listed_worked_on_and_ended(home: Path) -> None:
    store = JobStore(config_of(read({"SHUTONG_HOME": str(home)})).engine)
    filed = [
        store.add(
            Job(number(), "swj", "counter", None, None, "libraries", "nothing", "g", ("uscc",), "csv", None, None, 1)
        )
        for _ in range(2)
    ]
    for one in filed:
        assert one is not None
        with JobFolder(home / "jobs", one.id).make() as keys:
            keys.write(b"x\n")
    first, second = (one.id for one in filed if one is not None)
    assert told(home, "job", "cancel", first) == {"cancelled": True}
    assert told(home, "job", "cancel", first, code=1) == {"cancelled": False}
    run(home, "job", "run", "--once")
    states = {one["id"]: (one["state"], one["code"]) for one in told(home, "job", "list")["jobs"]}
    assert states == {first: ("cancelled", None), second: ("failed", "SHR-NO-LIBRARY")}
    assert "作业" in run(home, "job", "list", lang="zh").output
    assert jobs(read({"SHUTONG_HOME": str(home)})).command[-2:] == ("job", "run")


class Started(list):
    """A supervisor that notes what it is asked to start."""

    start = list.append

    def check(self) -> None:
        return


def test_the_worker_is_started_as_soon_as_there_is_something_to_do(tmp_path: Path) -> None:
    settings, started = read({"SHUTONG_HOME": str(tmp_path)}), Started()
    now = Running(settings, started, None, None, "", pools(settings))  # type: ignore[arg-type]
    now.look_after()
    assert started == []
    (tmp_path / "webhooks").touch()
    now.look_after()
    now.look_after()
    assert [one.name for one in started] == ["jobs"]
