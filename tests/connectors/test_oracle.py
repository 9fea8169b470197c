"""Oracle without a server: what it is asked, how its answers become text, and what is said when it does not answer."""

import contextlib
import datetime as dt
import gc
import socket
import sys
from types import SimpleNamespace

import oracledb
import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors import SourceError, SourceUnavailable
from connectors.databases import oracle
from connectors.databases.errors import explained
from connectors.databases.oracle import _Columns, _Said, _text
from connectors.databases.oracle_columns import Wired, bytewise, written
from connectors.databases.reader import ReaderOptions
from connectors.errors import SourceChanged, SourceRefused

URL = sa.engine.make_url("oracle+oracledb://me:secret9@db.gov:1521/?service_name=aic")
TABLE = sa.table("e_baseinfo", sa.column("pripid"), sa.column("名称"), sa.column("estdate"), schema="aic")


@pytest.mark.parametrize(
    ("kind", "expression"),
    [
        ("NUMBER", "TO_CHAR(c, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')"),
        ("VARCHAR", "c"),
        ("BINARY_DOUBLE", "c"),
        ("RAW", "c"),
        ("DATE", "LTRIM(TO_CHAR(c, 'SYYYY-MM-DD HH24:MI:SS'))"),
        ("TIMESTAMP", "RTRIM(LTRIM(TO_CHAR(c, 'SYYYY-MM-DD HH24:MI:SS.FF')), '.')"),
        ("TIMESTAMP_TZ", "REPLACE(LTRIM(TO_CHAR(c, 'SYYYY-MM-DD HH24:MI:SS.FF TZH:TZM')), '. ', ' ')"),
        ("INTERVAL_DS", "TO_CHAR(c)"),
        ("XMLTYPE", "XMLSERIALIZE(CONTENT c AS CLOB)"),
        ("JSON", "JSON_SERIALIZE(c RETURNING CLOB)"),
        ("CLOB", "CASE WHEN DBMS_LOB.GETLENGTH(c) <= 9 THEN c END"),
    ],
)
def test_the_server_writes_each_type_as_text(kind, expression):
    made = written("c", Wired(kind, 100), raw=False, most=9)
    assert made.parts == (expression,)
    assert not made.lost


def test_every_type_the_driver_knows_has_a_way():
    for name in dir(oracledb):
        if name.startswith("DB_TYPE_"):
            assert written("c", Wired(name.removeprefix("DB_TYPE_")), raw=False, most=9).parts


def test_text_of_a_database_that_does_not_know_its_encoding_comes_as_bytes():
    assert bytewise("ZHS16GBK", "gb18030") is None
    assert bytewise("AL32UTF8", "hex") is None
    assert bytewise("US7ASCII", "gb18030") == "gb18030"
    assert bytewise("US7ASCII", "hex") == "ascii"
    assert bytewise("WE8ISO8859P1", "gb18030") == "gb18030"
    assert bytewise("WE8ISO8859P1", "hex") is None
    assert written("c", Wired("VARCHAR", 200), raw=True, most=9).parts == ("UTL_RAW.CAST_TO_RAW(c)",)
    assert written("c", Wired("NVARCHAR", 200), raw=True, most=9).parts == ("c",)
    long = written("c", Wired("VARCHAR", 4000), raw=True, most=9)
    assert long.parts == ("UTL_RAW.CAST_TO_RAW(SUBSTRB(c, 1, 2000))", "UTL_RAW.CAST_TO_RAW(SUBSTRB(c, 2001, 2000))")


