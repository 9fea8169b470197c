"""A real MariaDB: exact text in bounded memory, refusals told apart, and no hang that lasts."""

import contextlib
import datetime as dt
import os
import signal
import ssl
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import pymysql
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from present import needs

from connectors import SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.databases.engines import engine_for
from connectors.databases.mysql import open_reader
from connectors.databases.mysql_session import control
from connectors.databases.mysql_wire import Wire
from connectors.databases.reader import ReaderOptions
from infra.testing import mariadb
from schemas.values import Position

BIG = 40_000


@pytest.fixture(scope="module")
def server():
    needs(mariadb)
    with certified() as settings, mariadb.running("it's @ secret%/密码", settings) as running:
        with session(running) as cursor:
            cursor.execute(
                f"CREATE TABLE big (id INT PRIMARY KEY, x VARCHAR(2000)) AS SELECT seq id, REPEAT('数', 500) x FROM seq_1_to_{BIG}"
            )
            cursor.execute("CREATE TABLE ent (id BIGINT PRIMARY KEY, 名 VARCHAR(40), at DATETIME, 备 VARCHAR(9))")
            cursor.execute(
                "INSERT INTO ent VALUES (1, '𠮷\\'\\\\', '2020-01-02', 'a:b%c'), (2, NULL, NULL, ''), (3, 'x ', '0000-00-00', '一')"
            )
            cursor.execute("CREATE TABLE old (id INT PRIMARY KEY, g VARCHAR(9) CHARSET gbk, u VARCHAR(9) CHARSET ucs2)")
            cursor.execute(
                "INSERT INTO old VALUES (1, '王镕？?', '丿?中'), (2, X'D6D0AAA1', X'D8004E2D'), (3, NULL, NULL), (4, '三', '㿿')"
            )
            cursor.execute("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'r'")
            cursor.execute("GRANT SELECT ON test.ent TO reader@'127.0.0.1'")
        yield running


