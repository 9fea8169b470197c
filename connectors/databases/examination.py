"""Ask a departmental database about itself: privileges, clock, encoding, load; and say what to ask its DBA for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from schemas.values import Check

SKEW = 5.0  # seconds a source's clock may differ from ours before cursors on its time are in doubt
_UTF8 = ("UTF8", "UTF-8", "AL32UTF8", "UTF8MB4", "UTF8MB3")


def examined(connection: sa.Connection) -> list[Check]:
    """One line for each thing asked; what a database does not answer, or the account may not ask, is left out.

    A line is not ok where rows may be missed or damaged: a clock that is off, an encoding that is none. Advice warns.
    """
    asked = _ASKED.get(connection.dialect.name)
    return list(asked(connection)) if asked else []


def active_sessions(connection: sa.Connection) -> int | None:
    """Sessions at work besides ours; None where the account may not see them or the database cannot say."""
    query = _ACTIVE.get(connection.dialect.name)
    found = _row(connection, query) if query else None
    return int(found[0]) if found and found[0] is not None else None


def _row(connection: sa.Connection, query: str) -> Sequence[Any] | None:
    """The first row, or None when the database refuses: a savepoint keeps the transaction usable."""
    try:
        with connection.begin_nested():
            return connection.execute(sa.text(query)).first()
    except exc.SQLAlchemyError:
        return None


def _clock(there: dt.datetime | None) -> Iterator[Check]:
    """`there` is the database's UTC time, naive."""
    if there is None:
        return
    here = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    off = (there - here).total_seconds()
    if abs(off) <= SKEW:
        yield Check("clock", ok=True, zh=f"时钟相差 {off:+.1f} 秒", en=f"its clock is {off:+.1f} s off ours")
        return
    yield Check(
        "clock",
        ok=False,
        zh=f"来源库时钟与本机相差 {off:+.0f} 秒；请来源部门校时，否则按时间增量读取可能遗漏",
        en=f"its clock is {off:+.0f} s off ours; ask the DBA to set it, or reading by time may miss rows",
    )


def _encoding(name: str) -> Check:
    ok = name.upper().replace("_", "-") in _UTF8 or name.upper() in _UTF8
    if ok:
        return Check("encoding", ok=True, zh=f"字符集 {name}", en=f"encoding {name}")
    zh = f"字符集 {name} 存不下全部姓名用字；若库内实为 GBK 字节，请在资源文件写 bytes: gb18030"
    en = f"encoding {name} cannot hold every character of names; if it really holds GBK bytes write bytes: gb18030"
    return Check("encoding", ok=name.upper() not in ("US7ASCII", "SQL_ASCII", "ASCII"), zh=zh, en=en, warns=True)


def _rights(writes: Sequence[str]) -> Check:
    if not writes:
        return Check("privileges", ok=True, zh="账号只读", en="the account may only read")
    may = ", ".join(writes)
    zh = f"账号权限过大（{may}）；建议请来源部门改为只读账号"
    en = f"the account may do more than read ({may}); ask for a read-only one"
    return Check("privileges", ok=True, zh=zh, en=en, warns=True)


def _postgresql(connection: sa.Connection) -> Iterator[Check]:
    now = _row(connection, "SELECT clock_timestamp() AT TIME ZONE 'UTC'")
    yield from _clock(now[0] if now else None)
    said = _row(connection, "SHOW server_encoding")
    if said:
        yield _encoding(str(said[0]))
    role = _row(
        connection,
        "SELECT rolsuper, rolcreatedb, rolcreaterole, has_schema_privilege('public', 'CREATE')"
        " FROM pg_roles WHERE rolname = current_user",
    )
    if role:
        names = ("superuser", "createdb", "createrole", "create in schema public")
        yield _rights([name for name, has in zip(names, role, strict=True) if has])
    sees = _row(connection, "SELECT pg_has_role(current_user, 'pg_monitor', 'MEMBER')")
    if sees and not sees[0]:
        zh = "账号看不到其他会话在做什么，limits.max_active 不起作用；需要时请来源部门 GRANT pg_monitor"
        en = "the account cannot see what other sessions do: max_active has no effect. The DBA may GRANT pg_monitor"
        yield Check("monitoring", ok=True, zh=zh, en=en)
    yield from _slots(connection)


