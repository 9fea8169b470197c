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
# The numbers of servers without SQLSTATE, by the names their manuals give them. A number counts only where the driver
# hands it over as one, or writes it as one: a port, a count of rows or a value in the message may look alike.
_MYSQL = {
    "refused": {
        1044: "ER_DBACCESS_DENIED_ERROR",
        1045: "ER_ACCESS_DENIED_ERROR",
        1142: "ER_TABLEACCESS_DENIED_ERROR",
        1143: "ER_COLUMNACCESS_DENIED_ERROR",
        1227: "ER_SPECIFIC_ACCESS_DENIED_ERROR",
    },
    "timeout": {1969: "ER_STATEMENT_TIMEOUT", 3024: "ER_QUERY_TIMEOUT"},
    "gone": {1146: "ER_NO_SUCH_TABLE"},
    "wrong": {1054: "ER_BAD_FIELD_ERROR", 1064: "ER_PARSE_ERROR", 1146: "ER_NO_SUCH_TABLE"},
}
_SQL_SERVER = {
    "refused": {18456: "LOGON_FAILED", 229: "PERMISSION_DENIED", 916: "NO_ACCESS_TO_DATABASE"},
    "gone": {208: "INVALID_OBJECT_NAME"},
}
_NUMBERED = re.compile(r"\berror[\s:]+(\d+)\b|^\((\d+),", re.IGNORECASE)  # ERROR 1045 (28000): …; (1045, "…")
# SQLite, MySQL and Oracle say in words that a table is not there.
_GONE = re.compile(r"no such table|ora-00942|invalid object name", re.IGNORECASE)
_TIMEOUT = re.compile(r"max_statement_time exceeded|maximum statement execution time", re.IGNORECASE)
# Where a driver gives no SQLSTATE (psycopg while connecting, oracledb, PyMySQL, pymssql, dmPython).
_REFUSED = re.compile(
    r"password authentication failed|no password supplied|role .* does not exist|no pg_hba\.conf entry"
    r"|access denied|ora-01017|ora-28000|ora-01031|login failed"
    r"|permission denied|用户名或密码|口令|权限",
    re.IGNORECASE,
)
# What SQLite and MySQL also call an operational error, though no waiting mends it.
_WRONG = re.compile(r"no such (column|table|function)|syntax error|misuse of", re.IGNORECASE)
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
    state, means = str(getattr(original, "sqlstate", "") or ""), _meaning(original, url)
    if state.startswith(_REFUSED_STATES) or "refused" in means or _REFUSED.search(said):
        return SourceRefused(
            "SRC-SQL-REFUSED",
            zh=f"{system} 拒绝登录或没有权限：{said}",
            en=f"{system} refuses the login or the privilege: {said}",
            fix_zh="请向来源部门核对账号、密码和只读权限；不会自动重试，以免锁定账号",
            fix_en="Check account, password and read privilege with the department; not retried, to lock no account.",
        )
    if state.startswith(_TIMEOUT_STATES) or "timeout" in means or _TIMEOUT.search(said):
        return SourceUnavailable(
            "SRC-SQL-TIMEOUT",
            zh=f"{system} 中断了查询，超过时限：{said}",
            en=f"{system} ended the query, it took too long: {said}",
            fix_zh="稍后会重试；若总是超时，请加大 source.timeouts.statement，或请对方提高语句时限",
            fix_en="It will be tried again; if it always takes too long raise source.timeouts.statement, or ask the "
            "department for a longer statement timeout.",
        )
    if state in _GONE_STATES or "gone" in means or _GONE.search(said):
        return SourceChanged(
            "SRC-CHANGED",
            zh=f"{system} 中的表在读取时已不存在：{said}",
            en=f"a table was no longer in {system} when it was read: {said}",
            fix_zh="请与来源部门确认是否改名或正在重建，再重新运行",
            fix_en="Ask the department whether it was renamed or is being rebuilt; then run it again.",
        )
    down = isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError)
    lost = state.startswith(_DOWN_STATES) or getattr(error, "connection_invalidated", False)
    if lost or (not ("wrong" in means or _WRONG.search(said)) and (connecting or down)):
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


def _meaning(original: object, url: sa.URL) -> set[str]:
    """What the number of the error means in the database of `url`; nothing where it has none, or another meaning."""
    known = {"mysql": _MYSQL, "mariadb": _MYSQL, "mssql": _SQL_SERVER}.get(url.get_backend_name(), {})
    first = original.args[0] if isinstance(original, Exception) and original.args else None
    written = _NUMBERED.search(str(original)) if not isinstance(first, int) else None
    number = first if isinstance(first, int) else int(written[1] or written[2]) if written else None
    return {meaning for meaning, numbers in known.items() if number in numbers}


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
