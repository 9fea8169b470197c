"""One subject over all libraries: everything the grants for the matter show, each part charged and recorded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from sharing_town import PERSON, Town
from subjects_town import CODES, open_subjects

from schemas.errors import StandardError
from sharing.app import create_app
from sharing.forms import formatted, read_forms

MATTER = "开办企业"
GRANTS = f"""
grants:
  - id: tax-firms
    department: tax
    library: legal_person
    fields: [uscc, ent_name, legal_rep_name, phone, capital, division]
    clear: [legal_rep_name]
    rows: {{division: ['3301*']}}
    purpose: {{matter: {MATTER}, basis: 协议}}
    until: 2999-12-31
  - id: tax-licences
    department: tax
    resource: health.licence
    fields: [uscc, ent_name, licence_no, granted_on, holder_id]
    clear: [holder_id]
    find: [holder_id]
    purpose: {{matter: {MATTER}, basis: 协议}}
    until: 2999-12-31
  - id: tax-people
    department: tax
    library: population
    fields: [citizen_id, name]
    clear: [citizen_id, name]
    purpose: {{matter: {MATTER}, basis: 协议}}
    until: 2999-12-31
  - id: tax-other
    department: tax
    library: population
    fields: [citizen_id, name, address]
    clear: [address]
    purpose: {{matter: 别的事项, basis: 协议}}
    until: 2999-12-31
  - id: bank-tokens
    department: bank
    library: legal_person
    fields: [uscc, legal_rep_id]
    token: [legal_rep_id]
    purpose: {{matter: {MATTER}, basis: 协议}}
    until: 2999-12-31
  - id: school-licences
    department: school
    resource: health.licence
    fields: [uscc, licence_no]
    purpose: {{matter: {MATTER}, basis: 协议}}
    until: 2999-12-31
    quota: {{per_day: 3}}
  - id: school-tokens
    department: school
    library: legal_person
    fields: [uscc, legal_rep_id]
    token: [legal_rep_id]
    purpose: {{matter: {MATTER}, basis: 协议}}
    until: 2999-12-31
"""
FORM = """
form: business-change
zh: 变更登记
en: Change of registration
about: firm
fields:
  - {name: code, zh: 代码, en: Code, from: legal_person.uscc}
  - {name: licence, zh: 许可证号, en: Licence, from: [legal_person.secret_note, health.licence.licence_no]}
  - {name: granted, zh: 发证日期, en: Granted, from: health.licence.granted_on, format: date_zh}
  - {name: phone, zh: 电话, en: Phone, from: legal_person.phone}
  - {name: capital, zh: 注册资本, en: Capital, from: legal_person.capital, format: number}
  - {name: reason, zh: 变更事由, en: Reason}
