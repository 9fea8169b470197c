"""A dumped PostgreSQL database comes back as it was, and what fails is told without its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.testing.postgres import Postgres
from warehouse import backup_dump
from warehouse.errors import WarehouseError


def test_a_postgresql_database_is_dumped_and_comes_back_as_it_was(database_server: Postgres, tmp_path: Path) -> None:
    with database_server.connect() as connection:
        connection.execute("CREATE DATABASE dumped")
    url, file = database_server.url("dumped"), tmp_path / "state.dump"
    with database_server.connect("dumped") as connection:
        connection.execute("CREATE TABLE run (id text PRIMARY KEY, n bigint)")
        connection.execute("INSERT INTO run VALUES ('数通', 1)")
    backup_dump.dump(url, file)
    with database_server.connect("dumped") as connection:
        connection.execute("UPDATE run SET n = 2")
        connection.execute("INSERT INTO run VALUES ('later', 3)")
    backup_dump.load(url, file)
    with database_server.connect("dumped") as connection:
        assert connection.execute("SELECT * FROM run").fetchall() == [("数通", 1)]
    wrong = url.replace(database_server.password, "not-the-word").replace("a%20test%27s%20own", "not-the-word")
    with pytest.raises(WarehouseError, match="WH-BACKUP-FAILED") as told:
        backup_dump.dump(wrong, tmp_path / "none.dump")
    assert "not-the-word" not in str(told.value)
