"""What a department gets for each kind of call, and what is written down about it."""

from __future__ import annotations

import hmac
import json
import os
import re
from pathlib import Path

import pytest
from sharing_town import FAR_FIRM, FIRM, PERSON, SECRET, Town

from schemas.errors import ShutongError

EVERY_ENDPOINT = [
    ("GET", "/v1/resources", None),
    ("GET", "/v1/resources/market.enterprise_base", None),
    ("GET", "/v1/libraries", None),
    ("GET", f"/v1/libraries/legal_person/records/{FIRM}", None),
    ("POST", "/v1/libraries/legal_person/records", {"key": FIRM}),
    ("POST", "/v1/libraries/legal_person/records:batch", {"keys": [FIRM]}),
    ("POST", "/v1/libraries/population/records", {"key": PERSON}),
    ("GET", "/v1/usage", None),
    ("GET", "/v1/nothing-here", None),
]
DATA = [one for one in EVERY_ENDPOINT if "/records" in one[1]]


def is_problem(response, status: int, code: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["code"] == code
    assert told["status"] == status
    assert told["request_id"] == response.headers["x-request-id"]
    for words in (told["zh"], told["en"]):
        assert words["title"]
        assert words["detail"]
        assert words["fix"]
    assert re.search("[\u4e00-\u9fff]", told["zh"]["detail"])
    assert not re.search("[\u4e00-\u9fff]", told["en"]["title"] + told["en"]["fix"].split(":")[0])
    assert isinstance(told["retryable"], bool)
    assert "Traceback" not in response.text
    assert "data" not in told
    return told


@pytest.mark.parametrize(("method", "path", "body"), EVERY_ENDPOINT)
def test_nobody_without_a_key_gets_anything(town: Town, method: str, path: str, body: object) -> None:
    response = town.ask(path, None, method, json=body)
    is_problem(response, 401, "SHR-NO-KEY")
    assert response.headers["www-authenticate"].startswith("Bearer")
    (call,) = town.calls()
    assert (call.department, call.status, call.code, call.id) == (
        None,
        401,
        "SHR-NO-KEY",
        response.headers["x-request-id"],
    )


@pytest.mark.parametrize(("method", "path", "body"), EVERY_ENDPOINT)
def test_a_wrong_key_gets_nothing(town: Town, method: str, path: str, body: object) -> None:
    is_problem(town.ask(path, "st_guess", method, json=body), 401, "SHR-WRONG-KEY")
    assert [(call.department, call.status) for call in town.calls()] == [(None, 401)]


@pytest.mark.parametrize(("method", "path", "body"), DATA)
def test_another_department_gets_no_data(town: Town, method: str, path: str, body: object) -> None:
    is_problem(town.ask(path, "stranger", method, json=body), 403, "SHR-NO-GRANT")
    assert [(call.department, call.status, call.units) for call in town.calls()] == [("stranger", 403, 0)]


@pytest.mark.parametrize(("method", "path", "body"), EVERY_ENDPOINT[:-1])
def test_the_allowed_department_is_answered(town: Town, method: str, path: str, body: object) -> None:
    response = town.ask(path, "tax", method, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    (call,) = town.calls()
    assert (call.id, call.department, call.status, call.size) == (
        response.headers["x-request-id"],
        "tax",
        200,
        len(response.content),
    )
    assert call.operation != "unknown"


def test_a_firm_is_shown_as_the_grant_says(town: Town) -> None:
    told = town.ask(f"/v1/libraries/legal_person/records/{FIRM}").json()
    assert told["data"] == {
        "uscc": FIRM,
        "ent_name": "杭州𠮷野家餐饮有限公司",
        "legal_rep_name": "欧阳𠮷",
        "legal_rep_id": "110***********002X",
        "phone": "138****5678",
        "secret_note": "***",
        "division": "330106",
    }
    assert told["masked"] == ["legal_rep_id", "phone", "secret_note"]
    assert (told["grant"], told["generation"], told["library"]) == ("tax-firms", "g1", "legal_person")
    assert told["published_at"] == "2026-03-01T04:00:00+08:00"
    assert told["freshness"] == {"market": "2026-03-01T03:00:00+08:00"}
    (call,) = town.calls()
    assert (call.key, call.matter, call.basis, call.fields, call.units, call.operation) == (
        FIRM,
        "税务登记",
        "税收征收管理法第十五条",
        7,
        1,
        "get",
    )


def test_a_caller_may_ask_for_fewer_fields_but_not_for_more(town: Town) -> None:
    path = f"/v1/libraries/legal_person/records/{FIRM}"
    assert list(town.ask(path + "?fields=ent_name,uscc").json()["data"]) == ["ent_name", "uscc"]
    for field in ("capital", "never", "nonsense", ""):
        told = is_problem(town.ask(path, params={"fields": f"uscc,{field}"}), 403, "SHR-FIELD")
        assert field in told["detail"]
    body = {"key": FIRM, "fields": ["capital"]}
    assert "capital" in is_problem(town.post("legal_person", **body), 403, "SHR-FIELD")["detail"]


def test_the_grant_can_be_named(town: Town) -> None:
    path = f"/v1/libraries/legal_person/records/{FIRM}"
    for response in (town.ask(path + "?grant=tax-wide"), town.ask(path, headers={"X-Grant": "tax-wide"})):
        assert response.json()["data"] == {"uscc": FIRM, "capital": "123456789012345678.123456"}
    is_problem(town.ask(path + "?grant=bank-old"), 403, "SHR-NO-GRANT")
    is_problem(town.ask(path + "?grant=tax-people"), 403, "SHR-NO-GRANT")


def test_rows_outside_the_grant_look_like_no_record(town: Town) -> None:
    outside = town.ask(f"/v1/libraries/legal_person/records/{FAR_FIRM}")
    del town.firms.rows[FAR_FIRM]
    absent = town.ask(f"/v1/libraries/legal_person/records/{FAR_FIRM}")
    told = [is_problem(response, 404, "SHR-NO-RECORD") for response in (outside, absent)]
    assert len({one.pop("request_id") for one in told}) == 2
    assert told[0] == told[1]


def test_an_expired_grant_ends_by_itself(town: Town) -> None:
    told = is_problem(town.ask(f"/v1/libraries/legal_person/records/{FIRM}", "bank"), 403, "SHR-GRANT-EXPIRED")
    assert "2020-01-01" in told["detail"]


def test_a_library_that_is_not_there(town: Town) -> None:
    is_problem(town.ask(f"/v1/libraries/vehicles/records/{FIRM}"), 404, "SHR-NO-LIBRARY")
    is_problem(town.post("vehicles", key=FIRM), 404, "SHR-NO-LIBRARY")
    is_problem(town.ask("/v1/resources/market.nothing"), 404, "SHR-NO-RESOURCE")
    is_problem(town.ask("/v1/anything/else"), 404, "SHR-NO-PATH")
    is_problem(town.ask("/v1/resources", method="DELETE"), 405, "SHR-METHOD")
    is_problem(town.ask("/v1/libraries/legal_person/records"), 405, "SHR-METHOD")
    is_problem(town.ask(f"/v1/libraries/legal_person/records/{FIRM}", method="DELETE"), 405, "SHR-METHOD")
    assert {call.status for call in town.calls()} == {404, 405}
    assert len(town.calls()) == 7


@pytest.mark.parametrize(
    "key", ["123", FIRM.lower(), FIRM[:-1] + ("0" if FIRM[-1] != "0" else "1"), "９" + FIRM[1:], " " + FIRM]
)
def test_a_malformed_key_is_told_apart_from_an_unknown_one(town: Town, key: str) -> None:
    told = is_problem(town.ask(f"/v1/libraries/legal_person/records/{key}"), 422, "SHR-KEY-FORMAT")
    assert key not in told["detail"]
    is_problem(town.post("legal_person", key=key), 422, "SHR-KEY-FORMAT")
    assert (
        "第 2 个键"
        in is_problem(town.post("legal_person", keys=[FIRM, key], batch=True), 422, "SHR-KEY-FORMAT")["detail"]
    )
    assert [call.units for call in town.calls()] == [0, 0, 0]


def test_a_persons_key_never_travels_in_a_url(town: Town) -> None:
    told = is_problem(town.ask(f"/v1/libraries/population/records/{PERSON}"), 405, "SHR-PERSONAL-KEY-IN-URL")
    assert "POST /v1/libraries/population/records" in told["fix"]


def test_personal_keys_are_recorded_as_hmac_only(town: Town) -> None:
    town.post("population", key=PERSON)
    town.post("population", keys=[PERSON], batch=True)
    town.ask(f"/v1/libraries/population/records/{PERSON}")
    town.ask(f"/v1/libraries/legal_person/records/{PERSON}")
    town.post("population", "stranger", key=PERSON)
    town.ask(f"/v1/nothing/{PERSON}")
    digest = "hmac:" + hmac.new(SECRET, PERSON.encode(), "sha256").hexdigest()
    first, second, third, fourth, fifth, sixth = town.calls()
    assert (first.key, second.keys, third.key, fourth.key, fifth.key, sixth.key) == (
        digest,
        [digest],
        None,
        digest,
        digest,
        None,
    )
    for path in town.config.meter.glob("*.calls"):
        assert PERSON.encode() not in path.read_bytes()


def test_a_person_is_shown_as_each_department_sees_them(town: Town) -> None:
    assert town.post("population", key=PERSON).json()["data"] == {
        "citizen_id": "110***********002X",
        "name": "张*",
        "address": "浙江省杭州市西湖区文三路1号",
    }
    assert town.post("population", "school", key=PERSON).json()["data"] == {"name": "张*"}


def test_a_batch_answers_in_the_order_asked(town: Town) -> None:
    told = town.post("legal_person", keys=[FAR_FIRM, FIRM, FIRM], fields=["uscc"], batch=True).json()
    assert told["data"] == [
        {"key": FAR_FIRM, "found": False, "record": None},
        {"key": FIRM, "found": True, "record": {"uscc": FIRM}},
        {"key": FIRM, "found": True, "record": {"uscc": FIRM}},
    ]
    (call,) = town.calls()
    assert (call.units, call.keys, call.fields) == (3, [FAR_FIRM, FIRM, FIRM], 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"key": 5}',
        b'{"keys": ["x"]}',
        b'{"key": "x", "fields": "uscc"}',
        b'{"key": "x", "sql": "1"}',
        b'"\xff"',
    ],
)
def test_a_body_that_is_not_one(town: Town, content: bytes) -> None:
    is_problem(town.ask("/v1/libraries/legal_person/records", method="POST", content=content), 422, "SHR-BODY")


