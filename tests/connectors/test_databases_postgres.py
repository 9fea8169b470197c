"""A real PostgreSQL: values psycopg cannot hold come out as PostgreSQL writes them, and refusals are told apart."""

import time
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from connectors import SourceChanged, SourceError, SourceRefused, open_source
from schemas.values import RAW_COLUMNS


def connect(server, database="edges"):
    return psycopg.connect(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password, dbname=database, autocommit=True
    )


@pytest.fixture(scope="module")
def server(postgres_server):
    with connect(postgres_server, "postgres") as db:
        db.execute("create database edges")
    with connect(postgres_server) as db:
        db.execute(Path(__file__).with_name("edge_values.sql").read_text("utf-8"))
    return postgres_server


class Vault:
    def __init__(self, password):
        self.password = password

    def get(self, name):
        assert name == "pg"
        return self.password


def source(server, password=None, user=None, **options):
    url = f"postgresql+psycopg://{user or server.user}@127.0.0.1:{server.port}/edges"
    connection = {"url": url, "password_secret": "pg"}
    return open_source("sql", {"table": "ent", **options}, connection, Vault(password or server.password))


def read(src, split=None):
    batches = list(src.read(split or src.plan(None)[0]))
    return pa.Table.from_batches([batch.rows for batch in batches]), batches[-1].position


def test_wide_infinite_and_rare_values_are_exact(server):
    tab, _ = read(source(server))
    rows = [{k: v for k, v in row.items() if k not in RAW_COLUMNS} for row in tab.to_pylist()]
    assert rows[0] == {
        "id": "1",
        "名": "𠮷野家，０１",
        "cap": "123456789012345678901234567890.12345678901",
        "est": "infinity",
        "at": "2026-01-02 03:04:05.678",
        "ok": "true",
        "doc": '{"a": 1.10}',
        "raw": "00ff",
        "ratio": "0.1",
    }
    assert rows[1]["cap"] == "NaN"
    assert rows[1]["est"] == "0044-03-15 BC"
    assert rows[2] == dict.fromkeys(rows[2]) | {"id": "3"}


def test_a_float_in_an_identifier_column_is_seen(server):
    tab, _ = read(source(server, identifiers=["ratio"]))
    assert tab["_reject"].to_pylist() == ["float_id", "float_id", None]


def test_a_wrong_password_and_a_missing_privilege_are_refused(server):
    for src in (source(server, password="not it"), source(server, user="reader", password="reader's")):
        with pytest.raises(SourceRefused, match="SRC-SQL-REFUSED") as caught:
            src.preview()
        assert not caught.value.retryable
        assert "not it" not in str(caught.value)
        assert "reader's" not in str(caught.value)


def test_a_schema_may_be_named_and_a_missing_table_says_what_is_there(server):
    assert source(server, table="aic.e_base").preview().num_rows == 1
    with pytest.raises(SourceChanged, match="e_base"):
        source(server, table="aic.e_bases").preview()


def test_a_cursor_over_timestamps_reads_the_lag_again(server):
    src = source(server, cursor={"column": "at", "lag": "1h"})
    tab, position = read(src)
    assert tab.num_rows == 3
    tab, _ = read(src, src.plan(position)[0])
    assert tab["id"].to_pylist() == ["1", "3"]


def test_a_wrong_where_is_an_error_nobody_retries(server):
    with pytest.raises(SourceError, match="SRC-SQL-QUERY") as caught:
        source(server, where="nonsense = 1").preview()
    assert not caught.value.retryable


def test_infinity_and_a_far_year_do_not_stop_a_cursor(server):
    with connect(server) as db:
        db.execute("create table ends (id int primary key, at timestamp)")
        db.execute("insert into ends values (1, '2026-01-02'), (2, 'infinity'), (3, '9999-12-31'), (4, '-infinity')")
    src = source(server, table="ends", cursor={"column": "at", "lag": "0s"})
    tab, position = read(src)
    assert tab["id"].to_pylist() == ["1", "2", "3", "4"]
    with connect(server) as db:
        db.execute("insert into ends values (5, '2026-01-03')")
    assert "5" in read(src, src.plan(position)[0])[0]["id"].to_pylist()


def test_the_managers_own_condition_keeps_its_colons_and_percent_signs(server):
    src = source(server, where="name_of like '%:1' or '100%' = '100%'".replace("name_of", '"名"'), columns=["id"])
    assert read(src)[0]["id"].to_pylist() == ["1", "2", "3"]


def test_a_byte_order_mark_in_the_first_value_is_part_of_it(server):
    with connect(server) as db:
        db.execute("create table marked (name text primary key, more text)")
        db.execute("insert into marked values ('\ufeff丁', 'x'), ('\ufeff\ufeff丙', null)")
    tab, _ = read(source(server, table="marked"))
    assert sorted(tab["name"].to_pylist()) == ["\ufeff丁", "\ufeff\ufeff丙"]


def test_a_query_that_nobody_reads_to_its_end_is_ended_at_the_server(server):
    with connect(server) as db:
        db.execute("create view endless as select repeat('x', 1000) as text from pg_class a, pg_class b, pg_class c")
        src = source(server, table="endless", order_by=[])
        batches = src.read(src.plan(None)[0])
        next(batches)
        batches.close()
        src.close()
        running = "select count(*) from pg_stat_activity where query like 'COPY%endless%' and state = 'active'"
        deadline = time.monotonic() + 10
        while db.execute(running).fetchone()[0] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert db.execute(running).fetchone()[0] == 0
