"""Grants say what may be seen, and a mistake in their file says where it is."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sharing_town import FIRM, FIRMS, GRANTS, PEOPLE, PERSON, Town

from schemas.errors import StandardError
from schemas.standard import Field, Standard
from sharing.errors import MisconfiguredError, NoGrantError
from sharing.grant_file import Grant, read
from sharing.grants import Grants, compile_plan, mask_of

LIBRARIES = {"legal_person": FIRMS, "population": PEOPLE}
GOOD = """\
grants:
  - id: a
    department: tax
    library: legal_person
    fields: [uscc, phone]
    purpose: {matter: m, basis: b}
    until: 2999-01-01
"""
MISTAKES = [
    ("fields: [uscc, phone]", "fields: [uscc, fone]", 5, "phone"),
    ("fields: [uscc, phone]", "fields: [uscc, never]", 5, "never"),
    ("fields: [uscc, phone]", "fields: []", 5, "fields"),
    ("fields: [uscc, phone]", "fields: [uscc]\n    clear: [phone]", 6, "phone"),
    ("library: legal_person", "library: legal_persons", 4, "legal_person"),
    ("library: legal_person", "resource: nowhere.nothing", 4, "nowhere.nothing"),
    ("    library: legal_person\n", "", 2, "library"),
    ("until: 2999-01-01", "until: forever", 7, "2027-12-31"),
    ("until: 2999-01-01", "untill: 2999-01-01", 7, "until"),
    ("until: 2999-01-01", "until: 2999-01-01\n    quota: {per_day: 0}", 8, "per_day"),
    ("until: 2999-01-01", "until: 2999-01-01\n    quota:", 8, "per_day"),
    ("until: 2999-01-01", "until: 2999-01-01\n    rows: {division: []}", 8, "division"),
    ("until: 2999-01-01", "until: 2999-01-01\n    rows: {division: ['33*01']}", 8, "division"),
    ("until: 2999-01-01", "until: 2999-01-01\n    rows: {nothing: ['33*']}", 8, "nothing"),
    ("until: 2999-01-01", "until: 2999-01-01\n    rows:", 8, "rows"),
    ("    purpose: {matter: m, basis: b}\n", "", 2, "purpose"),
    ("basis: b", "base: b", 6, "basis"),
    ("id: a", "id: 税 务", 2, "id"),
    ("grants:", "grant:", 1, "grants"),
    (GOOD, GOOD + GOOD.removeprefix("grants:\n"), 8, "a"),
]


@pytest.mark.parametrize(("was", "becomes", "line", "hint"), MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_to_write(
    tmp_path: Path, was: str, becomes: str, line: int, hint: str
) -> None:
    path = tmp_path / "grants.yaml"
    path.write_text(GOOD, "utf-8")
    assert len(read(path, LIBRARIES, {})) == 1
    path.write_text(GOOD.replace(was, becomes), "utf-8")
    with pytest.raises(StandardError) as caught:
        read(path, LIBRARIES, {})
    assert f"grants.yaml:{line}" in caught.value.zh
    assert f"grants.yaml:{line}" in caught.value.en
    assert hint in str(caught.value)
    assert caught.value.fix_zh
    assert caught.value.fix_en


def rewrite(town: Town, text: str) -> None:
    path = town.config.grants
    path.write_text(text, "utf-8")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))


def test_a_changed_file_counts_from_the_next_call(town: Town) -> None:
    path = f"/v1/libraries/legal_person/records/{FIRM}"
    assert town.ask(path).status_code == 200
    rewrite(town, GRANTS.replace("department: tax", "department: customs"))
    assert town.ask(path).status_code == 403
    rewrite(town, GRANTS)
    assert town.ask(path).status_code == 200


def test_a_broken_file_keeps_the_last_good_one_and_says_so(town: Town) -> None:
    rewrite(town, GRANTS.replace("ent_name", "ent_nam", 1))
    assert town.ask(f"/v1/libraries/legal_person/records/{FIRM}").status_code == 200
    told = town.ask("/healthz", None).json()
    assert told["status"] == "degraded"
    assert "grants.yaml:6" in told["grants"]["problem"]["zh"]
    assert str(town.folder) not in str(told)
    assert told["grants"]["grants"] == 5
    rewrite(town, GRANTS)
    assert town.ask("/healthz", None).json()["grants"]["problem"] is None


@pytest.mark.parametrize("wreck", [b"\xff\xfe", b"grants: [", b"", b"- x"])
def test_nothing_breaks_when_the_file_is_rubbish(town: Town, wreck: bytes) -> None:
    town.config.grants.write_bytes(wreck)
    assert town.ask("/healthz", None).json()["grants"]["status"] == "degraded"
    assert town.ask(f"/v1/libraries/legal_person/records/{FIRM}").status_code == 200


def test_a_file_that_is_gone_or_was_never_good_grants_nothing(town: Town, tmp_path: Path) -> None:
    town.config.grants.unlink()
    assert town.ask(f"/v1/libraries/legal_person/records/{FIRM}").status_code == 403
    broken = tmp_path / "broken.yaml"
    broken.write_text("grants: 5", "utf-8")
    grants = Grants(broken, LIBRARIES, {})
    with pytest.raises(NoGrantError):
        grants.plan("tax", "legal_person")
    assert grants.state().problem is not None


def test_a_grant_holds_through_its_last_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "grants.yaml"
    path.write_text(GOOD.replace("2999-01-01", "2026-03-01"), "utf-8")
    grants = Grants(path, LIBRARIES, {})
    monkeypatch.setattr("sharing.grants.today", lambda: "2026-03-01")
    assert grants.plan("tax", "legal_person").grant.id == "a"
    monkeypatch.setattr("sharing.grants.today", lambda: "2026-03-02")
    with pytest.raises(NoGrantError, match="SHR-GRANT-EXPIRED"):
        grants.plan("tax", "legal_person")


def test_of_several_grants_the_first_still_in_force_counts(tmp_path: Path) -> None:
    path = tmp_path / "grants.yaml"
    old = GOOD.replace("2999-01-01", (date(2026, 1, 1) - timedelta(days=1)).isoformat())
    path.write_text(old + GOOD.removeprefix("grants:\n").replace("id: a", "id: b"), "utf-8")
    grants = Grants(path, LIBRARIES, {})
    assert grants.plan("tax", "legal_person").grant.id == "b"
    with pytest.raises(NoGrantError, match="SHR-GRANT-EXPIRED"):
        grants.plan("tax", "legal_person", "a")


def test_a_standard_with_an_unknown_mask_stops_the_start(tmp_path: Path) -> None:
    odd = Standard("odd", 1, "怪", "Odd", (Field("x", "甲", "X", mask="nmae"),), (), ("x",))
    with pytest.raises(MisconfiguredError, match="nmae"):
        Grants(tmp_path / "grants.yaml", {"odd": odd}, {})


def test_a_field_above_level_two_without_a_mask_is_hidden() -> None:
    assert mask_of(Field("x", "甲", "X", level=2)) is None
    assert mask_of(Field("x", "甲", "X", level=3)) is not None


NAMES = [field.name for field in FIRMS.fields if field.share != "N"]
VALUES = st.none() | st.text(max_size=12) | st.integers() | st.booleans()


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    fields = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    clear = draw(st.lists(st.sampled_from(fields), unique=True))
    values = st.lists(
        st.text("3301*", min_size=1, max_size=6).filter(lambda v: "*" not in v[:-1] and v != "*"), min_size=1
    )
    rows = draw(st.dictionaries(st.sampled_from(NAMES), values.map(tuple), max_size=2))
    return Grant("g", "tax", "legal_person", tuple(fields), frozenset(clear), rows, "m", "b", "2999-01-01", None)


@given(grants(), st.fixed_dictionaries({}, optional=dict.fromkeys([*NAMES, "never", "unheard"], VALUES)))
def test_no_field_outside_the_grant_ever_appears(grant: Grant, record: dict[str, object]) -> None:
    plan = compile_plan(grant, FIRMS)
    shown = plan.show(record, plan.steps)
    assert set(shown) == set(grant.fields)
    for name, value in shown.items():
        field = FIRMS.field(name)
        personal = field.mask is not None or field.level >= 3
        if name in grant.clear or not personal:
            assert value == record.get(name)
        elif record.get(name) is not None:
            assert value != record[name] or set(str(value)) <= {"*"}
            assert name in plan.masked


@given(grants(), st.fixed_dictionaries({name: st.none() | st.text("3301", max_size=6) for name in NAMES}))
def test_a_record_is_admitted_only_when_every_filter_holds(grant: Grant, record: dict[str, str | None]) -> None:
    def holds(value: str | None, allowed: tuple[str, ...]) -> bool:
        return value is not None and any(
            value.startswith(one[:-1]) if one.endswith("*") else value == one for one in allowed
        )

    expected = all(holds(record[field], allowed) for field, allowed in grant.rows.items())
    assert compile_plan(grant, FIRMS).admits(record) is expected


def test_the_whole_answer_holds_no_ungranted_value(town: Town) -> None:
    answers = [
        town.ask(f"/v1/libraries/legal_person/records/{FIRM}").text,
        town.ask(f"/v1/libraries/legal_person/records/{FIRM}?grant=tax-wide").text,
        town.post("population", "school", key=PERSON).text,
    ]
    assert "永不" not in "".join(answers)
    assert "重点" not in "".join(answers)
    assert "123456789012345678.123456" not in answers[0]
    assert "欧阳𠮷" not in answers[1]
    assert PERSON not in answers[2]
    assert "张三" not in answers[2]
