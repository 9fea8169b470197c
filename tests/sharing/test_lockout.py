"""Failed attempts are counted exactly, over threads and processes at once, and cost ever longer waits."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from people_town import Clock

from sharing.lockout import Delays, Door, Gate, Pace, network_of
from sharing.people_tables import ATTEMPT
from sharing.proxies import address_of
from warehouse.state.database import open_engine

RULE = Delays(free=3, first=10.0, most=100.0, forget=1000.0, alarm=5)
START = 1.7e9
DOOR = Door("account:x", RULE, "account x")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    ATTEMPT.create(engine)
    return Gate(engine, Clock(START))


def clock_of(gate: Gate) -> Clock:
    assert isinstance(gate._clock, Clock)
    return gate._clock


def test_the_first_failures_are_free_and_each_further_one_doubles_the_wait(gate: Gate) -> None:
    waits = []
    for _ in range(9):
        before = clock_of(gate).now
        while (wait := gate.enter(DOOR).wait) > 0:
            clock_of(gate).now += wait
        waits.append(clock_of(gate).now - before)
    assert waits == [0, 0, 0, 0, 10, 20, 40, 80, 100]


def test_a_right_one_forgets_the_failures_of_the_account_and_one_of_the_network(gate: Gate) -> None:
    network = Door("network:n", RULE, "network n")
    for _ in range(3):
        entry = gate.enter(DOOR, network)
    gate.right(entry, DOOR, network)
    assert gate.enter(network).wait == 0
    assert gate.enter(network).wait == 0
    assert gate.enter(network).wait == 10
    assert [gate.enter(DOOR).wait for _ in range(5)] == [0, 0, 0, 0, 10]


def test_one_shut_door_counts_at_none(gate: Gate) -> None:
    network = Door("network:n", RULE)
    for _ in range(4):
        gate.enter(DOOR)
    assert [gate.enter(DOOR, network).wait for _ in range(9)] == [10] * 9
    assert [gate.enter(network).wait for _ in range(5)] == [0, 0, 0, 0, 10]


def test_failures_are_forgotten_after_a_time_and_a_clock_set_back_shuts_nobody_out(gate: Gate) -> None:
    for _ in range(4):
        gate.enter(DOOR)
    clock_of(gate).now += 1000
    assert [gate.enter(DOOR).wait for _ in range(5)] == [0, 0, 0, 0, 10]
    clock_of(gate).now -= 500
    assert gate.enter(DOOR).wait <= 100
    clock_of(gate).now -= 500_000
    assert gate.enter(DOOR).wait == 0


def test_somebody_is_told_from_the_alarm_on_until_it_is_forgotten_or_lifted(gate: Gate) -> None:
    shut = []
    for _ in range(7):
        shut += gate.enter(DOOR).shut
        clock_of(gate).now += 100
    assert shut == ["account x"]
    rules = {"account": RULE, "network": RULE}
    (one,) = gate.besieged(rules)
    assert (one.told, one.count, one.since) == ("account x", 7, START)
    assert gate.besieged({"network": RULE}) == []
    clock_of(gate).now += 1000
    assert gate.besieged(rules) == []
    clock_of(gate).now -= 900
    assert (gate.open("account:x"), gate.open("account:x")) == (True, False)
    assert gate.besieged(rules) == []


def test_a_pace_lets_so_many_through_and_says_when_it_goes_on(gate: Gate) -> None:
    door = Door("pace:x", Pace(5, 60.0))
    assert [gate.enter(door).wait for _ in range(7)] == [0] * 5 + [60.0] * 2
    clock_of(gate).now += 59
    assert gate.enter(door).wait == 1
    clock_of(gate).now += 1
    assert [gate.enter(door).wait for _ in range(6)] == [0] * 5 + [60.0]


def test_rows_that_no_longer_count_are_swept(gate: Gate) -> None:
    for i in range(20):
        gate.enter(Door(f"account:{i}", RULE))
    clock_of(gate).now += 200_000
    gate.enter(DOOR)
    with gate._engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ATTEMPT)).scalar() == 1


def _tries(url: str, found: multiprocessing.Queue) -> None:
    engine = open_engine(url)
    gate, through = Gate(engine, lambda: START), []

    def one() -> None:
        through.extend(1 for _ in range(5) if gate.enter(DOOR).wait == 0)

    crowd = [threading.Thread(target=one) for _ in range(3)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    engine.dispose()
    found.put(len(through))


def test_guessers_at_once_over_processes_get_no_more_tries_than_one(gate: Gate) -> None:
    context = multiprocessing.get_context("fork")
    found, url = context.Queue(), str(gate._engine.url)
    gate._engine.dispose()
    workers = [context.Process(target=_tries, args=(url, found)) for _ in range(2)]
    for one in workers:
        one.start()
    through = [found.get(timeout=120) for _ in workers]
    for one in workers:
        one.join(60)
    assert sum(through) == RULE.free + 1


@given(st.integers(0, 10_000), st.integers(1, 50), st.floats(1, 100), st.floats(100, 10_000))
def test_waits_never_shrink_and_end_at_the_most(failures: int, free: int, first: float, most: float) -> None:
    rule = Delays(free, first, most)
    assert rule.after(failures) <= rule.after(failures + 1) <= most
    assert (rule.after(failures) == 0) == (failures <= free)


def test_addresses_are_counted_by_network() -> None:
    assert [network_of(address_of(one)) for one in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5:6:7:8", None)] == [
        "10.1.2.3", "10.1.2.3", "2001:db8::/64", "-",
    ]  # fmt: skip
