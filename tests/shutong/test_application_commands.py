"""Applications and grants from the command line, in both languages, and what alarms say of those overdue."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runs.alarms.people import read_people
from runs.alarms.store import Alarms
from shutong.applying import applications_of, waiting
from shutong.cli import main
from shutong.layout import init
from shutong.settings import read
from shutong.watching import now
from shutong.wiring import open_deployment

PEOPLE = """
people:
  - {id: chen, name: 陈静, roles: [data_manager]}
  - {id: li, name: 李娜, department: scjg, roles: [lead]}
  - {id: zhou, name: 周强, department: swj}
"""
UNTIL = (now() + timedelta(days=300)).date().isoformat()
PURPOSE = ("--matter-code", "330107004000", "--matter", "税务登记", "--basis", "税收征收管理法第十五条")


def run(home: Path, *arguments: str, lang: str = "en") -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": "", "SHUTONG_SMTP_HOST": ""}
    result = CliRunner().invoke(main, arguments, env=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0):
    result = run(home, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("applications") / "home"
    init(made, "enterprises")
    (made / "people.yaml").write_text(PEOPLE, encoding="utf-8")
    (made / "sharing.yaml").write_text("providers: {legal_person: scjg}\n", encoding="utf-8")
    return made


def filed(home: Path, fields: str, *more: str) -> dict:
    said = ("--by", "zhou", "--fields", fields, "--until", UNTIL, *PURPOSE, *more)
    return told(home, "application", "file", "legal_person", *said)["application"]


def test_a_grant_is_applied_for_narrowed_suspended_renewed_and_revoked(home):
    free = filed(home, "uscc,ent_name")
    assert (free["state"], free["department"], free["provider"]) == ("delivered", "swj", "scjg")
    part = filed(home, "uscc,legal_rep_name", "--clear", "legal_rep_name", "--rows", "domicile_division=3301*",
                 "--rows", "domicile_division=3302*")  # fmt: skip
    assert (part["state"], part["asked"]["rows"]) == ("pending", {"domicile_division": ["3301*", "3302*"]})
    number = str(part["id"])
    by_li = ("--by", "li", "--why", "核对登记")
    assert told(home, "application", "supplement", number, *by_li)["application"]["state"] == "supplementing"
    assert (
        told(home, "application", "supply", number, "--by", "zhou", "--why", "x")["application"]["state"] == "pending"
    )
    assert told(home, "application", "extension", number, "ask", *by_li)["application"]["extension"] == 5
    by_chen = ("--by", "chen", "--why", "核对登记")
    assert told(home, "application", "extension", number, "grant", *by_chen)["application"]["extended"]
    refused = told(home, "application", "decide", number, "approve", "--by", "zhou", "--why", "x", code=1)
    assert refused["error"]["code"] == "SHR-RIGHT"
    done = told(home, "application", "decide", number, "approve", *by_li, "--fields", "uscc")
    grant = done["application"]["grant"]
    granted = done["application"]["granted"]
    assert (granted["fields"], granted["clear"]) == (["uscc"], []), "what is not granted is not unmasked either"
    for act, state in (("suspend", "suspended"), ("resume", "active")):
        assert told(home, "grant", act, grant, *by_li)["grant"]["state"] == state
    later = (now() + timedelta(days=400)).date().isoformat()
    assert told(home, "grant", "extend", grant, *by_li, "--until", later)["grant"]["until"] == later
    renewed = told(home, "grant", "renew", free["grant"], "--by", "zhou", "--until", later)["application"]
    assert (renewed["grant"], renewed["state"]) == (free["grant"], "delivered")
    assert told(home, "grant", "revoke", grant, *by_chen)["grant"]["state"] == "revoked"
    listed = told(home, "grant", "list")["grants"]
    assert {one["origin"] for one in listed} == {"file", "database"}
    assert {one["id"]: one["state"] for one in listed}[grant] == "revoked"
    assert len(told(home, "grant", "show", free["grant"])["versions"]) == 2
    assert told(home, "grant", "show", "tax-firms", code=1)["error"]["code"] == "SHR-NO-APPLICATION"


def test_everything_is_told_in_both_languages(home):
    number = str(filed(home, "uscc,phone", "--clear", "phone")["id"])
    refusal = ("--by", "li", "--why", "无关", "--basis", "某法第一条")
    assert run(home, "application", "decide", number, "refuse", *refusal, "--fields", "uscc").exit_code == 2
    assert "不予共享" in run(home, "application", "decide", number, "refuse", *refusal, lang="zh").stdout
    for lang, words in (("zh", ("不予共享", "某法第一条", "提出")), ("en", ("refused", "某法第一条", "filed"))):
        shown = run(home, "application", "show", number, lang=lang).stdout
        assert all(one in shown for one in words)
        assert number in run(home, "application", "list", "--state", "refused", lang=lang).stdout
        assert run(home, "grant", "list", lang=lang).exit_code == 0
        shown = run(home, "grant", "show", filed(home, "uscc")["grant"], lang=lang).stdout
        assert ("issued" in shown, "授予" in shown) == (lang == "en", lang == "zh")
        assert run(home, "application", "sweep", lang=lang).exit_code == 0
    for act, by, state in (
        ("dispute", "zhou", "consultation"),
        ("refer", "zhou", "mediation"),
        ("withdraw", "zhou", "refused"),
    ):
        assert told(home, "application", act, number, "--by", by, "--why", "x")["application"]["state"] == state


def test_what_is_overdue_is_an_alarm_for_whom_it_went_up_to(home):
    filed(home, "uscc,phone", "--clear", "phone")
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        every = applications_of(wired.deployment, wired.state.engine)
        assert [one for one in waiting(every, now()) if one.kind != "expiring"] == []
        late = [one for one in waiting(every, now() + timedelta(days=40)) if one.kind != "expiring"]
    assert [(one.kind, one.level, one.to, one.department) for one in late] == [
        ("overdue", 0, "", "scjg"), ("escalated", 1, "lead", "scjg"),
    ]  # fmt: skip
    assert "--overdue" in late[0].next_en


def test_who_holds_a_grant_hears_once_that_it_ends_soon(home):
    soon = (now() + timedelta(days=20)).date().isoformat()
    grant = filed(home, "uscc", "--until", soon)["grant"]
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        every = applications_of(wired.deployment, wired.state.engine)
        for _ in range(2):
            (ends,) = [one for one in waiting(every, now()) if one.resource == f"grant {grant}"]
        assert (ends.department, ends.next_en) == ("swj", f"shutong grant renew {grant}")
        folk = read_people(home / "people.yaml", ["scjg", "swj"])
        reached = replace(folk, people=tuple(replace(one, mail=f"{one.id}@example.gov.cn") for one in folk.people))
        alarms = Alarms(wired.state.engine)
        for days in (0, 3):
            alarms.see([ends], reached, now() + timedelta(days))
        alarms.see([], reached, now() + timedelta(4))
        (message,) = alarms.waiting(now() + timedelta(5))
    assert message.person == "zhou"
    assert "授权即将到期" in message.subject
    assert soon in message.body


def test_overdue_applications_of_one_library_reach_the_provider_and_the_authority(home):
    waits = filed(home, "uscc,phone", "--clear", "phone")["id"]
    disputed = str(filed(home, "uscc,phone", "--clear", "phone")["id"])
    told(home, "application", "decide", disputed, "refuse", "--by", "li", "--why", "x", "--basis", "某法第一条")
    for act in ("dispute", "refer"):
        told(home, "application", act, disputed, "--by", "zhou", "--why", "x")
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        every = applications_of(wired.deployment, wired.state.engine)
        late = [one for one in waiting(every, now() + timedelta(days=40)) if one.level == 1]
    assert {one.to for one in late} == {"lead", "data_manager"}
    assert len({one.key for one in late}) == len(late)
    assert str(waits) in next(one.what_en for one in late if one.to == "lead")
    for number in (str(waits), disputed):
        told(home, "application", "withdraw", number, "--by", "zhou", "--why", "x")
