"""Records are found by other fields than the key, page by page, as far as a grant goes; served resources are asked alike."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import orjson
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sharing_town import FIRMS, GRANTS, PEOPLE, Town, build, firm, uscc

from sharing.app import create_app
from sharing.catalog import Library
from shutong.api import Served
from warehouse import serving_build
from warehouse.serving import ServingStore
from warehouse.serving_care import switch

SEEKERS = """
  - id: tax-seek
    department: tax
    library: legal_person
    fields: [uscc, ent_name, legal_rep_name, phone, division]
    clear: [legal_rep_name]
    find: [ent_name, division, legal_rep_name, uscc]
    rows: {division: ['3301*']}
    purpose: {matter: 名称核对, basis: 协议}
    until: 2999-12-31
  - id: school-seek
    department: school
    library: legal_person
    fields: [uscc, ent_name]
    find: [ent_name]
    purpose: {matter: 实习单位核对, basis: 协议}
    until: 2999-12-31
    quota: {per_day: 5}
  - id: school-served
    department: school
    resource: market.base
    fields: [uscc, ent_name, phone]
    find: [ent_name]
    purpose: {matter: 实习单位核对, basis: 协议}
    until: 2999-12-31
  - id: tax-person
    department: tax
    resource: police.person
    fields: [name]
    clear: [name]
    find: [name]
    purpose: {matter: 个税, basis: 协议}
    until: 2999-12-31
