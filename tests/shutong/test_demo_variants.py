"""The demo's resource files run unchanged against PostgreSQL and MariaDB: every figure is the ledger's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from demo_town import FIRMS, PERSONS, ingest, opened
from sqlalchemy import make_url

from infra.testing import mariadb, postgres
from shutong.demo import run as demo
from shutong.demo import systems
from shutong.demo.observe import observe
from shutong.demo.run import differences
from shutong.layout import init

SQLITE = '"sqlite:///{home}/systems/scjg/registry.db"'


@contextmanager
def in_postgres() -> Iterator[str]:
    with postgres.running("pass-word") as server:
        yield server.url()


@contextmanager
def in_mariadb() -> Iterator[str]:
    with mariadb.running("pass-word") as server:
        yield server.url()


@pytest.mark.prove
@pytest.mark.parametrize("database", [in_postgres, in_mariadb])
def test_only_the_connection_differs_and_every_figure_is_the_ledgers(tmp_path, database):
    home = tmp_path / "home"
    try:
        with database() as url:
            init(home, demo.EXAMPLE)
            connections = home / "connections.yaml"
            said = connections.read_text(encoding="utf-8")
            assert said.count(SQLITE) == 1
            address = make_url(url)
            there = f'"{address._replace(password=None)}", password_secret: registry'
            connections.write_text(said.replace(SQLITE, there), encoding="utf-8")
            with (home / "secrets.yaml").open("a") as secrets:
                secrets.write(f'registry: "{address.password}"\n')
            ledger = systems.generate(home, firms=FIRMS, persons=PERSONS, registry_url=url)
            with opened(home) as wired:
                ingest(wired, "one")
                assert differences(wired, ledger, observe(wired, ledger)) == []
    except FileNotFoundError as missing:
        if "not installed" not in str(missing) or os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
