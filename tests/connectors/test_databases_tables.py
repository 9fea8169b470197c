"""Tables come out as the exact text of their values, whole or by a cursor, and each failure says whether to retry."""

import contextlib
import datetime as dt
import pickle
import socket
import sqlite3
import struct
import threading
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import SourceChanged, SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.databases.cursor import lowered, recalled, remembered
from connectors.databases.values import text
from schemas.values import RAW_COLUMNS, Position

PASSWORD = "s3cr&t/密"


class Vault:
    def get(self, name):
        return {"registry_password": PASSWORD}[name]


def made(tmp_path, *statements, rows=()):
    path = tmp_path / "registry.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)
        for statement, values in rows:
            db.execute(statement, values)
    return path


def source(path, **options):
    return open_source("sql", {"kind": "sql", "table": "ent", **options}, {"url": f"sqlite:///{path}"}, Vault())


def read(src, split=None):
    batches = list(src.read(split or src.plan(None)[0]))
    assert batches[-1].position is not None
    assert all(batch.position is None for batch in batches[:-1])
    return pa.Table.from_batches([batch.rows for batch in batches]), batches[-1].position


def received(tab):
    return [tuple(row[n] for n in tab.column_names if n not in RAW_COLUMNS) for row in tab.to_pylist()]


ENT = "create table ent (id integer primary key, 名 text, code varchar(18), est date, cap numeric(18,2), note blob)"


def test_values_come_as_exact_text_in_key_order(tmp_path):
    path = made(
        tmp_path,
        ENT,
        rows=[
            ("insert into ent values (2, ?, '330127199001011234', '2020-05-00', 1.1, x'00ff')", ("𠮷野家，\n１",)),
            ("insert into ent values (1, null, '007', '2020-02-30', 123456789012345678, null)", ()),
        ],
    )
    tab, position = read(source(path))
    assert tab.column_names == ["id", "名", "code", "est", "cap", "note", *RAW_COLUMNS]
    assert received(tab) == [
        ("1", None, "007", "2020-02-30", "123456789012345678", None),
        ("2", "𠮷野家，\n１", "330127199001011234", "2020-05-00", "1.1", "00ff"),
    ]
    assert tab["_row"].to_pylist() == [1, 2]
    assert tab["_reject"].null_count == 2
    assert position == Position({})


def test_chosen_columns_and_the_managers_own_where_are_kept_to(tmp_path):
    path = made(
        tmp_path,
        'create table ent (id int primary key, "a b""c" text, t text)',
        "insert into ent values (1, 'x', '12:30'), (2, 'y:z', '%:1')",
    )
    src = source(path, columns=['a b"c'], where="t like '%:1' or t = ':none'")
    assert received(read(src)[0]) == [("y:z",)]
    assert src.estimate() == 1
    assert received(src.preview(5)) == [("y:z",)]


def test_a_float_in_an_identifier_column_is_rejected_and_shown(tmp_path):
    path = made(
        tmp_path,
        "create table ent (k integer primary key, id)",
        "insert into ent values (1, 330127199001011234.0), (2, '33012719900101123X'), (3, 33)",
    )
    tab, _ = read(source(path, identifiers=["id"]))
    assert tab["_reject"].to_pylist() == ["float_id", None, None]
    assert "3.3012719900101126e+17" in tab["_detail"][0].as_py()
    assert tab["_line"][0].as_py() == '{"k": "1", "id": "3.3012719900101126e+17"}'
    assert received(tab)[1:] == [("2", "33012719900101123X"), ("3", "33")]


def test_undecodable_text_rejects_its_row_alone(tmp_path):
    path = made(
        tmp_path,
        "create table ent (k integer primary key, n text)",
        "insert into ent values (1, cast(x'd5c5ff' as text)), (2, '好')",
    )
    tab, _ = read(source(path))
    assert tab["_reject"].to_pylist() == ["bad_bytes", None]
    assert received(tab) == [("1", "\\xD5\\xC5\\xFF"), ("2", "好")]


def test_bytes_may_be_read_as_gb18030(tmp_path):
    path = made(
        tmp_path,
        "create table ent (k integer primary key, n blob)",
        rows=[("insert into ent values (1, ?)", ("王镕𠮷".encode("gb18030"),))],
    )
    assert received(read(source(path, bytes="gb18030"))[0]) == [("1", "王镕𠮷")]


def test_a_missing_table_names_the_nearest_and_what_there_is(tmp_path):
    path = made(tmp_path, "create table e_baseinfo (id int)", "create table other (id int)")
    src = source(path, table="e_base_info")
    with pytest.raises(SourceChanged, match=r"e_base_info.*e_baseinfo, other.*Nearest: e_baseinfo") as caught:
        read(src)
    assert not caught.value.retryable
    assert [(line.name, line.ok) for line in src.check()] == [("login", True), ("table", False)]
    assert [stream.name for stream in src.discover()] == ["e_baseinfo", "other"]


