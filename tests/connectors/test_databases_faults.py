"""What may happen to a database while it is read: each fault ends in seconds, says the next step, and loses nothing."""

import contextlib
import socket
import sqlite3
import threading
import time

import pytest
import sqlalchemy as sa
from one_secret import Vault

from connectors import SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.databases import choice
from connectors.databases.errors import explained

WIDE = 1_500


@pytest.fixture(scope="module")
def db(postgres_server):
    with postgres_server.connect() as connection:
        connection.execute("create database faults")
    with postgres_server.connect("faults") as connection:
        connection.execute("create table ent as select i id, repeat('甲', 400) name from generate_series(1, 60000) i")
        connection.execute("create role turned login password 'first'; grant select on ent to turned")
        yield connection


def source(server, user=None, password=None, port=None, **options):
    url = f"postgresql+psycopg://{user or server.user}@127.0.0.1:{port or server.port}/faults"
    connection = {"url": url, "password_secret": "pg"}
    return open_source(
        "sql", {"table": "ent", "order_by": [], **options}, connection, Vault(password or server.password)
    )


def batches(src):
    return [batch for split in src.plan(None) for batch in src.read(split)]


def both_languages(error):
    return error.zh and error.en and error.fix_zh and error.fix_en


def test_a_server_that_goes_away_in_the_middle_may_be_tried_again(postgres_server, db):
    src = source(postgres_server)
    reading = src.read(src.plan(None)[0])
    next(reading)
    db.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'shutong'")
    with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE") as caught:
        list(reading)
    assert caught.value.retryable
    assert both_languages(caught.value)
    assert sum(batch.rows.num_rows for batch in batches(source(postgres_server))) == 60_000


def test_a_password_that_was_changed_is_refused_and_not_tried_again(postgres_server, db):
    src = source(postgres_server, user="turned", password="first")
    split = src.plan(None)[0]
    db.execute("alter role turned password 'second'")
    with pytest.raises(SourceRefused, match="SRC-SQL-REFUSED") as caught:
        list(src.read(split))
    assert not caught.value.retryable
    assert "first" not in str(caught.value)


def test_a_privilege_taken_away_between_plan_and_read_is_refused(postgres_server, db):
    db.execute("create role left_out login password 'x'; grant select on ent to left_out")
    src = source(postgres_server, user="left_out", password="x")
    split = src.plan(None)[0]
    db.execute("revoke select on ent from left_out")
    with pytest.raises(SourceRefused, match="SRC-SQL-REFUSED"):
        list(src.read(split))


def test_a_statement_that_takes_too_long_is_ended_by_the_server(postgres_server, db):
    src = source(postgres_server, timeouts={"statement": 0.3}, where="pg_sleep(0.01) is not null")
    with pytest.raises(SourceUnavailable, match="SRC-SQL-TIMEOUT") as caught:
        list(src.read(src.plan(None)[0]))
    assert "timeouts.statement" in caught.value.fix_en


def test_a_database_that_takes_no_connections_is_unavailable(postgres_server, db):
    with postgres_server.connect() as other:
        other.execute("alter database faults allow_connections false")
        try:
            with pytest.raises(SourceUnavailable, match=r"SRC-SQL-UNAVAILABLE.*not currently accepting"):
                source(postgres_server).plan(None)
        finally:
            other.execute("alter database faults allow_connections true")


def test_a_database_in_read_only_maintenance_is_read_as_ever(postgres_server, db):
    db.execute("alter database faults set default_transaction_read_only = on")
    try:
        assert sum(batch.rows.num_rows for batch in batches(source(postgres_server))) == 60_000
    finally:
        db.execute("set default_transaction_read_only = off")
        db.execute("alter database faults reset default_transaction_read_only")


@contextlib.contextmanager
def relay(port):
    """Pass bytes on to `port` until told to hang: then connections stay open and nothing comes any more."""
    hang = threading.Event()

    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                while hang.is_set():
                    time.sleep(0.05)
                target.sendall(data)

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                held.extend([client, server])
                threading.Thread(target=pump, args=(client, server), daemon=True).start()
                threading.Thread(target=pump, args=(server, client), daemon=True).start()

    held = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1], hang
        finally:
            for one in held:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            hang.clear()


def test_a_network_that_hangs_in_the_middle_is_noticed(postgres_server, db):
    with relay(postgres_server.port) as (port, hang):
        src = source(postgres_server, port=port, timeouts={"silence": 1})
        reading = src.read(src.plan(None)[0])
        next(reading)
        hang.set()
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match=r"SRC-SQL-UNAVAILABLE.*sent nothing for 1 seconds"):
            list(reading)
        assert time.monotonic() - started < 5


