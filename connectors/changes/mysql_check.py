"""Whether a MySQL or MariaDB table can be followed by the binary log, found by trying, and what to ask the DBA for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from connectors.changes.mysql_log import Keyed, Place, read_log
from connectors.databases.mysql_session import Cursor, control
from connectors.errors import SourceError, SourceRefused
from schemas.values import Check

_KEPT = 3  # days a log should be kept at least
_DAY = 86_400


def checks(
    url: sa.URL, patience: float, keyed: Callable[[], Keyed], end: Callable[[Cursor], Place | None]
) -> list[Check]:
    """One line for each thing that following needs: the log, its form, how long it is kept, privileges, the key.

    `keyed` finds the table's key, or says why it has none; `end` is where the log ends, None: it cannot be known.
    Privileges are tried instead of read: they may come with a role, or go by another name.
    """
    with control(url, patience) as cursor:
        said = _variables(cursor)
    lines = [
        _line("log", said.get("log_bin") == "ON", "请对方开启 log_bin", "ask the DBA to turn log_bin on"),
        _line(
            "format",
            said.get("binlog_format") == "ROW",
            "请对方设置 binlog_format=ROW",
            "ask the DBA to set binlog_format=ROW",
        ),
        _line(
            "server id",
            said.get("server_id") != "0",
            "请对方设置 server_id 为非零且不与其他服务器相同的数（SET GLOBAL server_id = 1，并写入配置文件）："
            "为 0 时服务器不交出 binlog",
            "ask the DBA to set server_id to a number other than 0 that no other server has (SET GLOBAL server_id = 1,"
            " and in its configuration file): with 0 the server hands its binary log to nobody",
        ),
        _retention(_kept(said)),
    ]
    key = Check("key", ok=True, zh="可以", en="fine")
    table = Keyed("", "", ())
    try:
        table = keyed()
    except SourceError as error:
        key = Check("key", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")
    if said.get("log_bin") == "ON" and said.get("server_id") != "0":  # else no privilege would be enough
        lines.append(_privileges(url, patience, table, end))
    return [*lines, key]


def insist(lines: list[Check], table: str) -> None:
    """SRC-LOG-UNREADY, saying all there is to ask for, where one of the checks failed."""
    lost = [line for line in lines if not line.ok]
    if lost:
        raise SourceRefused(
            "SRC-LOG-UNREADY",
            zh=f"{table} 还不能按日志跟踪：{'；'.join(line.zh for line in lost)}",
            en=f"{table} cannot be followed by its log yet: {'; '.join(line.en for line in lost)}",
            fix_zh="由来源部门的 DBA 处理后再运行；也可改写 read: {mode: snapshot_diff}。尚未读取任何数据",
            fix_en="Run it again once the DBA has done so, or write read: {mode: snapshot_diff}. Nothing was read yet.",
        )


def _privileges(url: sa.URL, patience: float, table: Keyed, end: Callable[[Cursor], Place | None]) -> Check:
    missing: list[str] = []
    place: Place | None = None
    with control(url, patience) as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        account = "@".join(f"'{part}'" for part in str(cursor.fetchall()[0][0]).rsplit("@", 1))
    try:
        with control(url, patience) as cursor:
            cursor.execute("SHOW BINARY LOGS")
            last = cursor.fetchall()[-1]
            place = end(cursor) or Place(str(last[0]), int(last[1]))
    except SourceRefused:
        missing.append("REPLICATION CLIENT")
        with contextlib.suppress(SourceRefused), control(url, patience) as cursor:
            place = end(cursor)
    if place is None:
        missing.append("REPLICATION SLAVE")  # not known: it cannot be tried without the other
    else:
        try:
            with contextlib.closing(read_log(url, patience, table, place)) as log:
                next(log)
        except SourceRefused:
            missing.append("REPLICATION SLAVE")
    statement = f"GRANT {', '.join(missing)} ON *.* TO {account}"
    return _line("replication", not missing, f"请对方执行：{statement}", f"ask the DBA to run: {statement}")


def _retention(days: float | None) -> Check:
    if days is None or days >= _KEPT:
        return Check("retention", ok=True, zh="可以", en="fine")
    return Check(
        "retention",
        ok=True,
        zh=f"binlog 仅保留 {days:g} 天：停止更久就须重新完整读取；请对方保留至少 {_KEPT} 天",
        en=f"binary logs are kept for {days:g} days, after a longer stop everything is read again; "
        f"ask the DBA for at least {_KEPT}",
        warns=True,
    )


def _variables(cursor: Cursor) -> dict[str, str]:
    cursor.execute(
        "SHOW VARIABLES WHERE variable_name IN"
        " ('log_bin', 'binlog_format', 'server_id', 'expire_logs_days', 'binlog_expire_logs_seconds')"
    )
    return {str(row[0]).lower(): str(row[1]).upper() for row in cursor.fetchall()}


def _kept(said: Mapping[str, str]) -> float | None:
    """Days a log is kept; None: for ever."""
    seconds = float(said.get("binlog_expire_logs_seconds", "0")) or float(said.get("expire_logs_days", "0")) * _DAY
    return seconds / _DAY or None


def _line(name: str, ok: bool, zh: str, en: str) -> Check:  # noqa: FBT001 - the outcome
    return Check(name, ok=ok, zh="可以" if ok else zh, en="fine" if ok else en)
