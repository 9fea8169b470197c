"""An application is decided by whom the law says, within its term, and a grant never goes beyond what may be shared."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from application_office import (
    AUTHORITY,
    BOUND,
    CLERK,
    EVERYBODY,
    FIRMS,
    FREE,
    PROVIDER,
    PROVIDER_CLERK,
    PURPOSE,
    STRANGER,
    SUBJECTS,
    TAX_LEAD,
    WHY,
    Bureau,
    at,
    opened,
)  # fmt: skip

from infra.testing import postgres
from schemas.errors import StandardError
from sharing.application_sweep import sweep
from sharing.application_tables import METADATA
from sharing.application_values import Purpose
from sharing.clocks import SharingPolicy, read_policy
from sharing.errors import SharingError
from sharing.grant_terms import Terms
from warehouse.state.database import open_engine


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A migrated database without anything in it, to be copied."""
    path = tmp_path_factory.mktemp("applications") / "state.db"
    opened(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def bureau(tmp_path, empty):
    shutil.copy(empty, tmp_path / "state.db")
    made = Bureau(open_engine(f"sqlite:///{tmp_path}/state.db"), tmp_path / "bump")
    yield made
    made.engine.dispose()


def refused(code: str):
    return pytest.raises(SharingError, match=rf"\[{code}\]")


def test_what_is_unconditional_is_granted_at_once_after_the_conformity_check(bureau):
    one = bureau.file(FREE)
    assert (one.sharing, one.state, one.due) == ("U", "delivered", None)
    filed, approved, delivered = bureau.all.one(one.id)[1]
    assert (filed.event, filed.due, approved.who, delivered.event) == ("filed", "2026-09-02", "system", "delivered")
    (grant,) = bureau.grants.find()
    assert (grant.id, grant.department, grant.subject, grant.state) == (one.grant, "tax", "legal_person", "active")
    assert grant.matter == "330107004000 税务登记"


def test_what_is_not_served_yet_is_due_within_twenty_working_days(bureau):
    one = bureau.file(FREE, "market.later")
    assert (one.state, one.due) == ("approved", "2026-09-29")  # the 20th is worked, the 25th is off
    assert bureau.all.deliver(one.id, PROVIDER, WHY, at(9)).state == "delivered"


def test_a_condition_gives_the_provider_ten_working_days(bureau):
    one = bureau.file(when=at(20))
    assert (one.sharing, one.state, one.due) == (
        "C",
        "pending",
        "2026-10-10",
    )  # from a Sunday that is worked to such a Saturday
    assert bureau.file(replace(FREE, fields=("phone",), clear=frozenset({"phone"}))).state == "pending"
    assert bureau.file(replace(FREE, fields=("phone",))).state == "delivered"  # masked it needs no condition


def test_a_part_may_be_granted_and_never_more(bureau):
    one = bureau.file()
    part = replace(BOUND, fields=("uscc",), rows={"division": ("330106",)}, per_day=10)
    for wider in (
        replace(BOUND, fields=("uscc", "phone")), replace(BOUND, rows={}), replace(BOUND, per_day=None),
        replace(BOUND, rows={"division": ("33*",)}), replace(BOUND, until="2027-07-01"),
        replace(BOUND, channels=frozenset({"query", "sql"})), replace(BOUND, clear=frozenset({"ent_name"})),
    ):  # fmt: skip
        with refused("SHR-TERMS"):
            bureau.all.approve(one.id, PROVIDER, WHY, at(2), wider)
    done = bureau.all.approve(one.id, PROVIDER, WHY, at(2), part)
    assert (done.state, done.granted["fields"]) == ("delivered", ["uscc"])
    assert bureau.grants.one(done.grant)[-1].terms["rows"] == {"division": ["330106"]}


def test_a_field_that_may_not_be_shared_is_granted_by_no_path(bureau):
    asked = replace(FREE, fields=("uscc", "never"))
    one = bureau.file(asked)
    assert (one.sharing, one.state) == ("N", "pending")
    with refused("SHR-NEVER-SHARED"):
        bureau.all.approve(one.id, PROVIDER, WHY, at(2))
    with refused("SHR-NEVER-SHARED"):
        bureau.all.approve(bureau.file(replace(FREE, rows={"never": ("x",)})).id, PROVIDER, WHY, at(2))
    bureau.all.refuse(one.id, PROVIDER, WHY, "保守国家秘密法", at(2))
    bureau.all.dispute(one.id, CLERK, WHY, at(3))
    bureau.all.refer(one.id, CLERK, WHY, at(4))
    for step in ("mediation", "ruling"):
        assert bureau.all.one(one.id)[0].state == step
        with refused("SHR-NEVER-SHARED"):
            bureau.all.approve(one.id, AUTHORITY, WHY, at(5))
        if step == "mediation":
            bureau.all.refer(one.id, AUTHORITY, WHY, at(5))
    assert bureau.grants.find() == []
    # A grant given before the field was forbidden can neither be resumed nor renewed with it.
    grant = bureau.file(FREE).grant
    bureau.grants.suspend(grant, PROVIDER, WHY, at(6))
    forbidden = replace(FIRMS, fields=tuple(replace(f, share="N") for f in FIRMS.fields))
    bureau.all.subjects = {"legal_person": replace(SUBJECTS["legal_person"], standard=forbidden)}
    with refused("SHR-NEVER-SHARED"):
        bureau.grants.resume(grant, PROVIDER, WHY, at(7))
    with refused("SHR-NEVER-SHARED"):
        bureau.grants.extend(grant, PROVIDER, "2028-01-01", WHY, at(7))
    assert bureau.file(FREE, renews=grant).state == "pending"


def test_a_refusal_needs_a_reason_and_a_legal_basis(bureau):
    one = bureau.file()
    for why, basis in (("", "法"), ("理由", " "), ("理由", "身份证 11010519491231002X")):
        with refused("SHR-WORDS"):
            bureau.all.refuse(one.id, PROVIDER, why, basis, at(2))
    done = bureau.all.refuse(one.id, PROVIDER, WHY, "保守国家秘密法", at(2))
    assert (done.state, bureau.all.one(one.id)[1][-1].basis) == ("refused", "保守国家秘密法")


def test_a_supplement_stops_the_clock_and_it_goes_on_with_what_was_left(bureau):
    one = bureau.file(when=at(1))
    assert one.due == "2026-09-15"
    stopped = bureau.all.ask_supplement(one.id, PROVIDER, "请说明用途", at(7))
    assert (stopped.state, stopped.left, stopped.due) == ("supplementing", 6, "2026-09-20")
    again = bureau.all.supply(one.id, CLERK, "已说明", at(18))
    assert (again.state, again.due) == ("pending", "2026-09-28")
    with refused("SHR-ONCE"):
        bureau.all.ask_supplement(one.id, PROVIDER, "再说明", at(21))


def test_what_nobody_supplies_lapses_and_what_nobody_decides_goes_up(bureau):
    quiet, slow = bureau.file(), bureau.file()
    bureau.all.ask_supplement(quiet.id, PROVIDER, "请说明用途", at(1))
    told = [(n.kind, n.application.id, n.level, n.to) for n in sweep(bureau.all, at(16))]
    assert told == [("lapsed", quiet.id, 0, "tax"), ("overdue", slow.id, 1, "lead")]
    assert sweep(bureau.all, at(16, hour=10)) == []
    assert sweep(bureau.all, at(18)) == []
    assert [(n.level, n.to) for n in sweep(bureau.all, at(20))] == [(2, "data_manager")]  # a worked Sunday
    assert sweep(bureau.all, at(30)) == []
    assert bureau.events(slow) == ["filed", "escalated", "escalated"]
    assert bureau.all.approve(slow.id, PROVIDER, WHY, at(30)).state == "delivered"


def test_more_days_are_asked_for_and_decided_once(bureau):
    one = bureau.file()
    with refused("SHR-DAYS"):
        bureau.all.ask_extension(one.id, PROVIDER, 11, WHY, at(2))
    bureau.all.ask_extension(one.id, PROVIDER, 5, WHY, at(2))
    assert bureau.all.decide_extension(one.id, AUTHORITY, WHY, at(3), grant=True).due == "2026-09-21"
    with refused("SHR-ONCE"):
        bureau.all.ask_extension(one.id, PROVIDER, 5, WHY, at(4))
    with refused("SHR-ONCE"):
        bureau.all.decide_extension(one.id, AUTHORITY, WHY, at(4), grant=False)


def test_a_dispute_goes_through_consultation_mediation_and_ruling_once(bureau):
    one = bureau.file()
    bureau.all.refuse(one.id, PROVIDER, WHY, "某法", at(2))
    assert bureau.all.dispute(one.id, CLERK, WHY, at(3)).state == "consultation"
    assert bureau.all.refer(one.id, CLERK, WHY, at(4)).state == "mediation"
    assert bureau.all.refer(one.id, AUTHORITY, WHY, at(7)).state == "ruling"
    assert bureau.all.refuse(one.id, AUTHORITY, WHY, "某法", at(8)).state == "refused"
    with refused("SHR-ONCE"):
        bureau.all.dispute(one.id, CLERK, WHY, at(9))
    part = bureau.all.approve(bureau.file().id, PROVIDER, WHY, at(2), replace(BOUND, fields=("uscc",)))
    bureau.all.dispute(part.id, CLERK, WHY, at(3))
    wide = bureau.all.approve(part.id, PROVIDER, WHY, at(4))
    assert [one.event for one in bureau.grants.one(wide.grant)] == ["issued", "widened"]
    with refused("SHR-ONCE"):
        bureau.all.dispute(wide.id, CLERK, WHY, at(5))


def test_a_dispute_about_what_is_not_delivered_yet_stops_that_clock(bureau):
    one = bureau.file(BOUND, "market.later")
    some = bureau.all.approve(one.id, PROVIDER, WHY, at(1), replace(BOUND, fields=("uscc",)))
    bureau.all.dispute(one.id, CLERK, WHY, at(2))
    back = bureau.all.withdraw(one.id, CLERK, "算了", at(16))
    assert (some.due, back.state, back.due) == ("2026-09-29", "approved", "2026-10-19")


def test_a_grant_is_renewed_before_it_ends_and_its_holder_is_told(bureau):
    grant = bureau.file(replace(FREE, until="2026-09-30")).grant
    assert [(n.kind, n.to) for n in sweep(bureau.all, at(1))] == [("expiring", "tax")]
    assert sweep(bureau.all, at(2)) == []
    with refused("SHR-NO-APPLICATION"):
        bureau.file(FREE, renews=grant, by=STRANGER)
    done = bureau.file(FREE, renews=grant, when=at(30))
    assert (done.grant, bureau.grants.one(grant)[-1].terms["until"]) == (grant, "2027-06-30")
    with refused("SHR-ONCE"):
        bureau.file(replace(FREE, until="2027-12-31"), renews=grant, when=at(1, 7, year=2027))
    bureau.grants.revoke(grant, PROVIDER, WHY, at(1, 10))
    with refused("SHR-APPLICATION-STATE"):
        bureau.file(FREE, renews=grant, when=at(1, 10))


def test_what_does_not_conform_is_not_filed(bureau):
    for terms in (
        replace(FREE, fields=()), replace(FREE, fields=("uscc", "fone")), replace(FREE, fields=("uscc", "uscc")),
        replace(FREE, clear=frozenset({"phone"})), replace(BOUND, find=frozenset({"division"})),
        replace(FREE, rows={"division": ("3*3",)}), replace(FREE, channels=frozenset()),
        replace(FREE, channels=frozenset({"fax"})), replace(FREE, per_day=0), replace(FREE, fresh_within="soon"),
        replace(FREE, until="bald"),
    ):  # fmt: skip
        with refused("SHR-TERMS"):
            bureau.file(terms)
    for until in ("2026-08-31", "2039-01-01"):
        with refused("SHR-UNTIL"):
            bureau.file(replace(FREE, until=until))
    with refused("SHR-NO-SUBJECT"):
        bureau.file(FREE, "nowhere")
    for purpose in (replace(PURPOSE, matter_code="x"), replace(PURPOSE, matter="字" * 121)):
        with refused("SHR-PURPOSE"):
            bureau.all.file(CLERK, "legal_person", FREE, purpose, at(1))
    for purpose in (replace(PURPOSE, basis=""), Purpose("330107004000", " ", "法")):
        with refused("SHR-WORDS"):
            bureau.all.file(CLERK, "legal_person", FREE, purpose, at(1))
    assert bureau.all.find() == []


DO = {
    "ask_supplement": lambda b, n, by: b.all.ask_supplement(n, by, WHY, at(2)),
    "approve": lambda b, n, by: b.all.approve(n, by, WHY, at(2)),
    "refuse": lambda b, n, by: b.all.refuse(n, by, WHY, "某法", at(2)),
    "ask_extension": lambda b, n, by: b.all.ask_extension(n, by, 2, WHY, at(2)),
    "decide_extension": lambda b, n, by: b.all.decide_extension(n, by, WHY, at(2), grant=True),
    "withdraw": lambda b, n, by: b.all.withdraw(n, by, WHY, at(2)),
    "suspend": lambda b, n, by: b.grants.suspend("app:1", by, WHY, at(2)),
    "resume": lambda b, n, by: b.grants.resume("app:1", by, WHY, at(2)),
    "extend": lambda b, n, by: b.grants.extend("app:1", by, "2028-01-01", WHY, at(2)),
    "revoke": lambda b, n, by: b.grants.revoke("app:1", by, WHY, at(2)),
}
ALLOWED = {
    "ask_supplement": {PROVIDER}, "approve": {PROVIDER}, "refuse": {PROVIDER}, "ask_extension": {PROVIDER},
    "decide_extension": {AUTHORITY}, "withdraw": {CLERK, TAX_LEAD}, "suspend": {PROVIDER, AUTHORITY},
    "resume": {PROVIDER, AUTHORITY}, "extend": {PROVIDER, AUTHORITY}, "revoke": {PROVIDER, AUTHORITY, TAX_LEAD},
}  # fmt: skip


def test_who_may_do_what_is_decided_by_the_service(bureau):
    grant = bureau.file(FREE).grant
    assert grant == "app:1"
    for act, do in DO.items():
        for by in EVERYBODY:
            number = bureau.file().id
            if act == "decide_extension":
                bureau.all.ask_extension(number, PROVIDER, 2, WHY, at(2))
            if by in ALLOWED[act]:
                continue
            with pytest.raises(SharingError) as caught:
                do(bureau, number, by)
            hidden = by is STRANGER
            assert caught.value.code == ("SHR-NO-APPLICATION" if hidden else "SHR-RIGHT"), (act, by)
            assert caught.value.status == (404 if hidden else 403)
            assert bureau.all.one(number)[0].state == "pending"
    for act in ("suspend", "resume", "extend", "revoke"):
        DO[act](bureau, 0, PROVIDER)
    assert [one.event for one in bureau.grants.one(grant)] == ["issued", "suspended", "resumed", "extended", "revoked"]
    orphan = bureau.file(BOUND, "orphan").id
    with refused("SHR-NO-APPLICATION"):
        bureau.all.approve(orphan, PROVIDER, WHY, at(2))
    assert bureau.all.approve(orphan, AUTHORITY, WHY, at(2)).state == "delivered"


def test_everybody_sees_what_concerns_them_and_nothing_else(bureau):
    one = bureau.file()
    for by in EVERYBODY:
        seen = [found.id for found in bureau.all.find(by)]
        assert seen == ([] if by is STRANGER else [one.id])
    with refused("SHR-NO-APPLICATION"):
        bureau.all.one(one.id, STRANGER)
    assert bureau.all.one(one.id, PROVIDER_CLERK)[0] == one


def together(*acts) -> list[str]:
    """All of them begun at once; what each came to."""
    start, came = threading.Barrier(len(acts)), []

    def act(do) -> None:
        start.wait()
        try:
            came.append(do().state)
        except SharingError as error:
            came.append(error.code)

    threads = [threading.Thread(target=act, args=(one,)) for one in acts]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sorted(came)


def decided_by_two_at_once(bureau: Bureau) -> None:
    for _ in range(3):
        one = bureau.file().id
        came = together(
            lambda one=one: bureau.all.approve(one, PROVIDER, WHY, at(2)),
            lambda one=one: bureau.all.refuse(one, PROVIDER, WHY, "某法", at(2)),
        )
        assert came in (["SHR-APPLICATION-STATE", "delivered"], ["SHR-APPLICATION-STATE", "refused"])
        assert len(bureau.events(one)) == (3 if "delivered" in came else 2)
    grant = bureau.file(FREE).grant
    came = together(*[lambda: bureau.grants.suspend(grant, PROVIDER, WHY, at(2))] * 3)
    assert came == ["SHR-APPLICATION-STATE", "SHR-APPLICATION-STATE", "suspended"]


def test_of_two_who_decide_at_once_one_is_refused(bureau):
    decided_by_two_at_once(bureau)


def test_postgresql_decides_the_same_and_history_cannot_be_changed_there():
    with postgres.running() as server:
        bureau = Bureau(opened(server.url()))
        decided_by_two_at_once(bureau)
        history_is_kept(bureau)
        bureau.engine.dispose()


def history_is_kept(bureau: Bureau) -> None:
    for change in ("UPDATE share_application_event SET why = ''", "DELETE FROM share_grant"):
        with pytest.raises(sa.exc.DBAPIError, match="only ever added to"), bureau.engine.begin() as connection:
            connection.execute(sa.text(change))


def test_the_history_cannot_be_changed(bureau):
    bureau.file(FREE)
    history_is_kept(bureau)


def test_the_tables_are_those_the_migrations_make(bureau):
    found = sa.inspect(bureau.engine)
    for table in METADATA.tables.values():
        assert [c["name"] for c in found.get_columns(table.name)] == [c.name for c in table.columns]


def test_a_deployment_may_say_its_own_terms(tmp_path: Path):
    path = tmp_path / "sharing.yaml"
    assert read_policy(path) == SharingPolicy()
    path.write_text("days: {conditional: 5, delivery: 2}\nescalate_to: [chen]\nproviders: {population: police}\n")
    policy = read_policy(path, ["population"])
    assert (policy.days["conditional"], policy.days["unconditional"], policy.escalate_to) == (5, 1, ("chen",))
    assert policy.providers == {"population": "police"}
    for wrong in (
        "days: {conditional: 0}",
        "days: {conditonal: 3}",
        "longest: 99999",
        "providers: {popualtion: police}",
    ):
        path.write_text(wrong)
        with pytest.raises(StandardError, match=r"sharing\.yaml:1"):
            read_policy(path, ["population"])


def test_terms_come_back_from_the_database_as_they_were(bureau):
    terms = Terms(
        ("uscc", "phone"), "2027-01-01", frozenset({"phone"}), frozenset({"uscc"}), {"division": ("3301*",)},
        frozenset({"sql"}), 1, 2, 3, "24h",
    )  # fmt: skip
    one = bureau.all.approve(bureau.file(terms).id, PROVIDER, WHY, datetime.combine(date(2026, 9, 2), at(1).timetz()))
    assert one.granted == terms.as_json()
