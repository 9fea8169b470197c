"""Databases reached through an ODBC driver: a connection string is enough, nothing is cut, every fault says what next."""

import contextlib
import os
import socket
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from connectors import SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.databases.odbc import braced, connection_string
from connectors.errors import SourceChanged
from schemas.values import Position

DRIVER = "/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so"
pytestmark = pytest.mark.skipif(
    not Path(DRIVER).exists() and os.environ.get("CI") != "true", reason="odbc-postgresql is not installed"
)
ROWS = 30_000


class Vault:
    def __init__(self, password="a test's own"):
        self.password = password

    def get(self, name):
        return self.password


@pytest.fixture(scope="module")
def server(postgres_server):
    login = {"host": "127.0.0.1", "port": postgres_server.port, "user": postgres_server.user}
    login |= {"password": postgres_server.password, "autocommit": True}
    with psycopg.connect(**login, dbname="postgres") as db:
        db.execute("create database by_odbc")
    with psycopg.connect(**login, dbname="by_odbc") as db:
        db.execute(
            "create table ent (id bigint primary key, 名称 text, since date, raw bytea, open boolean, fee numeric, padded char(5))"
        )
        db.execute(
            f"insert into ent select i, '企业𠮷㐂' || i, date '2020-01-01', '\\xffd6', true, 1.10, 'ab' from generate_series(1, {ROWS}) i"
        )
        db.execute("insert into ent (id, since, fee) values (0, '-infinity', 123456789012345678901234567890.123)")
        db.execute("create table long_ones as select 1 id, repeat('𠮷', 60000) note union all select 2, 'short'")
        db.execute("create table none (id int, note text)")
        db.execute('create table odd ("Mixed Case" text, "select" int, "引""号" text)')
        db.execute("insert into odd values ('a', 1, 'b')")
    return postgres_server


def connect(server, driver=DRIVER, port=None):
    drivers = "Driver={PostgreSQL Unicode}" if driver is None else f"Driver={driver}"
    return f"{drivers};Server=127.0.0.1;Port={port or server.port};Database=by_odbc;MaxLongVarcharSize=0"


def source(server, password=None, user=None, written=None, **options):
    connection = {
        "connect": written or connect(server),
        "user": user or server.user,
        "password_secret": "db",
    }
    return open_source("odbc", options, connection, Vault(password or server.password))


def rows(src):
    with contextlib.closing(src):
        batches = [batch for split in src.plan(None) for batch in src.read(split)]
    return [row for batch in batches for row in batch.rows.to_pylist()], batches


def test_every_row_of_a_table_arrives_with_its_exact_text(server):
    found, batches = rows(source(server, table="ent", order_by=["id"]))
    assert len(found) == ROWS + 1
    assert [row["_row"] for row in found] == list(range(1, ROWS + 2))
    assert found[0]["since"] == "-infinity"
    assert found[0]["fee"] == "123456789012345678901234567890.123"
    assert found[0]["名称"] is None
    last = {name: value for name, value in found[-1].items() if not name.startswith("_")}
    assert last == {
        "id": str(ROWS),
        "名称": f"企业𠮷㐂{ROWS}",
        "since": "2020-01-01",
        "raw": "ffd6",
        "open": "true",
        "fee": "1.10",
        "padded": "ab   ",
    }
    assert {batch.position for batch in batches[:-1]} <= {None}
    assert batches[-1].position == Position()


def test_columns_a_condition_and_an_order_can_be_asked_for(server):
    found, _ = rows(source(server, table="ent", columns=["名称", "ID"], where="id > 29998", order_by=["id desc"]))
    assert [(row["名称"], row["id"]) for row in found] == [("企业𠮷㐂30000", "30000"), ("企业𠮷㐂29999", "29999")]
    assert source(server, table="ent", where="id > 29998").estimate() == 2


def test_a_query_is_read_as_the_data_manager_writes_it(server):
    found, _ = rows(
        source(server, query="select to_char(since, 'YYYY') y, count(*) n from ent where id > 0 group by 1")
    )
    assert [(row["y"], row["n"]) for row in found] == [("2020", str(ROWS))]


def test_names_that_need_quotes_get_them(server):
    found, _ = rows(source(server, table="odd"))
    assert {name: value for name, value in found[0].items() if not name.startswith("_")} == {
        "Mixed Case": "a",
        "select": "1",
        '引"号': "b",
    }


