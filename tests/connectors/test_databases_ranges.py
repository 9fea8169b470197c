"""A large table is read in ranges of its key: nothing twice, nothing missed, all as of one moment, and resumable."""

import contextlib
import datetime as dt
import sqlite3
import time
import uuid

import pyarrow as pa
import pytest
from one_secret import Vault

from connectors import SourceChanged, SourceUnavailable, open_source
from schemas.values import RAW_COLUMNS, Position

ROWS = 3_000


@pytest.fixture(scope="module")
def db(postgres_server):
    with postgres_server.connect() as connection:
        connection.execute("create schema cut; set search_path to cut")
        yield connection


def source(server, **options):
    url = f"postgresql+psycopg://{server.user}@127.0.0.1:{server.port}/postgres?options=-csearch_path%3Dcut"
    return open_source(
        "sql", {"split_rows": 700, **options}, {"url": url, "password_secret": "pg"}, Vault(server.password)
    )


def keys(batches, column="id"):
    return [value for batch in batches for value in batch.rows[column].to_pylist()]


KINDS = {
    "whole": ("bigint", lambda at: at * 7 - 9_000),
    "text": ('varchar(40) collate "C"', lambda at: f"{'企甲𠮷zaA'[at % 6]}{at:05}'%:x"),
    "day": ("date", lambda at: dt.date(2000, 1, 1) + dt.timedelta(at)),
    "moment": ("timestamptz", lambda at: dt.datetime(2000, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=at * 1.5)),
    "uuid": ("uuid", lambda at: uuid.uuid5(uuid.NAMESPACE_OID, str(at))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_hold_every_key_once_and_in_order(postgres_server, db, kind):
    written, value = KINDS[kind]
    db.execute(f"create table of_{kind} (id {written} primary key, n int)")
    with db.cursor() as cursor:
        cursor.executemany(f"insert into of_{kind} values (%s, %s)", [(value(at), at) for at in range(ROWS)])
    db.execute(f"analyze of_{kind}")
    with contextlib.closing(source(postgres_server, table=f"of_{kind}")) as src:
        splits = src.plan(None)
        sizes, found = [], []
        for split in splits:
            batches = list(src.read(split))
            assert batches[0].rows["_row"][0].as_py() == 1
            sizes.append(sum(batch.rows.num_rows for batch in batches))
            found += keys(batches)
    expected = db.execute(f"select id::text from of_{kind} t order by t.id").fetchall()
    assert found == [row[0] for row in expected]
    assert len(splits) == 5
    assert max(sizes) < 2 * ROWS / 5


def table(db, name, rows=ROWS):
    db.execute(f"drop table if exists {name}; create table {name} (id int primary key, at timestamptz default now())")
    db.execute(f"insert into {name} select i from generate_series(1, {rows}) i; analyze {name}")


def test_all_ranges_see_the_table_as_of_one_moment(postgres_server, db):
    table(db, "moving")
    with contextlib.closing(source(postgres_server, table="moving")) as src:
        splits = src.plan(None)
        found = keys(src.read(splits[0]))
        db.execute("delete from moving where id > 2000; insert into moving select -i from generate_series(1, 50) i")
        for split in splits[1:]:
            found += keys(src.read(split))
    assert found == [str(at) for at in range(1, ROWS + 1)]


def test_a_broken_off_read_goes_on_with_the_ranges_that_are_left(postgres_server, db):
    table(db, "broken")
    src = source(postgres_server, table="broken")
    splits = src.plan(None)
    found, position = [], None
    for split in splits[:2]:
        for batch in src.read(split):
            found += keys([batch])
            position = batch.position or position
    src.close()
    with contextlib.closing(source(postgres_server, table="broken")) as again:
        left = again.plan(position)
        assert [split.id for split in left] == [split.id for split in splits[2:]]
        for split in left:
            for batch in again.read(split):
                found += keys([batch])
                position = batch.position or position
    assert found == [str(at) for at in range(1, ROWS + 1)]
    assert position.cursor == {"range": None, "window": None}


def test_positions_added_to_one_another_end_with_a_whole_read_again(postgres_server, db):
    table(db, "added")
    kept = {}
    for _ in range(2):
        with contextlib.closing(source(postgres_server, table="added")) as src:
            found = []
            for split in src.plan(Position(dict(kept))):
                for batch in src.read(split):
                    found += keys([batch])
                    kept |= batch.position.cursor if batch.position else {}
        assert found == [str(at) for at in range(1, ROWS + 1)]


def test_ranges_of_another_table_content_or_question_are_not_gone_on_with(postgres_server, db):
    table(db, "other")
    with contextlib.closing(source(postgres_server, table="other")) as src:
        *_, last = src.read(src.plan(None)[0])
    with contextlib.closing(source(postgres_server, table="other", where="id > 5")) as asked:
        assert len(asked.plan(last.position)) == 5
    db.execute("truncate other; insert into other select i from generate_series(1, 2000) i; analyze other")
    with contextlib.closing(source(postgres_server, table="other")) as emptied:
        assert emptied.plan(last.position)[0].id == "other#1/3"


def test_a_table_emptied_between_two_ranges_is_seen_not_taken_for_empty(postgres_server, db):
    table(db, "emptied")
    with contextlib.closing(source(postgres_server, table="emptied")) as src:
        first, second, *_ = src.plan(None)
        assert keys(src.read(first))
        db.execute("truncate emptied")
        with pytest.raises(SourceChanged, match="SRC-SQL-REBUILT"):
            list(src.read(second))


def test_a_table_dropped_between_plan_and_read_is_named(postgres_server, db):
    table(db, "dropped")
    with contextlib.closing(source(postgres_server, table="dropped")) as src:
        split = src.plan(None)[0]
        db.execute("drop table dropped")
        with pytest.raises(SourceChanged, match=r"SRC-CHANGED.*dropped"):
            list(src.read(split))


def test_a_snapshot_whose_session_was_ended_is_taken_anew_by_the_next_try(postgres_server, db):
    table(db, "ended")
    with contextlib.closing(source(postgres_server, table="ended")) as src:
        first, second, *_ = src.plan(None)
        *_, last = src.read(first)
        db.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'shutong'")
        with pytest.raises(SourceUnavailable, match=r"SRC-SQL-UNAVAILABLE.*snapshot"):
            list(src.read(second))
        left = src.plan(last.position)
        assert left[0].id == second.id
        assert keys(src.read(left[0]))


def test_ranges_read_in_parallel_come_in_order(postgres_server, db):
    table(db, "parallel")
    with contextlib.closing(source(postgres_server, table="parallel", parallel=3)) as src:
        found = [key for split in src.plan(None) for key in keys(src.read(split))]
    assert found == [str(at) for at in range(1, ROWS + 1)]


def test_closing_in_the_middle_ends_every_session(postgres_server, db):
    table(db, "half")
    src = source(postgres_server, table="half", parallel=3)
    batches = src.read(src.plan(None)[0])
    next(batches)
    batches.close()
    src.close()
    src.close()
    until = time.monotonic() + 10
    while sessions := db.execute("select query from pg_stat_activity where application_name = 'shutong'").fetchall():
        assert time.monotonic() < until, sessions
        time.sleep(0.02)


def test_a_first_read_by_cursor_in_ranges_ends_where_the_cursor_stood(postgres_server, db):
    table(db, "growing")
    options = {"table": "growing", "cursor": {"column": "id", "lag": 0}}
    with contextlib.closing(source(postgres_server, **options)) as src:
        first, *rest = src.plan(None)
        *_, batch = src.read(first)
        db.execute("insert into growing select i from generate_series(3001, 3010) i")
    with contextlib.closing(source(postgres_server, **options)) as src:
        assert len(src.plan(batch.position)) == len(rest)
        for split in src.plan(batch.position):
            *_, batch = src.read(split)
        [new] = src.plan(batch.position)
        assert keys(src.read(new)) == [str(at) for at in range(3000, 3011)]


def test_a_small_table_and_one_without_a_key_are_one_piece(postgres_server, db):
    table(db, "small", 100)
    db.execute("create table keyless as select i from generate_series(1, 5000) i; analyze keyless")
    assert [split.id for split in source(postgres_server, table="small").plan(None)] == ["small"]
    assert [split.id for split in source(postgres_server, table="keyless").plan(None)] == ["keyless"]


@pytest.mark.parametrize("key", ["id", "pripid"])
def test_a_large_table_comes_whole_and_twice_in_the_same_order_without_being_sorted(
    postgres_server, db, monkeypatch, key
):
    monkeypatch.setattr("connectors.databases.source._COUNTED", 1_000)
    db.execute("drop table if exists large; create table large (id int, pripid text)")
    db.execute(f"insert into large select i, md5(i::text) from generate_series(1, {ROWS}) i")
    db.execute(f"alter table large add primary key ({key}); analyze large")
    pulls = []
    for _ in range(2):
        with contextlib.closing(source(postgres_server, table="large")) as src:
            splits = src.plan(None)
            pulls.append([one for split in splits for one in keys(src.read(split))])
    assert len(splits) == 5
    assert pulls[0] == pulls[1]
    assert sorted(pulls[0], key=int) == [str(at) for at in range(1, ROWS + 1)]


def test_sqlite_is_cut_by_its_numbers(tmp_path):
    path = tmp_path / "one.db"
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute("create table ent (id integer primary key, n text)")
        made.executemany("insert into ent values (?, ?)", [(at * 3, str(at)) for at in range(1, 2001)])
    src = open_source("sql", {"table": "ent", "split_rows": 600}, {"url": f"sqlite:///{path}"}, None)
    tables = [pa.Table.from_batches([batch.rows for batch in src.read(split)]) for split in src.plan(None)]
    assert "not all as of one moment" in next(one.en for one in src.check() if one.name == "snapshot")
    assert len(tables) == 4
    assert [row for one in tables for row in one["id"].to_pylist()] == [str(at * 3) for at in range(1, 2001)]
    assert tables[0].column_names == ["id", "n", *RAW_COLUMNS]
