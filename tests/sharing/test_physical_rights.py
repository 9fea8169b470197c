"""Whatever is granted and recorded, no channel tells a value outside the grant; a leak in any of them is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rights_world import CHANNELS, CLAIMS, CODES, FIELDS, MASKED, TOLD, Right, World

from sharing import grants, verifying
from sharing.grants import Plan

DIVISIONS = ["330106", "330108", "330212", "320100"]
ROWS = [(), ("3301*",), ("330106",), ("3302*", "320100"), ("9*",)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("rights"))
    yield world
    world.close()


@st.composite
def rights(draw: st.DrawFn) -> Right:
    fields = draw(st.sets(st.sampled_from(FIELDS), min_size=1))
    clear = draw(st.sets(st.sampled_from(sorted(fields))))
    token = draw(st.sets(st.sampled_from(sorted(fields)))) - clear
    whole = {name for name in fields if name not in token and (name in clear or name not in MASKED)}
    find = draw(st.sets(st.sampled_from(sorted(whole)))) if whole else set()
    verify = draw(st.sets(st.sampled_from(FIELDS)))
    rows = draw(st.sampled_from(ROWS))
    return Right(*map(frozenset, (fields, clear, find, verify, token)), rows)


def told_too_much(world: World, right: Right, channel: str) -> set[tuple[int, str]]:
    allowed = right.judged(world.divisions) if channel in CLAIMS else right.allowed(world.divisions)
    return CHANNELS[channel](world) - allowed


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(right=rights(), divisions=st.lists(st.sampled_from(DIVISIONS), min_size=1, max_size=4), salt=st.integers(0, 89))
def test_no_channel_tells_a_value_outside_the_grant(
    world: World, right: Right, divisions: list[str], salt: int
) -> None:
    world.put(right, divisions, salt)
    assert {name: leak for name in CHANNELS if (leak := told_too_much(world, right, name))} == {}


@pytest.mark.prove
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(right=rights(), divisions=st.lists(st.sampled_from(DIVISIONS), min_size=1, max_size=4), salt=st.integers(0, 89))
def test_no_channel_tells_a_value_outside_the_grant_at_length(
    world: World, right: Right, divisions: list[str], salt: int
) -> None:
    world.put(right, divisions, salt)
    assert {name: leak for name in CHANNELS if (leak := told_too_much(world, right, name))} == {}


HALF = Right(
    fields=frozenset(("uscc", "division", "title", "note", "holder", "dial")),
    clear=frozenset(("holder",)),
    find=frozenset(("division", "holder", "uscc")),
    verify=frozenset(("title", "note")),
    token=frozenset(),
    divisions=("3301*",),
)


@pytest.mark.parametrize("channel", CHANNELS)
def test_each_channel_tells_what_is_granted(world: World, channel: str) -> None:
    """Otherwise nothing would be tested: a channel that is silent leaks nothing."""
    world.put(HALF, ["330106", "330212", "330108"], 7)
    allowed = HALF.judged(world.divisions) if channel in CLAIMS else HALF.allowed(world.divisions)
    assert CHANNELS[channel](world) == allowed
    assert {row for row, _ in allowed} == {0, 2}


@pytest.mark.parametrize("seam", ["rows", "masks"])
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_leak_planted_in_a_channel_is_noticed(
    world: World, channel: str, seam: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(HALF, ["330106", "330212", "330108"], 8)
    plant(monkeypatch, channel, seam)
    leak = told_too_much(world, HALF, channel)
    assert any(row == 1 for row, _ in leak) if seam == "rows" else {(0, "dial"), (2, "dial")} <= leak


def plant(monkeypatch: pytest.MonkeyPatch, channel: str, seam: str) -> None:
    """Break what keeps a channel within its grant: which rows, or how fields are shown."""
    if seam == "rows":
        monkeypatch.setattr(Plan, "admits", lambda _self, _record: True)
    elif channel in CLAIMS:
        monkeypatch.setattr(verifying, "_plain", lambda _plan, one: dict(one.claims))
        monkeypatch.setattr(verifying, "_verdict", lambda *_told: "yes")
    else:
        monkeypatch.setattr(Plan, "show", lambda _self, record, _wanted: dict(record))
    if channel in {"sql", "bulk", "form"}:
        compiled = grants.compile_plan

        def bare(grant, standard, join_keys=None) -> Plan:
            plan = compiled(grant, standard, join_keys)
            rows = () if seam == "rows" else plan.rows
            steps = plan.steps if seam == "rows" else tuple((name, None) for name, _ in plan.steps)
            return Plan(grant, steps, rows, plan.verify)

        monkeypatch.setattr(grants, "compile_plan", bare)


def test_the_world_is_one_in_which_values_tell_where_they_stand(world: World) -> None:
    world.put(HALF, DIVISIONS, 9)
    assert len(set(world.values.values())) == len(CODES) * len(TOLD)