@pytest.mark.parametrize(
    "options",
    [{"columns": ["id", "uniscid"]}, {"cursor": "uniscid"}, {"identifiers": ["uniscid"]}, {"order_by": ["uniscid"]}],
)
def test_a_missing_or_renamed_column_names_the_nearest(tmp_path, options):
    path = made(tmp_path, "create table ent (id int, uniscid_new text)")
    with pytest.raises(SourceChanged, match=r"uniscid; it has: id, uniscid_new.*Nearest: uniscid_new"):
        source(path, **options).preview()


def test_an_empty_table_gives_its_columns_and_no_rows(tmp_path):
    tab, _ = read(source(made(tmp_path, ENT)))
    assert tab.num_rows == 0
    assert tab.column_names[:2] == ["id", "名"]


def test_a_wrong_where_is_an_error_nobody_retries(tmp_path):
    with pytest.raises(SourceError, match=r"SRC-SQL-QUERY.*no such column") as caught:
        read(source(made(tmp_path, ENT), where="nonsense = 1"))
    assert not caught.value.retryable


def test_a_missing_database_file_is_not_created_by_looking(tmp_path):
    src = source(tmp_path / "none.db")
    with pytest.raises(SourceUnavailable, match=r"none\.db"):
        src.preview()
    assert not (tmp_path / "none.db").exists()
    assert [line.ok for line in src.check()] == [False]


GROWING = "create table ent (id integer primary key, at datetime)"


def test_a_cursor_reads_the_lag_again_and_never_skips_a_late_or_empty_one(tmp_path):
    path = made(
        tmp_path, GROWING, "insert into ent values (1, '2026-01-01 10:00:00'), (2, '2026-01-01 12:00:00'), (3, null)"
    )
    src = source(path, cursor={"column": "at", "lag": "1h"})
    tab, position = read(src)
    assert [row[0] for row in received(tab)] == ["1", "2", "3"]
    made(tmp_path, "insert into ent values (4, '2026-01-01 11:30:00'), (5, '2026-01-01 13:00:00')")
    [split] = src.plan(position)
    made(tmp_path, "insert into ent values (6, '2026-01-01 14:00:00')")
    tab, position = read(src, split)
    assert [row[0] for row in received(tab)] == ["2", "3", "4", "5"]
    tab, _ = read(src, src.plan(position)[0])
    assert [row[0] for row in received(tab)] == ["2", "3", "5", "6"]


def test_a_cursor_that_is_null_throughout_is_said_to_hold_nothing(tmp_path):
    path = made(tmp_path, GROWING, "insert into ent values (1, null), (2, null)")
    lines = {line.name: line for line in source(path, cursor={"column": "at", "lag": "0s"}).check()}
    assert (lines["cursor"].ok, lines["cursor"].warns) == (True, True)
    assert "every row is read each time" in lines["cursor"].en
    assert "0s" not in lines["cursor"].zh
    assert (lines["read"].zh[-5:], lines["read"].en[-22:]) == ("读到第一行", "its first row was read")


@pytest.mark.parametrize("lag", ["1h", "0s"])
def test_a_mistyped_year_hides_no_later_change(tmp_path, lag):
    path = made(tmp_path, GROWING, "insert into ent values (1, '2026-01-01 10:00:00'), (2, '2926-01-01 10:00:00')")
    src = source(path, cursor={"column": "at", "lag": lag})
    tab, position = read(src)
    assert [row[0] for row in received(tab)] == ["1", "2"]
    made(tmp_path, "insert into ent values (3, '2026-01-01 11:30:00')")
    [split] = src.plan(position)
    assert {"2", "3"} <= {row[0] for row in received(read(src, split)[0])}
    poisoned = Position({"high": remembered("2926-01-01 10:00:00")})
    [split] = src.plan(poisoned)
    assert [row[0] for row in received(read(src, split)[0])] == ["1", "2", "3"]


def test_without_lag_there_is_nothing_to_read_until_the_cursor_moves(tmp_path):
    path = made(tmp_path, GROWING, "insert into ent values (1, '2026-01-01 10:00:00')")
    src = source(path, cursor={"column": "id", "lag": 0})
    _, position = read(src)
    assert src.plan(position) == []
    made(tmp_path, "insert into ent values (2, null)")
    [split] = src.plan(position)
    assert [row[0] for row in received(read(src, split)[0])] == ["1", "2"]


@pytest.mark.parametrize(
    ("value", "lag", "low"),
    [
        ("2026-01-01 00:05:00", None, "2025-12-31 23:55:00"),
        ("20260101", "1d", "20251231"),
        ("2026/01/01", "10m", "2025/12/31"),
        (dt.date(2026, 1, 2), "10m", dt.date(2026, 1, 1)),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "2h", dt.datetime(2025, 12, 31, 22, tzinfo=dt.UTC)),
        (5_000, None, 4_000),
        (Decimal(5), "2", Decimal(3)),
        ("v17", "0s", "v17"),
    ],
)
def test_a_bound_is_written_as_the_table_writes_it(value, lag, low):
    assert lowered(value, lag) == low
    assert recalled(remembered(value)) == value


