"""Log in to MySQL or MariaDB through PyMySQL, with a time limit on every answer, errors explained."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

from connectors.databases.errors import explained

# No result ends, without a word, after as many rows as the server's manager may have set for everybody.
WHOLE = f"SET SESSION sql_select_limit = {2**63 - 1}"


class Cursor(Protocol):
    """What is used of a PyMySQL cursor."""

    _result: Any

    def execute(self, query: str, arguments: object = None) -> object:
        """Run one statement."""
        ...

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        """All rows of the result."""
        ...


def login(url: sa.URL, patience: float) -> dict[str, Any]:
    """What PyMySQL is given for `url`, its TLS options too; logging in and each answer may take `patience` seconds."""
    known = MySQLDialect_pymysql().create_connect_args(url)[1]
    limits = {name: max(1, round(patience)) for name in ("connect_timeout", "read_timeout", "write_timeout")}
    return {"host": "127.0.0.1", **limits, **known, **spelt(url), "charset": "utf8mb4", "autocommit": True}


def spelt(url: sa.URL) -> dict[str, bytes]:
    """The password as the bytes the server knows it by; PyMySQL itself would take Latin-1, and die on 密码."""
    return {"password": url.password.encode()} if url.password is not None else {}


def connect(*words: Any, **named: Any) -> Any:  # noqa: ANN401 - a driver's
    """What `pymysql.connect` gives; what TLS needs where no certificate is asked for is made once: 30 ms each."""
    return _connection()(*words, **named)


@functools.cache
def _connection() -> Callable[..., Any]:
    from pymysql.connections import Connection  # type: ignore[import-untyped]

    ready: list[object] = []

    class Quick(Connection):  # type: ignore[misc]
        def _create_ssl_ctx(self, wanted: dict[str, object]) -> object:
            if wanted:
                return super()._create_ssl_ctx(wanted)
            if not ready:
                ready.append(super()._create_ssl_ctx(wanted))
            return ready[0]

    return Quick


@contextlib.contextmanager
def control(url: sa.URL, patience: float) -> Iterator[Cursor]:
    """A cursor of a short connection; what the server refuses or does not answer is a SourceError."""
    import pymysql  # type: ignore[import-untyped]

    connecting = True
    try:
        with connect(**login(url, patience)) as connection, connection.cursor() as cursor:
            connecting = False
            yield cursor
    except (pymysql.err.Error, OSError) as error:
        raise explained(wrapped(error), url, connecting=connecting) from None


def wrapped(error: Exception) -> Exception:
    """What PyMySQL or its socket raised as SQLAlchemy would, which is what `explained` knows."""
    import pymysql

    # A socket read without PyMySQL says by itself that the connection was reset, broken or silent.
    if isinstance(error, pymysql.err.OperationalError | pymysql.err.InterfaceError | OSError):
        return exc.OperationalError("", None, error)
    return exc.DatabaseError("", None, error) if isinstance(error, pymysql.err.Error) else error
