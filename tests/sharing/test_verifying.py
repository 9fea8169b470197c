"""Claims are judged yes, no or unknown, nothing recorded is told, and guessing has an end."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharing_town import FAR_FIRM, FIRM, FIRMS, GRANTS, PERSON, SECRET, Town, build, firm

from schemas.standard import Field
from sharing import guessing
from sharing.app import create_app
from sharing.comparing import plain_of
from sharing.grant_terms import Terms, conform, from_json, sharing_type, within
from sharing.guessing import Guesses
from sharing.ledger import Ledger
from sharing.problems import refusal

VERIFIERS = """
  - id: bank-verify
    department: bank
    library: legal_person
    verify: [legal_rep_name, legal_rep_id, phone, capital, ent_name]
    rows: {division: ['3301*']}
    purpose: {matter: 开户核验, basis: 协议}
    until: 2999-12-31
    quota: {per_day: 2000}
  - id: tax-verify
    department: tax
    library: legal_person
    fields: [uscc]
    verify: [legal_rep_id]
    purpose: {matter: 登记核验, basis: 协议}
    until: 2999-12-31
  - id: bank-people
    department: bank
    library: population
    verify: [name, address]
    purpose: {matter: 开户核验, basis: 协议}
    until: 2999-12-31
"""
EMPTY_FIRM = "91330100MA2A0003Q" + "0"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = build(tmp_path, GRANTS + VERIFIERS)
    yield town
    town.desk.close()
    town.config.engine.dispose()


def verify(town: Town, claims: dict[str, str], key: str = FIRM, who: str = "bank", grant: str | None = "bank-verify"):
    headers = {"X-Grant": grant} if grant else {}
    body = {"key": key, "claims": claims}
    return town.ask("/v1/libraries/legal_person/records:verify", who, "POST", json=body, headers=headers)


def refused(response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert "data" not in response.json()


def last(town: Town):
    return max(town.calls(), key=lambda call: call.id)


def test_a_claim_is_judged_in_whatever_spelling_and_no_value_is_told(town: Town) -> None:
    town.firms.rows[FIRM] = {**firm(FIRM, "330106"), "legal_rep_id": "110105194912310021"[:-1] + "X"}
    told = verify(
        town,
        {
            "legal_rep_name": "欧 阳𠮷", "legal_rep_id": "11010519491231002x", "phone": "+86 138-1234-5678",
            "capital": "123,456,789,012,345,678.1234560", "ent_name": "别的公司",
        },
    )  # fmt: skip
    assert told.json()["data"] == {
        "legal_rep_name": "yes", "legal_rep_id": "yes", "phone": "yes", "capital": "yes", "ent_name": "no"
    }  # fmt: skip
    assert not any(value in told.text for value in ("欧阳", "1381234", "11010519", "野家", "12345678901"))
    assert (told.json()["grant"], told.json()["generation"], told.json()["library"]) == (
        "bank-verify", "g1", "legal_person",
    )  # fmt: skip
    assert verify(town, {"legal_rep_id": "110105491231002"}).json()["data"] == {"legal_rep_id": "yes"}


def test_nothing_tells_apart_why_a_claim_is_unknown(town: Town) -> None:
    from sharing_town import uscc

    empty, missing = uscc("91330100MA2A0003Q"), uscc("91330100MA2A0004R")
    town.firms.rows[empty] = {**firm(empty, "330106"), "legal_rep_name": None, "phone": " "}
    claims = {"legal_rep_name": "张三", "phone": "13812345678"}
    answers = [verify(town, claims, key) for key in (empty, missing, FAR_FIRM)]
    assert {answer.json()["data"]["phone"] for answer in answers} == {"unknown"}
    told = {answer.text.replace(answer.json()["request_id"], "") for answer in answers}
    assert len(told) == 1
    calls = sorted(town.calls(), key=lambda call: call.id)[-3:]
    assert {(call.units, call.status, call.fields, call.size) for call in calls} == {
        (1, 200, 2, len(answers[0].content))
    }


def test_only_fields_that_the_grant_lets_be_verified_are(town: Town) -> None:
    refused(verify(town, {"secret_note": "重点"}), 403, "SHR-VERIFY")
    refused(verify(town, {"nonsense": "1"}), 403, "SHR-VERIFY")
    refused(verify(town, {"phone": "1"}, who="tax", grant="tax-verify"), 403, "SHR-VERIFY")
    refused(verify(town, {"phone": "1"}, who="tax", grant="tax-firms"), 403, "SHR-VERIFY")
    refused(verify(town, {"phone": "1"}, who="stranger", grant=None), 403, "SHR-NO-GRANT")
    assert [call.units for call in town.calls()] == [0] * 5
    seen = town.ask(f"/v1/libraries/legal_person/records/{FIRM}", "bank", headers={"X-Grant": "bank-verify"})
    refused(seen, 403, "SHR-CHANNEL")


BODIES = [
    {"key": FIRM}, {"claims": {"phone": "1"}}, {"key": 5, "claims": {"phone": "1"}}, {"key": FIRM, "claims": {}},
    {"key": FIRM, "claims": {"phone": ""}}, {"key": FIRM, "claims": {"phone": 1}}, {"subjects": []},
    {"key": FIRM, "claims": {"phone": "1" * 201}}, {"subjects": [{"key": FIRM}]}, {"subjects": "x"},
    {"key": FIRM, "claims": {"phone": "1"}, "subjects": [{"key": FIRM, "claims": {"phone": "1"}}]},
]  # fmt: skip


def test_a_body_of_another_shape_is_refused(town: Town) -> None:
    for body in BODIES:
        refused(town.ask("/v1/libraries/legal_person/records:verify", "bank", "POST", json=body), 422, "SHR-CLAIMS")


def test_the_sixth_different_claim_on_a_field_of_a_subject_is_refused_until_tomorrow(town: Town) -> None:
    for number in range(5):
        assert verify(town, {"phone": f"1381234000{number}"}).json()["data"] == {"phone": "no"}
    told = verify(town, {"phone": "13812345678"})
    refused(told, 429, "SHR-GUESSING")
    assert 0 < int(told.headers["retry-after"]) <= 86401
    assert (last(town).units, last(town).claims) == (0, [])
    assert verify(town, {"phone": "138 1234 0003"}).json()["data"] == {"phone": "no"}, "what was claimed before is free"
    assert verify(town, {"legal_rep_name": "欧阳𠮷"}).status_code == 200, "another field has its own five"
    assert verify(town, {"phone": "13812345678"}, FAR_FIRM).status_code == 200, "and so has another subject"
    told = verify(town, {"legal_rep_name": "李四", "phone": "13900000000"})
    refused(told, 429, "SHR-GUESSING")
    for name in ("甲", "乙", "丙", "丁"):
        assert verify(town, {"legal_rep_name": name}).status_code == 200, "a call that was refused counted nothing"


def test_departments_guess_for_themselves_and_keys_of_one_guess_together(town: Town) -> None:
    for number in range(5):
        assert verify(town, {"legal_rep_id": str(number)}).status_code == 200
    refused(verify(town, {"legal_rep_id": PERSON}), 429, "SHR-GUESSING")
    assert verify(town, {"legal_rep_id": PERSON}, who="tax", grant="tax-verify").json()["data"] == {
        "legal_rep_id": "yes"
    }
    town.keys["bank-2"] = town.desk.keys.issue("bank", "another")
    refused(verify(town, {"legal_rep_id": PERSON}, who="bank-2"), 429, "SHR-GUESSING")


def test_many_subjects_are_verified_at_once_each_for_one_unit(town: Town) -> None:
    town.firms.rows.update({key: firm(key, "330106") for key in (FIRM,)})
    subjects = [
        {"key": FIRM, "claims": {"phone": "13812345678"}}, {"key": FAR_FIRM, "claims": {"phone": "13812345678"}},
        {"key": FIRM, "claims": {"legal_rep_name": "张三"}},
    ]  # fmt: skip
    where = "/v1/libraries/legal_person/records:verify"
    told = town.ask(where, "bank", "POST", json={"subjects": subjects}).json()
    assert told["data"] == [
        {"key": FIRM, "result": {"phone": "yes"}}, {"key": FAR_FIRM, "result": {"phone": "unknown"}},
        {"key": FIRM, "result": {"legal_rep_name": "no"}},
    ]  # fmt: skip
    call = last(town)
    assert (call.operation, call.units, call.keys, call.names) == (
        "verify", 3, [FIRM, FAR_FIRM, FIRM], ["legal_rep_name", "phone"],
    )  # fmt: skip
    many = [{"key": FIRM, "claims": {"phone": f"{number}"}} for number in range(5)]
    told = town.ask(where, "bank", "POST", json={"subjects": many})
    refused(told, 429, "SHR-GUESSING")
    assert "subject number 5" in told.json()["en"]["detail"]
    assert last(town).units == 0


def test_claims_about_persons_leave_no_trace_in_the_records(town: Town) -> None:
    body = {"key": PERSON, "claims": {"name": "张三", "address": "浙江省杭州市西湖区文三路1号"}}
    told = town.ask("/v1/libraries/population/records:verify", "bank", "POST", json=body)
    assert told.json()["data"] == {"name": "yes", "address": "yes"}
    recorded = last(town).payload().decode()
    assert not any(value in recorded for value in ("张三", "文三路", PERSON))
    assert len(last(town).claims) == 2


def test_a_deployment_says_how_many_claims_a_day_there_are(town: Town) -> None:
    town.desk.close()
    town.app = create_app(replace(town.config, claims=1))
    assert verify(town, {"phone": "1"}).status_code == 200
    refused(verify(town, {"phone": "2"}), 429, "SHR-GUESSING")


def claim(guesses: Guesses, who: str, number: int) -> bytes:
    return guesses.mark(who, "k", "phone", str(number))


def test_claims_are_counted_over_processes_and_restarts(tmp_path: Path) -> None:
    workers = [Guesses(tmp_path / "g", Ledger(tmp_path), SECRET) for _ in range(3)]
    for one in workers:
        one.open("2026-01-05")
    marks = [claim(workers[0], "tax", number) for number in range(12)]

    def ask(number: int) -> int | None:
        return workers[number % 3].take("2026-01-05", [marks[number]])

    with ThreadPoolExecutor(3) as pool:  # flock is per open file: threads stand for processes here
        told = list(pool.map(ask, range(12)))
    assert told.count(None) == 5
    for one in workers:
        one.close()
    again = Guesses(tmp_path / "g", Ledger(tmp_path), SECRET)
    again.open("2026-01-05")
    assert [again.take("2026-01-05", [mark]) for mark in marks] == told
    again.close()


def test_after_a_reboot_the_claims_of_the_day_are_read_from_the_records(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        assert verify(town, {"phone": str(number)}).status_code == 200
    monkeypatch.setattr(guessing, "boot_id", lambda: b"another start   ")
    later = Guesses(town.config.meter / "guesses", Ledger(town.config.meter), SECRET)
    day = last(town).day
    later.open(day)
    assert later.take(day, [later.mark("bank", FIRM, "phone", "6")]) == 0
    assert later.take(day, [later.mark("bank", FIRM, "phone", "4")]) is None
    assert base64.b64decode(last(town).claims[0]) == later.mark("bank", FIRM, "phone", "4")
    later.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), min_size=1, max_size=4), max_size=60))
def test_the_table_counts_as_a_plain_set_would_however_it_grows(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[tuple[int, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("guesses")
    both = [Guesses(folder / "g", Ledger(folder), SECRET, most=2, slots=2) for _ in range(2)]
    for one in both:
        one.open("2026-01-05")
    known: dict[int, set[int]] = {}
    for turn, said in enumerate(calls):
        after = {place: set(claims) for place, claims in known.items()}
        refused_at = None
        for number, (place, what) in enumerate(said):
            after.setdefault(place, set()).add(what)
            if len(after[place]) > 2:
                refused_at = number
                break
        one = both[turn % 2]
        marks = [one.mark("tax", str(place), "phone", str(what)) for place, what in said]
        assert one.take("2026-01-05", marks) == refused_at
        known = after if refused_at is None else known
    for one in both:
        one.close()


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        (Field("a", "", "", type="date"), "2020年1月2日", "2020-01-02"),
        (Field("a", "", "", type="date"), "２０２０/1/2", "20200102"),
        (Field("a", "", "", type="datetime"), "2020-01-02T08:00:00+08:00", "2020-01-02 00:00:00Z"),
        (Field("a", "", "", type="uscc"), "91330100ma2a-0001xd", "９１３３０１００ＭＡ２Ａ０００１ＸＤ"),
        (Field("a", "", "", type="citizen_id"), "110105491231002", "11010519491231002x"),
        (Field("a", "", "", type="decimal"), "1,000.50", "1000.5"),
        (Field("a", "", "", type="integer"), "+7", "7"),
        (Field("a", "", "", type="boolean"), "是", "true"),
        (Field("a", "", ""), "数通（杭州） 公司", "数通(杭州)公司"),
        (Field("a", "", "", mask="phone"), "+86 138-1234-5678", "13812345678"),
    ],
)
def test_spellings_of_one_value_are_the_same(field: Field, one: str, other: str) -> None:
    plain = plain_of(field)[1]
    assert plain(one) == plain(other)


def test_terms_say_what_may_be_verified_and_joined() -> None:
    only = Terms((), "2999-12-31", verify=frozenset(("phone",)), channels=frozenset(("verify",)))
    conform(only, FIRMS)
    assert sharing_type(only, FIRMS) == "C", "claims about a masked field are a condition"
    assert from_json(only.as_json()) == only
    old = {name: value for name, value in only.as_json().items() if name not in {"verify", "token"}}
    assert from_json(old).verify == frozenset(), "grants of before said nothing of it"
    shown = Terms(("uscc", "legal_rep_id"), "2999-12-31", token=frozenset(("legal_rep_id",)))
    conform(shown, FIRMS)
    assert sharing_type(shown, FIRMS) == "C"
    within(shown, shown)
    for granted, asked in (
        (only, replace(only, verify=frozenset(("ent_name",)))),
        (replace(shown, token=frozenset()), shown),
        (shown, replace(shown, token=frozenset())),
    ):
        with pytest.raises(Exception, match="beyond"):
            within(granted, asked)
    for wrong in (
        replace(only, channels=frozenset(("query",))),
        replace(shown, clear=frozenset(("legal_rep_id",))),
        replace(shown, find=frozenset(("legal_rep_id",))),
        replace(shown, verify=frozenset(("nonsense",))),
    ):
        with pytest.raises(Exception) as caught:
            conform(wrong, FIRMS)
        assert refusal(caught.value, "x").status == 422