def test_a_wrong_method_is_told_the_right_ones(town: Town) -> None:
    firms = "/v1/libraries/legal_person/records"
    assert town.ask("/v1/usage", method="PUT").headers["allow"] == "GET"
    assert town.ask(firms).headers["allow"] == "POST"
    assert town.ask(f"{firms}/{FIRM}", method="HEAD").headers["allow"] == "GET"
    is_problem(town.ask(f"{firms}:batch/{FIRM}"), 404, "SHR-NO-PATH")


def test_a_body_left_unread_ends_the_connection(town: Town) -> None:
    answer = town.ask("/v1/libraries/legal_person/records", method="POST", content=b"x" * 300_000)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_no_path_redirects_to_where_the_caller_says(town: Town) -> None:
    is_problem(town.ask("/v1/resources/"), 404, "SHR-NO-PATH")


def test_a_batch_has_an_upper_bound(town: Town) -> None:
    assert town.post("legal_person", keys=[FIRM] * 1000, batch=True).status_code == 200
    is_problem(town.post("legal_person", keys=[FIRM] * 1001, batch=True), 422, "SHR-BODY")
    is_problem(town.post("legal_person", keys=[], batch=True), 422, "SHR-BODY")
    is_problem(town.post("legal_person", keys=["9" * 300] * 1000, batch=True), 413, "SHR-TOO-LARGE")


