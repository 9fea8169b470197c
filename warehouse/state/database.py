"""Open and migrate the state database: a SQLite file by default, PostgreSQL when several machines share it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from warehouse.errors import WarehouseError
from warehouse.state import outage

BUSY_MS = 30_000
# What libpq is told: nobody waits for a machine that is gone. Seconds, but for the count.
ALIVE = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_LIBPQ = ("psycopg", "psycopg2")
_MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY = 0x53_68_75_74  # any number, the same in every process: one writer of releases or migrations at a time
_REVISION, _BEFORE = (re.compile(rf"^{name} = (.+)$", re.MULTILINE) for name in ("revision", "down_revision"))
_NAMES = re.compile(r"\"([^\"]+)\"")
_one_migration = threading.Lock()  # Alembic's context is a global of the process


def open_engine(url: str) -> sa.Engine:
    """An engine over the URL; SQLite gets WAL, foreign keys, a busy timeout and transactions that lock at BEGIN.

    What goes wrong with the database itself is raised as outage.explained says.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        patient = ALIVE if parsed.get_driver_name() in _LIBPQ else {}
        engine = sa.create_engine(parsed, poolclass=outage.Queue, pool_pre_ping=True, connect_args=patient)
        outage.explained(engine)
        return engine
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    file = parsed.database and parsed.database != ":memory:" and not parsed.database.startswith("file:")
    pool = {"poolclass": outage.Queue} if file else {}
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_MS / 1000}, **pool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    outage.explained(engine)
    if file and parsed.database:
        outage.followed(engine, Path(parsed.database))
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # sqlite3 must not begin by itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another wrote meanwhile: lock at BEGIN.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection for reading only: on SQLite it neither waits for writers nor holds them up."""
    with engine.execution_options(reading=True).connect() as connection:
        yield connection


@contextmanager
def serialised(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that no other `serialised` one overlaps, over all processes."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY)))
        yield connection


def migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest revision of every branch; safe when several processes start at once.

    WH-STATE-NEWER when it has revisions this version does not know: one never goes back by itself.
    """
    if _is_newest(engine):
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with _one_migration, serialised(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "heads")
        except CommandError as error:
            raise WarehouseError(
                "WH-STATE-NEWER",
                zh=f"状态数据库由更新的版本写过：{error}",
                en=f"the state database was written by a newer version: {error}",
                fix_zh="请安装写过它的版本或更新的版本；要退回旧版本，请从升级前的备份恢复",
                fix_en="Install the version that wrote it or a newer one; to go back, restore the backup made before"
                " the upgrade",
            ) from error


def _is_newest(engine: sa.Engine) -> bool:
    """True when nothing is to be migrated; that is seen without the tool that migrates, and holds up no writer."""
    with reading(engine) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return False
        return heads() == set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))


@cache
def heads() -> frozenset[str]:
    """The newest revision of every branch of the migrations this version has."""
    texts = [path.read_text(encoding="utf-8") for path in (_MIGRATIONS / "versions").glob("*.py")]
    before = {one for text in texts for one in _NAMES.findall(_BEFORE.findall(text)[0])}
    return frozenset(_NAMES.findall(_REVISION.findall(text)[0])[0] for text in texts) - before
