"""What looks like a harmless application, or comes at an odd moment, gets no further than any other."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from application_office import BOUND, CLERK, FREE, PROVIDER, WHY, Bureau, at
from applied_town import FEW, acts, give, open_town
from sharing_town import FIRM

from sharing.application_tables import EPOCH, GRANT, METADATA
from sharing.application_values import Actor, Purpose
from sharing.calls import SHANGHAI
from sharing.errors import QuotaSpentError, SharingError
from sharing.grant_file import Grant
from sharing.grant_pace import Months
from sharing.keys import METADATA as KEYS
from sharing.keys import Keys
from sharing.quota import Quota
from sharing.sql_quota import Bill
from warehouse.state.database import open_engine

PATH = f"/v1/libraries/legal_person/records/{FIRM}"


@pytest.fixture
def bureau(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(EPOCH).values(id=1, changes=0, epoch=0))
    yield Bureau(engine, tmp_path / "bump")
    engine.dispose()


def refused(code: str):
    return pytest.raises(SharingError, match=rf"\[{code}\]")


def test_rows_by_a_masked_field_are_a_condition_for_whoever_guesses_would_learn_its_value(bureau):
    one = bureau.file(replace(FREE, rows={"phone": ("13812345678",)}))
    assert (one.sharing, one.state, one.grant) == ("C", "pending", None)
    assert bureau.file(replace(FREE, rows={"division": ("3301*",)})).state == "delivered"


@pytest.mark.parametrize("until", ["20260801", "2026-W36-1", "2026-9-01", "2026-08-31T00:00", ""])
def test_a_day_written_otherwise_is_none_for_it_would_last_longer(bureau, until):
    with refused("SHR-TERMS"):
        bureau.file(replace(FREE, until=until))


def test_whoever_extends_a_grant_to_an_earlier_day_is_told_which_days_there_are(bureau):
    grant = bureau.file(FREE).grant
    with refused("SHR-UNTIL") as raised:
        bureau.grants.extend(grant, PROVIDER, FREE.until, WHY, at(2))
    assert "2027-07-01" in raised.value.en
    assert "2029-09-02" in raised.value.zh


def test_a_grant_whose_last_day_has_passed_is_not_revived(bureau):
    grant = bureau.file(FREE).grant
    after = datetime.fromisoformat(f"{FREE.until}T09:00:00+08:00") + timedelta(1)
    with refused("SHR-ONCE") as raised:
        bureau.grants.extend(grant, PROVIDER, (after + timedelta(90)).date().isoformat(), WHY, after)
    assert "new application" in raised.value.en


def test_nobody_applies_for_no_department(bureau):
    with refused("SHR-RIGHT"):
        bureau.file(FREE, by=Actor("chen", "", frozenset({"data_manager"})))


def test_a_renewal_for_another_matter_is_recorded_under_that_matter(bureau):
    first = bureau.file(FREE)
    other = Purpose("330107004001", "注销登记", "某法第二条")
    bureau.all.file(CLERK, "legal_person", replace(FREE, until="2028-06-30"), other, at(2), renews=first.grant)
    assert [one.matter for one in bureau.grants.one(first.grant)] == ["330107004000 税务登记", "330107004001 注销登记"]
    assert bureau.grants.one(first.grant)[-1].basis == other.basis


def test_a_supplement_gives_no_second_extension_of_the_same_clock(bureau):
    number, every = bureau.file(BOUND).id, bureau.all
    every.ask_extension(number, PROVIDER, 3, WHY, at(2))
    every.decide_extension(number, Actor("chen", "", frozenset({"data_manager"})), WHY, at(2), grant=True)
    every.ask_supplement(number, PROVIDER, WHY, at(3))
    every.supply(number, CLERK, WHY, at(4))
    with refused("SHR-ONCE"):
        every.ask_extension(number, PROVIDER, 3, WHY, at(4))


def test_a_refusal_names_states_in_the_reader_s_language(bureau):
    one = bureau.file(FREE)
    with refused("SHR-APPLICATION-STATE") as raised:
        bureau.all.withdraw(one.id, CLERK, WHY, at(2))
    assert "已提供" in raised.value.zh
    assert "待补正" in raised.value.fix_zh
    assert "delivered" in raised.value.en
    with refused("SHR-APPLICATION-STATE") as raised:
        bureau.grants.resume(one.grant, PROVIDER, WHY, at(2))
    assert f"shutong grant show {one.grant}" in raised.value.fix_en


def test_a_grant_is_never_called_what_a_database_cannot_take(bureau):
    for asked in (lambda: bureau.grants.one("app:\0"), lambda: bureau.file(FREE, renews="app:1\0")):
        with refused("SHR-NO-APPLICATION"):
            asked()


def test_a_grant_that_a_newer_version_wrote_is_withheld_and_the_others_are_followed(tmp_path):
    town = open_town(tmp_path, FEW)
    mine, odd = give(town, FREE_ROWS), give(town, replace(FREE_ROWS, fields=("uscc",)))
    assert town.ask(PATH, headers={"X-Grant": odd}).status_code == 200
    with town.config.engine.begin() as connection:
        terms = connection.execute(sa.select(GRANT.c.terms).where(GRANT.c.id == odd)).scalar_one()
        connection.execute(sa.update(GRANT).where(GRANT.c.id == odd).values(terms={**terms, "only_on": "mondays"}))
    acts(town).suspend(mine, PROVIDER, WHY, at(2))
    assert town.ask(PATH, headers={"X-Grant": mine}).json()["code"] == "SHR-GRANT-SUSPENDED"
    assert town.ask(PATH, headers={"X-Grant": odd}).json()["code"] == "SHR-NO-GRANT"
    told = town.ask("/healthz").json()["grants"]
    assert (told["status"], told["problem"]["grant"]) == ("degraded", odd)
    town.desk.close()
    town.config.engine.dispose()


FREE_ROWS = replace(FREE, fields=("uscc", "ent_name"), until="2999-12-31")
MONTHLY = Grant("g", "tax", "x", (), frozenset(), {}, "m", "b", "2999-12-31", None, per_month=10)


class Days:
    """Eight units on the last day but one of September."""

    def units(self, day: str, _department: str, _grant: str) -> int:
        return 8 if day == "2026-09-29" else 0


def test_a_call_that_began_before_midnight_has_the_month_it_began_in(monkeypatch):
    monkeypatch.setattr("sharing.grant_pace.today", lambda: "2026-10-01")
    months = Months(Days())
    assert months.limited(MONTHLY).per_day == 10
    assert months.limited(MONTHLY, "2026-09-30").per_day == 2
    assert months.limited(MONTHLY).per_day == 10


def test_a_query_in_sql_over_its_month_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr("sharing.sql_quota.today", lambda: "2026-09-30")
    quota = Quota(tmp_path)
    bill = Bill(quota, Months(Days()))
    bill.take([MONTHLY], 2)
    with pytest.raises(QuotaSpentError) as raised:
        bill.take([MONTHLY], 1)
    assert (raised.value.code, "每月配额 10，本月剩余 0" in raised.value.zh) == ("SHR-QUOTA-MONTH", True)
    bill.give_back()
    assert quota.used("tax", "g", "2026-09-30") == 0
    quota.close()


def test_whoever_writes_to_the_state_database_holds_up_no_call(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    KEYS.create_all(engine)
    keys = Keys(engine)
    key = keys.issue("tax", "hall")
    with sqlite3.connect(tmp_path / "state.db", isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        assert keys.department_of(key) == "tax"
        assert [one.label for one in keys.list()] == ["hall"]
        assert time.monotonic() - begun < 5, "a writer may keep others for thirty seconds"
        writer.execute("ROLLBACK")
    engine.dispose()


def test_what_a_month_has_left_is_shown_and_whoever_spent_it_is_sent_to_the_next(tmp_path):
    town = open_town(tmp_path, FEW)
    give(town, replace(FREE_ROWS, per_month=2))
    for left in (1, 0):
        assert town.ask(PATH).status_code == 200
        (quota,) = town.ask("/v1/usage").json()["quotas"]
        assert (quota["per_day"], quota["per_month"], quota["left"]) == (None, 2, left)
    refusal = town.ask(PATH)
    assert refusal.json()["code"] == "SHR-QUOTA-MONTH"
    there = datetime.now(SHANGHAI) + timedelta(seconds=int(refusal.headers["retry-after"]))
    assert (there.day, there.hour, there.minute) == (1, 0, 0)
    town.desk.close()
    town.config.engine.dispose()
