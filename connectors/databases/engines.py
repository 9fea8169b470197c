"""Connect to a database through SQLAlchemy: read only, with a time limit on everything, errors explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import exc, pool
from sqlalchemy.engine.interfaces import DBAPIConnection

from connectors.databases.errors import driver_missing, explained
from connectors.databases.mysql_session import WHOLE, connect, spelt
from connectors.databases.patience import within
from connectors.databases.reader import ReaderOptions
from connectors.databases.silence import Waiting, within_silence
from connectors.errors import SourceUnavailable
from connectors.rows import ESCAPE

# Names that exist on some versions only are skipped. Values are written with all digits and dates in ISO form; a table
# read without an order comes in that of its storage each time, and takes one processor of the department's at most.
SETTINGS = """
SELECT set_config(s.name, s.value, false) FROM (VALUES
  ('default_transaction_read_only', 'on'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'),
  ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('idle_in_transaction_session_timeout', '0'),
  ('transaction_timeout', '0'), ('jit', 'off'), ('synchronize_seqscans', 'off'),
  ('max_parallel_workers_per_gather', '0'), ('statement_timeout', '{milliseconds}')
) AS s(name, value) WHERE s.name IN (SELECT name FROM pg_catalog.pg_settings)
"""

# What gives up by itself when a server accepts and then says nothing; others would wait as long as it stays so.
_LIMITED = ("pysqlite", "psycopg", "psycopg2", "pymysql")


@contextmanager
def connected(url: sa.URL, options: ReaderOptions) -> Iterator[sa.Connection]:
    """A connection of its own, closed afterwards; whatever the driver raises comes out as a SourceError."""
    engine = engine_for(url, options)
    try:
        try:
            connection = _connection(engine, options)
        except (exc.SQLAlchemyError, OSError) as error:
            raise explained(error, url, connecting=True) from None
        with connection:
            try:
                yield connection
            except exc.SQLAlchemyError as error:
                # The driver's own words may hold the password, so the chain ends here.
                raise explained(error, url, connecting=False) from None
    finally:
        engine.dispose()


def _connection(engine: sa.Engine, options: ReaderOptions) -> sa.Connection:
    if engine.driver in _LIMITED:
        return engine.connect()
    return within(2 * options.connect_timeout, engine.connect)


def engine_for(url: sa.URL, options: ReaderOptions) -> sa.Engine:
    """An engine that keeps no connections and writes nothing; SRC-DRIVER when its driver is not installed."""
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite(url)
        engine = sa.create_engine(
            url, poolclass=pool.NullPool, hide_parameters=True, connect_args=_limits(url, options)
        )
    except (exc.NoSuchModuleError, ImportError) as error:
        raise driver_missing(url, error) from error
    if engine.dialect.name == "postgresql":
        settings = SETTINGS.format(milliseconds=int(options.statement_timeout * 1000))

        def settle(connection: DBAPIConnection, _record: object) -> None:
            cursor = connection.cursor()
            try:
                cursor.execute(settings)
            finally:
                cursor.close()
            connection.commit()

        if engine.driver == "psycopg":
            sa.event.listen(engine, "do_connect", _impatient(options.silence_timeout))
        sa.event.listen(engine, "connect", settle)
    if engine.driver == "pymysql":
        sa.event.listen(engine, "do_connect", lambda _dialect, _record, words, named: connect(*words, **named))
    if engine.dialect.name == "oracle":
        limit = int(options.silence_timeout * 1000)
        sa.event.listen(engine, "connect", lambda connection, _record: setattr(connection, "call_timeout", limit))
    return engine


def _impatient(silence: float) -> Callable[..., DBAPIConnection]:
    """Connect as the dialect does, but watched from the first word on: the dialect itself asks the server things."""

    def connect(dialect: sa.Dialect, _record: object, words: list[Any], named: dict[str, Any]) -> DBAPIConnection:
        connection = dialect.connect(*words, **named)
        within_silence(silence, cast("Waiting", connection))
        return connection

    return connect


def _limits(url: sa.URL, options: ReaderOptions) -> dict[str, object]:
    """How each driver is told to give up; what the URL says itself goes before."""
    connect, silence = max(1, round(options.connect_timeout)), max(1, round(options.silence_timeout))
    known: dict[str, dict[str, object]] = {
        "psycopg": libpq_arguments(options),
        "psycopg2": libpq_arguments(options),
        "pymysql": {
            "connect_timeout": connect,
            "read_timeout": silence,
            "write_timeout": silence,
            "init_command": WHOLE,
            **spelt(url),
        },
        "oracledb": {"tcp_connect_timeout": float(connect)},
        "pymssql": {"login_timeout": connect, "timeout": round(options.statement_timeout)},
    }
    return {name: value for name, value in known.get(url.get_driver_name(), {}).items() if name not in url.query}


def libpq_arguments(options: ReaderOptions) -> dict[str, object]:
    """What libpq is told: a peer that is gone is noticed within about a minute."""
    return {
        "connect_timeout": max(2, round(options.connect_timeout)),
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "application_name": "shutong",
        "client_encoding": "utf8",  # a database without an encoding would else answer in bytes
    }


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or not Path(url.database).is_file():
        raise SourceUnavailable(
            "SRC-SQL-UNAVAILABLE",
            zh=f"找不到数据库文件 {url.database}",
            en=f"the database file {url.database} does not exist",
            fix_zh="请更正 connections.yaml 中的 url，或先生成该库",
            fix_en="Correct url in connections.yaml, or create the database first.",
        )
    # Read only, and never created by looking at it.
    file = url.set(database=f"file:{Path(url.database).resolve()}").update_query_dict({"mode": "ro", "uri": "true"})
    engine = sa.create_engine(file, poolclass=pool.NullPool, hide_parameters=True)
    sa.event.listen(engine, "connect", _forgive)
    return engine


def _forgive(connection: DBAPIConnection, _record: object) -> None:
    """SQLite stores any bytes as text; carry the undecodable ones instead of failing the whole read."""
    connection.text_factory = lambda raw: raw.decode("utf-8", ESCAPE)
