"""People from the command line: registered in people.yaml, invited, locked, seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runs.alarms.people import read_people
from shutong.cli import main
from shutong.layout import init
from shutong.logging_in import besieged, door_of, terms_of
from shutong.settings import read
from shutong.wiring import open_deployment

WORD = "correct horse battery"


def run(home: Path, *arguments: str, lang: str = "en") -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    result = CliRunner().invoke(main, arguments, env=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0):
    result = run(home, "person", *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    init(made, "enterprises")
    return made


def departments(home: Path) -> list[str]:
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        return [one.id for one in wired.deployment.departments]


def test_people_are_written_as_one_would_by_hand(home):
    first = told(home, "add", "chen", "--name", "陈静", "--role", "data_manager")
    assert (first["person"]["roles"], first["person"]["account"]) == (["data_manager"], "none")
    path = home / "people.yaml"
    path.write_text(
        "# our people\nwebhooks:\n  oa: {url: 'https://oa.example.gov.cn', secret: oa}\npeople:\n"
        "  - {id: chen, name: 陈静, roles: [data_manager]}   # until spring\n"
        "  - id: li\n    name: 'Li Na'\n    department: swj\n",
        encoding="utf-8",
    )
    told(
        home,
        "add",
        "wang",
        "--name",
        "王𠮷",
        "--as",
        "swj",
        "--role",
        "caller",
        "--role",
        "analyst",
        "--mail",
        "w@x.cn",
    )
    told(home, "set", "li", "--role", "lead", "--lang", "en", "--webhook", "oa")
    told(home, "set", "wang", "--mail", "")
    text = path.read_text(encoding="utf-8")
    assert "# our people" in text
    assert "# until spring" in text
    assert "name: 'Li Na'" in text
    found = {one.id: one for one in read_people(path, departments(home)).people}
    assert list(found) == ["chen", "li", "wang"]
    assert (found["li"].roles, found["li"].lang, found["li"].webhook) == (frozenset({"lead"}), "en", "oa")
    assert (found["wang"].name, found["wang"].mail) == ("王𠮷", None)
    before = path.read_bytes()
    assert told(home, "add", "wang", "--name", "x", "--as", "swj", code=1)["error"]["code"] == "SYS-PERSON-EXISTS"
    assert told(home, "set", "nobody", "--lang", "en", code=1)["error"]["code"] == "RUN-PERSON-UNKNOWN"
    assert told(home, "set", "li", "--as", "mars", code=1)["error"]["code"].startswith("STD-")
    assert path.read_bytes() == before
    assert [one.name for one in home.glob(".people*")] == []


def test_a_person_is_invited_logs_in_is_seen_locked_and_let_in_again(home):
    told(home, "add", "chen", "--name", "陈静", "--role", "data_manager")
    told(home, "add", "wang", "--name", "王伟", "--as", "swj")
    code = told(home, "invite", "wang", "--by", "chen")["code"]
    assert told(home, "invite", "wang", "--by", "wang", code=1)["error"]["code"] == "SHR-ROLE"
    states = {one["id"]: one["account"] for one in told(home, "list")["people"]}
    assert states == {"chen": "none", "wang": "invited"}
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        door = door_of(wired.deployment, wired.state.engine)
        door.accept(code, WORD, None)
        assert terms_of(wired.deployment).public == "http://127.0.0.1:8600"
    (session,) = told(home, "sessions", "wang")["sessions"]
    assert told(home, "sessions", "--end", str(session["session"]))["ended"] is True
    assert told(home, "sessions", "--end", str(session["session"]), code=1)["ended"] is False
    told(home, "lock", "wang", "--why", "left")
    assert {one["account"] for one in told(home, "list")["people"]} == {"none", "locked"}
    told(home, "unlock", "wang", "--why", "back", "--by", "chen")
    events = told(home, "history", "wang")["events"]
    assert [(one["event"], one["who"]) for one in reversed(events)] == [
        ("invited", "chen"), ("password_set", "wang"), ("login", "wang"), ("session_ended", "operator"),
        ("locked", "operator"), ("unlocked", "chen"),
    ]  # fmt: skip
    for words in (("list",), ("sessions",), ("history",), ("invite", "chen"), ("lock", "wang", "--why", "x")):
        assert run(home, "person", *words, lang="zh").exit_code == 0
    assert run(home, "person", "unlock", "--why", "x").exit_code == 2
    assert told(home, "unlock", "--network", "10.0.0.1", "--why", "x", code=1)["unlocked"] is None


def test_too_many_failures_are_an_alarm_that_names_the_account_and_the_way_out(home):
    told(home, "add", "wang", "--name", "王伟", "--as", "swj")
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        door, engine = door_of(wired.deployment, wired.state.engine), wired.state.engine
        own = door._account("wang", door.people.find("wang"))
        assert besieged(wired.deployment, engine) == []
        for i in range(10):
            door.gate._clock = lambda i=i: 1.7e9 + 4000.0 * i
            door.gate.enter(own)
        assert besieged(wired.deployment, engine) == []
        door.gate._clock = door._clock
        door.gate.open(own.place)
        for _ in range(6):
            door.gate.enter(own)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE login_attempt SET count = 12")
        (one,) = besieged(wired.deployment, engine)
        assert (one.kind, one.resource, one.next_en) == (
            "locked", "log-in account wang", "look into it, then shutong person unlock wang",
        )  # fmt: skip
    told(home, "unlock", "wang", "--why", "it was him")
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        assert besieged(wired.deployment, wired.state.engine) == []
