"""Say what a database error means for whoever runs the pull, without the password that may stand in it."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy import exc

from connectors.errors import SourceChanged, SourceError, SourceRefused, SourceUnavailable

_REFUSED_STATES = ("28", "42501")  # SQLSTATE: invalid authorization, insufficient privilege
_DOWN_STATES = ("08", "53", "57P", "58")  # connection lost, resources, shutting down or starting up, input and output
_TIMEOUT_STATES = ("57014", "HYT00")  # the server ended the statement
_GONE_STATES = ("42P01",)  # undefined table
# SQLite, MySQL and Oracle say by words or number that a table is not there.
_GONE = re.compile(r"no such table|\b1146\b|ora-00942|invalid object name", re.IGNORECASE)
_TIMEOUT = re.compile(r"\b3024\b|\b1969\b|max_statement_time exceeded|maximum statement execution time", re.IGNORECASE)
# Where a driver gives no SQLSTATE (psycopg while connecting, oracledb, PyMySQL, pymssql, dmPython).
_REFUSED = re.compile(
    r"password authentication failed|no password supplied|role .* does not exist|no pg_hba\.conf entry"
    r"|\b104[45]\b|\b1142\b|access denied|ora-01017|ora-28000|ora-01031|login failed|\b18456\b"
    r"|permission denied|用户名或密码|口令|权限",
    re.IGNORECASE,
)
# What SQLite and MySQL also call an operational error, though no waiting mends it.
_WRONG = re.compile(r"no such (column|table|function)|syntax error|misuse of|\b1054\b|\b1146\b", re.IGNORECASE)
# Which optional part of Shutong brings the drivers of a database.
_EXTRAS = {
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "oracle": "oracle",
    "mssql": "sqlserver",
    "dm": "dameng",
    "gbase8s": "gbase",
    "opengauss": "opengauss",
}
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]+@")


def scrub(message: str, password: str) -> str:
    """The message without the password in any spelling, on one line."""
    for spelling in {password, quote(password, safe=""), quote_plus(password), repr(password)[1:-1]} - {""}:
        message = message.replace(spelling, "***")
    return " ".join(_URL_PASSWORD.sub(r"\1:***@", message).split())


def explained(error: Exception, url: sa.URL, *, connecting: bool) -> SourceError:
    """The right SourceError for what the driver or SQLAlchemy raised while `connecting`, or while reading."""
    original = getattr(error, "orig", None) or error
    said = scrub(str(original), str(url.password or ""))
    system = url.render_as_string(hide_password=True)
    state = str(getattr(original, "sqlstate", "") or "")
    if state.startswith(_REFUSED_STATES) or _REFUSED.search(said):
        return SourceRefused(
            "SRC-SQL-REFUSED",
            zh=f"{system} 拒绝登录或没有权限：{said}",
            en=f"{system} refuses the login or the privilege: {said}",
            fix_zh="请向来源部门核对账号、密码和只读权限；不会自动重试，以免锁定账号",
            fix_en="Check account, password and read privilege with the department; not retried, to lock no account.",
        )
    if state.startswith(_TIMEOUT_STATES) or _TIMEOUT.search(said):
        return SourceUnavailable(
            "SRC-SQL-TIMEOUT",
            zh=f"{system} 中断了查询，超过时限：{said}",
            en=f"{system} ended the query, it took too long: {said}",
            fix_zh="稍后会重试；若总是超时，请加大 source.timeouts.statement，或请对方提高语句时限",
            fix_en="It will be tried again; if it always takes too long raise source.timeouts.statement, or ask the "
            "department for a longer statement timeout.",
        )
    if state in _GONE_STATES or _GONE.search(said):
        return SourceChanged(
            "SRC-CHANGED",
            zh=f"{system} 中的表在读取时已不存在：{said}",
            en=f"a table was no longer in {system} when it was read: {said}",
            fix_zh="请与来源部门确认是否改名或正在重建，再重新运行",
            fix_en="Ask the department whether it was renamed or is being rebuilt; then run it again.",
        )
    down = isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError)
    lost = state.startswith(_DOWN_STATES) or getattr(error, "connection_invalidated", False)
    if lost or (not _WRONG.search(said) and (connecting or down)):
        return SourceUnavailable(
            "SRC-SQL-UNAVAILABLE",
            zh=f"暂时无法读取 {system}：{said}",
            en=f"{system} cannot be read now: {said}",
            fix_zh="稍后会重试；若持续，请检查地址、端口、网络和数据库是否运行、是否在维护",
            fix_en="It will be tried again; if it persists check address, port, network and that the database runs and "
            "is not under maintenance.",
        )
    return SourceError(
        "SRC-SQL-QUERY",
        zh=f"{system} 无法执行查询：{said}",
        en=f"{system} cannot run the query: {said}",
        fix_zh="请检查资源文件中的 where、columns 与 cursor",
        fix_en="Check where, columns and cursor in the resource file.",
    )


def driver_missing(url: sa.URL, error: Exception | None = None, extra: str = "") -> SourceError:
    """SRC-DRIVER: the Python driver of this kind of database is not installed, or the dialect is unknown.

    `extra` is the optional part of Shutong that brings it; by default the one that fits the URL.
    """
    extra = extra or _EXTRAS.get(url.get_backend_name(), "")
    install = f"pip install 'shutong[{extra}]'"
    return SourceError(
        "SRC-DRIVER",
        zh=f"没有 {url.drivername} 的驱动：{error or extra}",
        en=f"there is no driver for {url.drivername}: {error or extra}",
        fix_zh=f"请运行 {install}" if extra else "请安装该数据库的 Python 驱动，或更正 connections.yaml 中的 url",
        fix_en=f"Run {install}."
        if extra
        else "Install the Python driver of this database, or correct url in connections.yaml.",
    )
