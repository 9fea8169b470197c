"""Whoever is logged in acts on applications and grants as themselves, as far as their roles go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from application_office import AUTHORITY, BOUND, PURPOSE, WHY, Bureau, at, opened
from people_town import CHEAP, DEPARTMENTS, WORD

from quality.orders_values import Actor
from sharing.application_refusals import RightError
from sharing.passwords import Passwords
from sharing.people import People
from sharing.people_door import PeopleDoor
from sharing.people_terms import LoginTerms

PEOPLE = """people:
  - {id: zhou, name: 周平, department: tax, roles: [caller]}
  - {id: sun, name: 孙立, department: tax, roles: [auditor]}
  - {id: li, name: 李娜, department: market, roles: [approver]}
  - {id: qian, name: 钱进, department: market, roles: [lead]}
"""


@pytest.fixture
def bureau(tmp_path: Path) -> Iterator[Bureau]:
    made = Bureau(opened(f"sqlite:///{tmp_path}/state.db"), tmp_path / "bump")
    yield made
    made.engine.dispose()


def test_people_act_by_their_session_and_stand_in_the_history_by_their_id(bureau: Bureau, tmp_path: Path) -> None:
    path = tmp_path / "people.yaml"
    path.write_text(PEOPLE, "utf-8")
    passwords = Passwords(CHEAP)
    people = People(path, DEPARTMENTS)
    door = PeopleDoor(bureau.engine, people, LoginTerms(), b"0123456789abcdef" * 2, None, passwords)

    def actor(person: str) -> Actor:
        door.accounts.keep(person, passwords.hash(WORD), 0.0)
        return door.who(door.log_in(person, WORD, None).secret).actor

    with pytest.raises(RightError):
        bureau.all.file(actor("sun"), "legal_person", BOUND, PURPOSE, at(1))
    one = bureau.all.file(actor("zhou"), "legal_person", BOUND, PURPOSE, at(1))
    for nobody in ("zhou", "sun"):
        with pytest.raises(RightError):
            bureau.all.approve(one.id, actor(nobody), WHY, at(2))
    done = bureau.all.approve(one.id, actor("li"), WHY, at(2))
    assert done.grant is not None
    assert [event.who for event in bureau.all.one(one.id)[1]][:2] == ["zhou", "li"]
    with pytest.raises(RightError):
        bureau.grants.suspend(done.grant, actor("li"), WHY, at(3))
    bureau.grants.suspend(done.grant, actor("qian"), WHY, at(3))
    bureau.grants.resume(done.grant, AUTHORITY, WHY, at(4))