@settings(max_examples=100)
@given(
    st.one_of(
        st.integers(), st.text(), st.dates(), st.datetimes(timezones=st.just(dt.UTC)), st.decimals(allow_nan=False)
    )
)
def test_a_remembered_cursor_value_is_recalled_exactly(value):
    assert recalled(remembered(value)) == value


def test_driver_values_become_exact_text():
    assert text(Decimal("12345678901234567890.120"), "hex") == "12345678901234567890.120"
    assert text(Decimal("1E+3"), "hex") == "1000"
    assert text(0.1 + 0.2, "hex") == "0.30000000000000004"
    assert text(dt.datetime(2020, 1, 2, 3, 4, 5), "hex") == "2020-01-02 03:04:05"  # noqa: DTZ001
    assert text(dt.date(2020, 1, 2), "hex") == "2020-01-02"
    assert text(True, "hex") == "true"
    assert text(memoryview(b"\x01"), "hex") == "01"
    assert text({"名": 1}, "hex") == '{"名": 1}'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tabel": "ent"}, r"source\.tabel.*did you mean table"),
        ({"table": None}, r"source\.table"),
        ({"columns": [1]}, r"source\.columns"),
        ({"cursor": {"column": "id", "lag": "soon"}}, r"source\.cursor\.lag.*10m"),
        ({"cursor": {"col": "id"}}, r"source\.cursor\.col.*column, lag"),
        ({"bytes": "gbk"}, r"source\.bytes.*gb18030"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(tmp_path, options, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        source(tmp_path, **options)


def postgres(port):
    connection = {
        "url": f"postgresql+psycopg://exchange@127.0.0.1:{port}/registry",
        "password_secret": "registry_password",
    }
    return open_source("sql", {"table": "ent"}, connection, Vault())


def test_an_unreachable_database_may_be_retried_and_its_error_holds_no_password():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE") as caught:
        postgres(port).preview()
    assert caught.value.retryable
    assert PASSWORD not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def _refuse(listener):
    """Speak as much of PostgreSQL's protocol as a refused login needs; quote the password as a careless server might."""
    for _ in range(4):
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client:
                while True:
                    (length,) = struct.unpack("!I", client.recv(4))
                    if client.recv(length - 4)[:4] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
                        client.sendall(b"N")
                        continue
                    break
                words = f"password authentication failed for user exchange with {PASSWORD}".encode()
                fields = b"SFATAL\0VFATAL\0C28P01\0M" + words + b"\0\0"
                client.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)


def test_a_wrong_password_is_refused_never_retried_and_never_shown():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_refuse, args=(listener,), daemon=True).start()
        src = postgres(listener.getsockname()[1])
        with pytest.raises(SourceRefused, match="SRC-SQL-REFUSED") as caught:
            src.preview()
        [line] = src.check()
    assert not caught.value.retryable
    assert "password authentication failed" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not line.ok
    assert PASSWORD not in line.zh + line.en


def test_a_missing_secret_is_named():
    with pytest.raises(SourceError, match=r"SRC-SECRET.*other"):
        open_source("sql", {"table": "t"}, {"url": "sqlite:///x", "password_secret": "other"}, Vault())


def test_a_missing_driver_or_dialect_is_named():
    src = open_source("sql", {"table": "t"}, {"url": "nosuch+driver://h/x"}, Vault())
    with pytest.raises(SourceError, match=r"SRC-DRIVER.*nosuch"):
        src.preview()


def grown(path, column, **cursor):
    """What one read after another brings: a function of the statements done before it."""
    kept = {}

    def step(*statements):
        made(path.parent, *statements)
        src = source(path, columns=["id", column], cursor={"column": column, **cursor})
        ids = []
        for split in src.plan(Position(kept) if kept else None):
            for batch in src.read(split):
                ids += batch.rows["id"].to_pylist()
                kept.update(batch.position.cursor if batch.position else {})
        return [int(one) for one in ids]

    return step


@pytest.mark.parametrize("odd", ["N/A", "不详", "", "-", "99999999", "２０２６", "0000-00-00 00:00:00"])
def test_text_that_is_no_time_stops_no_cursor_and_is_not_lost(tmp_path, odd):
    path = made(tmp_path, "create table ent (id integer primary key, t text)")
    step = grown(path, "t", lag="10m")
    assert step("insert into ent values (1, '2026-01-01 00:00:00'), (2, '2026-01-02 00:00:00')") == [1, 2]
    assert 3 in step(f"insert into ent values (3, '{odd}')")
    assert 4 in step("insert into ent values (4, '2026-01-03 00:00:00')")
    later = step("insert into ent values (5, '2026-01-04 00:00:00')")
    assert {4, 5} <= set(later)
    assert 2 not in later


def test_a_cursor_of_text_that_is_no_time_goes_on_without_a_lag(tmp_path):
    path = made(tmp_path, "create table ent (id integer primary key, t text)")
    step = grown(path, "t", lag="0s")
    assert step("insert into ent values (1, 'v001'), (2, 'v002')") == [1, 2]
    assert step("insert into ent values (3, 'v003')") == [2, 3]