def test_the_query_keeps_conditions_order_and_limit_and_hands_values_over_apart():
    where = sa.literal_column("(regorg LIKE '3301%' AND estdate > TO_DATE('01:02', 'HH24:MI'))")
    moment = dt.datetime.fromisoformat("2026-01-02 03:04:05")
    statement = sa.select(*TABLE.c).where(where).where(TABLE.c.estdate <= sa.bindparam("high", moment))
    made = _Columns(
        ["pripid", "名称", "estdate"], [Wired("NUMBER"), Wired("VARCHAR", 4000), Wired("DATE")], "gb18030", 9
    )
    query, values = _text(made.written(statement.order_by(TABLE.c.pripid).limit(20)))
    assert " ".join(query.split()) == (
        "SELECT TO_CHAR(aic.e_baseinfo.pripid, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''') AS c0_0, "
        'UTL_RAW.CAST_TO_RAW(SUBSTRB(aic.e_baseinfo."名称", 1, 2000)) AS c1_0, '
        'UTL_RAW.CAST_TO_RAW(SUBSTRB(aic.e_baseinfo."名称", 2001, 2000)) AS c1_1, '
        "LTRIM(TO_CHAR(aic.e_baseinfo.estdate, 'SYYYY-MM-DD HH24:MI:SS')) AS c2_0 FROM aic.e_baseinfo "
        "WHERE (regorg LIKE '3301%' AND estdate > TO_DATE('01:02', 'HH24:MI')) AND aic.e_baseinfo.estdate <= :high "
        "ORDER BY aic.e_baseinfo.pripid FETCH FIRST 20 ROWS ONLY"
    )
    assert values["high"] == moment


def fetched(wires, columns, encoding=None, most=9):
    names = list(columns)
    made = _Columns(names, wires, encoding, most)
    made.written(sa.select(*map(sa.column, names)))
    arrays = [array for each in columns.values() for array in each]
    return made.batch(pa.table(arrays, names=[f"c{at}" for at in range(len(arrays))])).to_pydict()


def test_numbers_get_back_the_zero_oracle_leaves_out():
    column = {"n": [["330100199001011234", ".5", "-.05", "10.5", None]]}
    assert fetched([Wired("NUMBER")], column) == {"n": ["330100199001011234", "0.5", "-0.05", "10.5", None]}


def test_gbk_in_a_database_of_seven_bits_is_read_in_pieces_cut_anywhere():
    text = "企业𠮷㐂名称".encode("gb18030")
    pieces = [[text[:3], None, b"\xff\xfe"], [text[3:], None, None]]
    got = fetched([Wired("VARCHAR", 4000)], {"名称": [pa.array(each, pa.binary()) for each in pieces]}, "gb18030")
    assert got["名称"] == ["企业𠮷㐂名称", None, "\\xFF\\xFE"]
    assert got["_reject"] == [None, None, "bad_bytes"]
    assert "名称" in got["_detail"][2]


def test_bytes_in_a_database_of_seven_bits_are_rejects_that_say_what_to_write():
    got = fetched([Wired("VARCHAR", 40)], {"名称": [pa.array([b"abc", "王".encode("gbk")], pa.binary())]}, "ascii")
    assert got["名称"] == ["abc", "\\xCD\\xF5"]
    assert got["_reject"] == [None, "bad_bytes"]
    assert got["_detail"][1].count("bytes: gb18030") == 2


def test_floats_keep_the_shortest_text_that_reads_back_the_same():
    column = pa.array([0.1, 1.2345678901234567e300, float("nan")], pa.float64())
    assert fetched([Wired("BINARY_DOUBLE")], {"f": [column]})["f"] == ["0.1", "1.2345678901234567e+300", "nan"]


def test_a_value_too_long_or_of_no_readable_type_is_a_reject_that_names_it():
    wires = [Wired("CLOB"), Wired("OBJECT", named="SDO_GEOMETRY")]
    got = fetched(wires, {"note": [["ok", None], pa.array([None, "12"])], "shape": [[None, None]]})
    assert got["_reject"] == [None, "field_size"]
    assert "note" in got["_detail"][1]
    assert "12" in got["_detail"][1]
    got = fetched(wires, {"note": [["ok", None], pa.nulls(2, pa.string())], "shape": [["SDO_GEOMETRY", None]]})
    assert got["shape"] == [None, None]
    assert got["_reject"] == ["type_unreadable", None]
    assert "SDO_GEOMETRY" in got["_detail"][0]


