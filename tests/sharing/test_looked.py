"""Who looked: each answer about the subject, those that may not be known yet excepted, and every look recorded."""

from __future__ import annotations

import hmac
from datetime import date, timedelta
from pathlib import Path

import pytest
from books_town import SECRET, called, on, record
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StandardError
from sharing import calls, looked
from sharing.ledger import Ledger
from sharing.looked import LOOKED, Delay, WhoLooked, read_delays
from sharing.looked_refusals import LookedError

DAY = "2026-01-30"
FIRM, PERSON = "91330100MA2A0001XK", "11010519491231002X"
HIDDEN, FIRM_HIDDEN = ("hmac:" + hmac.digest(SECRET, one.encode(), "sha256").hex() for one in (PERSON, FIRM))


@pytest.fixture
def who(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Who looked, over the records of calls that are given."""
    on(monkeypatch, DAY)
    monkeypatch.setattr(looked, "today", lambda: DAY)
    monkeypatch.setattr(looked.scalar, "valid", lambda kind, key, _: kind == "uscc" and key == FIRM)

    def over(*made, delays=()):
        record(tmp_path, made)
        return WhoLooked(tmp_path, Ledger(tmp_path), SECRET, delays)

    return over


def about(person: WhoLooked, key: str = PERSON) -> list[looked.Look]:
    return [one for one in person.look(key, "zhang", "申请") if one.operation != LOOKED]


def test_each_answer_about_a_person_is_told_however_it_was_asked(who) -> None:
    told = about(who(
        called(DAY, 1, key=HIDDEN, names=["name"], case="2026-7", app="counter"),
        called(DAY, 2, key=None, keys=["hmac:" + "0" * 64, HIDDEN], operation="batch"),
        called(DAY, 3, key=HIDDEN, status=404),
        called(DAY, 4, key="hmac:" + "1" * 64),
        called(DAY, 5, key=HIDDEN, status=403), called(DAY, 6, key=HIDDEN, status=404, grant=None),
        called(DAY, 7, key=HIDDEN, status=304),
    ))  # fmt: skip
    assert (told[0].at[11:16], told[0].found) == ("07:07", True), "who is told that nothing changed has looked too"
    assert [(one.at[11:16], one.operation, one.found) for one in told[1:]] == [
        ("03:03", "get", False), ("02:02", "batch", True), ("01:01", "get", True),
    ]  # fmt: skip
    assert (told[-1].fields, told[-1].case, told[-1].app, told[-1].matter) == (
        ("name",),
        "2026-7",
        "counter",
        "税务登记",
    )


def test_a_firm_is_found_in_clear_and_where_its_code_was_kept_as_a_persons(who) -> None:
    firm = who(called(DAY, 1, key=FIRM), called(DAY, 2, key=FIRM_HIDDEN, library=None, resource="permits"))
    assert [one.subject for one in about(firm, FIRM)] == ["permits", "legal_person"]
    assert about(firm, "91330100") == []


def test_a_matter_that_must_not_be_known_yet_shows_after_its_days(who, monkeypatch) -> None:
    delays = (Delay("刑事", 180), Delay("刑事结案", 30), Delay("税务稽查", 60))
    whole = called(DAY, 5, key=HIDDEN, operation="profile", matter=None, library=None)
    person = who(
        called(DAY, 1, key=HIDDEN, matter="刑事侦查"), called(DAY, 2, key=HIDDEN, matter="刑事结案通知"),
        called(DAY, 3, key=HIDDEN, matter=None, matter_asked="税务稽查"), called(DAY, 4, key=HIDDEN, matter="入学"),
        whole, called(DAY, 5, key=HIDDEN, operation="profile", matter="刑事侦查", family=whole.id), delays=delays,
    )  # fmt: skip
    for days, shown in ((0, {"04:04"}), (29, {"04:04"}), (30, {"04:04", "02:02"}), (60, {"04:04", "02:02", "03:03"}),
                        (180, {"04:04", "02:02", "03:03", "01:01", "05:05"})):  # fmt: skip
        now = (date.fromisoformat(DAY) + timedelta(days=days)).isoformat()
        monkeypatch.setattr(looked, "today", lambda now=now: now)
        assert {one.at[11:16] for one in about(person)} == shown, days


def test_a_look_is_recorded_before_it_is_answered_and_shown_to_the_next_who_asks(who, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(looked, "today", calls.today)
    person = who(called(DAY, 1, key=HIDDEN))
    assert [one.app for one in person.look(PERSON, "zhang", "本人申请") if one.operation == LOOKED] == ["zhang"]
    again = [one for one in person.look(PERSON, "li", "复核") if one.operation == LOOKED]
    assert sorted((one.app, one.basis, one.department) for one in again) == [
        ("li", "复核", None),
        ("zhang", "本人申请", None),
    ]
    for by, why in (("", "申请"), ("zhang", " "), ("x" * 201, "申请")):
        with pytest.raises(LookedError, match="SHR-LOOKED-WHY"):
            person.look(PERSON, by, why)
    assert sum(call.operation == LOOKED for call in Ledger(tmp_path).records()) == 2
    assert Ledger(tmp_path).verify().sound
    assert PERSON.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("*.calls"))


def test_delays_are_read_and_their_mistakes_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "looked.yaml"
    assert read_delays(file) == ()
    file.write_text("delays:\n  - {matter: 刑事, days: 180}\n")
    assert read_delays(file) == (Delay("刑事", 180),)
    for wrong in (
        "{matter: 刑事}",
        "{days: 3}",
        "{matter: a, days: 0}",
        "{matter: a, days: x}",
        "{matter: a, days: 1, to: b}",
    ):
        file.write_text(f"delays:\n  - {wrong}\n")
        with pytest.raises(StandardError, match=r"looked\.yaml:2"):
            read_delays(file)


@settings(max_examples=30)
@given(
    matter=st.text(max_size=6), delays=st.lists(st.builds(Delay, st.text(max_size=4), st.integers(1, 9)), max_size=6)
)
def test_the_longest_beginning_that_fits_decides(matter: str, delays: list[Delay]) -> None:
    fitting = [one for one in delays if matter.startswith(one.matter)]
    longest = max((len(one.matter) for one in fitting), default=0)
    waits = [one.days for one in fitting if len(one.matter) == longest]
    shown = WhoLooked(Path(), Ledger(Path()), SECRET, delays)._shown
    today = date.fromisoformat(looked.today())
    if waits:
        assert not shown(called((today - timedelta(days=max(waits) - 1)).isoformat(), 1, matter=matter or None))
    assert shown(called((today - timedelta(days=max(waits, default=0))).isoformat(), 1, matter=matter or None))
