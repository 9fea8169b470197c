"""Choose how a table is read: the fastest driver that is installed for this kind of database, or SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import sqlalchemy as sa

from connectors.databases import alchemy, mysql
from connectors.databases.errors import driver_missing
from connectors.databases.reader import Reader, ReaderOptions

READERS = ("auto", "native", "odbc", "sqlalchemy")


@dataclass(frozen=True, slots=True)
class _Native:
    """Where the reader of a kind of database is, the driver it needs, and the optional part that brings it."""

    module: str
    driver: str
    extra: str


_MYSQL = _Native("connectors.databases.mysql", "pymysql", "mysql")
_NATIVE: Mapping[str, _Native] = {
    "postgresql": _Native("connectors.databases.postgres", "psycopg", "postgres"),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "oracle": _Native("connectors.databases.oracle", "oracledb", "oracle"),
    "mssql": _Native("connectors.databases.sqlserver", "mssql_python", "sqlserver"),
}
_ODBC = _Native("connectors.databases.odbc", "arrow_odbc", "odbc")


@dataclass(frozen=True, slots=True)
class Choice:
    """The reader that was chosen, its name, and what a data manager should know of it (None: nothing)."""

    reader: Reader
    name: str
    note: tuple[str, str] | None = None  # zh, en


def chosen(url: sa.URL, want: str, options: ReaderOptions) -> Choice:
    """The reader for `url`; `want` is one of READERS. SRC-DRIVER when the wanted one cannot be had."""
    if want == "sqlalchemy":
        return Choice(_by_rows(url, options), "sqlalchemy")
    native = _ODBC if want == "odbc" else _NATIVE.get(url.get_backend_name())
    if native is not None and _there(native.driver) and _there(native.module):
        opened: Callable[[sa.URL, ReaderOptions], Reader] = import_module(native.module).open_reader
        return Choice(opened(url, options), native.driver)
    if want != "auto":
        raise driver_missing(url, extra=native.extra if native else "")
    slow = _by_rows(url, options)
    if native is None or not _there(native.module):
        return Choice(slow, "sqlalchemy")
    install = f"pip install 'shutong[{native.extra}]'"
    zh = f"未安装更快的驱动 {native.driver}，改用 SQLAlchemy 逐行读取；运行 {install} 可快数倍"
    en = f"the faster driver {native.driver} is not installed, rows are read through SQLAlchemy; "
    return Choice(slow, "sqlalchemy", (zh, f"{en}{install} makes it several times faster"))


def _by_rows(url: sa.URL, options: ReaderOptions) -> Reader:
    """Row by row; drivers of MySQL round and choke where the server's own text does not."""
    if _NATIVE.get(url.get_backend_name()) is _MYSQL and _there("pymysql"):
        return mysql.open_reader(url, options)
    return alchemy.open_reader(url, options)


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
