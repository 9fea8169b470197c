"""SQL Server without a server: what it is asked, how its answers become text, and how it is reached."""

import contextlib
import socket
import sys

import mssql_python
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql

from connectors import SourceError, SourceUnavailable
from connectors.databases import sqlserver
from connectors.databases.reader import ReaderOptions
from connectors.databases.sqlserver import _DIALECT, _texts, connection_string
from connectors.databases.sqlserver_columns import as_text

URL = sa.engine.make_url("mssql+pymssql://me@db.gov/aic").set(password="s;e}c")


def sql(element):
    return str(element.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize(
    ("kind", "expression"),
    [
        (mssql.BIGINT(), "c"),
        (mssql.BIT(), "c"),
        (mssql.FLOAT(), "c"),
        (mssql.REAL(), "c"),
        (mssql.VARCHAR(20), "c"),
        (mssql.NVARCHAR(), "c"),
        (mssql.VARBINARY("max"), "c"),
        (mssql.TIMESTAMP(), "c"),
        (mssql.DECIMAL(38, 10), "convert(varchar(45), c)"),
        (mssql.MONEY(), "convert(varchar(30), c, 2)"),
        (mssql.DATE(), "convert(varchar(10), c, 23)"),
        (mssql.DATETIME(), "convert(varchar(40), c, 121)"),
        (mssql.DATETIME2(7), "convert(varchar(40), c, 121)"),
        (mssql.DATETIMEOFFSET(7), "convert(varchar(40), c, 121)"),
        (mssql.SMALLDATETIME(), "convert(varchar(40), c, 121)"),
        (mssql.TIME(7), "convert(varchar(40), c, 121)"),
        (mssql.UNIQUEIDENTIFIER(), "convert(char(36), c)"),
        (mssql.SQL_VARIANT(), "convert(nvarchar(4000), c, 121)"),
        (mssql.XML(), "convert(nvarchar(max), c)"),
        (mssql.NTEXT(), "convert(nvarchar(max), c)"),
        (sa.types.NullType(), "convert(nvarchar(max), c)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_server_writes_each_type_as_text(kind, expression):
    made = as_text(sa.column("c"), kind)
    assert sql(made) == expression
    assert made.name == "c"


def test_the_query_keeps_conditions_order_and_limit():
    table = sa.table("企业", sa.column("id"), sa.column("fee"), schema="dbo")
    selected = [as_text(table.c.id, mssql.BIGINT()), as_text(table.c.fee, mssql.MONEY())]
    where = sa.literal_column("(名称 LIKE N'杭州%' OR id = 5)")
    statement = sa.select(*selected).where(where).where(table.c.id >= sa.literal(7, sa.BigInteger))
    assert " ".join(sql(statement.order_by(table.c.id).limit(20)).split()) == (
        "SELECT TOP 20 dbo.[企业].id, convert(varchar(30), dbo.[企业].fee, 2) AS fee FROM dbo.[企业] "
        "WHERE (名称 LIKE N'杭州%' OR id = 5) AND dbo.[企业].id >= 7 ORDER BY dbo.[企业].id"
    )


def test_what_comes_is_text_or_bytes():
    batch = pa.record_batch(
        {
            "a": pa.array([-9223372036854775808, None], pa.int64()),
            "b": pa.array([True, None]),
            "c": pa.array([0.1, 1.2345678901234567e300]),
            "d": pa.array(["𠮷㐂", ""], pa.large_string()),
            "e": pa.array([b"\xff\x00", None], pa.large_binary()),
        }
    )
    assert _texts(batch, list("vwxyz")).to_pydict() == {
        "v": ["-9223372036854775808", None],
        "w": ["1", None],
        "x": ["0.1", "1.2345678901234567e+300"],
        "y": ["𠮷㐂", ""],
        "z": [b"\xff\x00", None],
    }


def test_half_a_character_is_a_reject_that_names_the_column():
    offsets = pa.py_buffer(b"\x00\x00\x00\x00\x02\x00\x00\x00\x05\x00\x00\x00")
    broken = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"ok\xed\xa0\xbd"))
    got = _texts(pa.record_batch({"a": broken}), ["名称"]).to_pydict()
    assert got["名称"] == ["ok", "\\xED\\xA0\\xBD"]
    assert got["_reject"] == [None, "bad_bytes"]
    assert "名称" in got["_detail"][1]


def test_the_address_becomes_what_the_driver_is_told():
    assert connection_string(URL).startswith("Server=db.gov,1433;Database=aic;UID=me;PWD={s;e}}c};Encrypt=optional;")
    assert "Encrypt=yes" in connection_string(URL.update_query_dict({"encryption": "require"}))


class StandIn:
    """What the driver's connection would do, with what was asked of it."""

    def __init__(self, batches):
        self.batches, self.asked, self.closed = batches, [], False

    def cursor(self):
        return contextlib.nullcontext(self)

    def execute(self, query):
        self.asked.append(query)

    def arrow_reader(self, size):
        return contextlib.nullcontext(pa.RecordBatchReader.from_batches(self.batches[0].schema, self.batches[1:]))

    def close(self):
        self.closed = True


@pytest.mark.parametrize("rows", [[], ["企业𠮷㐂", None]])
def test_a_read_gives_what_the_driver_fetched_and_one_batch_of_nothing(monkeypatch, rows):
    head = pa.record_batch({"x": pa.array([], pa.string())})
    server = StandIn([head, *([pa.record_batch({"x": pa.array(rows, pa.string())})] if rows else [])])
    monkeypatch.setattr(mssql_python, "connect", lambda asked, **limits: server)
    (batch,) = sqlserver.open_reader(URL, ReaderOptions()).rows(sa.select(sa.column("名称")).limit(5))
    assert batch.to_pydict() == {"名称": rows}
    assert server.asked == ["SELECT TOP 5 [名称]"]
    assert server.timeout == 21_600
    assert server.closed


def test_a_port_that_refuses_or_says_nothing_may_be_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        for each in (refusing, silent):
            reader = sqlserver.open_reader(
                URL.set(host="127.0.0.1", port=each.getsockname()[1]), ReaderOptions(connect_timeout=1)
            )
            with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE") as caught:
                list(reader.rows(sa.select(sa.column("a"))))
            assert "s;e}c" not in str(caught.value)


def test_without_the_driver_the_exact_command_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "mssql_python", None)
    with pytest.raises(SourceError, match="SRC-DRIVER") as caught:
        list(sqlserver.open_reader(URL, ReaderOptions()).rows(sa.select(sa.column("a"))))
    assert "pip install 'shutong[sqlserver]'" in caught.value.fix_en
