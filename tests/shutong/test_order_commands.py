"""Orders and alarms from the command line: both languages, JSON, files for spreadsheets, every mistake explained."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from openpyxl import load_workbook

from quality.orders_values import OrderPolicy
from schemas.values import RuleCount, Verdict
from shutong.cli import main
from shutong.commands.alarms import read_until
from shutong.layout import init
from shutong.running import alarms as alarm_program
from shutong.settings import Smtp, read
from shutong.watching import now
from shutong.wiring import ZONE, open_deployment

RESOURCE = "scjg.enterprises"
PEOPLE = """
people:
  - {id: chen, name: 陈静, roles: [data_manager], mail: chen@example.gov.cn, webhook: oa}
  - {id: li, name: 李娜, department: scjg, roles: [lead], mail: li@example.gov.cn}
  - {id: wang, name: 王伟, department: scjg, mail: wang@example.gov.cn}
webhooks: {oa: {url: "http://127.0.0.1:9/hook", secret: oa_key}}
"""
NOTHING = pa.table({"_row": pa.array([], pa.int64()), "rules": pa.array([], pa.list_(pa.string()))})


def run(home: Path, *arguments: str, lang: str = "en", **more: str) -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": "", "SHUTONG_SMTP_HOST": "", **more}
    result = CliRunner().invoke(main, arguments, env=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0, **more: str):
    result = run(home, *arguments, "--json", **more)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory) -> Path:
    """A deployment whose newest check violated a rule of its standard, and one that is called like a formula."""
    home = tmp_path_factory.mktemp("orders") / "home"
    init(home, "enterprises")
    (home / "people.yaml").write_text(PEOPLE, encoding="utf-8")
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        resource = wired.deployment.resource(RESOURCE)
        rules = [one for one in resource.standard.rules if one.id == "uscc_check"]
        counts = (RuleCount("uscc_check", "error", 3, 10),)
        verdict = Verdict(10, counts, NOTHING, pa.array([], pa.int64()), "warn", "三行", "3 rows", {})
        wired.quality.record(RESOURCE, "scjg", "r1", "b1", rules, verdict)
        long_ago = now() - timedelta(days=30)
        wired.orders.settle(RESOURCE, resource.orders, long_ago)
        wired.orders.drifted(RESOURCE, "scjg", OrderPolicy(), "r1", "=列 a", "=column a", now())
    return home


@pytest.fixture
def home(laid_out, tmp_path) -> Path:
    return Path(shutil.copytree(laid_out, tmp_path / "home"))


def test_orders_are_listed_the_overdue_first_in_both_languages(home):
    found = told(home, "quality", "orders", "list")["orders"]
    assert [(one["rule"], one["state"], one["overdue"]) for one in found] == [
        ("uscc_check", "open", True), ("@drift", "open", False),
    ]  # fmt: skip
    assert len(told(home, "quality", "orders", "list", "--overdue")["orders"]) == 1
    assert told(home, "quality", "orders", "list", "--state", "closed")["orders"] == []
    assert told(home, "quality", "orders", "list", "--department", "swj")["orders"] == []
    assert "待处理" in run(home, "quality", "orders", "list", "--resource", "enterprises", lang="zh").output
    assert "uscc_check" in run(home, "quality", "orders", "list").output


def test_an_order_is_shown_with_what_to_do_and_where_its_rows_are(home):
    english = run(home, "quality", "orders", "show", "1")
    assert english.exit_code == 0
    for words in ("batch b1", "run r1", f"shutong quality show {RESOURCE} --rows 10", "opened"):
        assert words in english.output
    assert "开单" in run(home, "quality", "orders", "show", "1", lang="zh").output
    shown = told(home, "quality", "orders", "show", "1")
    assert shown["order"]["fix_zh"]
    assert [one["event"] for one in shown["history"]] == ["opened"]
    assert told(home, "quality", "orders", "show", "99", code=1)["error"]["code"] == "QUA-ORDER-UNKNOWN"


def test_an_order_goes_its_way_by_people_who_may(home):
    act = ("quality", "orders")
    assert told(home, *act, "assign", "1", "wang", "--by", "li")["order"]["assignee"] == "wang"
    assert told(home, *act, "answer", "1", "--by", "wang", "--why", "已更正")["order"]["state"] == "answered"
    until = (now().date() + timedelta(days=9)).isoformat()
    waive = (*act, "waive", "1", "--why", "迁移", "--until")
    assert told(home, *waive, until, "--by", "li", code=1)["error"]["code"] == "QUA-ORDER-RIGHT"
    assert told(home, *waive, "soon", "--by", "chen", code=1)["error"]["code"] == "RUN-DATE"
    assert told(home, *waive, until, "--by", "nobody", code=1)["error"]["code"] == "RUN-PERSON-UNKNOWN"
    assert told(home, *waive, until, "--by", "chen")["order"]["state"] == "waived"
    assert "豁免至" in run(home, *waive, until, "--by", "chen", lang="zh").output
    steps = told(home, *act, "show", "1")["history"]
    assert [(one["event"], one["who"]) for one in steps] == [
        ("opened", "system"), ("assigned", "li"), ("answered", "wang"), ("waived", "chen"), ("waived", "chen"),
    ]  # fmt: skip


def test_orders_are_exported_for_spreadsheets_and_never_as_formulas(home, tmp_path):
    for name in ("orders.csv", "orders.xlsx"):
        assert told(home, "quality", "orders", "export", str(tmp_path / name))["orders"] == 2
    with (tmp_path / "orders.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    sheet = [list(row) for row in load_workbook(tmp_path / "orders.xlsx").active.iter_rows(values_only=True)]
    assert lines[0] == sheet[0]
    assert lines[0][:4] == ["id", "department", "resource", "rule"]
    assert {row[-1] for row in lines[1:]} >= {"'=column a"}
    assert (sheet[1][0], sheet[1][6]) == (1, 3)
    refused = told(home, "quality", "orders", "export", str(tmp_path / "orders.pdf"), code=1)
    assert refused["error"]["code"] == "RUN-EXPORT-SUFFIX"


def test_alarms_are_looked_at_once_and_listed_with_what_did_not_arrive(home):
    looked = told(home, "alarms", "run", SHUTONG_SECRET_OA_KEY="key")
    kinds = {one["kind"] for one in looked["conditions"]}
    assert {"overdue", "escalated"} <= kinds
    assert looked["messages"] == {"put_off": 1}  # nobody listens at that address; no mail server is set
    listed = told(home, "alarms", "list")
    assert {one["kind"] for one in listed["alarms"]} == kinds
    assert {one["error"] for one in listed["messages"]} >= {"RUN-ALARM-WEBHOOK"}
    assert {one["channel"] for one in listed["messages"]} == {"webhook"}
    assert "工单逾期" in run(home, "alarms", "list", lang="zh").output
    assert "orders overdue" in run(home, "alarms", "list", "--history", "5").output


def test_silences_are_made_listed_and_lifted(home):
    made = told(home, "alarms", "silence", "--resource", "scjg.*", "--until", "4h", "--by", "chen", "--why", "迁移")
    assert made["silence"]["resource"] == "scjg.*"
    assert told(home, "alarms", "run")["messages"] == {}
    assert [one["id"] for one in told(home, "alarms", "list")["silences"]] == [made["silence"]["id"]]
    assert "RUN-PERSON-UNKNOWN" in run(home, "alarms", "silence", "--lift", "1").output
    assert told(home, "alarms", "silence", "--lift", "1", "--by", "wang")["lifted"] is True
    assert run(home, "alarms", "silence", "--lift", "1", "--by", "wang").exit_code == 1
    (over,) = told(home, "alarms", "list", "--history", "9")["silences"]
    assert (over["lifted_by"], bool(over["lifted_at"])) == ("wang", True)
    assert "wang" in run(home, "alarms", "list", "--history", "9").output


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (("--until", "", "--by", "chen"), "RUN-DATE"),
        (("--until", "2020-01-01", "--by", "chen"), "RUN-ALARM-UNTIL"),
        (("--until", "9999-12-31", "--by", "chen"), "RUN-ALARM-UNTIL"),
        (("--until", "4h", "--by", "chen"), "QUA-ORDER-WORDS"),
        (("--until", "4h", "--by", "chen", "--why", "11010519491231002X"), "QUA-ORDER-WORDS"),
        (("--until", "4h", "--by", "chen", "--why", "迁移", "--resource", "nobodys.*"), "RUN-RESOURCE-UNKNOWN"),
        (("--until", "4h", "--by", "wang", "--why", "迁移"), "RUN-ALARM-RIGHT"),
    ],
)
def test_nothing_is_silenced_without_reason_end_and_right(home, said, code):
    assert told(home, "alarms", "silence", *said, code=1)["error"]["code"] == code
    assert told(home, "alarms", "list")["silences"] == []


def test_people_silence_alarms_of_their_department_and_their_own_messages(home):
    for about in (("--resource", "scjg.enterprises"), ("--person", "wang")):
        assert told(home, "alarms", "silence", "--until", "4h", "--by", "wang", "--why", "休假", *about)["silence"]


def test_numbers_and_files_that_cannot_be_are_explained_and_no_trace(home, tmp_path):
    many = "9" * 30
    for line in (("quality", "orders", "show"), ("alarms", "silence", "--lift"), ("held", "history", "--limit")):
        assert run(home, *line, many).exit_code == 2
    for name in ("none/orders.csv", "none/orders.xlsx"):
        refused = told(home, "quality", "orders", "export", str(tmp_path / name), code=1)
        assert refused["error"]["code"] == "RUN-EXPORT-FILE"


def test_a_test_message_says_why_it_did_not_arrive(home):
    tried = told(home, "alarms", "test", "chen", code=1, SHUTONG_SECRET_OA_KEY="key")
    said = {one["channel"]: one["error"]["code"] for one in tried["sent"]}
    assert said == {"mail": "RUN-ALARM-NO-MAIL", "webhook": "RUN-ALARM-WEBHOOK"}
    assert told(home, "alarms", "test", "nobody", code=1)["error"]["code"] == "RUN-PERSON-UNKNOWN"
    assert "RUN-ALARM-NO-MAIL" in run(home, "alarms", "test", "li").output


def test_until_is_understood_as_people_write_it():
    at = datetime(2026, 9, 1, 9, tzinfo=ZONE)
    assert read_until("4h", at) == at + timedelta(hours=4)
    assert read_until("2026-09-03", at) == datetime(2026, 9, 4, tzinfo=ZONE)
    assert read_until("2026-09-03T08:30", at) == datetime(2026, 9, 3, 8, 30, tzinfo=ZONE)


def test_the_settings_of_mail_are_read_and_a_wrong_one_is_told(tmp_path):
    env = {"SHUTONG_HOME": str(tmp_path), "SHUTONG_SMTP_HOST": "mail", "SHUTONG_SMTP_SECURITY": "tls",
           "SHUTONG_SMTP_CA": "/ca.pem", "SHUTONG_SMTP_PORT": "465"}  # fmt: skip
    assert read(env).smtp == Smtp("mail", 465, "tls", "", "shutong@localhost", Path("/ca.pem"))
    refused = told(tmp_path, "alarms", "run", code=1, SHUTONG_SMTP_SECURITY="ssl")
    assert refused["error"]["code"] == "SYS-SETTING"


@pytest.mark.timeout(60)
def test_the_watching_process_looks_again_and_ends_when_asked(home):
    program = alarm_program(read({"SHUTONG_HOME": str(home)}))
    assert program.again
    assert program.command[1:] == ("-m", "shutong", "alarms", "run", "--every", "60")
    command = (sys.executable, *program.command[1:-1], "1")
    env = {**os.environ, **program.environment, "SHUTONG_LANG": "en", "SHUTONG_SECRET_OA_KEY": "key"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = iter(process.stdout.readline, "")
            assert any("not delivered" in line for line in said)
            (home / "people.yaml").write_text("people: [{id: x}]\n", encoding="utf-8")
            assert any("STD-YAML-VALUE" in line for line in said)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