@pytest.mark.parametrize("options", [{}, {"length": "octet_length"}])
def test_values_far_longer_than_the_driver_expects_arrive_whole(server, options):
    found, _ = rows(source(server, table="long_ones", order_by=["id"], **options))
    assert [row["note"] for row in found] == ["𠮷" * 60_000, "short"]


def test_a_value_the_driver_would_cut_stops_the_read_and_says_how_to_widen(server):
    narrow = connect(server).replace("MaxLongVarcharSize=0", "MaxLongVarcharSize=2000")
    with pytest.raises(SourceError, match="SRC-ODBC-LONG") as caught:
        rows(source(server, table="long_ones", written=narrow))
    assert "MaxLongVarcharSize" in caught.value.fix_en
    assert caught.value.fix_zh


def test_where_no_length_can_be_asked_the_limit_of_the_resource_holds(server):
    with pytest.raises(SourceError, match="SRC-ODBC-LONG") as caught:
        rows(source(server, table="long_ones", length="no_such_function"))
    assert "text_limit" in caught.value.fix_en
    found, _ = rows(source(server, table="long_ones", length="no_such_function", text_limit=60_000))
    assert len(found[0]["note"]) == 60_000


def test_an_empty_table_has_its_columns_and_no_rows(server):
    found, batches = rows(source(server, table="none"))
    assert found == []
    assert batches[-1].rows.schema.names[:2] == ["id", "note"]
    assert batches[-1].position == Position()


def test_a_preview_stops_after_the_rows_it_was_asked_for(server):
    assert source(server, table="ent").preview(3).num_rows == 3


def test_what_is_found_says_the_types_the_driver_declares(server):
    info = source(server, table="ent").discover()[0]
    assert info.columns["名称"] == "string"
    assert info.columns["since"].startswith("date")
    assert [(line.name, line.ok) for line in source(server, table="ent").check()] == [("table", True), ("read", True)]


def test_a_column_that_is_gone_is_named(server):
    with pytest.raises(SourceChanged, match="title"):
        rows(source(server, table="ent", columns=["title"]))
    with pytest.raises(SourceChanged, match="SRC-CHANGED"):
        rows(source(server, table="gone"))


def test_a_wrong_password_is_refused_and_never_shown(server):
    with pytest.raises(SourceRefused, match="SRC-SQL-REFUSED") as caught:
        rows(source(server, table="ent", password="quite wrong"))
    assert "quite wrong" not in str(caught.value)
    line = source(server, table="ent", password="quite wrong").check()[-1]
    assert not line.ok
    assert "quite wrong" not in line.en


def test_a_port_nobody_listens_on_may_be_tried_again(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE") as caught:
            rows(source(server, table="ent", written=connect(server, port=free.getsockname()[1])))
    assert caught.value.retryable


def test_a_server_that_accepts_and_says_nothing_is_given_up(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = connect(server, port=silent.getsockname()[1])
        with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE"):
            rows(source(server, table="ent", written=slow, timeouts={"connect": 1}))


def test_a_statement_that_takes_too_long_is_ended_by_the_server(server):
    with pytest.raises(SourceUnavailable, match="SRC-SQL-TIMEOUT"):
        rows(
            source(
                server,
                query="select id, pg_sleep(3)::text s from none right join ent using (id)",
                timeouts={"statement": 1},
            )
        )


def test_a_driver_that_is_not_there_is_told_with_what_to_install(server):
    with pytest.raises(SourceError, match="SRC-DRIVER") as caught:
        rows(source(server, table="ent", written=connect(server, driver="{No Such Driver}")))
    assert "odbcinst" in caught.value.fix_en


def test_a_password_in_the_connection_string_is_turned_down(server):
    with pytest.raises(SourceError, match="password_secret") as caught:
        source(server, table="ent", written=connect(server) + ";PWD=secret9")
    assert "secret9" not in str(caught.value)


def test_an_address_becomes_a_connection_string_without_account_and_password():
    url = sa.engine.make_url("postgresql+psycopg://me:secret@db.gov:5433/a;b")
    assert connection_string(url).startswith("Driver={PostgreSQL Unicode};Server=db.gov;Port=5433;Database={a;b};")
    assert "secret" not in connection_string(url)
    assert "Server=db.gov,1433" in connection_string(sa.engine.make_url("mssql+pymssql://me@db.gov/x"))
    assert braced("a}b;c") == "{a}}b;c}"
    with pytest.raises(SourceError, match="kind: odbc"):
        connection_string(sa.engine.make_url("oracle+oracledb://me@db.gov/x"))
