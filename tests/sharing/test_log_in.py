"""People log in with a password, are who they are while their session lasts, and nobody gets in another way."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
import sqlalchemy as sa
from people_town import PEOPLE, TERMS, WORD, PeopleTown, peopled
from sharing_town import FIRM, build

from sharing.lockout import Delays
from sharing.passwords import Passwords
from sharing.people_refusals import LoginError
from sharing.people_tables import ACCOUNT, ATTEMPT, EVENT, SESSION
from sharing.proxies import address_of
from sharing.sessions import csrf_of, digest


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeopleTown]:
    town = build(tmp_path_factory.mktemp("log-in"))
    yield peopled(town)
    town.desk.close()
    town.config.engine.dispose()


@pytest.fixture
def office(hall: PeopleTown) -> PeopleTown:
    return hall.begin()


def test_whoever_logs_in_is_known_until_they_log_out(office: PeopleTown) -> None:
    browser = office.browser()
    assert browser.who == "SHR-SESSION"
    answer = browser.log_in("li.na")
    told = answer.json()
    assert (told["person"], told["department"], told["roles"], told["way"]) == ("li.na", "tax", ["lead"], "password")
    assert {"application.decide", "grant.change"} <= set(told["may"])
    assert "person.change" not in told["may"]
    cookie = answer.headers["set-cookie"]
    for part in ("__Host-shutong=", "; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "Max-Age=43200"):
        assert part in cookie
    assert (browser.who, office.browser().who) == ("li.na", "SHR-SESSION")
    assert [one.department for one in office.town.calls() if one.operation == "login"][-1] == "tax"
    assert browser.ask("DELETE", "/v1/session").status_code == 200
    assert browser.cookies["__Host-shutong"] == ""
    assert browser.who == "SHR-SESSION"
    assert office.events() == [("login", "li.na"), ("logout", "li.na")]


def test_a_session_is_no_key_and_a_key_is_no_session(office: PeopleTown) -> None:
    browser = office.browser()
    browser.log_in("wang")
    assert browser.ask("GET", f"/v1/libraries/legal_person/records/{FIRM}").json()["code"] == "SHR-NO-KEY"
    assert office.town.ask("/v1/session").json()["code"] == "SHR-SESSION"


def test_unknown_locked_and_wrong_are_answered_alike(office: PeopleTown) -> None:
    office.door.lock("zhou", "chen", "left")
    told = set()
    for person, word in (("nobody", WORD), ("wang", "wrong"), ("zhou", WORD), ("wang", ""), ("a\x00b", WORD),
                         ("wang", "x" * 1000)):  # fmt: skip
        answer = office.browser().log_in(person, word)
        body = answer.json()
        del body["request_id"]
        told.add((answer.status_code, str(body)))
    assert len(told) == 1
    assert office.browser().log_in("wang").status_code == 200
    with office.engine.connect() as connection:
        kept = str(connection.execute(sa.select(ATTEMPT)).all()) + str(connection.execute(sa.select(EVENT)).all())
    assert "nobody" not in kept  # what was typed may be a password in the wrong field
    assert office.browser().ask("POST", "/v1/session", {"person": "wang"}).json()["code"] == "SHR-BODY"
    assert office.browser().ask("POST", "/v1/session", {"person": "x" * 9000, "password": ""}).status_code == 413


def test_unknown_names_take_as_long_as_wrong_passwords(hall: PeopleTown) -> None:
    office = hall.begin(replace(TERMS, account=Delays(free=1000)), passwords=Passwords())
    taken: dict[str, list[float]] = {"wang": [], "nobody": []}
    for _ in range(3):
        for person, found in taken.items():
            began = time.process_time()
            with pytest.raises(LoginError):
                office.door.log_in(person, "wrong", None)
            found.append(time.process_time() - began)
    known, unknown = (statistics.median(found) for found in taken.values())
    assert 0.5 < known / unknown < 2  # where no hash is worked out it is fifty to one


def test_a_hammering_guesser_gets_five_tries_and_then_waits(office: PeopleTown) -> None:
    codes = [office.browser(f"10.0.0.{i}").log_in("wang", f"guess {i}").json()["code"] for i in range(8)]
    assert codes == ["SHR-LOGIN"] * 6 + ["SHR-WAIT"] * 2
    right = office.browser("10.9.9.9").log_in("wang")
    assert (right.status_code, right.headers["retry-after"]) == (429, "31")
    names = [office.browser(f"10.0.1.{i}").log_in("nobody", "guess").json()["code"] for i in range(8)]
    assert names == codes
    office.clock.now += 31
    assert office.browser().log_in("wang", "guess").json()["code"] == "SHR-LOGIN"
    assert office.browser().log_in("wang").headers["retry-after"] == "61"
    assert office.browser().log_in("li.na").status_code == 200
    office.door.unlock("wang", "chen", "it was him")
    assert office.browser().log_in("wang").status_code == 200
    assert ("unlocked", "wang") in office.events()


def test_one_address_cannot_try_every_name(hall: PeopleTown) -> None:
    office = hall.begin(replace(TERMS, network=Delays(free=6)))
    codes = {}
    for i in range(9):
        codes.setdefault(office.browser().log_in(f"name{i}", "x").json()["code"], i)
    assert codes == {"SHR-LOGIN": 0, "SHR-WAIT": 7}
    assert office.browser().log_in("wang").status_code == 429
    assert office.browser("10.7.7.7").log_in("wang").status_code == 200
    assert office.door.forgive("10.1.2.3", "chen", "a course")
    assert office.browser().log_in("wang").status_code == 200


def test_a_session_is_not_taken_over_from_before_the_log_in(office: PeopleTown) -> None:
    browser, planted = office.browser(), "planted-by-somebody-else"
    browser.cookies["__Host-shutong"] = planted
    browser.log_in("wang")
    first = browser.cookies["__Host-shutong"]
    assert first != planted
    browser.log_in("li.na")
    second = browser.cookies["__Host-shutong"]
    assert second != first
    stale = office.browser()
    for secret in (planted, first):
        stale.cookies["__Host-shutong"] = secret
        assert stale.who == "SHR-SESSION"
    assert browser.who == "li.na"


def test_the_tables_hold_nothing_that_lets_anybody_in(office: PeopleTown) -> None:
    browser = office.browser()
    browser.log_in("wang")
    secret = browser.cookies["__Host-shutong"]
    code, _ = office.door.invite(office.door.people.find("zhou"), "chen")
    with office.engine.connect() as connection:
        kept = [connection.execute(sa.select(table)).all() for table in (ACCOUNT, SESSION, ATTEMPT, EVENT)]
        hashes = connection.execute(sa.select(SESSION.c.hash)).scalars().all()
    assert not any(word in str(kept) for word in (secret, code, WORD, csrf_of(secret)))
    assert hashes == [digest(secret)]
    thief = office.browser()
    thief.cookies["__Host-shutong"] = hashes[0]
    assert thief.who == "SHR-SESSION"
    assert thief.ask("POST", "/v1/session/invitation", {"code": digest(code), "password": "a good long one"}).json()[
        "code"
    ] == "SHR-INVITATION"  # fmt: skip


def test_what_changes_something_needs_the_sessions_own_token(office: PeopleTown) -> None:
    browser, other = office.browser(), office.browser()
    browser.log_in("wang")
    other.log_in("li.na")
    mine, body = browser.csrf, {"password": WORD, "new": "another long one here"}
    for token in (None, "", "x", other.csrf, mine + "x", browser.cookies["__Host-shutong"]):
        browser.csrf = token
        assert browser.ask("DELETE", "/v1/session").json()["code"] == "SHR-CSRF"
        assert browser.ask("POST", "/v1/session/password", body).json()["code"] == "SHR-CSRF"
    browser.csrf = mine
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Content-Type": "text/plain"}):
        assert browser.ask("POST", "/v1/session/password", body, headers=headers).json()["code"] == "SHR-CSRF"
        assert office.browser().ask("POST", "/v1/session", {"person": "wang", "password": WORD}, headers=headers).json()[
            "code"
        ] == "SHR-CSRF"  # fmt: skip
    unsaid = office.browser().ask("POST", "/v1/session", content=orjson.dumps({"person": "wang", "password": WORD}))
    assert unsaid.json()["code"] == "SHR-CSRF", "a body of no kind can be sent by any page"
    assert browser.ask("POST", "/v1/session/password", body).status_code == 200


def test_a_changed_password_ends_every_other_session(office: PeopleTown) -> None:
    here, there = office.browser(), office.browser()
    here.log_in("wang")
    there.log_in("wang")
    before = here.cookies["__Host-shutong"]
    new = "zebra-umbrella-42"
    wrong = here.ask("POST", "/v1/session/password", {"password": "wrong", "new": new})
    weak = here.ask("POST", "/v1/session/password", {"password": WORD, "new": "wang wang wang wang"})
    same = here.ask("POST", "/v1/session/password", {"password": WORD, "new": WORD})
    assert [one.json()["code"] for one in (wrong, weak, same)] == [
        "SHR-LOGIN", "SHR-PASSWORD-NAME", "SHR-PASSWORD-SAME",
    ]  # fmt: skip
    assert here.ask("POST", "/v1/session/password", {"password": WORD, "new": new}).status_code == 200
    assert here.cookies["__Host-shutong"] != before
    assert (here.who, there.who) == ("wang", "SHR-SESSION")
    assert office.browser().log_in("wang").status_code == 401
    assert office.browser().log_in("wang", new).status_code == 200


def test_the_first_password_is_set_by_a_code_that_works_once(hall: PeopleTown) -> None:
    office = hall.begin(word=None)
    wang = office.door.people.find("wang")
    assert office.browser().log_in("wang").status_code == 401
    old, _ = office.door.invite(wang, "chen")
    code, until = office.door.invite(wang, "chen")

    def sets(code: str, password: str = WORD) -> str:
        answer = office.browser().ask("POST", "/v1/session/invitation", {"code": code, "password": password})
        return answer.json().get("code", "ok")

    assert until == office.clock() + 259_200
    assert [sets(old), sets("x"), sets(code, "short"), sets(code, "123456789012")] == [
        "SHR-INVITATION", "SHR-INVITATION", "SHR-PASSWORD-LENGTH", "SHR-PASSWORD-PLAIN",
    ]  # fmt: skip
    assert [sets(code), sets(code)] == ["ok", "SHR-INVITATION"]
    assert office.browser().log_in("wang").status_code == 200
    late, _ = office.door.invite(wang, "chen")
    office.clock.now += 259_201
    assert sets(late) == "SHR-INVITATION"
    shut, _ = office.door.invite(wang, "chen")
    office.door.lock("wang", "chen", "left")
    assert sets(shut) == "SHR-INVITATION"


def test_sessions_end_when_idle_at_their_time_and_with_roles_or_a_lock(hall: PeopleTown) -> None:
    office = hall.begin(replace(TERMS, longest=6000.0))
    idle, busy = office.browser(), office.browser()
    idle.log_in("wang")
    busy.log_in("li.na")
    for _ in range(3):
        office.clock.now += 1000
        assert busy.who == "li.na"
    assert idle.who == "SHR-SESSION"
    for _ in range(2):
        office.clock.now += 1400
        assert busy.who == "li.na"
    office.clock.now += 200
    assert busy.who == "SHR-SESSION"
    for was, then in (
        ("[lead]", "[lead, approver]"),
        ("tax, roles: [lead]", "bank, roles: [lead]"),
        ("li.na", "li.nb"),
    ):
        browser = office.browser()
        browser.log_in("li.na")
        assert browser.who == "li.na"
        office.people(PEOPLE.replace(was, then))
        assert browser.who == "SHR-SESSION"
        office.people(PEOPLE)
        assert browser.who == "SHR-SESSION"
    browser = office.browser()
    browser.log_in("wang")
    office.door.lock("wang", "chen", "left")
    assert browser.who == "SHR-SESSION"
    office.door.unlock("wang", "chen", "back")
    assert browser.who == "SHR-SESSION"
    assert {("session_ended", "li.na"), ("locked", "wang")} <= set(office.events())


def test_people_see_and_end_their_own_sessions_alone(office: PeopleTown) -> None:
    here, there, other = office.browser(), office.browser("10.4.4.4"), office.browser()
    here.log_in("wang")
    there.log_in("wang")
    other.log_in("li.na")
    listed = here.ask("GET", "/v1/session/all").json()["sessions"]
    assert [(one["address"], one["this"]) for one in listed] == [("10.4.4.4", False), ("10.1.2.3", True)]
    (theirs,) = other.ask("GET", "/v1/session/all").json()["sessions"]
    assert here.ask("POST", "/v1/session/end", {"session": theirs["session"]}).json()["ended"] is False
    assert here.ask("POST", "/v1/session/end", {"session": listed[0]["session"]}).json()["ended"] is True
    assert (here.who, there.who, other.who) == ("wang", "SHR-SESSION", "li.na")
    assert office.door.end(theirs["session"], None, "chen")
    assert other.who == "SHR-SESSION"


def test_a_broken_people_file_keeps_those_in_who_were_and_lets_nobody_in_after_a_start(office: PeopleTown) -> None:
    browser = office.browser()
    browser.log_in("wang")
    office.people("people: [}")
    assert browser.who == "wang"
    office.door.people._people = None  # as after a start
    assert office.browser().log_in("wang").json()["code"] == "SHR-PEOPLE"


def test_ipv6_is_counted_by_the_network_of_a_house(office: PeopleTown) -> None:
    assert office.door.log_in("wang", WORD, address_of("2001:db8:1:2:3::4")).verified.actor.department == "tax"
    assert office.door.accounts.events("wang")[0].address == "2001:db8:1:2::/64"
