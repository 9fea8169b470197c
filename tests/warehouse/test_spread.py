"""A library rebuilt in buckets by several workers is the library one process rebuilds, whoever dies on the way."""

from __future__ import annotations

from functools import partial

import briefly
import pytest
import spreading
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shelf import Shelf
from test_merge import BOTH, NAMES, STANDARD, both_landed, contents, deployment, land, registry_rows
from test_merge_delta import STEP, WHO, Town

from warehouse import spread_merge
from warehouse.errors import WarehouseError
from warehouse.merge import merge
from warehouse.site import name as file_name
from warehouse.spread import Here, Processes, WorkersLostError, opened, workers_lost
from warehouse.spread_merge import Spreading


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return Shelf(tmp_path_factory.mktemp("spread")).make(both_landed)


@pytest.fixture
def home(shelf):
    folder = shelf.back()
    state, tables = deployment(folder)
    yield folder, state, tables
    tables.close()
    state.close()


def test_two_processes_of_which_one_dies_make_of_a_library_what_one_makes(home):
    folder, state, tables = home
    merge(state, tables, "legal_person", STANDARD, BOTH)
    land(state, tables, BOTH[0].table, registry_rows(moved=True), "run-3")
    dying = Spreading(Processes(2), 3, partial(spreading.combine_or_die, folder))
    made = merge(state, tables, "legal_person", STANDARD, BOTH, whole=True, spreading=dying)
    assert (folder / "died").exists()
    files = sorted(file_name(one.file_path) for one in tables.plan(NAMES[0], state.released(NAMES[0])).data)
    assert sorted(one.rpartition("-of-3")[0][-2:] for one in files) == ["-0", "-1", "-2"]
    assert not [one for one in (folder / "warehouse").rglob("*") if "plan" in one.name or "special" in one.name]
    *found, events = contents(state, tables)
    assert len(events) == len({row["_key"] for row in events}) == 40

    alone = merge(state, tables, "legal_person", STANDARD, BOTH, whole=True)
    assert contents(state, tables) == [*found, events]
    assert (made.records, made.compared, made.unlinked) == (alone.records, alone.compared, alone.unlinked)


def test_a_merge_whose_workers_are_lost_leaves_the_library_as_it_was(home):
    _folder, state, tables = home
    merge(state, tables, "legal_person", STANDARD, BOTH)
    before = state.release()

    def lose(_bucket):
        raise workers_lost()

    with pytest.raises(WorkersLostError):
        merge(state, tables, "legal_person", STANDARD, BOTH, whole=True, spreading=Spreading(Here(), 2, lose))
    assert state.release() == before
    assert [one for one in (tables.folder).rglob("*") if "plan" in one.name] == []


def test_work_whose_workers_always_die_is_given_up():
    with pytest.raises(WorkersLostError) as told:
        Processes(1).each(briefly.die, [1])
    assert (told.value.code, told.value.retryable) == ("WH-WORKERS-LOST", True)


@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, min_size=4, max_size=6), st.integers(2, 3))
def test_in_however_many_buckets_random_histories_come_to_the_same(tmp_path_factory, steps, buckets):
    town = Town(tmp_path_factory.mktemp("town"))
    here = Spreading(Here(), buckets, partial(spread_merge.combine, town.tables))
    for few in (steps[:2], steps[2:]):
        for step in few:
            town.act(*step)
        one = merge(town.state, town.tables, "small", town.standard, WHO, whole=True, spreading=here)
        other = merge(town.state, town.tables, "again", town.standard, WHO, whole=True)
        assert (one.records, one.compared, one.unlinked) == (other.records, other.compared, other.unlinked)
        for suffix in ("", "_xref", "_attr", "_history"):
            assert rows(town, "small", suffix) == rows(town, "again", suffix)
    town.close()


def rows(town, library, suffix):
    name = f"base.{library}{suffix}"
    found = town.tables.read(name, town.state.released(name)).to_pylist()
    return sorted([{**row, "_at": None} for row in found], key=repr)


def test_the_first_error_of_a_worker_is_the_error():
    with pytest.raises(ValueError, match="7"):
        Processes(1).each(briefly.refuse, [7, 8])


def test_who_does_the_work_is_said_in_a_word():
    with opened("local") as here, opened("processes:2") as there:
        assert here.each(briefly.twice, [1, 2]) == [2, 4]
        assert (here.room.threads, there.room.threads) == (None, 1)
    with pytest.raises(WarehouseError) as told, opened("processes:none"):
        pass
    assert told.value.code == "WH-SPREAD-WHERE"


def test_a_plan_that_a_worker_does_not_see_is_told_with_the_remedy(home):
    folder, _state, tables = home
    bucket = spread_merge.Bucket("legal_person", "merge-1", 0, 1, str(folder / "nowhere.plan.json"))
    with pytest.raises(WarehouseError) as told:
        spread_merge.combine(tables, bucket)
    assert told.value.code == "WH-SPREAD-PLAN"
