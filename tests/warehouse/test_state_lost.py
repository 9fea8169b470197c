"""A state database that goes away between two statements is told in our words, and what is retried counts once."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from land_kills import FIRST, SECOND
from pairs import assert_released, fresh
from sqlalchemy import event
from test_pair_faults import told

from schemas.errors import ShutongError
from warehouse.state import State, database


@contextmanager
def cut_at(engine: sa.Engine, server, nth: int) -> Iterator[list[int]]:
    """The server ends the connection of the engine's n-th statement or commit just before it; yields how many came."""
    came = [0]

    def strike(connection: sa.Connection, *_about: object) -> None:
        came[0] += 1
        if came[0] == nth:
            with server.connect() as other:
                other.execute(
                    "SELECT pg_terminate_backend(%s)", [connection.connection.driver_connection.info.backend_pid]
                )

    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, strike)
    try:
        yield came
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(engine, name, strike)


def lands_once(tmp_path: Path, server, every) -> int:
    """Land a batch again and again, each time cut at another statement; how many statements it has."""
    warehouse = fresh("folder-postgres", tmp_path, None, server).open()
    warehouse.ingest(FIRST, "run-1")
    manifest = warehouse.pull(SECOND, "run-2")
    warehouse.check(manifest, SECOND)
    raised = 0
    for nth in every:
        with cut_at(warehouse.state.engine, server, nth) as came:
            try:
                warehouse.land(manifest, "run-2")
            except ShutongError as error:
                told(error, "WH-STATE-GONE", retryable=True)
                raised += 1
    with cut_at(warehouse.state.engine, server, 0) as came:
        warehouse.land(manifest, "run-2")
    assert_released(warehouse)
    assert {row["code"] for row in warehouse.landed()} == {"A0", "A1", "A3", "A4", "A5", "C1"}
    assert len(warehouse.state.releases(run="run-2")) == 1
    warehouse.close()
    assert raised
    return came[0]


def test_a_connection_ended_between_two_statements_is_explained_and_the_retry_lands_once(
    tmp_path: Path, database_server
) -> None:
    lands_once(tmp_path, database_server, (2, 5))


@pytest.mark.prove
def test_wherever_it_is_ended_the_retry_lands_once(tmp_path: Path, database_server) -> None:
    whole = lands_once(tmp_path / "first", database_server, (1,))
    lands_once(tmp_path / "every", database_server, range(1, whole + 1))


def test_a_state_database_that_is_nobody_s_is_refused_and_its_words_are_not_repeated(database_server) -> None:
    parsed = sa.make_url(database_server.url("nobody_made_this"))
    for url, code in (
        (parsed, "WH-STATE-REFUSED"),
        (parsed.set(database="postgres", password="hidden-word"), "WH-STATE-REFUSED"),
        (parsed.set(port=1), "WH-STATE-GONE"),
    ):
        state = State(url.render_as_string(hide_password=False))
        with pytest.raises(ShutongError) as raised:
            state.runs()
        told(raised.value, code, retryable=code == "WH-STATE-GONE")
        assert "hidden-word" not in str(raised.value)
        state.close()


def test_a_state_file_that_is_held_is_locked_and_one_that_is_gone_is_never_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    engine = database.open_engine(f"sqlite:///{file}")
    database.migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ShutongError) as raised, engine.begin():
        pass
    told(raised.value, "WH-STATE-LOCKED", retryable=True)
    holder.close()
    kept = tmp_path / "kept.db"
    with database.reading(engine) as connection:
        connection.exec_driver_sql("SELECT 1 FROM run")
    engine.dispose()
    shutil.move(file, kept)
    with pytest.raises(ShutongError) as raised, engine.begin():
        pass
    told(raised.value, "WH-STATE-DAMAGED", retryable=False)
    assert not file.exists()
    shutil.copy(kept, file)  # and what is brought back is read, though the file is another
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1 FROM run")
    shutil.copy(kept, tmp_path / "other.db")
    (tmp_path / "other.db").replace(file)
    with engine.begin() as connection:
        assert Path(connection.exec_driver_sql("PRAGMA database_list").fetchone()[2]).samefile(file)
    engine.dispose()


def test_who_waits_too_long_for_a_connection_is_told_to_come_again(tmp_path: Path, monkeypatch) -> None:
    engine = database.open_engine(f"sqlite:///{tmp_path / 'state.db'}")
    monkeypatch.setattr(engine.pool, "_timeout", 0.05)
    held = [engine.connect() for _ in range(15)]  # what the usual pool has
    with pytest.raises(ShutongError) as raised:
        engine.connect()
    told(raised.value, "WH-STATE-LOCKED", retryable=True)
    for one in held:
        one.close()
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    engine.dispose()