"""
WHERE = {"X-Matter": MATTER.encode(), "X-Case": b"case-1"}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = open_subjects(tmp_path_factory.mktemp("profile"), GRANTS, FORM)
    yield town
    town.desk.close()
    town.config.engine.dispose()


def profile(town: Town, key: str, kind: str = "firm", who: str = "tax", headers: dict[str, bytes] | None = None):
    told = WHERE if headers is None else headers
    return town.ask("/v1/profile", who, "POST", json={"key": key, "kind": kind}, headers=told)


def refused(response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def family(town: Town, answer):
    calls = {call.id: call for call in town.calls()}
    whole = calls[answer.json()["request_id"]]
    return whole, [call for call in calls.values() if call.family == whole.id]


def test_a_firm_is_told_of_with_source_and_time_and_conflicts_are_shown(town: Town) -> None:
    answer = profile(town, CODES[1])
    told = answer.json()
    firms, licences = told["data"]["parts"]
    assert (firms["library"], firms["grant"], licences["resource"]) == ("legal_person", "tax-firms", "health.licence")
    record = firms["records"][0]
    assert record["ent_name"] == {
        "value": "数通1号公司", "masked": False, "source": "market", "at": "2026-03-01T03:00:00+08:00",
    }  # fmt: skip
    assert (record["phone"]["value"], record["phone"]["masked"]) == ("138****5678", True)
    assert (record["capital"]["source"], record["capital"]["at"]) == ("tax", "2026-02-28T03:00:00+08:00")
    assert licences["records"][0]["licence_no"]["source"] == "health"
    assert [(one["field"], [word["value"] for word in one["values"]]) for one in told["data"]["conflicts"]] == [
        ("ent_name", ["数通1号公司", "旧名公司"])
    ]
    assert profile(town, CODES[4]).json()["data"]["conflicts"] == [], "a blank is no conflict"


def test_each_library_read_has_its_own_record_of_one_family(town: Town) -> None:
    answer = profile(town, CODES[2])
    whole, parts = family(town, answer)
    assert (whole.operation, whole.units, whole.key, whole.case) == ("profile", 0, CODES[2], "case-1")
    assert {(part.library or part.resource, part.grant, part.units, part.status) for part in parts} == {
        ("legal_person", "tax-firms", 1, 200), ("health.licence", "tax-licences", 1, 200),
    }  # fmt: skip
    assert {(part.request, part.answer, part.matter) for part in parts} == {(whole.request, whole.answer, MATTER)}
    assert whole.fields == sum(part.fields for part in parts)
    assert {part.id for part in parts} == {part["request_id"] for part in answer.json()["data"]["parts"]}
    assert town.desk.ledger.verify().sound


def test_a_person_is_found_by_the_fields_a_grant_lets_be_sought_by(town: Town) -> None:
    answer = profile(town, PERSON, "person")
    licences, people = sorted(answer.json()["data"]["parts"], key=lambda part: part.get("library", ""))
    assert (people["library"], people["found_by"], len(people["records"])) == ("population", "citizen_id", 1)
    assert (licences["found_by"], [one["uscc"]["value"] for one in licences["records"]]) == ("holder_id", CODES[1:3])
    assert "address" not in people["records"][0], "the grant for another matter is not used"
    whole, parts = family(town, answer)
    assert sorted(part.units for part in parts) == [1, 2]
    assert all(PERSON not in call.payload().decode() for call in (whole, *parts))


def test_what_is_refused_in_one_part_is_told_in_that_part(town: Town) -> None:
    answer = profile(town, CODES[3])
    firms, licences = answer.json()["data"]["parts"]
    assert (firms["refused"]["code"], "records" in firms) == ("SHR-NO-RECORD", False), "the row is outside the grant"
    assert licences["records"]


def test_a_quota_spent_in_one_library_leaves_the_others_and_agrees_with_the_ledger(town: Town) -> None:
    told = []
    while not told or "refused" not in told[-1]:
        licences, tokens = profile(town, CODES[1], who="school").json()["data"]["parts"]
        told.append(licences)
        assert "refused" not in tokens
    assert told[-1]["refused"]["code"] == "SHR-QUOTA"
    assert town.desk.quota.used("school", "school-licences") == 3
    day = town.calls()[-1].day
    assert town.desk.ledger.units(day, "school", "school-licences") == 3, "the ledger counts what the quota counts"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"key": CODES[0], "kind": "firm"}, {}, 422, "SHR-PURPOSE"),
        ({"key": CODES[0], "kind": "firm"}, {"X-Matter": MATTER.encode()}, 422, "SHR-PURPOSE"),
        ({"key": CODES[0], "kind": "firm"}, {"X-Matter": b"other", "X-Case": b"1"}, 403, "SHR-NO-GRANT-MATTER"),
        ({"key": CODES[0], "kind": "car"}, WHERE, 422, "SHR-SUBJECT"),
        ({"key": 5, "kind": "firm"}, WHERE, 422, "SHR-SUBJECT"),
        ({"key": "x", "kind": "person"}, WHERE, 422, "SHR-KEY-FORMAT"),
        ({"key": CODES[0], "kind": "firm", "fields": []}, WHERE, 422, "SHR-BODY"),
    ],
)
def test_a_profile_without_purpose_grant_or_subject_is_refused(
    town: Town, body: dict, headers: dict, status: int, code: str
) -> None:
    answer = town.ask("/v1/profile", "tax", "POST", json=body, headers=headers)
    refused(answer, status, code)
    if code == "SHR-NO-GRANT-MATTER":
        assert MATTER in answer.json()["en"]["fix"]
    refused(town.ask("/v1/profile", "stranger", "POST", json=body, headers=WHERE), *(
        (403, "SHR-NO-GRANT-MATTER") if headers is not WHERE else (status, code)
    ))  # fmt: skip
    assert town.ask("/v1/profile", "tax", headers=WHERE).status_code == 405


def test_a_profile_sent_again_under_its_number_is_counted_once(town: Town) -> None:
    headers = {**WHERE, "X-Client-Request-Id": b"p-1"}
    before = town.desk.quota.used("bank", "bank-tokens")
    first = profile(town, CODES[5], who="bank", headers=headers)
    again = profile(town, CODES[5], who="bank", headers=headers)
    assert first.json()["data"]["parts"][0]["records"] == again.json()["data"]["parts"][0]["records"]
    assert [part.units for part in family(town, first)[1] + family(town, again)[1]] == [1, 0]
    assert family(town, again)[0].repeats == first.json()["request_id"]
    assert town.desk.quota.used("bank", "bank-tokens") <= before + 1
    town.desk.close()
    shutil.rmtree(town.config.meter / "repeats")
    town.app = create_app(town.config)
    whole, parts = family(town, profile(town, CODES[5], who="bank", headers=headers))
    assert (whole.repeats, [part.units for part in parts]) == (first.json()["request_id"], [0]), "known by the records"


def test_join_keys_join_within_a_department_and_never_between_two(town: Town) -> None:
    def tokens(who: str) -> list[str]:
        told = [profile(town, code, who=who).json()["data"]["parts"] for code in CODES[:3]]
        parts = [next(part for part in parts if part.get("library")) for parts in told]
        return [part["records"][0]["legal_rep_id"]["value"] for part in parts]

    bank, school = tokens("bank"), tokens("school")
    assert bank[0] == bank[1] != bank[2]
    assert not set(bank) & set(school)
    assert {len(token) for token in bank + school} == {32}
    looked_up = town.ask(f"/v1/libraries/legal_person/records/{CODES[0]}", "bank").json()
    assert (looked_up["data"]["legal_rep_id"], looked_up["masked"]) == (bank[0], ["legal_rep_id"])


def fill(town: Town, key: str = CODES[1], who: str = "tax", form: str = "business-change"):
    return town.ask(f"/v1/forms/{form}:fill", who, "POST", json={"key": key}, headers=WHERE)


def test_a_form_is_filled_and_says_what_is_still_to_be_asked(tmp_path) -> None:
    town = open_subjects(tmp_path, GRANTS, FORM)
    answer = fill(town)
    fields = {one["name"]: one for one in answer.json()["data"]["fields"]}
    assert {name: (one["status"], one["value"]) for name, one in fields.items()} == {
        "code": ("filled", CODES[1]), "licence": ("filled", "LN-1"), "granted": ("filled", "2020年1月2日"),
        "phone": ("ask", None), "capital": ("filled", "123456789012345678.123456"), "reason": ("ask", None),
    }  # fmt: skip
    assert (fields["phone"]["why"], fields["reason"]["why"]) == ("masked", "nowhere")
    assert (fields["licence"]["from"], fields["licence"]["source"]) == ("health.licence", "health")
    assert fields["code"]["at"] == "2026-03-01T03:00:00+08:00"
    assert all("records" not in part for part in answer.json()["data"]["parts"])
    whole, parts = family(town, answer)
    assert (whole.operation, sorted(part.names for part in parts)) == (
        "fill", [["licence_no", "granted_on"], ["uscc", "phone", "capital"]],
    )  # fmt: skip
    assert {one["name"]: one["why"] for one in fill(town, CODES[3]).json()["data"]["fields"] if one["status"] == "ask"} == {
        "code": "missing", "phone": "missing", "capital": "missing", "reason": "nowhere",
    }  # fmt: skip
    refused(fill(town, who="bank"), 403, "SHR-FIELD")
    refused(fill(town, form="nothing"), 404, "SHR-NO-FORM")
    assert [one["form"] for one in town.ask("/v1/forms").json()["forms"]] == ["business-change"]
    town.desk.close()
    (tmp_path / "wrong").mkdir()
    with pytest.raises(StandardError, match=r"one\.yaml:7.*no field nonsense"):
        open_subjects(tmp_path / "wrong", GRANTS, FORM.replace("legal_person.uscc", "legal_person.nonsense"))


def test_the_contract_shows_what_is_asked_about_a_subject(town: Town) -> None:
    paths = town.ask("/openapi.json", None).json()["paths"]
    assert {"/v1/profile", "/v1/forms", "/v1/forms/{form}:fill", "/v1/libraries/{name}/records:verify"} <= paths.keys()


def test_answers_are_written_as_the_form_wants_them() -> None:
    assert formatted("2020-01-02", "date_digits") == "20200102"
    assert formatted("长期", "date_zh") == "长期"
    assert formatted("91330100ma2a", "upper") == "91330100MA2A"
    assert [formatted(one, "number") for one in ("100", "1.50", "0.10")] == ["100", "1.5", "0.1"]


def test_the_example_forms_name_what_their_deployment_has() -> None:
    from schemas.load import find_standard
    from shutong.layout import examples

    forms = read_forms(examples() / "enterprises" / "forms", {"legal_person": find_standard("legal_person@1")})
    assert [form.id for form in forms.values()] == ["business-change"]
