"""Which batches a run pulled is remembered in order, and what a run released adds up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from schemas.values import Manifest, Position
from warehouse.state import Pin, State, database

RESOURCE = "market.base"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(f"sqlite:///{tmp_path}/state.db")
    yield made
    made.close()


def manifest(batch: str, run: str) -> Manifest:
    return Manifest(RESOURCE, run, batch, 1, 1, "0", (f"land/{run}/{batch}.parquet",), ("a",), Position(), "now")


def test_the_pieces_of_a_run_are_known_in_order_with_those_that_came_before(state: State) -> None:
    state.migrate()
    for run, batches in (("r1", ("x", "y")), ("r2", ("z", "x", "z"))):
        state.start_run(run, RESOURCE)
        for batch in batches:
            state.commit_pull(manifest(batch, run))
    assert [(one.batch, one.run) for one in state.pieces("r2")] == [("z", "r2"), ("x", "r1")]
    assert [one.batch for one in state.pieces("r1")] == ["x", "y"]


def test_a_run_has_the_sum_of_what_its_batches_became_however_often_they_are_released(state: State) -> None:
    state.migrate()
    state.start_run("r1", RESOURCE)
    pins = {"std_market.base": Pin(1, "m")}
    for batch, landed, deleted in (("x", 2, 1), ("y", 3, 0), ("y", 3, 0)):
        state.commit_release("r1", pins, {"landed": landed, "deleted": deleted}, batch=batch)
    run = state.run("r1")
    assert (run.landed, run.deleted, run.quarantined, len(state.releases())) == (5, 1, None, 2)


def test_a_state_from_before_pieces_is_brought_forward_with_all_it_knew(state: State) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with state.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for number, (batch, run) in enumerate((("x", "r1"), ("y", "r1"), ("z", "r2")), 1):
            connection.execute(sa.text(
                f"INSERT INTO manifest VALUES ({number}, '{RESOURCE}', '{batch}', '{run}', 1, 1, '', '[]', '[]', '{{}}', '')"
            ))  # fmt: skip
        for run, batch in (("r1", "y"), ("r2", "z"), ("r3", "x")):
            connection.execute(sa.text(
                "INSERT INTO run (run_id, resource, batch, step, status, started_at, trigger) "
                f"VALUES ('{run}', '{RESOURCE}', '{batch}', 'land', 'done', '', 'manual')"
            ))  # fmt: skip
        connection.execute(sa.text(
            "INSERT INTO release (created_at, run, tables, kind, changed, counts) "
            "VALUES ('', 'm1', '{}', 'merge', 't', '{}')"
        ))  # fmt: skip
    state.migrate()
    known = {run: [one.batch for one in state.pieces(run)] for run in ("r1", "r2", "r3")}
    assert known == {"r1": ["x", "y"], "r2": ["z"], "r3": ["x"]}
    assert state.run("r1").deleted is None
    assert state.commit_release("m2", {}, kind="merge").id == 2