"""
CODES = [uscc(f"91330100MA2A{number:05d}") for number in range(40)]


def name_of(number: int) -> str:
    return f"{'杭州' if number % 4 else '温州'}𠮷祥{number % 2}号公司"


def division_of(number: int) -> str:
    return "330106" if number % 3 else "330212"


def published(folder: Path, name: str, key: str, rows: list[dict[str, object]], indexed: tuple[str, ...]) -> Served:
    with duckdb.connect() as connection:
        listed = ", ".join(f"'{one}' VARCHAR" if not one.isidentifier() else f"{one} VARCHAR" for one in rows[0])
        connection.execute(f"CREATE TABLE rows ({listed})")
        connection.executemany(
            f"INSERT INTO rows VALUES ({', '.join('?' * len(rows[0]))})", [[*one.values()] for one in rows]
        )
        plan = serving_build.Plan(
            library=name, key=key, generation=1, indexed=indexed, published_at="2026-03-01T04:00:00+08:00"
        )
        serving_build.build(folder, connection, "rows", plan)
    switch(folder, name, 1)
    return Served(ServingStore(folder, name))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("seeking")
    town = build(folder, GRANTS)
    rows = [firm(code, division_of(number), name_of(number)) for number, code in enumerate(CODES)]
    people = [
        {"citizen_id": f"11010519491231{number:03d}X", "name": "张三", "address": "杭州市"} for number in range(3)
    ]
    firms = published(folder, "legal_person", "uscc", rows, ("ent_name",))
    base = published(folder, "market.base", "uscc", rows, ("ent_name",))
    persons = published(folder, "police.person", "citizen_id", people, ("name",))
    libraries = {**town.config.libraries, "legal_person": Library(FIRMS, firms, personal=False, key_field="uscc")}
    served = {
        "market.base": Library(FIRMS, base, personal=False, key_field="uscc"),
        "police.person": Library(PEOPLE, persons, personal=True, key_field="citizen_id"),
    }
    town.config.grants.write_text(GRANTS + SEEKERS, "utf-8")
    town.desk.close()
    town.app = create_app(replace(town.config, libraries=libraries, served=served))
    yield town
    town.desk.close()


def seek(
    town: Town, who: str = "tax", where: str = "libraries/legal_person", grant: str | None = "tax-seek", **body: object
):
    headers = {"X-Grant": grant} if grant else {}
    return town.ask(f"/v1/{where}/records:query", who, "POST", json=body, headers=headers)


def refused(response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert "data" not in response.json()


def last(town: Town):
    return max(town.calls(), key=lambda call: call.id)


def test_records_are_found_by_name_page_by_page_within_the_grant(town: Town) -> None:
    wanted = [code for number, code in enumerate(CODES) if number % 4 and number % 2 and number % 3]
    found, after, pages = [], None, 0
    while True:
        told = seek(town, equal={"ent_name": "杭州𠮷祥1号公司"}, limit=4, after=after).json()
        found += told["data"]
        pages, after = pages + 1, told["after"]
        if after is None:
            break
    assert [one["uscc"] for one in found] == sorted(wanted)
    assert pages == -(-len(wanted) // 4), "rows outside the grant are not told of, not even by one more page"
    assert found[0] == {
        "uscc": found[0]["uscc"], "ent_name": "杭州𠮷祥1号公司", "legal_rep_name": "欧阳𠮷", "phone": "138****5678",
        "division": "330106",
    }  # fmt: skip
    assert (told["masked"], told["grant"], told["generation"]) == (["phone"], "tax-seek", "legal_person-1")


def test_a_prefix_leads_and_other_fields_filter(town: Town) -> None:
    told = seek(town, prefix={"ent_name": "温州"}, equal={"legal_rep_name": "欧阳𠮷"}, fields=["uscc"]).json()
    assert [one["uscc"] for one in told["data"]] == [c for n, c in enumerate(CODES) if n % 4 == 0 and n % 3]
    assert seek(town, prefix={"uscc": CODES[1][:15]}).json()["after"] is None
    assert seek(town, equal={"ent_name": "没有这家公司"}).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"equal": {"phone": "13812345678"}}, 403, "SHR-FIND"),
        ({"equal": {"capital": "1"}}, 403, "SHR-FIND"),
        ({"prefix": {"nonsense": "1"}}, 403, "SHR-FIND"),
        ({"equal": {"ent_name": "甲"}, "fields": ["capital"]}, 403, "SHR-FIELD"),
        ({"equal": {"division": "330106"}}, 422, "SHR-NOT-INDEXED"),
        ({}, 422, "SHR-QUERY"),
        ({"prefix": {"ent_name": ""}}, 422, "SHR-QUERY"),
        ({"prefix": {"ent_name": "甲", "uscc": "9"}}, 422, "SHR-QUERY"),
        ({"equal": {"ent_name": 5}}, 422, "SHR-QUERY"),
        ({"equal": {"ent_name": "甲"}, "limit": 101}, 422, "SHR-QUERY"),
        ({"equal": {"ent_name": "甲"}, "limit": True}, 422, "SHR-QUERY"),
        ({"equal": {"ent_name": "甲"}, "after": "%%"}, 422, "SHR-MARK"),
        ({"equal": {"ent_name": "甲"}, "key": "x"}, 422, "SHR-BODY"),
    ],
)
def test_what_may_not_be_sought_or_read_is_refused_and_costs_nothing(
    town: Town, body: dict, status: int, code: str
) -> None:
    refused(seek(town, **body), status, code)
    assert (last(town).units, last(town).operation) == (0, "query")


def test_a_grant_that_names_no_fields_to_seek_by_lets_none_be_sought(town: Town) -> None:
    refused(seek(town, grant="tax-firms", equal={"ent_name": "甲"}), 403, "SHR-FIND")
    refused(seek(town, who="stranger", grant=None, equal={"ent_name": "甲"}), 403, "SHR-NO-GRANT")
    refused(seek(town, who="bank", grant=None, equal={"ent_name": "甲"}), 403, "SHR-GRANT-EXPIRED")
    assert town.ask("/v1/libraries/legal_person/records:query").status_code == 405


def test_a_mark_hides_the_record_it_names_and_opens_for_its_query_alone(town: Town) -> None:
    asked = {"prefix": {"ent_name": "杭州"}, "limit": 2}
    told = seek(town, **asked).json()
    inside = base64.urlsafe_b64decode(told["after"])
    assert not any(code.encode() in inside or code[:12].encode() in inside for code in CODES)
    assert seek(town, **asked).json()["after"] != told["after"], "nor can two be compared"
    for other in (
        {"prefix": {"ent_name": "温州"}}, {"prefix": {"ent_name": "杭州"}, "equal": {"division": "330106"}},
    ):  # fmt: skip
        refused(seek(town, **other, after=told["after"]), 422, "SHR-MARK")
    refused(seek(town, "school", grant="school-seek", **asked, after=told["after"]), 422, "SHR-MARK")
    changed = told["after"][:-6] + ("A" if told["after"][-6] != "A" else "B") + told["after"][-5:]
    refused(seek(town, **asked, after=changed), 422, "SHR-MARK")
    assert seek(town, **asked, after=told["after"]).status_code == 200


def test_no_text_that_is_asked_for_puts_the_key_of_marks_into_the_records(town: Town) -> None:
    sealed = base64.urlsafe_b64decode(seek(town, prefix={"ent_name": "杭州"}, limit=2).json()["after"])
    refused(town.ask("/v1/libraries/legal_person/records/shutong%20page%20marks", "tax"), 422, "SHR-KEY-FORMAT")
    recorded = last(town).key.removeprefix("hmac:")
    about = orjson.dumps(["tax", "legal_person", "tax-seek", orjson.dumps([[], ["ent_name", "杭州"]]).decode()])
    with pytest.raises(InvalidTag):
        AESGCM(bytes.fromhex(recorded)).decrypt(sealed[:12], sealed[12:], about)


def test_each_record_costs_one_unit_and_the_call_record_says_whose_were_seen(town: Town) -> None:
    body = {"equal": {"ent_name": "温州𠮷祥0号公司"}}
    told = seek(town, "school", grant="school-seek", **body, limit=3).json()
    call = last(town)
    assert (call.units, call.operation, call.keys) == (3, "query", [one["uscc"] for one in told["data"]])
    assert call.key.startswith("hmac:")
    assert "温州" not in call.payload().decode()
    seek(town, "school", grant="school-seek", equal={"ent_name": "没有这家公司"})
    assert last(town).units == 1
    refused(seek(town, "school", grant="school-seek", **body, limit=3), 429, "SHR-QUOTA")
    assert last(town).units == 0
    assert seek(town, "school", grant="school-seek", **body, limit=1).status_code == 200, "what is left can be used"
    refused(seek(town, "school", grant="school-seek", **body, limit=1), 429, "SHR-QUOTA")


def test_the_landed_records_of_a_served_resource_are_asked_in_the_same_ways(town: Town) -> None:
    where = "/v1/resources/market.base"
    told = town.ask(f"{where}/records/{CODES[3]}", "school").json()
    assert told["data"] == {"uscc": CODES[3], "ent_name": name_of(3), "phone": "138****5678"}
    assert (told["resource"], told["generation"], "library" in told) == ("market.base", "market.base-1", False)
    assert (last(town).resource, last(town).library, last(town).grant) == ("market.base", None, "school-served")
    lines = town.ask(f"{where}/records:batch", "school", "POST", json={"keys": CODES[:2]}).json()["data"]
    assert [line["found"] for line in lines] == [True, True]
    page = seek(town, "school", "resources/market.base", None, prefix={"ent_name": "温州"}).json()
    assert [one["uscc"] for one in page["data"]] == CODES[::4]
    refused(town.ask(f"{where}/records/{CODES[3]}", "tax"), 403, "SHR-NO-GRANT")
    refused(town.ask(f"/v1/resources/market.other/records/{CODES[3]}", "school"), 404, "SHR-NOT-SERVED")
    refused(town.ask(f"/v1/libraries/market.base/records/{CODES[3]}", "school"), 404, "SHR-NO-LIBRARY")


def test_persons_of_a_served_resource_are_asked_in_the_body_only_and_recorded_hidden(town: Town) -> None:
    told = town.ask("/v1/resources/police.person/records/x", "tax")
    refused(told, 405, "SHR-PERSONAL-KEY-IN-URL")
    assert "/v1/resources/police.person/records" in told.json()["en"]["fix"]
    page = seek(town, "tax", "resources/police.person", None, equal={"name": "张三"}, limit=2).json()
    assert page["data"] == [{"name": "张三"}] * 2
    assert [one[:5] for one in last(town).keys] == ["hmac:"] * 2
    assert "110105" not in last(town).payload().decode()


def test_health_and_the_contract_know_what_is_served(town: Town) -> None:
    health = town.ask("/healthz", None).json()
    assert {name: one["status"] for name, one in health["resources"].items()} == {
        "market.base": "ok",
        "police.person": "ok",
    }
    paths = town.ask("/openapi.json", None).json()["paths"]
    assert {f"/v1/{kind}/{{name}}/records:query" for kind in ("libraries", "resources")} <= paths.keys()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["ent_name", "division", "uscc", "legal_rep_name"]), st.sampled_from(["杭州𠮷祥1号公司", "330106", "330212", CODES[1], CODES[3], "欧阳𠮷"]), max_size=3),
    st.none() | st.tuples(st.sampled_from(["ent_name", "uscc", "division"]), st.sampled_from(["杭", "温州", "9133", "3302"])),
    st.integers(1, 7),
)  # fmt: skip
def test_whatever_is_asked_the_pages_are_the_grants_rows_that_match(town: Town, equal, prefix, limit) -> None:
    if not ({*equal} | {prefix[0] if prefix else ""}) & {"ent_name", "uscc"}:
        return
    body: dict[str, object] = {"equal": equal, "limit": limit} | ({"prefix": dict([prefix])} if prefix else {})
    found, after = [], None
    while True:
        told = seek(town, **body, after=after).json()
        found += told["data"]
        after = told["after"]
        if after is None:
            break
        assert len(told["data"]) == limit
    rows = [firm(code, division_of(number), name_of(number)) for number, code in enumerate(CODES)]
    expected = [
        one["uscc"] for one in rows
        if str(one["division"]).startswith("3301") and all(one[name] == value for name, value in equal.items())
        and (prefix is None or str(one[prefix[0]]).startswith(prefix[1]))
    ]  # fmt: skip
    assert sorted(one["uscc"] for one in found) == sorted(expected)
