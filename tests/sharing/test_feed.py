"""Departments follow what changed within their grants: nothing missed, nothing twice, nothing of anybody else's rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sharing_town import FIRMS, GRANTS, Town, build, uscc

from sharing.app import create_app
from sharing.catalog import Library
from shutong.api import Changes, Served
from warehouse import serving_build, serving_log
from warehouse.serving import ServingStore
from warehouse.serving_care import switch

FOLLOWERS = """
  - id: tax-feed
    department: tax
    library: legal_person
    fields: [uscc, ent_name, phone]
    rows: {division: ['3301*']}
    purpose: {matter: 变更跟踪, basis: 协议}
    until: 2999-12-31
    quota: {per_day: 100000}
  - id: school-feed
    department: school
    library: legal_person
    fields: [ent_name]
    purpose: {matter: 名称, basis: 协议}
    until: 2999-12-31
"""
CODES = [uscc(f"91330100MA2A{number:05d}") for number in range(6)]
COLUMNS = [one.name for one in FIRMS.fields]
Rows = dict[str, dict[str, str]]


def firm(code: str, division: str = "330106", name: str = "甲", note: str = "无") -> dict[str, str]:
    return {"uscc": code, "ent_name": name, "division": division, "phone": "13812345678", "secret_note": note}


def publish(folder: Path, number: int, rows: Rows) -> None:
    said = serving_build.Plan(library="legal_person", key="uscc", generation=number, published_at="2026-03-01")
    told = [{column: row.get(column) for column in COLUMNS} for row in rows.values()]
    with duckdb.connect() as connection:
        connection.register(
            "rows", pa.Table.from_pylist(told, schema=pa.schema([(one, pa.string()) for one in COLUMNS]))
        )
        serving_build.build(folder, connection, "rows", said)
    serving_log.note(folder / "legal_person", number)
    switch(folder, "legal_person", number)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    publish(tmp_path / "serving", 1, {CODES[0]: firm(CODES[0])})
    built = build(tmp_path, GRANTS + FOLLOWERS)
    store = ServingStore(tmp_path / "serving", "legal_person", check_every=0.0)
    served = Served(store)
    library = Library(FIRMS, served, personal=False, key_field="uscc", feed=Changes(store, served))
    config = replace(built.config, libraries={**built.config.libraries, "legal_person": library})
    built.desk.close()
    opened = Town(built.folder, config, create_app(config), built.keys, built.firms, built.people)
    yield opened
    opened.desk.close()
    built.config.engine.dispose()


def ask(town: Town, since: str | None = None, who: str = "tax", **said: object):
    parameters: Mapping[str, object] = {"grant": "tax-feed"} | ({"since": since} if since else {}) | said
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return town.ask(f"/v1/libraries/legal_person/changes?{query}", who)


def follow(town: Town, since: str, limit: int = 100) -> tuple[list[dict], str]:
    """All changes since a cursor, read to their end."""
    found: list[dict] = []
    while True:
        told = ask(town, since, limit=limit).json()
        found, since = found + told["data"], told["cursor"]
        if not told["more"]:
            return found, since


def test_changes_since_a_cursor_are_told_once_and_cost_a_unit_each(town: Town) -> None:
    told = ask(town).json()
    assert (told["data"], told["more"], told["generation"]) == ([], False, "legal_person-1")
    call = town.calls()[-1]
    assert (call.operation, call.units, call.status) == ("changes", 0, 200)
    publish(town.folder / "serving", 2, {code: firm(code, name="𠮷") for code in CODES[:3]})
    first = ask(town, told["cursor"], limit=2).json()
    assert first["more"]
    assert first["data"] == [
        {"key": code, "change": "changed", "record": {"uscc": code, "ent_name": "𠮷", "phone": "138****5678"}}
        for code in CODES[:2]
    ]
    assert (town.calls()[-1].units, town.calls()[-1].keys, town.calls()[-1].fields) == (2, CODES[:2], 6)
    rest = ask(town, first["cursor"]).json()
    assert ([one["key"] for one in rest["data"]], rest["more"]) == ([CODES[2]], False)
    again = ask(town, rest["cursor"]).json()
    assert (again["data"], town.calls()[-1].units) == ([], 0), "nothing changed, and nothing is paid"


def test_what_is_deleted_or_leaves_the_rows_of_the_grant_is_gone_and_others_are_not_spoken_of(town: Town) -> None:
    publish(town.folder / "serving", 2, {code: firm(code) for code in CODES[:4]})
    cursor = ask(town).json()["cursor"]
    rows = {
        CODES[1]: firm(CODES[1], "330212"),  # moved to another town
        CODES[2]: firm(CODES[2], note="另一份内部备注"),  # changed where the grant does not look
        CODES[3]: firm(CODES[3], name="乙"),
        CODES[4]: firm(CODES[4], "330212"),  # new, elsewhere
    }
    publish(town.folder / "serving", 3, rows)
    found, cursor = follow(town, cursor)
    assert [(one["key"], one["change"], one["record"] is None) for one in found] == [
        (CODES[0], "gone", True), (CODES[1], "gone", True), (CODES[3], "changed", False),
    ]  # fmt: skip
    publish(town.folder / "serving", 4, {CODES[1]: firm(CODES[1], "330213"), CODES[3]: rows[CODES[3]]})
    assert follow(town, cursor)[0] == [{"key": CODES[2], "change": "gone", "record": None}], (
        "of firms elsewhere nothing is told"
    )


PAGES = st.tuples(st.just("page"), st.integers(1, 2))
STATES = st.tuples(st.just("publish"), st.dictionaries(
    st.sampled_from(CODES), st.tuples(st.sampled_from(["330106", "330107", "330212"]), st.sampled_from(["甲", "乙"])),
))  # fmt: skip


@settings(max_examples=80 if os.environ.get("SHUTONG_PROVE") else 2, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(PAGES | STATES, min_size=2, max_size=6))
def test_a_copy_that_follows_is_what_the_grant_shows_whatever_is_published_meanwhile(town: Town, steps) -> None:
    folder = town.folder / "serving"
    number = int((folder / "legal_person" / "CURRENT").read_text()) + 1
    publish(folder, number, {})
    told, copy, seen = ask(town).json(), {}, set()
    rows: Rows = {}

    def read(limit: int) -> None:
        nonlocal told
        told = ask(town, told["cursor"], limit=limit).json()
        for one in told["data"]:
            assert one["key"] not in seen, "twice in one pass"
            seen.add(one["key"])
            assert one["key"] in copy or one["change"] == "changed"
            copy.pop(one["key"], None)
            if one["record"] is not None:
                copy[one["key"]] = one["record"]["ent_name"]
        if not told["more"]:
            seen.clear()

    for kind, said in steps:
        if kind == "page":
            read(said)
        else:
            number += 1
            rows = {code: firm(code, *values) for code, values in said.items()}
            publish(folder, number, rows)
    read(1)
    while told["more"]:
        read(2)
    read(100)
    assert copy == {code: row["ent_name"] for code, row in rows.items() if row["division"].startswith("3301")}


def test_a_cursor_that_is_too_old_or_of_another_wording_asks_to_begin_anew(town: Town) -> None:
    cursor = ask(town).json()["cursor"]
    assert ask(town, cursor, fields="uscc").json()["code"] == "SHR-RESYNC"
    town.config.grants.write_text((GRANTS + FOLLOWERS).replace("[uscc, ent_name, phone]", "[uscc, ent_name]"), "utf-8")
    told = ask(town, cursor)
    assert (told.status_code, told.json()["code"], town.calls()[-1].units) == (410, "SHR-RESYNC", 0)
    town.config.grants.write_text(GRANTS + FOLLOWERS, "utf-8")
    assert ask(town, cursor).status_code == 200
    (town.folder / "serving" / "legal_person" / serving_log.FILE).unlink()
    assert ask(town).status_code == 200
    assert ask(town, cursor).json()["code"] == "SHR-RESYNC"


@pytest.mark.parametrize(
    ("said", "who", "code"),
    [
        ({"since": "AAAA"}, "tax", "SHR-MARK"),
        ({"since": "%%"}, "tax", "SHR-MARK"),
        ({"limit": 0}, "tax", "SHR-PARAMETER"),
        ({"limit": 1001}, "tax", "SHR-PARAMETER"),
        ({"limit": "x"}, "tax", "SHR-PARAMETER"),
        ({"fields": "division"}, "tax", "SHR-FIELD"),
        ({"fields": "ent_name"}, "tax", "SHR-FEED-KEY"),
        ({"grant": "school-feed"}, "school", "SHR-FEED-KEY"),
        ({}, "bank", "SHR-NO-GRANT"),
        ({"grant": "bank-old"}, "bank", "SHR-GRANT-EXPIRED"),
    ],
)
def test_what_cannot_be_told_is_refused_and_costs_nothing(town: Town, said: dict, who: str, code: str) -> None:
    told = ask(town, who=who, **said)
    assert told.json()["code"] == code
    assert town.calls()[-1].units == 0


def test_cursors_hide_what_they_say_and_are_of_use_to_their_grant_alone(town: Town) -> None:
    cursor = ask(town).json()["cursor"]
    assert cursor != ask(town).json()["cursor"], "nor can two be compared"
    changed = cursor[:-6] + ("A" if cursor[-6] != "A" else "B") + cursor[-5:]
    assert ask(town, changed).json()["code"] == "SHR-MARK"
    assert ask(town, cursor, grant="tax-wide").json()["code"] in {"SHR-MARK", "SHR-RESYNC"}
    assert town.ask("/v1/libraries/legal_person/changes", "tax", "POST").json()["code"] == "SHR-METHOD"
    assert town.ask("/v1/libraries/population/changes", "tax").json()["code"] == "SHR-FEED-KEY"


def test_a_quota_that_does_not_cover_the_page_refuses_it_and_a_smaller_page_goes_through(town: Town) -> None:
    town.config.grants.write_text((GRANTS + FOLLOWERS).replace("per_day: 100000", "per_day: 2"), "utf-8")
    cursor = ask(town).json()["cursor"]
    publish(town.folder / "serving", 2, {code: firm(code, name="乙") for code in CODES[:3]})
    assert ask(town, cursor).json()["code"] == "SHR-QUOTA"
    told = ask(town, cursor, limit=2).json()
    assert len(told["data"]) == 2
    assert ask(town, told["cursor"]).json()["code"] == "SHR-QUOTA"
