"""Whether a PostgreSQL table can be followed by a replication slot, and what to ask the DBA for where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.changes.slot_errors import publishing
from connectors.errors import SourceError
from schemas.values import Check

if TYPE_CHECKING:
    import psycopg

    from connectors.changes.postgres_slot import SlotOptions
    from connectors.changes.slot_table import Identity

_SAID = """
SELECT current_setting('wal_level'), pg_is_in_recovery(), to_regrole(current_user::text)::text,
  (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user),
  current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
  (SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s),
  coalesce(current_setting('max_slot_wal_keep_size', true), '-1'),
  has_database_privilege(current_database(), 'CREATE') AND pg_has_role(c.relowner, 'USAGE'),
  EXISTS (SELECT 1 FROM pg_publication WHERE pubname = %s),
  (SELECT pubviaroot FROM pg_publication p JOIN pg_publication_tables t ON t.pubname = p.pubname
    WHERE p.pubname = %s AND t.schemaname = %s AND t.tablename = %s)
FROM pg_class c WHERE c.oid = %s::regclass
"""
_FINE = ("可以", "fine")


def checks(connection: psycopg.Connection[Any], found: Identity, named: str, options: SlotOptions) -> list[Check]:
    """One line for each thing that following needs; `named` is the table quoted as SQL."""
    asked = [options.slot, options.publication, options.publication, found.schema, found.table, named]
    said = connection.execute(_SAID, asked).fetchone()
    if said is None:
        return []
    level, standby, role, replicates, free, ours, kept, may_publish, there, whole = said
    limited = kept != "-1"
    statement = publishing(options.publication, named, there=there, held=whole is not None)
    return [
        _line(
            "log", level == "logical", "请对方设置 wal_level = logical 并重启", "ask the DBA for wal_level = logical"
        ),
        _line("primary", not standby, "请连接主库：备库不能建立复制槽", "connect to the primary: this is a standby"),
        _line(
            "replication",
            bool(replicates),
            f"请对方执行：ALTER ROLE {role} REPLICATION",
            f"ask the DBA to run: ALTER ROLE {role} REPLICATION",
        ),
        _line(
            "slots",
            free > 0 or ours > 0,
            "复制槽已用完，请对方提高 max_replication_slots",
            "no replication slot is free; ask the DBA to raise max_replication_slots",
        ),
        _key(found),
        _line(
            "publication",
            (not there and bool(may_publish)) or (whole is not None and (whole or not found.partitioned)),
            f"请对方执行：{statement}",
            f"ask the DBA to run: {statement}",
        ),
        Check(
            "retention",
            ok=True,
            zh=f"复制槽最多保留 {kept} 日志"
            if limited
            else "长期停止跟踪会占满来源磁盘，请对方设置 max_slot_wal_keep_size，如 20GB",
            en=f"at most {kept} of log are kept for a slot"
            if limited
            else "a follower that stops for long fills the source's disk; ask for max_slot_wal_keep_size, e.g. 20GB",
            warns=not limited,
        ),
    ]


def _key(found: Identity) -> Check:
    try:
        found.usable()
    except SourceError as error:
        return Check("key", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")
    names = ", ".join(found.key)
    return Check("key", ok=True, zh=f"日志以 {names} 指明记录", en=f"the log names records by {names}")


def _line(name: str, ok: bool, zh: str, en: str) -> Check:  # noqa: FBT001 - the outcome
    return Check(name, ok, *(_FINE if ok else (zh, en)))
