"""The state database: what is one transaction happens whole or not at all, and again changes nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from at_once import at_once
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.values import Manifest, Position
from warehouse.errors import WarehouseError
from warehouse.state import Pin, State, database
from warehouse.state.schema import METADATA


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(f"sqlite:///{tmp_path}/数据/state.db")
    made.migrate()
    yield made
    made.close()


def manifest(batch: str = "b1", run: str = "run-1", at: int = 1) -> Manifest:
    position = Position({"after": at, "名": "𠮷"})
    return Manifest("market.base", run, batch, 3, 9, "ff", ("land/a.parquet",), ("_row",), position, "2026-01-01")


def test_manifest_and_position_come_in_one_transaction(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> None:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr("warehouse.state.state._move", torn)
        with pytest.raises(RuntimeError):
            state.commit_pull(manifest())
    assert state.manifests() == []
    assert state.position("market.base") is None
    state.commit_pull(manifest())
    assert state.manifests() == [manifest()]
    assert state.position("market.base") == Position({"after": 1, "名": "𠮷"})


def test_the_same_batch_again_is_answered_with_the_earlier_manifest(state: State) -> None:
    first = state.commit_pull(manifest())
    assert state.commit_pull(manifest(run="run-2", at=2)) == first
    assert state.manifests("market.base") == [first]
    assert state.position("market.base") == Position({"after": 2, "名": "𠮷"})


def test_a_run_goes_from_running_to_done(state: State) -> None:
    state.start_run("run-1", "market.base", trigger="schedule")
    state.step("run-1", "pull", batch="b1", counts={"pulled": 9})
    run = state.finish_run("run-1", decision="pass", counts={"landed": 7, "quarantined": 1, "superseded": 1})
    assert (run.status, run.step, run.batch, run.trigger) == ("done", "pull", "b1", "schedule")
    assert (run.pulled, run.landed, run.quarantined, run.superseded) == (9, 7, 1, 1)
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at
    assert run.started_at.endswith("+08:00")


def test_a_failed_run_keeps_its_error_until_it_is_started_again(state: State) -> None:
    state.start_run("run-1", "market.base")
    assert state.fail_run("run-1", {"code": "SRC-1", "zh": "连不上𠮷"}).error == {"code": "SRC-1", "zh": "连不上𠮷"}
    again = state.start_run("run-1", "market.base")
    assert (again.status, again.error, again.finished_at) == ("running", None, None)
    assert len(state.runs()) == 1


def test_runs_are_listed_newest_first_and_by_resource(state: State) -> None:
    for number, resource in enumerate(["a.x", "b.y", "a.x"]):
        state.start_run(f"run-{number}", resource)
    assert [run.run_id for run in state.runs()] == ["run-2", "run-1", "run-0"]
    assert [run.run_id for run in state.runs("a.x", limit=1)] == ["run-2"]


def test_an_unknown_run_is_named_in_the_error(state: State) -> None:
    with pytest.raises(WarehouseError, match=r"WH-RUN-UNKNOWN.*run-9"):
        state.run("run-9")


def test_a_count_nobody_knows_is_refused(state: State) -> None:
    state.start_run("run-1", "a.x")
    with pytest.raises(ValueError, match="swallowed"):
        state.finish_run("run-1", counts={"swallowed": 1})


def test_release_and_run_counts_come_in_one_transaction(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.start_run("run-1", "market.base")
    pins = {"std_market.base": Pin(2**62 + 1, "file:///m")}
    with monkeypatch.context() as patch:
        patch.setattr("warehouse.state.state.as_release", lambda _row: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            state.commit_release("run-1", pins, {"landed": 5})
    assert state.releases() == []
    assert state.run("run-1").landed is None
    state.commit_release("run-1", pins, {"landed": 5})
    assert state.released("std_market.base") == 2**62 + 1
    assert state.run("run-1").landed == 5


def test_a_run_releases_once(state: State) -> None:
    pins = {"t.a": Pin(1, "m1"), "t.b": Pin(2, "m2")}
    first = state.commit_release("run-1", pins)
    assert state.commit_release("run-1", {"t.a": Pin(9, "m9"), "t.b": Pin(9, "m9")}) == first
    assert state.released("t.a") == 1


def test_tables_a_release_leaves_alone_keep_their_pin(state: State) -> None:
    state.commit_release("run-1", {"t.a": Pin(1, "m1"), "t.b": Pin(2, "m2")})
    newest = state.commit_release("run-2", {"t.b": Pin(3, "m3")})
    assert state.release() == newest
    assert (state.released("t.a"), state.released("t.b"), state.released("t.c")) == (1, 3, None)
    assert [one.run for one in state.releases(changed="t.a")] == ["run-1"]
    assert [one.run for one in state.releases(changed="t.")] == []
    assert state.pinned("t.b") == {2, 3}


def test_old_releases_let_go_of_their_snapshots_but_stay_on_record(state: State) -> None:
    for number in range(6):
        state.commit_release(f"run-{number}", {"t.a": Pin(number, "m")})
    state.commit_publication("legal_person", 1, state.releases()[4].id, 10)
    assert state.unpin_releases(keep=2) == 3
    assert state.pinned("t.a") == {1, 4, 5}
    assert len(state.releases()) == 6


def test_the_newest_publication_answers(state: State) -> None:
    assert state.publication("legal_person") is None
    state.commit_publication("legal_person", 1, 7, 100)
    second = state.commit_publication("legal_person", 2, 8, 120)
    assert state.commit_publication("legal_person", 2, 9, 121) == second
    assert state.publication("legal_person") == second


def test_reading_waits_for_no_writer(state: State) -> None:
    state.start_run("run-1", "a.x")
    with state.engine.begin() as writing:
        writing.execute(sa.text("UPDATE run SET status = 'half'"))
        assert state.run("run-1").status == "running"


def test_threads_that_read_and_then_write_lose_nothing(state: State) -> None:
    def add() -> None:
        for _ in range(10):
            with state.engine.begin() as connection:
                at = connection.execute(sa.text("SELECT coalesce(max(generation), 0) FROM publication")).scalar_one()
                insert = "INSERT INTO publication VALUES ('p', :n, 1, 1, 'now')"
                connection.execute(sa.text(insert), {"n": at + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = state.publication("p")
    assert newest is not None
    assert newest.generation == 40


def test_processes_that_migrate_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    code = (
        "import alembic.command, alembic.config\nfrom warehouse.state import State\n"
        "def act(_me, url):\n    s = State(url); s.migrate(); s.start_run('r', 'a.b'); s.close()\n"
    )
    at_once(code, "abcd", url)
    state = State(url)
    assert len(state.runs()) == 1
    state.close()


@pytest.mark.parametrize("looked_at", [True, False])
def test_migrating_again_changes_nothing_and_leaves_logging_alone(
    state: State, monkeypatch: pytest.MonkeyPatch, looked_at: bool
) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    state.start_run("run-1", "a.x")
    if not looked_at:  # then the tool that migrates is asked, which likes to set up logging
        monkeypatch.setattr(database, "_is_newest", lambda _: False)
    state.migrate()
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == (handlers, level)
    assert len(state.runs()) == 1


def test_a_database_of_a_newer_version_is_left_alone(state: State) -> None:
    with state.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_later'")
    with pytest.raises(WarehouseError, match="WH-STATE-NEWER"):
        state.migrate()


def test_the_migrations_make_the_tables_the_code_knows(state: State) -> None:
    found = sa.inspect(state.engine)
    for table in METADATA.tables.values():
        made = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
        assert made == {column.name: column.nullable for column in table.columns}


def test_the_tables_can_be_made_on_postgresql() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    made = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in METADATA.tables.values()]
    assert any("id BIGSERIAL NOT NULL" in text for text in made)
    assert all("JSON" in text for text in made if "tables" in text)


def test_sqlite_is_opened_for_several_processes(state: State) -> None:
    with state.reading() as connection:
        asked = {
            name: connection.execute(sa.text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")
        }
        assert connection.execute(sa.text("PRAGMA busy_timeout")).scalar() == database.BUSY_MS
    assert asked == {"journal_mode": "wal", "foreign_keys": 1}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(min_size=1), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()))
def test_a_position_comes_back_as_it_was(state: State, cursor: dict[str, object]) -> None:
    made = Manifest("r.p", "run", "b", 0, 0, "", ("f",), (), Position(cursor), "now")
    state.commit_pull(made)
    assert state.position("r.p") == Position(cursor)


def test_what_counts_as_the_newest_revision_is_what_the_migrating_tool_says():
    scripts = ScriptDirectory(str(Path(database.__file__).parent / "migrations"))
    assert database.heads() == set(scripts.get_heads())


def test_a_database_that_is_up_to_date_is_opened_while_another_process_writes(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    writer, reader = State(url), State(url)
    writer.migrate()
    with writer.engine.begin():
        reader.migrate()
        assert reader.runs() == []
    writer.close()
    reader.close()