def test_batches_are_small_where_values_may_be_large():
    assert _Columns(["a"], [Wired("CLOB")], None, 9).rows(1 << 23) == 500
    assert _Columns(["a"], [Wired("NUMBER", 22)], None, 9).rows(1 << 23) == 20_000
    assert _Columns([f"c{at}" for at in range(1000)], [Wired("VARCHAR", 4000)] * 1000, None, 9).rows(1 << 23) == 65


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        ("ORA-01017", SourceRefused, False),
        ("ORA-01031", SourceRefused, False),
        ("ORA-00942", SourceChanged, False),
        ("ORA-01555", SourceUnavailable, True),
        ("ORA-03113", SourceUnavailable, True),
        ("ORA-12514", SourceUnavailable, True),
        ("DPY-4024", SourceUnavailable, True),
        ("ORA-00904", SourceError, False),
    ],
)
def test_what_oracle_says_is_told_by_whether_waiting_helps(code, kind, retryable):
    class Detail:
        full_code = code

        def __str__(self):
            return f"{code}: something about secret9"

    error = explained(_Said(oracledb.DatabaseError(Detail())), URL, connecting=False)
    assert type(error) is kind
    assert error.retryable is retryable
    assert "secret9" not in str(error)


def test_a_server_too_old_for_the_thin_driver_is_pointed_to_odbc():
    error = oracle.open_reader(URL, ReaderOptions())._refused(oracledb.NotSupportedError("DPY-3010: too old"))
    assert error.code == "SRC-ORACLE-OLD"
    assert "kind: odbc" in error.fix_en


class StandIn:
    """What the driver's connection would do, with what was asked of it."""

    def __init__(self):
        self.asked, self.closed, self.description = [], False, None

    def cursor(self):
        return contextlib.nullcontext(self)

    def execute(self, query):
        self.asked.append(query)

    def fetchone(self):
        return ("AL32UTF8",)

    def parse(self, query):
        kinds = (oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_CLOB)
        self.description = [SimpleNamespace(type_code=kind, type=kind, internal_size=22) for kind in kinds]

    def fetch_df_batches(self, query, values, size):
        self.asked.append(query)
        for rows in ([".5", "2"], []):
            texts = ["企业𠮷㐂", "x"][: len(rows)]
            yield pa.table(
                [rows, pa.array(texts, pa.large_string()), pa.nulls(len(rows), pa.string())], names=list("abc")
            )

    def close(self):
        self.closed = True


def test_a_read_asks_what_the_columns_are_and_changes_nothing(monkeypatch):
    server, logins = StandIn(), []
    monkeypatch.setattr(oracledb, "connect", lambda **login: (logins.append(login), server)[1])
    table = sa.table("e", sa.column("id"), sa.column("note"))
    (batch,) = oracle.open_reader(URL, ReaderOptions()).rows(sa.select(*table.c).order_by(table.c.id).limit(5))
    assert batch.to_pydict() == {"id": ["0.5", "2"], "note": ["企业𠮷㐂", "x"]}
    assert (logins[0]["user"], logins[0]["password"], logins[0]["tcp_connect_timeout"]) == ("me", "secret9", 10.0)
    assert "SERVICE_NAME=aic" in logins[0]["dsn"]
    assert "SET TRANSACTION READ ONLY" in server.asked
    assert server.asked[-1].endswith("ORDER BY e.id\n FETCH FIRST 5 ROWS ONLY")
    assert server.call_timeout == 600_000
    assert server.closed


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_port_that_refuses_or_says_nothing_may_be_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        for each in (refusing, silent):
            reader = oracle.open_reader(
                URL.set(host="127.0.0.1", port=each.getsockname()[1]), ReaderOptions(connect_timeout=0.5)
            )
            with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE") as caught:
                list(reader.rows(sa.select(*TABLE.c)))
            assert "secret9" not in str(caught.value)
    gc.collect()


def test_without_the_driver_the_exact_command_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "oracledb", None)
    with pytest.raises(SourceError, match="SRC-DRIVER") as caught:
        list(oracle.open_reader(URL, ReaderOptions()).rows(sa.select(*TABLE.c)))
    assert "pip install 'shutong[oracle]'" in caught.value.fix_en
