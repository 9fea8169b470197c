"""What following a PostgreSQL table can be told no for, and what to do then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from connectors.errors import SourceChanged, SourceError, SourceRefused, SourceUnavailable

if TYPE_CHECKING:
    import psycopg


def slot_gone(slot: str, why: tuple[str, str]) -> SourceChanged:
    """SRC-LOG-GONE: the slot does not reach back to where reading stopped; `why` in Chinese and English."""
    return SourceChanged(
        "SRC-LOG-GONE",
        zh=f"复制槽 {slot} 已不能从上次的位置继续：{why[0]}",
        en=f"replication slot {slot} cannot go on from where reading stopped: {why[1]}",
        fix_zh="请完整读取一次再继续跟踪：shutong follow <资源> --full",
        fix_en="Read everything once, then go on: shutong follow <resource> --full",
    )


def truncated(table: str) -> SourceChanged:
    """SRC-LOG-TRUNCATED: the department emptied the table; the log names no records for that."""
    return SourceChanged(
        "SRC-LOG-TRUNCATED",
        zh=f"来源部门清空了 {table}（TRUNCATE），日志不写明删除了哪些记录",
        en=f"the department emptied {table} (TRUNCATE); the log does not say which records that deleted",
        fix_zh="请与来源部门确认；属实则完整读取一次：shutong follow <资源> --full",
        fix_en="Ask the department; if it is meant, read everything once: shutong follow <resource> --full",
    )


def unknown_key(table: str, columns: str) -> SourceError:
    """SRC-LOG-KEY: the log does not name the records of the table."""
    return SourceError(
        "SRC-LOG-KEY",
        zh=f"不能按日志跟踪 {table}：日志中没有可用的主键（{columns}）",
        en=f"{table} cannot be followed by its log: the log has no usable key ({columns})",
        fix_zh="请对方建立主键，或 ALTER TABLE … REPLICA IDENTITY USING INDEX …；主键不能是 boolean、inet、bytea；"
        "也可改写 read: {mode: snapshot_diff}",
        fix_en="Ask for a primary key or ALTER TABLE … REPLICA IDENTITY USING INDEX …; its columns cannot be boolean, "
        "inet or bytea. Or write read: {mode: snapshot_diff}.",
    )


def unpublished(publication: str, table: str, said: str, *, there: bool) -> SourceRefused:
    """SRC-LOG-PUBLICATION: nothing publishes the table, nor may the account; `there`: the publication has others."""
    return SourceRefused(
        "SRC-LOG-PUBLICATION",
        zh=f"发布 {publication} 不含 {table}，账号也无权更改：{said}",
        en=f"the publication {publication} does not hold {table}, and the account may not change that: {said}",
        fix_zh=f"请对方执行：{publishing(publication, table, there=there)}",
        fix_en=f"Ask the DBA to run: {publishing(publication, table, there=there)}",
    )


def publishing(publication: str, table: str, *, there: bool = False, held: bool = False) -> str:
    """The statement that publishes `table` (quoted), where the publication is there, or there and holds the table."""
    if held:
        return f'ALTER PUBLICATION "{publication}" SET (publish_via_partition_root = true)'
    if there:
        return f'ALTER PUBLICATION "{publication}" ADD TABLE {table}'
    return f'CREATE PUBLICATION "{publication}" FOR TABLE {table} WITH (publish_via_partition_root = true)'


def told(error: psycopg.Error, slot: str, url: sa.URL) -> SourceError | None:
    """What an error of the log means; None where it is not about the log."""
    from psycopg import errors

    said = " ".join(str(error).split())
    if isinstance(error, errors.ObjectInUse):
        return SourceUnavailable(
            "SRC-LOG-BUSY",
            zh=f"复制槽 {slot} 正被另一会话使用：{said}",
            en=f"replication slot {slot} is used by another session: {said}",
            fix_zh="会重试；若持续，请确认没有第二个部署跟踪同一张表",
            fix_en="It will be tried again; if it persists see that no second deployment follows the same table.",
        )
    if isinstance(error, errors.ObjectNotInPrerequisiteState) and "wal_level" in said:
        return SourceRefused(
            "SRC-LOG-OFF",
            zh=f"{url.render_as_string(hide_password=True)} 未开启逻辑日志：{said}",
            en=f"{url.render_as_string(hide_password=True)} writes no logical log: {said}",
            fix_zh="请对方设置 wal_level = logical 并重启数据库；或改写 read: {mode: snapshot_diff}",
            fix_en="Ask the DBA to set wal_level = logical and restart; or write read: {mode: snapshot_diff}.",
        )
    if isinstance(error, errors.ObjectNotInPrerequisiteState):
        return slot_gone(slot, (said, said))
    return None
