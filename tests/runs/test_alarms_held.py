"""A held batch is told of until somebody decides about it, or it came again and landed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alarm_people import PEOPLE
from alarm_town import FIRMS, Town, at

from runs.alarms.watch import conditions
from warehouse.state.schema import RELEASE


@pytest.fixture
def town(tmp_path):
    made = Town(tmp_path, PEOPLE)
    made.state.migrate()
    yield made
    made.state.close()


def test_a_held_batch_is_told_of_until_it_is_decided_about_however_good_later_runs_are(town):
    town.batch("b1", "h1", at(1, 2))
    assert town.look(at(1, 3)) == [("chen", "begin"), ("wang", "begin")]
    town.run("r2", at(2, 2))
    town.batch("b3", "h3", at(3, 2))
    assert [what for _, what in town.look(at(3, 3))] == ["reminder", "reminder"]
    town.run("r4", at(4, 2))
    (held,) = conditions(town.watch, at(4, 3))
    assert (held.kind, held.since[:16]) == ("held", "2026-09-01T02:00")
    assert held.what_en == "the batch of the run h1 is held, and 1 more"
    town.status("h1", "running")  # it is looked at again: no end of it yet
    town.status("h3", "rejected")
    assert [what for _, what in town.look(at(4, 4))] == ["reminder", "reminder"]
    town.status("h1", "held")
    town.decided("b1", "h1", at(4, 5))
    assert town.kinds(at(4, 5)) == []
    assert town.look(at(4, 6)) == [("chen", "recovery"), ("wang", "recovery")]


def test_a_held_batch_that_came_again_and_landed_is_not_told_of_any_more(town):
    town.batch("b1", "h1", at(1, 2))
    town.run("r2", at(1, 3))
    assert town.kinds(at(1, 4)) == [("held", FIRMS)]
    values = {"run": "r2", "tables": {}, "kind": "land", "changed": "t", "batch": "b1", "counts": {}}
    with town.engine.begin() as connection:
        connection.execute(sa.insert(RELEASE).values(**values, created_at=at(1, 5).isoformat()))
    assert town.kinds(at(1, 6)) == []
