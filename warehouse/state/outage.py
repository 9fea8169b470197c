"""Say in our words what goes wrong with the state database itself, wherever it is asked: one place for every engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from warehouse.errors import WarehouseError
from warehouse.faults import UnavailableError, full

# SQLSTATE of PostgreSQL, by its beginning, and the result codes of SQLite; what libpq finds out itself has words only.
_FULL, _LOCKED, _REFUSED = ("53100", 13), ("40001", "40P01", "55P03", "57014", 5, 6), ("28", "3D000", "42501")
_GONE, _DAMAGED = ("08", "57P", "53", "25006", "25P03"), (3, 8, 10, 11, 14, 26)
_REFUSED_SAYS = re.compile(r"authentication failed|no pg_hba|permission denied|does not exist", re.IGNORECASE)
_FILE = "file"  # where a pooled connection remembers which file it has open


class Queue(sa.pool.QueuePool):
    """The usual pool; when no connection comes back in time it says WH-STATE-LOCKED."""

    def connect(self) -> PoolProxiedConnection:
        """A connection, as soon as there is one."""
        try:
            return super().connect()
        except sa.exc.TimeoutError as error:
            raise _locked() from error


def explained(engine: sa.Engine) -> None:
    """Have every error of the engine's connections that is nobody's bug raised as a WarehouseError.

    WH-STATE-GONE, WH-STATE-LOCKED and WH-DISK-FULL may be retried: a transaction whose end nobody heard of either
    counts or does not, and the same call again finds out. WH-STATE-REFUSED and WH-STATE-DAMAGED need somebody. Of what
    the driver said nothing is repeated. Other errors pass as they are.
    """
    event.listen(engine, "handle_error", _told)


def followed(engine: sa.Engine, file: Path) -> None:
    """Have connections to a SQLite file notice when it is another file by now (a restore), or gone: WH-STATE-DAMAGED.

    Without that SQLite goes on writing into a file that was removed, or makes an empty one in its place.
    """
    seen: list[tuple[int, int]] = []

    def opening(*_about: object) -> None:
        if seen and not file.exists():
            raise _damaged()

    def opened(_connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info[_FILE] = _which(file)
        seen[:] = [entry.info[_FILE]]

    def lent(_connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if _which(file) != entry.info[_FILE]:
            raise sa.exc.DisconnectionError

    event.listen(engine, "do_connect", opening)
    event.listen(engine, "connect", opened)
    event.listen(engine, "checkout", lent)


def gone() -> UnavailableError:
    """The database does not answer, or stopped answering in the middle."""
    return UnavailableError(
        "WH-STATE-GONE",
        zh="状态数据库连接中断或无法访问",
        en="the state database cannot be reached, or went away in the middle",
        fix_zh="检查 SHUTONG_STATE_URL、数据库服务与网络后重新执行；已确认的内容不受影响，也不会重复计入",
        fix_en="Check SHUTONG_STATE_URL, the database server and the network, then run it again; what counts is safe"
        " and does not count twice",
    )


def _locked() -> UnavailableError:
    return UnavailableError(
        "WH-STATE-LOCKED",
        zh="状态数据库被其他进程占用，等待超时",
        en="others held the state database for too long",
        fix_zh="稍后重新执行；长期占用时检查是否有挂起的进程、备份或数据库会话",
        fix_en="Run it again later; when it lasts, look for a process, a backup or a database session that hangs",
    )


def _refused() -> WarehouseError:
    return WarehouseError(
        "WH-STATE-REFUSED",
        zh="状态数据库拒绝访问：账号或口令错误、数据库不存在或权限不足",
        en="the state database refuses access: a wrong account or password, no such database, or missing rights",
        fix_zh="核对 SHUTONG_STATE_URL 中的账号、口令与库名，以及该账号对库的权限",
        fix_en="Check account, password and database name in SHUTONG_STATE_URL, and what that account may do there",
    )


def _damaged() -> WarehouseError:
    return WarehouseError(
        "WH-STATE-DAMAGED",
        zh="状态数据库文件丢失、损坏或不可读写",
        en="the file of the state database is gone, damaged or may not be read and written",
        fix_zh="检查 SHUTONG_STATE_URL 所指文件、目录权限与磁盘；文件丢失或损坏时执行 shutong backup restore",
        fix_en="Check the file that SHUTONG_STATE_URL names, folder permissions and the disk; where it is gone or"
        " damaged use: shutong backup restore",
    )


def _told(context: sa.engine.ExceptionContext) -> None:
    # A ping that finds a connection dead is no failure: the pool opens another.
    if context.sqlalchemy_exception is None or context.is_pre_ping:
        return
    error = context.original_exception
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)  # psycopg; psycopg2
    result = getattr(error, "sqlite_errorcode", None)
    if sqlstate is None and result is None and context.connection is None and _REFUSED_SAYS.search(str(error)):
        raise _refused()
    if _is(_FULL, sqlstate, result):
        raise full("SHUTONG_STATE_URL")
    for codes, made in ((_LOCKED, _locked), (_REFUSED, _refused), (_DAMAGED, _damaged), (_GONE, gone)):
        if _is(codes, sqlstate, result):
            raise made()
    if context.is_disconnect or (context.connection is None and result is None):
        raise gone()


def _is(codes: Sequence[str | int], sqlstate: str | None, result: int | None) -> bool:
    """Whether one of these codes it is; the upper bytes of SQLite's only say more."""
    if sqlstate is not None:
        return sqlstate.startswith(tuple(one for one in codes if isinstance(one, str)))
    return result is not None and result & 0xFF in codes


def _which(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
