"""Departments' systems apply over HTTP, see what concerns them, and decide nothing."""

from __future__ import annotations

import pytest
from application_office import AUTHORITY, PROVIDER, WHY, at
from applied_town import LASTS, open_town
from sharing_town import FIRM, Town

from sharing.application_values import Actor

FREE = {
    "subject": "legal_person", "matter_code": "330107004000", "matter": "税务登记", "basis": "税收征收管理法第十五条",
    "terms": {"fields": ["uscc", "ent_name"], "until": LASTS},
}  # fmt: skip
BOUND = FREE | {"terms": {"fields": ["uscc", "capital"], "until": LASTS, "per_day": 5, "rows": {"division": ["3301*"]}}}


@pytest.fixture
def town(tmp_path):
    built = open_town(tmp_path)
    yield built
    built.desk.close()
    built.config.engine.dispose()


def file(town: Town, body: dict, who: str | None = "tax"):
    return town.ask("/v1/applications", who, "POST", json=body)


def test_what_is_unconditional_answers_the_next_call(town: Town):
    filed = file(town, FREE).json()["application"]
    assert (filed["state"], filed["department"], filed["sharing"]) == ("delivered", "tax", "U")
    assert town.ask(f"/v1/libraries/legal_person/records/{FIRM}").json()["grant"] == filed["grant"]
    shown = town.ask(f"/v1/grants/{filed['grant']}").json()
    assert (shown["grant"]["state"], len(shown["versions"])) == ("active", 1)
    assert [one["id"] for one in town.ask("/v1/grants").json()["grants"]] == [filed["grant"]]
    usage = town.ask("/v1/usage").json()["quotas"]
    assert [(one["grant"], one["origin"], one["state"]) for one in usage] == [(filed["grant"], "database", "active")]


def test_an_application_is_followed_supplied_disputed_and_withdrawn(town: Town):
    number = file(town, BOUND).json()["application"]["id"]
    every, path = town.config.applications, f"/v1/applications/{number}"
    every.ask_supplement(number, PROVIDER, WHY, at(2))
    supplied = town.ask(path + "/supply", method="POST", json={"why": WHY, "terms": BOUND["terms"]}).json()
    assert supplied["application"]["state"] == "pending"
    every.refuse(number, PROVIDER, WHY, "某法", at(3))
    for act, state in (("dispute", "consultation"), ("refer", "mediation"), ("withdraw", "refused")):
        assert town.ask(f"{path}/{act}", method="POST", json={"why": WHY}).json()["application"]["state"] == state
    again = town.ask(f"{path}/dispute", method="POST", json={"why": WHY})
    assert (again.status_code, again.json()["code"]) == (409, "SHR-ONCE")
    history = town.ask(path).json()["history"]
    assert history[0]["who"].startswith("key:")
    listed = town.ask("/v1/applications?state=refused").json()["applications"]
    assert [one["id"] for one in listed] == [number]


def test_a_key_decides_nothing_and_strangers_see_nothing(town: Town):
    number = file(town, BOUND).json()["application"]["id"]
    for act in ("approve", "refuse", "deliver"):
        assert town.ask(f"/v1/applications/{number}/{act}", "bank", "POST", json={"why": WHY}).status_code == 422
    provider = Actor("key:9", "market", frozenset())
    with pytest.raises(Exception, match="SHR-RIGHT"):
        town.config.applications.approve(number, provider, WHY, at(2))
    for who, status in ((None, 401), ("bank", 404), ("tax", 200)):
        assert town.ask(f"/v1/applications/{number}", who).status_code == status
    town.config.applications.approve(number, PROVIDER, WHY, at(2))
    assert town.ask(f"/v1/grants/app:{number}", "bank").status_code == 404
    assert town.ask("/v1/grants", "bank").json()["grants"] == []
    assert town.config.applications.find(AUTHORITY) != []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "SHR-BODY"),
        (FREE | {"more": 1}, 422, "SHR-BODY"),
        (FREE | {"terms": {"fields": [], "until": LASTS}}, 422, "SHR-TERMS"),
        (FREE | {"terms": {"fields": ["fone"], "until": LASTS}}, 422, "SHR-TERMS"),
        (FREE | {"subject": "x\u0000y"}, 422, "SHR-NO-SUBJECT"),
        (FREE | {"client": "a\u0000b"}, 422, "SHR-TERMS"),
        (FREE | {"renews": "app:99"}, 404, "SHR-NO-APPLICATION"),
        (FREE | {"basis": "法" * 40_000}, 413, "SHR-TOO-LARGE"),
    ],
)
def test_a_body_that_cannot_stand_is_refused(town: Town, body: dict, status: int, code: str):
    answer = file(town, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_every_call_is_metered_under_what_it_did(town: Town):
    file(town, FREE)
    town.ask("/v1/applications")
    town.ask("/v1/applications/99999999999999999999")
    assert [one.operation for one in town.calls()][:2] == ["apply", "applications"]
    described = town.ask("/openapi.json", None).json()["paths"]
    assert "/v1/applications/{number}/{act}" in described
