"""One table says what each role may do; applications and grants ask it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from quality.orders_values import DATA_MANAGER, LEAD, ROLES, Actor
from sharing.application_values import Application
from sharing.grant_acts import _may
from sharing.people_refusals import RoleError
from sharing.roles import may, require, rights


def actor(role: str, department: str = "tax") -> Actor:
    return Actor("x", department, frozenset({role}))


def test_every_right_names_roles_that_there_are_and_says_so_in_both_languages() -> None:
    for act, right in rights().items():
        assert right.own | right.everywhere, act
        assert right.own | right.everywhere <= set(ROLES), act
        assert right.zh, act
        assert right.en, act
    assert {role for right in rights().values() for role in right.own | right.everywhere} == set(ROLES)


def test_a_role_reaches_as_far_as_its_department_and_no_further() -> None:
    assert may(actor("approver"), "application.decide", "tax")
    assert not may(actor("approver"), "application.decide", "bank")
    assert not may(actor("caller"), "application.decide", "tax")
    assert may(actor(DATA_MANAGER, ""), "grant.change", "bank")
    assert may(actor("auditor", ""), "record.audit", "bank")
    assert not may(actor("auditor", "tax"), "record.audit", "bank")
    assert not may(Actor("x", "", frozenset()), "directory.read", "tax")
    with pytest.raises(KeyError):
        may(actor(LEAD), "no.such.act", "tax")
    with pytest.raises(RoleError) as refused:
        require(actor("member"), "person.change", "tax")
    assert refused.value.code == "SHR-ROLE"
    assert "data_manager" in refused.value.en + refused.value.fix_en
    require(actor(DATA_MANAGER), "person.change", "tax")


def test_an_auditor_changes_nothing() -> None:
    reads = {act for act in rights() if act.endswith((".read", ".audit"))}
    assert {act for act in rights() if may(actor("auditor", ""), act, "tax")} <= reads


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("department", ["tax", "bank", ""])
def test_applications_and_grants_are_decided_by_those_the_table_names(role: str, department: str) -> None:
    said = {one.name: None for one in fields(Application)} | {"department": "school", "provider": "bank"}
    one = Application(**said)
    by = actor(role, department)
    if department:
        assert one.is_party("provider", by) == may(by, "application.decide", "bank")
    assert one.is_party("authority", by) == may(by, "application.rule", "bank")
    if department:
        assert _may(by, one, "suspend") == may(by, "grant.change", "bank")
