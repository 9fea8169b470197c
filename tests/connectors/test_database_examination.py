"""A connection test says what a DBA should change: clock, encoding, privileges, sessions, slots; by real servers."""

import datetime as dt

import pytest
import sqlalchemy as sa

from connectors.databases import examination
from connectors.databases.examination import active_sessions, examined
from infra.testing import mariadb, postgres


@pytest.fixture(scope="module")
def pg():
    with postgres.running() as server:
        engine = sa.create_engine(server.url())
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE ROLE reader LOGIN PASSWORD 'r'"))
            connection.execute(sa.text("REVOKE CREATE ON SCHEMA public FROM public"))
        yield server
        engine.dispose()


@pytest.fixture(scope="module")
def maria():
    with mariadb.running() as server:
        yield server


def lines(url):
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = {line.name: line for line in examined(connection)}
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1  # no question leaves the connection unusable
    engine.dispose()
    return found


def test_an_owner_is_asked_for_a_read_only_account(pg):
    found = lines(pg.url())
    assert "superuser" in found["privileges"].en
    assert "只读账号" in found["privileges"].zh
    assert (found["clock"].ok, found["encoding"].zh) == (True, "字符集 UTF8")


def test_a_reader_is_told_what_following_and_bounding_would_need(pg):
    found = lines(sa.make_url(pg.url()).set(username="reader", password="r"))
    assert found["privileges"].zh == "账号只读"
    assert "GRANT pg_monitor" in found["monitoring"].zh
    assert "wal_level=logical" in found["slots"].en
    assert "REPLICATION" in found["slots"].zh


def test_active_sessions_are_counted_or_not_to_be_seen(pg):
    engine = sa.create_engine(pg.url())
    with engine.connect() as connection:
        assert active_sessions(connection) == 0
    engine.dispose()
    engine = sa.create_engine(sa.make_url(pg.url()).set(username="reader", password="r"))
    with engine.connect() as connection:
        assert active_sessions(connection) is None
    engine.dispose()


def test_a_clock_that_is_off_is_told_with_what_it_means(pg, monkeypatch):
    real = dt.datetime

    class Late(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + dt.timedelta(minutes=3)

    monkeypatch.setattr(examination.dt, "datetime", Late)
    found = lines(pg.url())
    assert not found["clock"].ok
    assert "校时" in found["clock"].zh


def test_mariadb_is_asked_too(maria):
    found = lines(maria.url())
    assert found["clock"].ok
    assert {"encoding", "privileges", "binlog"} <= found.keys()
    engine = sa.create_engine(maria.url())
    with engine.connect() as connection:
        assert active_sessions(connection) >= 0
    engine.dispose()


def test_a_database_nothing_is_known_of_is_asked_nothing():
    with sa.create_engine("sqlite://").connect() as connection:
        assert examined(connection) == []
        assert active_sessions(connection) is None