def _slots(connection: sa.Connection) -> Iterator[Check]:
    """What following changes would need; reading in full or by cursor needs none of it."""
    found = _row(
        connection,
        "SELECT current_setting('wal_level'), current_setting('max_replication_slots')::int,"
        " (SELECT count(*) FROM pg_replication_slots), current_setting('max_slot_wal_keep_size'),"
        " (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)",
    )
    if not found:
        return
    level, most, used, keep, may = found
    zh = f"wal_level={level}，复制槽 {used}/{most}，max_slot_wal_keep_size={keep}"
    en = f"wal_level={level}, slots {used}/{most}, max_slot_wal_keep_size={keep}"
    wants = []
    if level != "logical":
        wants.append("wal_level=logical")
    if used >= most:
        wants.append("max_replication_slots")
    if keep == "-1":
        wants.append("max_slot_wal_keep_size=20GB")
    if not may:
        wants.append("ALTER ROLE … REPLICATION")
    if wants:
        zh += f"；如需跟随变化（shutong follow），请来源部门设置：{'、'.join(wants)}"
        en += f"; to follow its changes (shutong follow) ask the DBA for: {', '.join(wants)}"
    yield Check("slots", ok=True, zh=zh, en=en)


def _mysql(connection: sa.Connection) -> Iterator[Check]:
    now = _row(connection, "SELECT UTC_TIMESTAMP(6)")
    yield from _clock(now[0] if now else None)
    said = _row(connection, "SELECT @@character_set_database")
    if said:
        name = str(said[0])
        whole = name in ("utf8mb4", "gb18030")
        zh = f"库字符集 {name}" + ("" if whole else "：存不下 𠮷 等字，入库时可能已成问号，请来源部门确认")
        en = f"database charset {name}" + ("" if whole else ": it cannot hold characters like 𠮷, ask the department")
        yield Check("encoding", ok=True, zh=zh, en=en, warns=not whole)
    try:
        with connection.begin_nested():
            grants = " ".join(str(row[0]) for row in connection.execute(sa.text("SHOW GRANTS"))).upper()
    except exc.SQLAlchemyError:
        return
    words = ("ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "CREATE", "SUPER")
    yield _rights([word for word in words if f"{word}," in grants or f"{word} ON" in grants])
    log = _row(connection, "SELECT @@log_bin, @@binlog_format")
    if log:
        zh, en = f"log_bin={log[0]}，binlog_format={log[1]}", f"log_bin={log[0]}, binlog_format={log[1]}"
        wants = [] if str(log[0]) in ("1", "ON") else ["log_bin=ON"]
        wants += [] if str(log[1]).upper() == "ROW" else ["binlog_format=ROW"]
        if not any(word in grants for word in ("REPLICATION SLAVE", "REPLICATION REPLICA", "ALL PRIVILEGES ON *.*")):
            wants += ["REPLICATION SLAVE", "REPLICATION CLIENT"]
        if wants:
            zh += f"；如需跟随变化（shutong follow），请来源部门设置 {'、'.join(wants)}"
            en += f"; to follow its changes (shutong follow) ask the DBA for {', '.join(wants)}"
        yield Check("binlog", ok=True, zh=zh, en=en)


def _oracle(connection: sa.Connection) -> Iterator[Check]:
    now = _row(connection, "SELECT CAST(SYS_EXTRACT_UTC(SYSTIMESTAMP) AS TIMESTAMP) FROM dual")
    yield from _clock(now[0] if now else None)
    said = _row(connection, "SELECT value FROM nls_database_parameters WHERE parameter = 'NLS_CHARACTERSET'")
    if said:
        yield _encoding(str(said[0]))
    wide = _row(connection, "SELECT count(*) FROM session_privs WHERE privilege LIKE '%ANY TABLE' AND privilege NOT"
                " LIKE 'SELECT%' AND privilege NOT LIKE 'READ%'")  # fmt: skip
    if wide:
        yield _rights(["ANY TABLE"] if wide[0] else [])


def _mssql(connection: sa.Connection) -> Iterator[Check]:
    now = _row(connection, "SELECT SYSUTCDATETIME()")
    yield from _clock(now[0] if now else None)
    said = _row(connection, "SELECT IS_ROLEMEMBER('db_datawriter'), IS_ROLEMEMBER('db_owner')")
    if said:
        names = ("db_datawriter", "db_owner")
        yield _rights([name for name, has in zip(names, said, strict=True) if has])


_ASKED: dict[str, Callable[[sa.Connection], Iterator[Check]]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
    "oracle": _oracle,
    "mssql": _mssql,
}
_ACTIVE = {
    "postgresql": "SELECT CASE WHEN pg_has_role(current_user, 'pg_monitor', 'MEMBER') THEN"
    " (SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend'"
    " AND usename <> current_user) END",
    "mysql": "SELECT variable_value - 1 FROM information_schema.global_status WHERE variable_name = 'THREADS_RUNNING'",
    "mariadb": "SELECT variable_value - 1 FROM information_schema.global_status"
    " WHERE variable_name = 'THREADS_RUNNING'",
    "oracle": "SELECT count(*) FROM v$session WHERE status = 'ACTIVE' AND type = 'USER' AND username <> USER",
    "mssql": "SELECT count(*) FROM sys.dm_exec_requests r JOIN sys.dm_exec_sessions s ON r.session_id = s.session_id"
    " WHERE s.is_user_process = 1 AND r.session_id <> @@SPID",
}
