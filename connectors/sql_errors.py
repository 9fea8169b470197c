"""Say what a database error means for whoever runs the pull, without the password that may stand in it."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy import exc

from connectors.errors import SourceError, SourceRefused, SourceUnavailable

_REFUSED_STATES = ("28", "42501")  # SQLSTATE: invalid authorization, insufficient privilege
# Where a driver gives no SQLSTATE (psycopg while connecting, oracledb, PyMySQL, pymssql, dmPython).
_REFUSED = re.compile(
    r"password authentication failed|no password supplied|role .* does not exist|no pg_hba\.conf entry"
    r"|\b104[45]\b|\b1142\b|access denied|ora-01017|ora-28000|ora-01031|login failed|\b18456\b"
    r"|permission denied|用户名或密码|口令|权限",
    re.IGNORECASE,
)
# What SQLite and MySQL also call an operational error, though no waiting mends it.
_WRONG = re.compile(r"no such (column|table|function)|syntax error|misuse of|\b1054\b|\b1146\b", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]+@")


def scrub(message: str, password: str) -> str:
    """The message without the password in any spelling, on one line."""
    for spelling in {password, quote(password, safe=""), quote_plus(password), repr(password)[1:-1]} - {""}:
        message = message.replace(spelling, "***")
    return " ".join(_URL_PASSWORD.sub(r"\1:***@", message).split())


def explained(error: Exception, url: sa.URL, *, connecting: bool) -> SourceError:
    """The right SourceError for what the driver raised while `connecting`, or while reading."""
    said = scrub(str(getattr(error, "orig", None) or error), str(url.password or ""))
    system = url.render_as_string(hide_password=True)
    state = str(getattr(getattr(error, "orig", None), "sqlstate", "") or "")
    if state.startswith(_REFUSED_STATES) or _REFUSED.search(said):
        return SourceRefused(
            "SRC-SQL-REFUSED",
            zh=f"{system} 拒绝登录或没有权限：{said}",
            en=f"{system} refuses the login or the privilege: {said}",
            fix_zh="请向来源部门核对账号、密码和只读权限；不会自动重试，以免锁定账号",
            fix_en="Check account, password and read privilege with the department; not retried, to lock no account.",
        )
    down = isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError)
    if not _WRONG.search(said) and (connecting or down or getattr(error, "connection_invalidated", False)):
        return SourceUnavailable(
            "SRC-SQL-UNAVAILABLE",
            zh=f"暂时无法读取 {system}：{said}",
            en=f"{system} cannot be read now: {said}",
            fix_zh="稍后会重试；若持续，请检查地址、端口、网络和数据库是否运行",
            fix_en="It will be tried again; if it persists check address, port, network and that the database runs.",
        )
    return SourceError(
        "SRC-SQL-QUERY",
        zh=f"{system} 无法执行查询：{said}",
        en=f"{system} cannot run the query: {said}",
        fix_zh="请检查资源文件中的 where、columns 与 cursor",
        fix_en="Check where, columns and cursor in the resource file.",
    )


def driver_missing(url: sa.URL, error: Exception) -> SourceError:
    """SRC-SQL-DRIVER: the Python driver of this kind of database is not installed, or the dialect is unknown."""
    return SourceError(
        "SRC-SQL-DRIVER",
        zh=f"没有 {url.drivername} 的驱动：{error}",
        en=f"there is no driver for {url.drivername}: {error}",
        fix_zh="请安装该数据库的 Python 驱动，或更正 connections.yaml 中的 url",
        fix_en="Install the Python driver of this database, or correct url in connections.yaml.",
    )
