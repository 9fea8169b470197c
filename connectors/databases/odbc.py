"""Read a table through an ODBC driver, the server writing the text of everything a driver might change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from connectors.databases.errors import driver_missing
from connectors.databases.odbc_fetch import Odbc
from connectors.databases.reader import ReaderOptions
from connectors.databases.sqlserver_columns import as_text as sqlserver_text
from connectors.databases.values import unhexed
from connectors.options import wrong

# How a connection string says what the URL says. psqlodbc would fetch everything before the first row, and cut texts.
_STRINGS: Mapping[str, str] = {
    "postgresql": "Driver={{PostgreSQL Unicode}};Server={host};Port={port};Database={database};"
    "MaxLongVarcharSize=0;UseDeclareFetch=1;Fetch=10000;ReadOnly=1;",
    "mysql": "Driver={{MariaDB Unicode}};Server={host};Port={port};Database={database};NO_CACHE=1;FORWARDONLY=1;",
    "mssql": "Driver={{ODBC Driver 18 for SQL Server}};Server={host},{port};Database={database};"
    "TrustServerCertificate=yes;",
}
_STRINGS = {**_STRINGS, "mariadb": _STRINGS["mysql"]}
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433}
_LENGTH = {"mssql": lambda column: sa.func.datalength(column) / 2}
_LONG = (sa.Text, sa.LargeBinary)
_FIXED = (sa.CHAR, sa.NCHAR)


def open_reader(url: sa.URL, options: ReaderOptions) -> OdbcReader:
    """The reader of the database at `url`; SRC-OPTION where only a connection string can say how to get there."""
    if find_spec("arrow_odbc") is None:
        raise driver_missing(url, extra="odbc")
    return OdbcReader(url, Odbc(connection_string(url), url, options))


def connection_string(url: sa.URL) -> str:
    """What an ODBC driver is told of `url`, account and password left out."""
    kind = url.get_backend_name()
    if kind not in _STRINGS:
        raise wrong(
            "source.reader",
            f"不能是 odbc：{kind} 没有通用的连接串，请改用 kind: odbc 并写明 connect",
            f"cannot be odbc: there is no common connection string for {kind}; use kind: odbc and write connect",
            ("auto", "native", "sqlalchemy"),
        )
    parts = {"host": url.host or "127.0.0.1", "port": url.port or _PORTS[kind], "database": url.database or ""}
    return _STRINGS[kind].format(**{name: braced(str(part)) for name, part in parts.items()})


def braced(value: str) -> str:
    """A value as a connection string holds it, so that nothing in it is taken for another setting."""
    return "{" + value.replace("}", "}}") + "}" if any(mark in value for mark in ";{}[]()=,?*!@ ") else value


@dataclass(frozen=True, slots=True)
class OdbcReader:
    """Rows through arrow-odbc."""

    url: sa.URL
    source: Odbc

    def selected(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        """As text by the server; a text without a declared length is marked as such, so that `rows` looks how long."""
        write = _WRITE.get(self.url.get_backend_name(), _as_mysql)
        return write(column, kind)

    def rows(self, statement: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows of `statement`: see `Reader.rows`."""
        columns = list(statement.selected_columns)
        names = [str(column.name) for column in columns]
        long = [name for name, column in zip(names, columns, strict=True) if isinstance(column.type, _LONG)]
        raw = [name for name, column in zip(names, columns, strict=True) if isinstance(column.type, sa.LargeBinary)]
        longest = self.source.number(self._text(_lengths(statement, self.url.get_backend_name(), long))) if long else 0
        for batch in self.source.rows(self._text(statement), names, longest):
            if not raw or self.source.options.bytes == "hex":
                yield batch
            else:
                arrays = [
                    unhexed(each) if name in raw and pa.types.is_string(each.type) else each
                    for name, each in zip(names, batch.columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, names=names)

    def _text(self, statement: sa.Select[Any]) -> str:
        # ODBC's own parameters are texts, which not every server compares with a time.
        dialect = self.url.get_dialect()(paramstyle="named")  # type: ignore[call-arg]
        return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _lengths(statement: sa.Select[Any], kind: str, names: list[str]) -> sa.Select[Any]:
    """How long the longest value of each of the columns is, in characters."""
    limited = statement._limit_clause is not None  # noqa: SLF001 - sorting matters only then
    inner = (statement if limited else statement.order_by(None)).subquery()
    length: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]] = _LENGTH.get(kind, sa.func.char_length)
    return sa.select(*(sa.func.max(length(inner.c[name])).label(f"n{at}") for at, name in enumerate(names)))


def _as_postgres(column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    if isinstance(kind, sa.LargeBinary | postgresql.BYTEA):
        return sa.func.encode(column, sa.literal("hex", sa.String), type_=sa.LargeBinary()).label(column.name)
    if isinstance(kind, _FIXED) and kind.length:
        return column  # a cast would cut the padding
    return sa.cast(column, sa.Text).label(column.name)


def _as_mysql(column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    if isinstance(kind, sa.LargeBinary):
        return sa.func.lower(sa.func.hex(column), type_=sa.LargeBinary()).label(column.name)
    if isinstance(kind, sa.String) and not isinstance(kind, sa.Enum):
        return sa.type_coerce(column, sa.Text if not kind.length else sa.String).label(column.name)
    return sa.cast(column, sa.CHAR).label(column.name)


_WRITE: Mapping[str, Callable[[sa.ColumnClause[Any], sa.types.TypeEngine[Any]], sa.ColumnElement[Any]]] = {
    "postgresql": _as_postgres,
    "mssql": sqlserver_text,
}