def test_the_quota_is_exact_and_says_when_to_come_back(town: Town) -> None:
    assert [town.post("population", "school", key=PERSON).status_code for _ in range(2)] == [200, 200]
    told = is_problem(town.post("population", "school", keys=[PERSON] * 2, batch=True), 429, "SHR-QUOTA")
    assert "剩余 1" in told["detail"]
    assert told["retryable"] is True
    assert town.post("population", "school", key=PERSON).status_code == 200
    refused = town.post("population", "school", key=PERSON)
    is_problem(refused, 429, "SHR-QUOTA")
    assert 0 < int(refused.headers["retry-after"]) <= 86401
    usage = town.ask("/v1/usage", "school").json()
    (quota,) = usage["quotas"]
    assert (quota["grant"], quota["per_day"], quota["used"], quota["left"]) == ("school-small", 3, 3, 0)
    by_status = {line["status"]: (line["calls"], line["units"]) for line in usage["calls"]}
    assert by_status == {200: (3, 3), 429: (2, 0)}


def test_usage_shows_ones_own_calls_only(town: Town) -> None:
    town.ask(f"/v1/libraries/legal_person/records/{FIRM}")
    town.ask(f"/v1/libraries/legal_person/records/{FAR_FIRM}")
    town.post("population", "school", key=PERSON)
    told = town.ask("/v1/usage").json()
    assert told["department"] == "tax"
    assert [(line["library"], line["status"], line["calls"]) for line in told["calls"]] == [
        ("legal_person", 404, 1),
        ("legal_person", 200, 1),
    ]
    is_problem(town.ask("/v1/usage?days=0"), 422, "SHR-PARAMETER")


def test_a_revoked_key_stops_the_next_call(town: Town) -> None:
    assert town.ask("/v1/libraries").status_code == 200
    (mine,) = town.desk.keys.list("tax")
    assert town.desk.keys.revoke(mine.id) is True
    assert town.desk.keys.revoke(mine.id) is False
    town.desk.forget_keys()
    is_problem(town.ask("/v1/libraries"), 401, "SHR-WRONG-KEY")


