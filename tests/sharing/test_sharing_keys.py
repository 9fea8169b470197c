"""Keys are shown once, kept as hashes, and stop working when revoked or past their end."""

from __future__ import annotations

import importlib.util
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from sharing.clients import CERTIFICATE, CLIENT
from sharing.keys import API_KEY, Keys, digest


@pytest.fixture
def keys(tmp_path: Path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    API_KEY.metadata.create_all(engine)
    yield Keys(engine)
    engine.dispose()


def test_an_issued_key_speaks_for_its_department(keys: Keys) -> None:
    key = keys.issue("tax", "核心征管")
    assert key.startswith("st_")
    assert len(key) > 40
    assert keys.department_of(key) == "tax"
    assert keys.department_of(key + "x") is None
    assert keys.department_of("𠮷") is None
    assert keys.issue("tax", "核心征管") != key


def test_the_key_itself_is_nowhere_in_the_database(keys: Keys, tmp_path: Path) -> None:
    key = keys.issue("tax", "x")
    content = (tmp_path / "state.db").read_bytes()
    assert key.encode() not in content
    assert digest(key).encode() in content
    assert "hash" not in str(keys.list())


def test_a_revoked_or_ended_key_speaks_for_nobody(keys: Keys) -> None:
    key, ended = keys.issue("tax", "a"), keys.issue("tax", "b", life=timedelta(seconds=-1))
    endless = keys.issue("bank", "c", life=None)
    assert keys.department_of(ended) is None
    first = keys.list("tax")[0]
    assert keys.revoke(first.id) is True
    assert keys.department_of(key) is None
    assert keys.department_of(endless) == "bank"
    assert keys.revoke(999) is False
    assert [(one.label, one.revoked_at is None) for one in keys.list()] == [("a", False), ("b", True), ("c", True)]


def _migration(name: str):
    path = Path(__file__).parents[2] / f"warehouse/state/migrations/versions/{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    return migration


def test_the_migration_makes_the_tables_that_keys_use(tmp_path: Path) -> None:
    migrations = [_migration("0003_sharing"), _migration("0021_clients")]
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for one in migrations:
            one.upgrade()
    for table in (API_KEY, CLIENT, CERTIFICATE):
        made = {column["name"]: column["nullable"] for column in sa.inspect(engine).get_columns(table.name)}
        assert made == {column.name: column.nullable for column in table.c}
    migrated = Keys(engine)
    assert migrated.department_of(migrated.issue("tax", "x")) == "tax"
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for one in reversed(migrations):
            one.downgrade()
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
