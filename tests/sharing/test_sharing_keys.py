"""Keys are shown once, kept as hashes, and stop working when revoked or past their end."""

from __future__ import annotations

import importlib.util
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

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


def test_the_migration_makes_the_table_that_keys_use(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "warehouse/state/migrations/versions/0003_sharing.py"
    spec = importlib.util.spec_from_file_location("sharing_migration", path)
    assert spec
    assert spec.loader
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        migration.upgrade()
    made = {column["name"]: column["nullable"] for column in sa.inspect(engine).get_columns("api_key")}
    assert made == {column.name: column.nullable for column in API_KEY.c}
    migrated = Keys(engine)
    assert migrated.department_of(migrated.issue("tax", "x")) == "tax"
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        migration.downgrade()
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
