"""Locks that bind all machines: advisory locks of the PostgreSQL database they share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

import sqlalchemy as sa

from warehouse.faults import UnavailableError
from warehouse.lock import Still
from warehouse.state.database import ALIVE
from warehouse.state.outage import gone


class AdvisoryLocks:
    """Locks by name in a database; whoever holds one has a connection of its own for as long.

    The server lets go of a lock when its connection ends, and that ends when the process or its machine does.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=ALIVE)

    @contextmanager
    def hold(self, name: str) -> Iterator[Still]:
        """See Locks. WH-LOCK-LOST when the database let go of it before the block ended."""
        number = int.from_bytes(hashlib.sha256(f"shutong:{name}".encode()).digest()[:8], signed=True)
        with closing(self._taken(number)) as connection:
            try:
                yield partial(_still, connection, name)
            finally:
                kept = self._given_back(connection, number)
        if not kept:
            raise _lost(name)

    def _taken(self, number: int) -> sa.Connection:
        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.select(sa.func.pg_advisory_lock(number)))
        except sa.exc.OperationalError as error:
            raise gone() from error
        return connection

    @staticmethod
    def _given_back(connection: sa.Connection, number: int) -> bool:
        with suppress(sa.exc.SQLAlchemyError):
            return bool(connection.execute(sa.select(sa.func.pg_advisory_unlock(number))).scalar())
        return False


def _still(connection: sa.Connection, name: str) -> None:
    try:
        connection.execute(sa.select(1))
    except sa.exc.SQLAlchemyError as error:
        raise _lost(name) from error


def _lost(name: str) -> UnavailableError:
    return UnavailableError(
        "WH-LOCK-LOST",
        zh=f"数据库在操作结束前释放了锁 {name}，可能有其他进程同时在处理",
        en=f"the database let go of the lock {name} before the work was done: others may have worked, too",
        fix_zh="重新运行：已完成的步骤不会重复",
        fix_en="Run it again: steps that are done are not done twice",
    )
