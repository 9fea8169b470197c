"""What a caller says in the headers of a call, and a call that it sends again under its own number."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import shutil
import sqlite3
from urllib.parse import quote

import orjson
import pytest
from sharing_town import FAR_FIRM, FIRM, PERSON, SECRET, Town

from sharing import segments
from sharing.app import create_app
from sharing.asked import request_hash
from sharing.calls import Call, today
from sharing.ledger import Ledger

FIRM_PATH = f"/v1/libraries/legal_person/records/{FIRM}"
PEOPLE_PATH = "/v1/libraries/population/records"


def retry(town: Town, own: str = "try-1", *, who: str = "school", key: str = PERSON, **headers: str):
    told = {"X-Client-Request-Id": own} | headers
    return town.ask(PEOPLE_PATH, who, "POST", json={"key": key}, headers=told)


def units(town: Town, department: str = "school") -> tuple[int, int]:
    totals = Ledger(town.config.meter).totals(department=department)
    return sum(one.calls for one in totals), sum(one.units for one in totals)


def begin_again(town: Town) -> None:
    town.desk.close()
    town.app = create_app(town.config)


def index(town: Town) -> sqlite3.Connection:
    return sqlite3.connect(town.config.meter / "repeats" / f"{today()}.sqlite")


def test_a_call_sent_again_under_its_number_is_answered_and_counted_once(town: Town) -> None:
    answers = [retry(town) for _ in range(5)]
    assert [one.status_code for one in answers] == [200] * 5
    assert len({one.headers["x-request-id"] for one in answers}) == 5
    assert units(town) == (1, 1)
    first, *others = town.calls()
    assert {one.repeats for one in others} == {first.id}
    assert [retry(town, own).status_code for own in ("try-2", "try-3", "try-4", "try-1")] == [200, 200, 429, 200]


def test_another_request_under_the_same_number_is_refused(town: Town) -> None:
    first = retry(town)
    for other in (retry(town, key=PERSON + " "), retry(town, **{"X-Case": "2026-1"})):
        assert (other.status_code, other.json()["code"]) == (409, "SHR-REPEATED")
        assert first.headers["x-request-id"] in other.json()["detail"]
    assert units(town) == (3, 1)
    assert retry(town, who="tax").status_code == 200
    assert town.calls()[-1].repeats is None


def test_a_call_that_cost_nothing_leaves_its_number_free(town: Town) -> None:
    assert retry(town, **{"X-Matter": "wrong"}).status_code == 403
    assert retry(town, key="123").status_code == 422
    assert retry(town).status_code == 200
    assert units(town) == (3, 1)


@pytest.mark.parametrize("lost", ["nothing", "the index", "its last word", "its soundness", "the start of the machine"])
def test_a_number_is_known_after_a_restart_whatever_was_lost(town: Town, lost: str) -> None:
    first = retry(town).headers["x-request-id"]
    town.desk.close()
    folder = town.config.meter / "repeats"
    if lost == "the index":
        shutil.rmtree(folder)
    elif lost == "its soundness":
        next(folder.glob("*.sqlite")).write_bytes(b"no database" * 1000)
    elif lost != "nothing":
        with index(town) as connection:
            change = "call = NULL, units = 0" if lost == "its last word" else "asked = ''"
            connection.execute(f"UPDATE number SET {change}")
            if lost == "the start of the machine":
                connection.execute("UPDATE boot SET id = x'00'")
        connection.close()
    town.app = create_app(town.config)
    assert retry(town).status_code == 200
    assert town.calls()[-1].repeats == first
    assert retry(town, key=FIRM).json()["code"] == "SHR-REPEATED"
    assert units(town) == (2, 1)


def test_a_number_taken_by_a_process_that_died_before_it_recorded_is_free(town: Town) -> None:
    retry(town, "another")
    with index(town) as connection:
        connection.execute("UPDATE number SET own = 'try-1', call = NULL, units = 0")
    connection.close()
    begin_again(town)
    assert retry(town, key=FIRM).status_code == 422
    assert retry(town).status_code == 200
    assert town.calls()[-1].repeats is None
    assert units(town) == (3, 2)


def test_a_call_is_under_way_until_it_is_recorded(town: Town) -> None:
    call = Call.begin()
    call.department, call.app, call.client_id, call.request = "school", "test", "try-1", "00"
    assert asyncio.run(town.desk.once.begin(call)) is None
    refused = retry(town)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (409, "SHR-UNDER-WAY", "1")
    town.desk.once.let_go(call)
    assert retry(town).status_code == 200


def test_a_batch_sent_again_costs_nothing(town: Town) -> None:
    ask = {"json": {"keys": [FIRM, FAR_FIRM]}, "headers": {"X-Client-Request-Id": "b:1"}}
    path = "/v1/libraries/legal_person/records:batch"
    assert [town.ask(path, "tax", "POST", **ask).status_code for _ in range(2)] == [200, 200]
    assert [call.units for call in town.calls()] == [2, 0]


def test_the_matter_must_be_that_of_the_grant(town: Town) -> None:
    other = town.ask(FIRM_PATH, headers={"X-Matter": quote("风险分析")})
    assert (other.status_code, other.json()["code"]) == (403, "SHR-MATTER")
    assert "税务登记" in other.json()["zh"]["detail"]
    for matter in (quote("税务登记"), "税务登记".encode()):
        assert town.ask(FIRM_PATH, headers={"X-Matter": matter}).status_code == 200
    wide = {"X-Matter": quote("风险分析"), "X-Grant": "tax-wide"}
    assert town.ask(FIRM_PATH, headers=wide).status_code == 200
    assert [(one.matter_asked, one.matter, one.units) for one in town.calls()] == [
        ("风险分析", "税务登记", 0), ("税务登记", "税务登记", 1), ("税务登记", "税务登记", 1), ("风险分析", "风险分析", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Case", f"办件{PERSON}".encode()), ("X-Case", b" "), ("X-Case", b"%ff"), ("X-Case", b"a%0Ab"),
        ("X-Matter", b"x" * 201), ("X-Client-Request-Id", b"a b"), ("X-Client-Request-Id", b"x" * 65),
        ("X-Client-Request-Id", PERSON.encode()),
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_kept_is_refused(town: Town, name: str, value: bytes) -> None:
    refused = town.ask(FIRM_PATH, headers={name: value})
    assert (refused.status_code, refused.json()["code"]) == (422, "SHR-HEADER")
    assert name in refused.json()["detail"]
    assert PERSON not in refused.text
    assert b"".join(path.read_bytes() for path in town.config.meter.glob("*.calls")).count(PERSON.encode()) == 0


def test_a_record_says_what_was_asked_and_what_was_sent(town: Town) -> None:
    case = "杭市监〔2026〕12号"
    answer = town.ask(FIRM_PATH + "?fields=uscc,phone&grant=tax-firms", headers={"X-Case": quote(case)})
    (call,) = town.calls()
    assert (call.app, call.case, call.names, call.generation) == ("test", case, ["uscc", "phone"], "g1")
    assert call.micros > 0
    asked = request_hash("GET", FIRM_PATH + "?fields=uscc,phone&grant=tax-firms")
    assert call.request == hmac.digest(SECRET, asked, "sha256").hex()
    assert call.answer == hmac.digest(SECRET, hashlib.sha256(answer.content).digest(), "sha256").hex()
    body = orjson.dumps({"key": PERSON})
    town.ask(PEOPLE_PATH, "tax", "POST", content=body, headers={"X-Grant": "tax-people"})
    told = hmac.digest(SECRET, request_hash("POST", PEOPLE_PATH, body, "tax-people"), "sha256").hex()
    assert town.calls()[-1].request == told


def test_records_of_before_are_read_as_they_are(town: Town) -> None:
    old = {"id": "00", "at": "2026-01-31T08:00:00+08:00", "department": "tax", "units": 3, "status": 200}
    name = "20260131-00000000000000000000-1-abcdef.calls"
    at = segments.start(name)
    parts = []
    for payload in (segments.header(name, None, {}), orjson.dumps(old)):
        framed, at = segments.frame(payload, at)
        parts.append(framed)
    (town.config.meter / name).write_bytes(b"".join(parts))
    ledger = Ledger(town.config.meter)
    (call,) = ledger.records()
    assert (call.units, call.repeats, call.names) == (3, None, [])
    assert [(one.day, one.units) for one in ledger.totals()] == [("2026-01-31", 3)]
    assert ledger.verify().sound