@contextlib.contextmanager
def certified():
    """Settings of a server that offers TLS; PyMySQL then takes it where it is not told otherwise."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name, day = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "department")]), dt.timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day).sign(key, hashes.SHA256())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)  # the server has an account of its own
        (path / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
        (path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        yield f"ssl-cert = {path}/cert.pem\nssl-key = {path}/key.pem\n"


@contextlib.contextmanager
def session(server):
    with (
        pymysql.connect(
            host="127.0.0.1",
            port=server.port,
            user=server.user,
            password=server.password.encode(),
            database="test",
            autocommit=True,
        ) as connection,
        connection.cursor() as cursor,
    ):
        yield cursor


def reader(server, url=None, **options):
    return open_reader(sa.make_url(url or server.url()), ReaderOptions(**options))


def select(table, *names):
    table = sa.table(table, *map(sa.column, names))
    return sa.select(*table.c).order_by(table.c[names[0]])


def fetched(batches):
    return pa.Table.from_batches(list(batches)).to_pydict()


def running_queries(server):
    with session(server) as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%shutong-%' AND id <> CONNECTION_ID()"
        )
        return cursor.fetchone()[0]


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_the_rows_of_a_statement_arrive_as_text_in_its_order(server):
    statement = select("ent", "id", "名", "at")
    assert fetched(reader(server).rows(statement)) == {
        "id": ["1", "2", "3"],
        "名": ["𠮷'\\", None, "x "],
        "at": ["2020-01-02 00:00:00", None, "0000-00-00 00:00:00"],
    }


@pytest.mark.parametrize("mode", ["", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH"])
def test_values_in_a_statement_mean_the_same_in_every_sql_mode(server, mode):
    ent = sa.table("ent", sa.column("id"), sa.column("名"), sa.column("at"), sa.column("备"))
    statement = sa.select(ent.c.id).where(
        ent.c.名 == sa.bindparam("name", "𠮷'\\"),
        ent.c.at <= sa.bindparam("high", dt.datetime.fromisoformat("2020-01-02")),
        sa.literal_column("备 LIKE 'a:%c'"),
    )
    with session(server) as cursor:
        cursor.execute("SELECT @@GLOBAL.sql_mode")
        before = cursor.fetchone()[0]
        try:
            cursor.execute("SET GLOBAL sql_mode = %s", (mode,))
            assert fetched(reader(server).rows(statement)) == {"id": ["1"]}
        finally:
            cursor.execute("SET GLOBAL sql_mode = %s", (before,))


def test_an_empty_table_yields_one_empty_batch_with_its_columns(server):
    batches = list(reader(server).rows(select("ent", "id", "名").where(sa.literal_column("1 = 0"))))
    assert [(batch.num_rows, batch.schema.names) for batch in batches] == [(0, ["id", "名"])]


def test_a_code_without_a_character_is_a_reject_and_no_question_mark(server):
    rows = fetched(reader(server).rows(select("old", "id", "g", "u")))
    assert rows["id"] == ["1", "2", "3", "4"]
    assert rows["g"] == ["王镕？?", "中\\xAA\\xA1", None, "三"]
    assert rows["u"] == ["丿?中", "\\xED\\xA0\\x80中", None, "㿿"]
    assert rows["_reject"] == [None, "bad_bytes", None, None]
    assert "g" in rows["_detail"][1]


def sent(server):
    with session(server) as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Bytes_sent'")
        return int(cursor.fetchone()[1])


def test_a_slow_consumer_holds_the_server_back(server):
    before = sent(server)
    rows = reader(server, batch_bytes=1 << 20).rows(select("big", "id", "x"))
    got = next(rows).num_rows
    time.sleep(0.3)
    assert sent(server) - before < BIG * 1500 / 4  # most of a table of 135 MB waits at the server
    assert got + sum(batch.num_rows for batch in rows) == BIG


def test_leaving_early_ends_the_query_at_the_server(server):
    rows = reader(server).rows(select("big", "id", "x"))
    next(rows)
    rows.close()
    until(lambda: running_queries(server) == 0)


@pytest.mark.parametrize("way", ["QUERY", "CONNECTION"])
def test_a_query_that_is_killed_is_unavailable_and_never_a_short_table(server, way):
    statement = select("big", "id", "x").add_columns(sa.literal_column("IF(id = 30000, SLEEP(20), 0)").label("s"))

    def kill():
        until(lambda: running_queries(server) > 0)
        with session(server) as cursor:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(20)%' AND id <> CONNECTION_ID()"
            )
            for (thread,) in cursor.fetchall():
                cursor.execute(f"KILL {way} {thread}")

    thread = threading.Timer(0.5, kill)
    thread.start()
    with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE"):
        list(reader(server).rows(statement))
    thread.join()


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), TimeoutError("silent"), ssl.SSLError("mac")])
def test_a_connection_that_breaks_among_the_rows_is_tried_again(server, monkeypatch, error):
    def broken(*_):
        raise error

    rows = reader(server, batch_bytes=1 << 16).rows(select("big", "id", "x"))
    next(rows)
    monkeypatch.setattr(Wire, "_receive", broken)
    with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE"):
        list(rows)


def test_a_limit_of_rows_for_everybody_cuts_no_table_short(server):
    with session(server) as cursor:
        cursor.execute("SET GLOBAL sql_select_limit = 2")
        try:
            assert fetched(reader(server).rows(select("ent", "id"))) == {"id": ["1", "2", "3"]}
            with engine_for(sa.make_url(server.url()), ReaderOptions()).connect() as connection:
                assert len(connection.execute(select("ent", "id")).all()) == 3
        finally:
            cursor.execute("SET GLOBAL sql_select_limit = DEFAULT")


def test_a_statement_that_takes_too_long_is_ended_by_the_server(server):
    statement = sa.select(sa.literal_column("SLEEP(20)").label("s"))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable):
        list(reader(server, statement_timeout=0.5).rows(statement))
    assert time.monotonic() - began < 10


def test_a_slow_query_is_waited_for_while_the_server_says_it_works(server, monkeypatch):
    statement = sa.select(sa.literal_column("SLEEP(1.2)").label("s"))
    assert fetched(reader(server, silence_timeout=0.3).rows(statement)) == {"s": ["0"]}


def test_a_server_that_stops_answering_is_unavailable_within_seconds(server):
    rows = reader(server, silence_timeout=0.5, connect_timeout=1, batch_bytes=1 << 20).rows(
        select("big", "id", "x").add_columns(sa.literal_column("IF(id % 2000 = 0, SLEEP(1), 0)").label("s"))
    )
    next(rows)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(SourceUnavailable):
            list(rows)
        assert time.monotonic() - began < 30
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_wrong_password_is_tried_once_and_refused(server):
    with session(server) as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'")
        before = int(cursor.fetchone()[1])
        with pytest.raises(SourceRefused, match="SRC-SQL-REFUSED") as caught:
            list(reader(server, f"mysql://reader:wr0ng@127.0.0.1:{server.port}/test").rows(select("ent", "id")))
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'")
        assert int(cursor.fetchone()[1]) == before + 1
    assert "wr0ng" not in str(caught.value)


def test_a_missing_privilege_is_refused_and_a_wrong_condition_is_nobodys_retry(server):
    with pytest.raises(SourceRefused):
        list(reader(server, f"mariadb+pymysql://reader:r@127.0.0.1:{server.port}/test").rows(select("big", "id")))
    with pytest.raises(SourceError, match="SRC-SQL-QUERY") as caught:
        list(reader(server).rows(select("ent", "id").where(sa.literal_column("nonsense = 1"))))
    assert not caught.value.retryable


def test_a_value_longer_than_a_packet_arrives_whole_between_its_neighbours(server):
    long = "IF(id = 2, REPEAT('数', 7000000), IF(id = 3, REPEAT('x', 16777209), 名))"  # 21 MB; a packet to the brim
    ent = sa.table("ent", sa.column("id"))
    statement = sa.select(ent.c.id, sa.literal_column(long).label("x")).order_by(ent.c.id)
    rows = fetched(reader(server).rows(statement))
    assert rows["id"] == ["1", "2", "3"]
    assert rows["x"] == ["𠮷'\\", "数" * 7_000_000, "x" * 16_777_209]


@pytest.mark.parametrize(("query", "secured"), [({}, "1"), ({"ssl_disabled": "true"}, "0")])
def test_rows_are_the_same_with_and_without_tls(server, query, secured):
    ent, used = sa.table("ent", sa.column("id"), sa.column("名")), "information_schema.session_status"
    said = f"(SELECT variable_value <> '' FROM {used} WHERE variable_name = 'Ssl_cipher')"
    statement = sa.select(*ent.c, sa.literal_column(said).label("secured")).order_by(ent.c.id)
    url = sa.make_url(server.url()).update_query_dict(query)
    assert fetched(open_reader(url, ReaderOptions()).rows(statement)) == {
        "id": ["1", "2", "3"],
        "名": ["𠮷'\\", None, "x "],
        "secured": [secured] * 3,
    }


def test_what_tls_needs_is_made_ready_once_for_all_connections(server, monkeypatch):
    with control(sa.make_url(server.url()), 10):
        pass
    made = []
    monkeypatch.setattr("ssl.create_default_context", lambda **_: made.append(1))
    source = open_source("sql", {"table": "ent"}, {"url": server.url()}, None)
    assert [batch.rows.num_rows for split in source.plan(None) for batch in source.read(split)] == [3]
    assert not made


def test_a_closed_port_is_unavailable():
    with pytest.raises(SourceUnavailable):
        list(reader(None, "mysql://reader:r@127.0.0.1:9/test", connect_timeout=1).rows(select("ent", "id")))


def test_a_date_of_zeros_never_moves_a_cursor_and_is_never_lost(server):
    with session(server) as cursor:
        cursor.execute("CREATE TABLE zeros (id INT PRIMARY KEY, at DATETIME NULL, key (at))")
        kept = {}

        def step(*rows):
            for row in rows:
                cursor.execute("INSERT INTO zeros VALUES (%s, %s)", row)
            options = {"table": "zeros", "cursor": "at"}
            src = open_source("sql", options, {"url": server.url()}, None)
            batches = [batch for split in src.plan(Position(kept) if kept else None) for batch in src.read(split)]
            kept.update(batches[-1].position.cursor)
            return [int(one) for batch in batches for one in batch.rows["id"].to_pylist()]

        assert step((1, "0000-00-00"), (2, "0000-00-00")) == [1, 2]
        assert step((3, "0000-00-00")) == [1, 2, 3]
        assert step((4, "2026-01-02"), (5, "2026-01-03")) == [1, 2, 3, 4, 5]
        assert step((6, "0000-00-00"), (7, None)) == [1, 2, 3, 5, 6, 7]
