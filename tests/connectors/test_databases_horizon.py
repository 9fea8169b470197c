"""A cursor on PostgreSQL moves on only when no running transaction can still add a lower value."""

import contextlib
import random
import threading
import time

import psycopg
import pytest
from one_secret import Vault

from connectors import SourceError, open_source
from connectors.databases import horizon


@pytest.fixture(scope="module")
def connect(postgres_server):
    def opened(**more):
        return postgres_server.connect(options="-c search_path=grown", **more)

    with opened() as db:
        db.execute("create schema grown")
    return opened


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(horizon, "GRACE", 0.05)
    monkeypatch.setattr(horizon, "PATIENCE", 0.2)


@pytest.fixture
def read(postgres_server):
    """Pull once from `position`: the keys that came, and the position after."""
    url = f"postgresql+psycopg://{postgres_server.user}@127.0.0.1:{postgres_server.port}/postgres"
    connection = {"url": f"{url}?options=-csearch_path%3Dgrown", "password_secret": "pg"}

    def pulled(position, column="at", **options):
        cursor = {"column": column, "lag": "0s" if column == "at" else 0, **options}
        src = open_source("sql", {"table": "ent", "cursor": cursor}, connection, Vault(postgres_server.password))
        found = []
        with contextlib.closing(src):
            for split in src.plan(position):
                for batch in src.read(split):
                    found += [int(key) for key in batch.rows["id"].to_pylist()]
                    position = batch.position or position
        return found, position

    pulled.source = lambda **options: open_source(
        "sql", {"table": "ent", **options}, connection, Vault(postgres_server.password)
    )
    return pulled


@pytest.fixture
def table(connect):
    with connect() as db:
        db.execute(
            "drop table if exists ent cascade; create table ent (id bigserial primary key, at timestamptz, n int)"
        )
        yield db


@pytest.mark.parametrize("column", ["at", "id"])
def test_a_row_that_commits_late_is_read_however_long_its_transaction_was(table, connect, read, quick, column):
    table.execute("insert into ent (at) values (now())")
    found, position = read(None, column)
    with connect(autocommit=False) as late:
        late.execute("insert into ent (at) values (now())")
        table.execute("insert into ent (at) values (now())")
        early, position = read(position, column)
        again, position = read(position, column)
        late.commit()
    table.execute("insert into ent (at) values (now())")
    rest, position = read(position, column)
    assert found == [1]
    assert 3 in early, "what is committed comes at once"
    assert 2 in rest
    assert 4 in rest
    assert set(early) | set(again) | set(rest) == {1, 2, 3, 4}
    assert read(position, column)[0] == []


def test_a_transaction_that_began_earlier_and_writes_later_holds_the_cursor_back(table, connect, read, quick):
    table.execute("insert into ent (at) values (now())")
    _, position = read(None)
    with connect(autocommit=False) as late:
        late.execute("select 1")  # now() is taken here, without a transaction number
        table.execute("insert into ent (at) values (now())")
        _, position = read(position)
        late.execute("insert into ent (at) values (now())")
        late.commit()
    assert 3 in read(position)[0]


def test_a_prepared_transaction_holds_the_cursor_back(table, connect, read, quick):
    table.execute("insert into ent (at) values (now())")
    _, position = read(None)
    with connect(autocommit=False) as late:
        late.execute("insert into ent (at) values (now())")
        late.execute("prepare transaction 'two'")
    table.execute("insert into ent (at) values (now())")
    _, position = read(position)
    table.execute("commit prepared 'two'")
    assert 2 in read(position)[0]


def test_a_first_read_beside_a_long_transaction_goes_back_later(table, connect, read, quick):
    with connect(autocommit=False) as late:
        late.execute("insert into ent (at) values (now())")
        table.execute("insert into ent (at) values (now())")
        found, position = read(None)
        late.commit()
    assert found == [2]
    assert 1 in read(position)[0]


def test_another_databases_transaction_and_our_own_readers_hold_nothing_back(table, connect, postgres_server, read):
    table.execute("insert into ent (at) values (now())")
    other = connect()
    with contextlib.closing(other), contextlib.closing(connect(application_name="shutong", autocommit=False)) as ours:
        ours.execute("select 1")
        server = postgres_server
        with psycopg.connect(
            host="127.0.0.1", port=server.port, user=server.user, password=server.password, dbname="template1"
        ) as elsewhere:
            elsewhere.execute("select 1")
            started = time.monotonic()
            _, position = read(None)
    assert time.monotonic() - started < horizon.PATIENCE
    assert position.cursor["marks"] == []


def test_an_account_without_privileges_sees_who_runs_too(table, connect, postgres_server):
    table.execute("drop role if exists little; create role little login password 'little'")
    with connect(autocommit=False) as busy:
        busy.execute("select 1")
        with psycopg.connect(
            host="127.0.0.1", port=postgres_server.port, user="little", password="little", dbname="postgres"
        ) as little:
            seen = horizon._set(little, horizon._RUNNING)
    assert len(seen) == 1


def test_a_check_says_what_bounds_the_cursor(table, read):
    table.execute("insert into ent (at) values (now())")
    [line] = [one for one in read.source(cursor={"column": "at"}).check() if one.name == "cursor"]
    assert "no running transaction" in line.en
    [line] = [one for one in read.source(cursor={"column": "at", "bound": "lag"}).check() if one.name == "cursor"]
    assert "lag" in line.en or "again" in line.en


def test_a_bound_that_cannot_be_had_is_refused(table, read):
    table.execute("insert into ent (at) values (now()); create materialized view mat as select * from ent")
    src = read.source(table="mat", cursor={"column": "at", "bound": "transactions"})
    with pytest.raises(SourceError, match=r"SRC-OPTION.*bound.*materialized"):
        src.plan(None)
    [split] = read.source(table="mat", cursor={"column": "at"}).plan(None)
    assert split.options["window"]["after"].keys() == {"high"}


def test_four_writers_and_a_long_transaction_lose_nothing(table, connect, read, monkeypatch):
    """The experiment of benchmarks/watermark.py in little."""
    monkeypatch.setattr(horizon, "GRACE", 0.1)
    stop = threading.Event()

    def write(seed, longest):
        rng = random.Random(seed)
        with connect(autocommit=False) as db:
            while not stop.is_set():
                for _ in range(rng.randint(1, 5)):
                    db.execute("insert into ent (at, n) values (now(), %s)", [seed])
                time.sleep(rng.uniform(0, longest))
                db.commit()

    writers = [threading.Thread(target=write, args=(seed, 0.7 if seed == 0 else 0.02)) for seed in range(4)]
    for writer in writers:
        writer.start()
    seen, position, naive, high = set(), None, set(), None
    for _ in range(8):
        found, position = read(position)
        seen |= set(found)
        rows = table.execute("select id, at from ent where %s::timestamptz is null or at > %s", [high, high]).fetchall()
        naive |= {row[0] for row in rows}
        high = max([row[1] for row in rows], default=high)
    stop.set()
    for writer in writers:
        writer.join()
    found, position = read(position)
    seen |= set(found)
    rows = table.execute("select id from ent where at > %s", [high]).fetchall()
    naive |= {row[0] for row in rows}
    every = {row[0] for row in table.execute("select id from ent").fetchall()}
    assert seen == every
    assert naive < every, "a watermark loses rows in the same run"
