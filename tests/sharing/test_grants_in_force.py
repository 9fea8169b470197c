"""Grants of the database count with the next call in every process, and their conditions fail closed."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
import test_sharing_kill
from application_office import PROVIDER, WHY, at
from applied_town import LASTS, acts, give, open_town
from sharing_town import FAR_FIRM, FIRM, FIRMS, GRANTS, Town

from schemas.standard import Standard
from sharing.application_tables import METADATA
from sharing.calls import SHANGHAI
from sharing.grant_file import Grant
from sharing.grant_pace import Months, Pace, fresh
from sharing.grant_refusals import PaceError, StaleError
from sharing.grant_register import BUMP_FILE, POLL_SECONDS, GrantRegister
from sharing.grant_terms import Terms
from sharing.grants import Grants

TERMS = Terms(("uscc", "ent_name", "phone", "division"), LASTS)
PATH = f"/v1/libraries/legal_person/records/{FIRM}"


@pytest.fixture
def town(tmp_path):
    built = open_town(tmp_path)
    yield built
    built.desk.close()
    built.config.engine.dispose()


def code(answer: httpx.Response) -> str | int:
    return answer.json().get("code", answer.status_code)


def test_an_approved_application_answers_the_next_call_masked_and_filtered(town: Town):
    assert code(town.ask(PATH)) == "SHR-NO-GRANT"
    grant = give(town, replace(TERMS, rows={"division": ("3301*",)}))
    answer = town.ask(PATH).json()
    assert (answer["grant"], answer["data"]["phone"], answer["masked"]) == (grant, "138****5678", ["phone"])
    assert town.ask(PATH.replace(FIRM, FAR_FIRM)).status_code == 404
    (call, *_) = [one for one in town.calls() if one.status == 200]
    assert (call.grant, call.matter) == (grant, "330107004000 税务登记")


def test_suspended_resumed_and_revoked_count_with_the_next_call(town: Town):
    grant, change = give(town, TERMS), acts(town)
    for act, comes in (
        (change.suspend, "SHR-GRANT-SUSPENDED"), (change.resume, 200), (change.revoke, "SHR-GRANT-REVOKED"),
    ):  # fmt: skip
        act(grant, PROVIDER, WHY, at(2))
        assert code(town.ask(PATH)) == comes


def test_a_file_s_grants_stand_beside_and_are_shown_as_such(tmp_path):
    town = open_town(tmp_path, GRANTS)
    grant = give(town, TERMS)
    assert town.ask(PATH).json()["grant"] == "tax-firms"
    assert town.ask(PATH, headers={"X-Grant": grant}).json()["grant"] == grant
    assert {one.origin for one in town.desk.grants.of("tax")} == {"file", "database"}
    acts(town).revoke(grant, PROVIDER, WHY, at(2))
    assert town.ask(PATH).status_code == 200
    assert {one.origin for one in town.desk.grants.of("tax")} == {"file"}
    town.desk.close()
    town.config.engine.dispose()


def test_what_was_done_on_another_host_counts_within_a_moment(town: Town):
    grant = give(town, TERMS)
    assert town.ask(PATH).status_code == 200
    acts(town, bump=False).revoke(grant, PROVIDER, WHY, at(2))
    time.sleep(POLL_SECONDS)
    assert code(town.ask(PATH)) == "SHR-GRANT-REVOKED"


def test_no_call_asks_the_database_while_nothing_changed(town: Town, monkeypatch):
    give(town, TERMS)
    town.ask(PATH)
    register = town.desk.grants._register
    monkeypatch.setattr(register, "_poll", 3600.0)
    monkeypatch.setattr(register, "look", lambda: pytest.fail("looked"))
    assert [town.ask(PATH).status_code for _ in range(3)] == [200] * 3


def test_a_change_counts_as_known_only_when_calls_go_by_it(town: Town, monkeypatch):
    grant, grants = give(town, TERMS), town.desk.grants
    town.ask(PATH)
    approve, due = grants._approve, []
    monkeypatch.setattr(grants, "_approve", lambda register: (due.append(grants.due()), approve(register)))
    acts(town).revoke(grant, PROVIDER, WHY, at(2))
    assert code(town.ask(PATH)) == "SHR-GRANT-REVOKED"
    assert due == [True]
    assert not grants.due()


def test_while_the_database_is_silent_nothing_is_answered(town: Town):
    give(town, TERMS)
    assert town.ask(PATH).status_code == 200
    with town.config.engine.begin() as connection:
        METADATA.drop_all(connection)
    time.sleep(POLL_SECONDS)
    assert code(town.ask(PATH)) == "SHR-STATE"


def test_a_revocation_stops_the_next_call_of_every_process_of_a_real_server(tmp_path, monkeypatch):
    town = open_town(tmp_path)
    grant, change = give(town, TERMS), acts(town)
    monkeypatch.setattr(test_sharing_kill, "RUN", test_sharing_kill.RUN.replace("sharing_town:", "applied_town:"))
    headers = {"X-Api-Key": town.keys["tax"]}
    with test_sharing_kill.served(town) as (_, address), ThreadPoolExecutor(8) as crowd:

        def ask(_n: int) -> str | int:
            return code(httpx.get(address + PATH, headers=headers, trust_env=False))

        for act, comes in ((change.suspend, "SHR-GRANT-SUSPENDED"), (change.resume, 200)) * 2:
            act(grant, PROVIDER, WHY, at(2))
            assert set(crowd.map(ask, range(24))) == {comes}
        change.revoke(grant, PROVIDER, WHY, at(2))
        assert set(crowd.map(ask, range(24))) == {"SHR-GRANT-REVOKED"}
    town.desk.close()
    town.config.engine.dispose()


def test_a_grant_is_for_its_client_and_channels(town: Town):
    keys = town.desk.keys
    town.keys["desk"] = keys.issue("tax", "报税大厅")
    give(town, TERMS, client="报税大厅")
    assert code(town.ask(PATH)) == "SHR-CLIENT"
    assert town.ask(PATH, "desk").status_code == 200
    only = give(town, replace(TERMS, channels=frozenset({"batch"})))
    assert code(town.ask(PATH, headers={"X-Grant": only})) == "SHR-CHANNEL"
    batch = "/v1/libraries/legal_person/records:batch"
    assert town.ask(batch, method="POST", json={"keys": [FIRM]}, headers={"X-Grant": only}).status_code == 200
    sql = give(town, replace(TERMS, channels=frozenset({"sql"})))
    town.desk.grants.follow()
    assert town.desk.grants.plan("tax", "legal_person", sql, channel="sql").grant.id == sql


def test_old_data_or_data_of_unknown_age_are_not_answered_from(town: Town, monkeypatch):
    give(town, replace(TERMS, fresh_within="24h"))
    now = datetime.now(SHANGHAI)
    for landed, comes in (
        ({}, "SHR-STALE"), ({"market": "soon"}, "SHR-STALE"), ({"market": (now - timedelta(hours=25)).isoformat()}, "SHR-STALE"),
        ({"market": now.isoformat(), "tax": (now - timedelta(days=9)).isoformat()}, "SHR-STALE"),
        ({"market": (now - timedelta(hours=23)).isoformat()}, 200),
    ):  # fmt: skip
        info = replace(town.firms.info(), freshness=landed)
        monkeypatch.setattr(town.firms, "info", lambda info=info: info)
        assert code(town.ask(PATH)) == comes
        assert code(town.ask("/v1/libraries/legal_person/records:batch", method="POST", json={"keys": [FIRM]})) == comes
    assert [one.units for one in town.calls() if one.code == "SHR-STALE"] == [0] * 8


def test_without_a_condition_nobody_asks_how_old_data_are():
    grant = Grant("g", "tax", "x", (), frozenset(), {}, "m", "b", LASTS, None)
    fresh(grant, {})
    with pytest.raises(StaleError):
        fresh(replace(grant, fresh_within=timedelta(days=1)), {})


def test_a_month_has_what_its_days_have_left(town: Town, monkeypatch):
    monkeypatch.setattr("sharing.grant_pace.today", lambda: "2026-09-03")

    class Days:
        def units(self, day: str, department: str, grant: str) -> int:
            return {"2026-08-31": 50, "2026-09-01": 4, "2026-09-02": 3}.get(day, 1000)

    grant = Grant("g", "tax", "x", (), frozenset(), {}, "m", "b", LASTS, None, per_month=10)
    assert Months(Days()).limited(grant).per_day == 3
    assert Months(Days()).limited(replace(grant, per_day=2)).per_day == 2
    assert Months(Days(), Days()).limited(grant).per_day == 0
    monkeypatch.undo()
    give(town, replace(TERMS, per_month=2, channels=frozenset({"query"})))
    assert [code(town.ask(PATH)) for _ in range(3)] == [200, 200, "SHR-QUOTA-MONTH"]


def test_a_second_has_so_many_calls_over_all_processes(tmp_path, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr("sharing.grant_pace.time.time", lambda: now)
    grant = Grant("g", "tax", "x", (), frozenset(), {}, "m", "b", LASTS, None, per_second=2)
    one, other = Pace(tmp_path), Pace(tmp_path)
    one.take(grant)
    other.take(grant)
    with pytest.raises(PaceError):
        one.take(grant)
    now = 1_001.0
    other.take(grant)
    one.close()
    other.close()


def test_a_grant_that_a_newer_standard_forbids_is_withheld_and_told(town: Town):
    give(town, TERMS)
    forbidden = Standard(
        "legal_person", 2, "法人", "Legal persons",
        tuple(replace(one, share="N") if one.name == "phone" else one for one in FIRMS.fields), (), ("uscc",),
    )  # fmt: skip
    grants = Grants(
        town.config.grants, {"legal_person": forbidden}, {},
        GrantRegister(town.config.engine, town.config.meter / BUMP_FILE),
    )  # fmt: skip
    grants.follow()
    assert grants.of("tax") == []
    assert grants.state().problem["code"] == "SHR-NEVER-SHARED"
    grants.close()


def test_a_look_that_began_before_a_change_is_not_taken_for_one_after(town: Town, monkeypatch):
    """While one call looks at the database a grant is revoked; a call that comes after that must not be answered."""
    grant, change, register = give(town, TERMS), acts(town), town.desk.grants._register
    look = register.look

    def slowly() -> bool:
        changed = look()
        time.sleep(0.2)
        return changed

    monkeypatch.setattr(register, "look", slowly)

    async def both() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=town.app), base_url="http://town") as client:
            headers = {"X-Api-Key": town.keys["tax"]}
            first = asyncio.ensure_future(client.get(PATH, headers=headers))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(change.revoke, grant, PROVIDER, WHY, at(2))
            after = await client.get(PATH, headers=headers)
            await first
            return after.status_code

    assert asyncio.run(both()) == 403
