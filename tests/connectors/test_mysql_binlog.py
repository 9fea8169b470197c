"""A real binary log: changes agree with a full read, none is lost, and what cannot be followed is said."""

import contextlib
import threading
import time

import pymysql
import pytest
import sqlalchemy as sa
from present import needs

from connectors import SourceChanged, SourceError, SourceRefused, SourceUnavailable
from connectors.changes import mysql_check
from connectors.changes.mysql_binlog import open_binlog
from connectors.databases.mysql import open_reader
from connectors.databases.reader import ReaderOptions
from infra.testing import mariadb
from schemas.values import DELETED, OP, RAW_COLUMNS

# Of every server setting the least: the log knows no column names and only what changed.
BARE = "binlog-row-metadata = NO_LOG\nbinlog-row-image = MINIMAL\nexpire-logs-days = 7\n"


@pytest.fixture(scope="module")
def server():
    needs(mariadb)
    with mariadb.running(settings=BARE) as running:
        yield running


@contextlib.contextmanager
def session(server, **more):
    login = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "database": "test",
    }
    with pymysql.connect(**{**login, "autocommit": True, **more}) as connection, connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def ent(server):
    with session(server) as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        cursor.execute("DROP TABLE IF EXISTS ent")
        cursor.execute(
            "CREATE TABLE ent (seq INT, code VARCHAR(20), no BIGINT UNSIGNED, 名 VARCHAR(40) CHARSET gbk, est DATE,"
            " at TIMESTAMP(3) NULL, f FLOAT, b BIT(4), j JSON, PRIMARY KEY (code, no))"
        )
        yield cursor


def feed(server, table="ent", url=None, **options):
    return open_binlog(sa.make_url(url or server.url()), table, options=ReaderOptions(**options))


def followed(server, position, wait=0.6, stop=lambda: False):
    """The records after all changes merged by key, and the last position."""
    return merged({}, server, position, wait, stop)


def merged(records, server, position, wait=0.6, stop=lambda: False):
    for batch in feed(server).changes(position, stop, wait):
        for row in batch.rows.to_pylist():
            key = row["code"], row["no"]
            if row[OP] == DELETED:
                records.pop(key, None)
            else:
                records[key] = {name: value for name, value in row.items() if name not in (*RAW_COLUMNS, OP)}
        position = batch.position or position
    return records, position


def full(server):
    names = ["seq", "code", "no", "名", "est", "at", "f", "b", "j"]
    table = sa.table("ent", *map(sa.column, names))
    rows = [
        row
        for batch in open_reader(sa.make_url(server.url()), ReaderOptions()).rows(sa.select(*table.c))
        for row in batch.to_pylist()
    ]
    return {(row["code"], row["no"]): row for row in rows}


def test_changes_are_the_same_text_as_a_full_read(server, ent):
    start = feed(server).start()
    ent.execute(
        "INSERT INTO ent VALUES (1, '甲 ', 18446744073709551615, '王镕', '0000-00-00', '2026-01-02 03:04:05.678', 1.234567, 5, '{\"a\": 1.10}'),"
        " (2, 'b', 2, NULL, '2020-05-00', NULL, NULL, NULL, NULL), (3, 'c', 3, '', NULL, NULL, 0.1, 0, '[]')"
    )
    ent.execute("UPDATE ent SET 名 = '新' WHERE seq = 2")
    ent.execute("UPDATE ent SET no = 4, f = 2.5 WHERE seq = 3")
    records, _ = followed(server, start)
    assert records == full(server)
    assert records["甲 ", "18446744073709551615"]["est"] == "0000-00-00"
    assert ("c", "3") not in records


def test_a_delete_has_its_key_and_a_position_goes_on_where_it_ended(server, ent):
    ent.execute("INSERT INTO ent (seq, code, no) VALUES (1, 'a', 18446744073709551615), (2, 'b', 2)")
    start = feed(server).start()
    ent.execute("DELETE FROM ent WHERE seq = 1")
    (batch,) = [batch for batch in feed(server).changes(start, lambda: False, 0.6) if batch.rows.num_rows]
    (row,) = batch.rows.to_pylist()
    assert (row["code"], row["no"], row["seq"], row[OP], row["_row"]) == ("a", "18446744073709551615", None, DELETED, 1)
    ent.execute("INSERT INTO ent (seq, code, no) VALUES (3, 'c', 3)")
    records, _ = followed(server, batch.position)
    assert list(records) == [("c", "3")]


