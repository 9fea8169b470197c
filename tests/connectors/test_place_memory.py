"""What was taken is remembered exactly, whatever came and went, and years of daily files stay cheap."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files import taken_memory
from connectors.files.taken_memory import Facts, Memory
from schemas.values import Position


def facts(content, time):
    return Facts(f"{content:064x}", content % 97, time)


names = st.sampled_from([f"企业_{n}.csv" for n in range(12)])
takings = st.lists(st.tuples(names, st.integers(0, 5), st.integers(1, 9)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(takings=takings, asked=st.tuples(names, st.integers(0, 5), st.integers(1, 9)), again=st.integers(1, 10))
def test_a_memory_answers_like_a_dictionary_of_the_latest_content(takings, asked, again):
    memory, truth = Memory(None), {}
    kept, taken_memory.RECENT = taken_memory.RECENT, 2
    try:
        for at, (name, content, time) in enumerate(takings):
            memory.remember(name, facts(content, time))
            truth[name] = facts(content, time)
            if at % again == 0:
                stored = json.loads(json.dumps(memory.position().cursor))
                memory = Memory(Position(stored))
    finally:
        taken_memory.RECENT = kept
    name, content, time = asked
    wanted = facts(content, time)
    known = truth.get(name)
    assert memory.met(name) == (known is not None)
    assert memory.took(name, wanted.sha256) == (known is not None and known.sha256 == wanted.sha256)
    assert memory.unchanged(name, wanted.size, time) == (
        known is not None and (known.size, known.mtime_ns) == (wanted.size, time)
    )
    assert len(memory) == len(truth)


def test_a_position_of_the_first_version_is_understood_and_outlives_being_merged():
    old = {
        "a.csv": {"sha256": "0" * 64, "size": 3, "mtime_ns": 7},
        "taken": {"sha256": "1" * 64, "size": 1, "mtime_ns": 1},
    }
    memory = Memory(Position(old))
    assert memory.unchanged("a.csv", 3, 7)
    assert memory.unchanged("taken", 1, 1)
    memory.remember("a.csv", facts(5, 8))
    merged = Memory(Position(old | dict(memory.position().cursor)))
    assert not merged.unchanged("a.csv", 3, 7)
    assert merged.took("a.csv", facts(5, 8).sha256)
    assert merged.unchanged("taken", 1, 1)


def test_a_file_that_goes_back_to_an_earlier_content_is_taken_again():
    memory = Memory(None)
    for at in range(3 * taken_memory.RECENT):
        memory.remember(f"{at}.csv", facts(1, at))
    memory.remember("0.csv", facts(2, 5000))
    for at in range(2 * taken_memory.RECENT):
        memory.remember(f"later {at}.csv", facts(1, at))
    assert memory.took("0.csv", facts(2, 5000).sha256)
    assert not memory.took("0.csv", facts(1, 0).sha256)
    assert memory.took("1.csv", facts(1, 1).sha256)


def test_a_file_of_last_year_takes_twenty_two_characters():
    days, each = 365, 100
    memory = Memory(None)
    for day in range(days):
        for number in range(each):
            memory.remember(f"{day:04}/法人_{number:03}.csv", facts(day * each + number, day))
    stored = json.dumps(memory.position().cursor)
    assert len(memory) == days * each
    assert len(stored) < 2 * taken_memory.RECENT * 150 + days * each * 21.4
    again = Memory(Position(json.loads(stored)))
    assert all(again.unchanged(f"{day:04}/法人_007.csv", (day * each + 7) % 97, day) for day in range(days))
    assert not again.met("3651/法人_007.csv")


@pytest.mark.parametrize("said", [{}, {"since": "2026-01-01"}, {"taken": {"version": 9}}])
def test_a_position_of_something_else_is_an_empty_memory(said):
    assert len(Memory(Position(said))) == 0