def test_a_server_that_takes_the_connection_and_never_answers_is_given_up(postgres_server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE"):
            source(postgres_server, port=listener.getsockname()[1], timeouts={"connect": 2}).plan(None)
    assert time.monotonic() - started < 8


def test_an_enormous_value_is_a_reject_that_was_never_fetched(postgres_server, db):
    db.execute("create table long (id int primary key, doc text, raw bytea)")
    db.execute("insert into long values (1, 'x', '\\x00'), (3, 'y', '\\xff')")
    db.execute("insert into long values (2, repeat('很长', 9000000), decode(repeat('ab', 9000000), 'hex'))")
    src = source(postgres_server, table="long", order_by=["id"], max_field_bytes=8_000_000)
    [batch] = batches(src)
    rows = batch.rows.to_pylist()
    assert [(row["id"], row["doc"], row["raw"]) for row in rows] == [
        ("1", "x", "00"),
        ("2", None, None),
        ("3", "y", "ff"),
    ]
    assert [row["_reject"] for row in rows] == [None, "field_size", None]
    assert "column doc: the value has 54000000 bytes" in rows[1]["_detail"]
    assert "doc" in rows[1]["_line"]


def test_an_enormous_value_in_sqlite_is_a_reject_too(tmp_path):
    path = tmp_path / "long.db"
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute("create table ent (id integer primary key, doc text, raw blob)")
        made.execute("insert into ent values (1, 'x', x'00'), (2, '很' || hex(zeroblob(2000000)), zeroblob(3000000))")
    src = open_source("sql", {"table": "ent", "max_field_bytes": 1_000_000}, {"url": f"sqlite:///{path}"}, None)
    rows = batches(src)[0].rows.to_pylist()
    assert [row["_reject"] for row in rows] == [None, "field_size"]
    assert "4000003 bytes" in rows[1]["_detail"]
    assert rows[0]["raw"] == "00"


def test_a_table_of_very_many_columns_is_read(postgres_server, db, tmp_path):
    names = [f"c{at}" for at in range(WIDE)]
    db.execute(f"create table wide ({', '.join(f'{name} text' for name in names)})")
    db.execute(f"insert into wide (c0, c{WIDE - 1}) values ('甲', '乙')")
    path = tmp_path / "wide.db"
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute(f"create table wide ({', '.join(f'{name} text' for name in names)})")
        made.execute(f"insert into wide (c0, c{WIDE - 1}) values ('甲', '乙')")
    lite = open_source("sql", {"table": "wide"}, {"url": f"sqlite:///{path}"}, None)
    slow = {"table": "wide", "order_by": None, "reader": "sqlalchemy"}
    for src in (lite, source(postgres_server, table="wide", order_by=None), source(postgres_server, **slow)):
        [batch] = batches(src)
        assert batch.rows.num_columns == WIDE + 4
        assert (batch.rows["c0"][0].as_py(), batch.rows[f"c{WIDE - 1}"][0].as_py()) == ("甲", "乙")


def test_an_empty_table_gives_its_columns(postgres_server, db):
    db.execute("create table nothing (id int primary key, 名 text)")
    [batch] = batches(source(postgres_server, table="nothing"))
    assert batch.rows.num_rows == 0
    assert batch.rows.schema.names[:2] == ["id", "名"]
    assert batch.position is not None


def test_a_reserved_column_name_is_refused_before_anything_is_read(postgres_server, db):
    db.execute("create table reserved (id int, _row int)")
    with pytest.raises(SourceError, match=r"SRC-HEADER.*_row"):
        source(postgres_server, table="reserved").plan(None)


def test_empty_text_null_quotes_and_line_ends_are_told_apart(postgres_server, db):
    db.execute("create table odd (id int primary key, t text)")
    values = ["", None, '"', '""', ",", "a\nb", "a\r\nb", "\\N", "\\.", " x ", "\t", "NULL", "𠮷㐂\x01"]
    with db.cursor() as cursor:
        cursor.executemany("insert into odd values (%s, %s)", list(enumerate(values)))
    for reader in ("native", "sqlalchemy"):
        [batch] = batches(source(postgres_server, table="odd", order_by=["id"], columns=["t"], reader=reader))
        assert batch.rows["t"].to_pylist() == values


def test_bytes_in_another_encoding_are_decoded_or_rejected(postgres_server, db):
    db.execute("create table raw (id int primary key, b bytea)")
    with db.cursor() as cursor:
        cursor.executemany(
            "insert into raw values (%s, %s)", [(1, "王镕𠮷".encode("gb18030")), (2, b"\xff\xff"), (3, None)]
        )
    [batch] = batches(source(postgres_server, table="raw", order_by=["id"], bytes="gb18030"))
    assert batch.rows["b"].to_pylist() == ["王镕𠮷", "\\xFF\\xFF", None]
    assert batch.rows["_reject"].to_pylist() == [None, "bad_bytes", None]


def test_text_of_a_database_without_an_encoding_is_checked(postgres_server, db):
    db.execute("create database bytes encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
    server = postgres_server
    with postgres_server.connect("bytes") as raw:
        raw.execute("create table ent (id int primary key, n text)")
        raw.execute(
            b"insert into ent values (1, convert_from('\\xcdf5', 'SQL_ASCII')), (2, convert_from('\\xe5a5bd', 'SQL_ASCII'))"
        )
    url = f"postgresql+psycopg://{server.user}@127.0.0.1:{server.port}/bytes"
    connection = {"url": url, "password_secret": "pg"}
    [batch] = batches(open_source("sql", {"table": "ent"}, connection, Vault(server.password)))
    assert batch.rows["n"].to_pylist() == ["\\xCD\\xF5", "好"]
    assert batch.rows["_reject"].to_pylist() == ["bad_bytes", None]
    src = open_source(
        "sql", {"table": "ent", "bytes": "gb18030", "where": "id = 1"}, connection, Vault(server.password)
    )
    assert batches(src)[0].rows["n"].to_pylist() == ["王"]


def test_without_the_fast_driver_rows_are_read_and_a_check_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "_there", lambda module: module != "missing_driver")
    monkeypatch.setitem(
        choice._NATIVE, "sqlite", choice._Native("connectors.databases.postgres", "missing_driver", "x")
    )
    path = tmp_path / "one.db"
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute("create table ent (id integer primary key)")
    connection = {"url": f"sqlite:///{path}"}
    [line] = [one for one in open_source("sql", {"table": "ent"}, connection, None).check() if one.name == "driver"]
    assert line.ok
    assert "pip install 'shutong[x]'" in line.en
    with pytest.raises(SourceError, match=r"SRC-DRIVER.*pip install 'shutong\[x\]'"):
        open_source("sql", {"table": "ent", "reader": "native"}, connection, None).preview()


def test_tables_of_other_schemas_are_listed_with_their_schema_and_can_be_read_so(postgres_server, db):
    db.execute("CREATE SCHEMA elsewhere")
    db.execute("CREATE TABLE elsewhere.firms (id int PRIMARY KEY)")
    try:
        [found] = [one for one in source(postgres_server).discover() if one.name.endswith("firms")]
        assert found.name == "elsewhere.firms"
        assert list(source(postgres_server, table=found.name).stream().columns) == ["id"]
        assert not [one for one in source(postgres_server).discover() if one.name.startswith(("pg_", "information_"))]
    finally:
        db.execute("DROP SCHEMA elsewhere CASCADE")


def test_discovery_tells_comments_keys_rows_and_likely_cursors(postgres_server, db):
    db.execute(
        "create table told (id bigint primary key, name text not null, 修改时间 timestamp, update_time timestamp)"
    )
    db.execute("comment on table told is '企业基本信息'; comment on column told.name is '企业名称'")
    db.execute("insert into told select i, 'x' from generate_series(1, 500) i; analyze told")
    [found] = [one for one in source(postgres_server).discover() if one.name == "told"]
    assert (found.title, found.comments, found.rows) == ("企业基本信息", {"name": "企业名称"}, 500)
    assert found.key == ("id",)
    assert found.nullable == ("修改时间", "update_time")
    assert found.cursors == ("update_time", "修改时间", "id")


@pytest.mark.parametrize(
    ("url", "error", "code"),
    [
        ("mysql://h/d", (1045, "denied, whatever the words"), "SRC-SQL-REFUSED"),
        ("mysql://h/d", ("MySqlError { ERROR 1142 (42000): no }",), "SRC-SQL-REFUSED"),
        ("mysql://h/d", (1146, "Table 'd.t' is not there"), "SRC-CHANGED"),
        ("mysql://h/d", (3024, "took too long"), "SRC-SQL-TIMEOUT"),
        ("mysql://h/d", (2013, "Lost connection to 10.0.0.1:1045 after 1142 rows"), "SRC-SQL-UNAVAILABLE"),
        ("mssql://h/d", (18456, b"no"), "SRC-SQL-REFUSED"),
        ("mssql://h/d", (20009, "no answer from h:18456"), "SRC-SQL-UNAVAILABLE"),
        ("postgresql://h/d", ("connection to h:1045 failed",), "SRC-SQL-UNAVAILABLE"),
    ],
)
def test_a_number_means_what_its_database_means_by_it(url, error, code):
    raised = sa.exc.OperationalError("", None, RuntimeError(*error))
    assert explained(raised, sa.make_url(url), connecting=False).code == code