def test_a_rolled_back_transaction_leaves_nothing_and_other_tables_move_the_position(server, ent):
    start = feed(server).start()
    with session(server, autocommit=False) as cursor:
        cursor.execute("INSERT INTO ent (seq, code, no) VALUES (9, 'z', 9)")
        cursor.connection.rollback()
    ent.execute("CREATE TABLE IF NOT EXISTS other (id INT PRIMARY KEY)")
    ent.execute("REPLACE INTO other VALUES (1)")
    batches = list(feed(server).changes(start, lambda: False, 0.6))
    assert sum(batch.rows.num_rows for batch in batches) == 0
    assert batches[-1].position != start
    assert feed(server).lag(batches[-1].position).bytes == 0
    assert feed(server).lag(start).bytes > 0


def test_nothing_is_lost_or_left_over_while_writers_write(server, ent):
    feeding = feed(server)
    start = feeding.start()
    ended = threading.Event()

    def write(who):
        with session(server, autocommit=False) as cursor:
            for at in range(60):
                cursor.execute("INSERT INTO ent (seq, code, no) VALUES (%s, %s, %s)", (at, f"w{who}", at))
                if at % 3 == 0:
                    cursor.execute("DELETE FROM ent WHERE code = %s AND no = %s", (f"w{who}", at // 2))
                cursor.execute("UPDATE ent SET seq = seq + 100 WHERE code = %s AND no = %s", (f"w{who}", at // 3))
                (cursor.connection.rollback if at % 7 == 0 else cursor.connection.commit)()

    writers = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for writer in writers:
        writer.start()
    records, position = {}, start
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done = not any(writer.is_alive() for writer in writers)
        records, position = merged(
            records, server, position, wait=0.1, stop=ended.is_set
        )  # a follower that is started anew
        if done:
            break
    assert records == full(server)


def test_a_purged_log_asks_for_a_full_read(server, ent):
    start = feed(server).start()
    ent.execute("FLUSH BINARY LOGS")
    ent.execute("FLUSH BINARY LOGS")
    ent.execute("SHOW MASTER STATUS")
    newest = ent.fetchone()[0]
    until, first = time.monotonic() + 20, ""
    while first != newest and time.monotonic() < until:  # a log that a session just ended still holds is not purged
        ent.execute("PURGE BINARY LOGS TO %s", (newest,))
        ent.execute("SHOW BINARY LOGS")
        first = ent.fetchone()[0]
        time.sleep(0.05)
    with pytest.raises(SourceChanged, match="SRC-LOG-GONE"):
        list(feed(server).changes(start, lambda: False, 0.6))
    with pytest.raises(SourceChanged, match="SRC-LOG-GONE"):
        feed(server).lag(start)


def test_an_emptied_table_asks_for_a_full_read(server, ent):
    ent.execute("INSERT INTO ent (seq, code, no) VALUES (1, 'a', 1)")
    start = feed(server).start()
    ent.execute("TRUNCATE TABLE ent")
    with pytest.raises(SourceChanged, match="SRC-LOG-REBUILT"):
        list(feed(server).changes(start, lambda: False, 0.6))


def test_a_column_that_is_added_comes_with_the_next_change(server, ent):
    ent.execute("INSERT INTO ent (seq, code, no) VALUES (1, 'a', 1)")
    start = feed(server).start()
    batches = feed(server).changes(start, lambda: False, 3)
    ent.execute("UPDATE ent SET seq = 2")
    assert next(batch for batch in batches if batch.rows.num_rows).rows["seq"].to_pylist() == ["2"]
    ent.execute("ALTER TABLE ent ADD COLUMN 新 VARCHAR(9) FIRST")
    ent.execute("UPDATE ent SET 新 = '有'")
    later = next(batch for batch in batches if batch.rows.num_rows)
    assert (later.rows["新"].to_pylist(), later.rows["code"].to_pylist()) == (["有"], ["a"])
    batches.close()


def test_a_server_that_is_gone_is_unavailable(server, ent):
    start = feed(server).start()
    gone = server.url().replace(f":{server.port}/", ":9/")
    with pytest.raises(SourceUnavailable):
        list(feed(server, url=gone, connect_timeout=1).changes(start, lambda: False, 0.6))


def test_a_table_without_a_readable_key_cannot_be_followed(server, ent):
    ent.execute("CREATE OR REPLACE TABLE loose (id INT)")
    ent.execute("CREATE OR REPLACE TABLE old (名 VARCHAR(9) CHARSET gbk PRIMARY KEY)")  # and the log does not say gbk
    for table in ("loose", "old"):
        with pytest.raises(SourceError, match="SRC-LOG-KEY"):
            list(feed(server, table).changes(feed(server).start(), lambda: False, 0.6))


def test_the_check_says_what_to_ask_for(server, ent):
    assert all(line.ok for line in feed(server).check())
    ent.execute("CREATE OR REPLACE USER plain@'127.0.0.1' IDENTIFIED BY 'p'")
    ent.execute("GRANT SELECT ON test.* TO plain@'127.0.0.1'")
    lines = {
        line.name: line for line in feed(server, url=f"mysql+pymysql://plain:p@127.0.0.1:{server.port}/test").check()
    }
    assert "GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO 'plain'@'127.0.0.1'" in lines["replication"].en
    assert not lines["replication"].ok
    ent.execute("SET GLOBAL expire_logs_days = 1")
    try:
        (line,) = [line for line in feed(server).check() if line.warns]
    finally:
        ent.execute("SET GLOBAL expire_logs_days = 7")
    assert (line.name, line.ok) == ("retention", True)


def test_what_the_account_may_not_do_is_said_before_anything_is_read(server, ent):
    ent.execute("CREATE OR REPLACE USER part@'127.0.0.1' IDENTIFIED BY 'p'")
    ent.execute("GRANT SELECT ON test.* TO part@'127.0.0.1'")
    part = feed(server, url=f"mysql+pymysql://part:p@127.0.0.1:{server.port}/test")
    for missing in ("REPLICATION CLIENT, REPLICATION SLAVE", "REPLICATION CLIENT"):
        with pytest.raises(SourceRefused, match="SRC-LOG-UNREADY") as refused:
            part.start()
        statement = f"GRANT {missing} ON *.* TO 'part'@'127.0.0.1'"
        assert refused.value.en.endswith(statement)
        ent.execute("GRANT REPLICATION SLAVE ON *.* TO part@'127.0.0.1'")
    ent.execute(statement)  # exactly what is asked for is enough
    position = part.start()
    assert all(line.ok for line in part.check())
    assert part.lag(position).bytes is not None


def test_a_server_without_a_number_is_no_log_that_is_gone(server, ent, monkeypatch):
    # MariaDB takes no 0: what MySQL answers is put into its mouth.
    start = feed(server).start()
    said = mysql_check._variables
    monkeypatch.setattr(mysql_check, "_variables", lambda cursor: {**said(cursor), "server_id": "0"})
    (line,) = [line for line in feed(server).check() if not line.ok]
    assert line.name == "server id"
    assert "SET GLOBAL server_id = 1" in line.zh
    assert "SET GLOBAL server_id = 1" in line.en
    with pytest.raises(SourceRefused, match=r"SRC-LOG-UNREADY.*server_id"):
        feed(server).start()

    def refuses(*_, **__):
        raise pymysql.err.OperationalError(1236, "Misconfigured master - server id was not set")

    monkeypatch.setattr("pymysqlreplication.BinLogStreamReader", refuses)
    with pytest.raises(SourceRefused, match=r"SRC-LOG-SERVER-ID.*原处继续.*goes on from where it was"):
        list(feed(server).changes(start, lambda: False, 0.6))


def test_privileges_that_come_with_a_role_count(server, ent):
    ent.execute("CREATE OR REPLACE USER hers@'127.0.0.1' IDENTIFIED BY 'p'")
    ent.execute("CREATE OR REPLACE ROLE follows")
    ent.execute("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO follows")
    ent.execute("GRANT SELECT ON test.* TO hers@'127.0.0.1'")
    ent.execute("GRANT follows TO hers@'127.0.0.1'")
    ent.execute("SET DEFAULT ROLE follows FOR hers@'127.0.0.1'")
    hers = feed(server, url=f"mysql+pymysql://hers:p@127.0.0.1:{server.port}/test")
    assert {line.name: line.ok for line in hers.check()}["replication"]
    hers.start()