def test_a_bearer_token_works_like_the_header(town: Town) -> None:
    response = town.ask("/v1/libraries", None, headers={"Authorization": f"Bearer {town.keys['tax']}"})
    assert response.status_code == 200


def test_an_error_of_ours_shows_nothing_of_itself(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    town.people.broken = RuntimeError(f"cannot find {PERSON} at /srv/secret")
    response = town.post("population", "school", key=PERSON)
    is_problem(response, 500, "SHR-INTERNAL")
    assert PERSON not in response.text + caplog.text
    assert "RuntimeError" in caplog.text
    assert town.desk.quota.used("school", "school-small") == 0
    assert [(call.status, call.units) for call in town.calls()] == [(500, 0)]


class NotYetError(ShutongError):
    retryable = True


def test_a_library_that_is_not_published_can_be_retried(town: Town) -> None:
    town.firms.broken = NotYetError("WH-NOT-PUBLISHED", zh="未发布", en="not published", fix_zh="等", fix_en="wait")
    response = town.ask(f"/v1/libraries/legal_person/records/{FIRM}")
    assert is_problem(response, 503, "SHR-STORE")["retryable"] is True
    assert response.headers["retry-after"] == "1"
    told = town.ask("/healthz", None).json()
    assert told["status"] == "degraded"
    assert told["libraries"]["legal_person"] == {"status": "failing", "code": "WH-NOT-PUBLISHED"}
    assert town.ask("/v1/libraries").json()["libraries"][0]["status"] == "failing"


def test_no_answer_leaves_when_the_record_cannot_be_made_durable(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", full)
        response = town.post("population", "school", key=PERSON)
        is_problem(response, 503, "SHR-METER")
        assert "张" not in response.text
        health = town.ask("/readyz", None)
        assert (health.status_code, health.json()["status"]) == (503, "failing")
    assert town.ask("/healthz", None).json()["status"] == "ok"
    assert town.post("population", "school", key=PERSON).status_code == 200
    assert town.desk.quota.used("school", "school-small") == 1
    assert town.desk.ledger.verify().sound


def test_the_state_database_being_away_refuses_and_does_not_guess(town: Town) -> None:
    (town.folder / "state.db").unlink()
    town.config.engine.dispose()
    is_problem(town.ask("/v1/libraries"), 503, "SHR-STATE")
    assert town.ask("/readyz", None).status_code == 503
    assert town.ask("/healthz", None).status_code == 200, "starting it anew would not bring the database back"


def test_health_needs_no_key_and_is_not_metered(town: Town) -> None:
    told = town.ask("/healthz", None).json()
    assert (told["status"], told["libraries"]["legal_person"]["rows"]) == ("ok", 2)
    assert told["grants"]["grants"] == 5
    assert town.ask("/openapi.json", None).status_code == 200
    assert town.calls() == []


def test_the_contract_is_complete_and_reaches_for_no_cdn(town: Town) -> None:
    told = town.ask("/openapi.json", None).json()
    documented = {(method.upper(), path) for path, item in told["paths"].items() for method in item}
    written = (Path(__file__).parent / "contract.txt").read_text("utf-8").splitlines()
    assert documented == {tuple(line.split()) for line in written}
    for item in told["paths"].values():
        for operation in item.values():
            assert re.search("[\u4e00-\u9fff]", operation["summary"])
            assert re.search("[\u4e00-\u9fff]", operation["description"])
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(told)))
    assert named <= set(told["components"]["schemas"])
    assert town.ask("/redoc").status_code == 404
    assert not re.search(r"https?://", json.dumps(told))


def test_the_directory_shows_levels_masks_and_ones_own_grants(town: Town) -> None:
    (entry,) = town.ask("/v1/resources").json()["resources"]
    assert entry["title"] == {"zh": "企业登记基本信息", "en": "Enterprise registrations"}
    assert (entry["schedule"], entry["standard"], entry["freshness"]["late"]) == (
        "*/2 * * * *",
        "legal_person@1",
        False,
    )
    told = town.ask("/v1/resources/market.enterprise_base").json()
    assert told["granted"] == ["tax-firms", "tax-wide"]
    shown = {field["name"]: (field["level"], field["masked_by_default"]) for field in told["fields"]}
    assert shown == {"uscc": (1, False), "ent_name": (1, False), "legal_rep_id": (4, True)}
    assert town.ask("/v1/resources/market.enterprise_base", "stranger").json()["granted"] == []
    assert town.ask("/v1/libraries", "stranger").json()["libraries"][0]["grants"] == []
