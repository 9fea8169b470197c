"""Follow the binary log of MySQL or MariaDB: which keys of one table a transaction touched, and where it ends."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import secrets
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from connectors.databases.errors import driver_missing, explained
from connectors.databases.mysql_session import login, wrapped
from connectors.errors import SourceChanged, SourceRefused

Value = int | str | Decimal | dt.date | dt.datetime
Key = tuple[Value, ...]
HEARTBEAT = 0.5  # seconds of silence after which the server says that it is still there
_GONE = (1236,)  # the server no longer has the log from there on
_NAMELESS = re.compile(r"server[ _]id was not set", re.IGNORECASE)  # the same number, though the log is there
# These leave no rows in the log, though they remove or replace them all.
_REBUILT = re.compile(r"^\W*(?:/\*.*?\*/\s*)?(truncate|drop\s+table|rename\s+table|alter\s+table)\b", re.IGNORECASE)
_BITS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INTEGER": 32, "BIGINT": 64}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log: file and byte."""

    file: str
    at: int

    def reaches(self, other: Place) -> bool:
        """True when `other` is not after this place."""
        return (len(self.file), self.file, self.at) >= (len(other.file), other.file, other.at)


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was read from the log.

    `keys` were written and `gone` deleted there; `ends`: a transaction ends there; `place` is how far the log has been
    read; `moment` when the server did it (seconds since 1970); `idle`: the log has no more now; `altered`: the table
    has other columns from here on.
    """

    place: Place
    keys: Sequence[Key] = ()
    gone: Sequence[Key] = ()
    ends: bool = False
    idle: bool = False
    altered: bool = False
    moment: float | None = None


@dataclass(frozen=True, slots=True)
class Keyed:
    """The table that is followed: its schema, its name, and its key columns with their places and types."""

    schema: str
    name: str
    key: Sequence[tuple[str, int, Any]]

    def of(self, values: dict[str, Any]) -> Key:
        """The key of a record as the log has it."""
        by_place = list(values.values())  # the log may not know names, but it knows the order of columns
        return tuple(_signed(values.get(name, by_place[at]), kind) for name, at, kind in self.key)


def read_log(url: sa.URL, patience: float, table: Keyed, start: Place) -> Generator[Seen]:
    """What happened to the table after `start`, for ever; SRC-LOG-GONE when the server no longer has that place."""
    try:
        import pymysql  # type: ignore[import-untyped]
        from pymysqlreplication import BinLogStreamReader  # type: ignore[import-untyped]
        from pymysqlreplication.event import HeartbeatLogEvent, QueryEvent, RotateEvent, XidEvent  # type: ignore[import-untyped]
        from pymysqlreplication.row_event import (  # type: ignore[import-untyped]
            DeleteRowsEvent,
            UpdateRowsEvent,
            WriteRowsEvent,
        )
    except ImportError as error:
        raise driver_missing(url, error, extra="mysql") from error
    rows = (WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent)
    try:
        stream = BinLogStreamReader(
            connection_settings=login(url, patience),
            server_id=2**31 + secrets.randbelow(2**31 - 1),  # one of its own for each follower, or they end each other
            log_file=start.file,
            log_pos=start.at,
            resume_stream=True,
            blocking=True,
            slave_heartbeat=HEARTBEAT,
            only_events=[*rows, QueryEvent, XidEvent, RotateEvent, HeartbeatLogEvent],
            only_tables=[table.name],
            only_schemas=[table.schema],
            ignore_decode_errors=True,  # only keys are taken from the log
            enable_logging=False,
        )
        with contextlib.closing(stream):
            for event in stream:
                place = Place(str(stream.log_file), int(stream.log_pos))
                moment = float(event.timestamp) or None
                if isinstance(event, rows):
                    yield _touched(table, event, place, moment)
                elif isinstance(event, QueryEvent):
                    text = _statement(event.query)
                    altered = _altered(table, _statement(event.schema), text)
                    yield Seen(place, ends=text.strip().upper() != "BEGIN", altered=altered, moment=moment)
                else:
                    idle = isinstance(event, HeartbeatLogEvent)
                    yield Seen(place, ends=isinstance(event, XidEvent | RotateEvent), idle=idle, moment=moment)
    except (pymysql.err.Error, OSError) as error:
        if error.args and error.args[0] in _GONE:
            if _NAMELESS.search(str(error.args[-1])):
                raise _nameless(url) from None
            raise gone(url, start, str(error.args[-1])) from None
        raise explained(wrapped(error), url, connecting=True) from None


def _nameless(url: sa.URL) -> SourceRefused:
    system = url.render_as_string(hide_password=True)
    return SourceRefused(
        "SRC-LOG-SERVER-ID",
        zh=f"{system} 的 server_id 为 0，服务器不交出 binlog",
        en=f"the server_id of {system} is 0, so that the server hands its binary log to nobody",
        fix_zh="请对方设置非零且不与其他服务器相同的 server_id（SET GLOBAL server_id = 1，并写入配置文件）；"
        "日志仍在，之后重新运行即从原处继续",
        fix_en="Ask the DBA to set a server_id other than 0 that no other server has (SET GLOBAL server_id = 1, and in "
        "its configuration file); nothing is lost: run it again and it goes on from where it was.",
    )


def gone(url: sa.URL, start: Place, said: str) -> SourceChanged:
    """SRC-LOG-GONE: what happened since `start` can no longer be known."""
    system = url.render_as_string(hide_password=True)
    return SourceChanged(
        "SRC-LOG-GONE",
        zh=f"{system} 已不能从日志 {start.file} 的 {start.at} 处继续：{said}",
        en=f"{system} cannot go on from byte {start.at} of the log {start.file}: {said}",
        fix_zh="请先完整读取一次该资源，再继续跟踪；并请对方延长 binlog 保留时间（如 7 天）",
        fix_en="Read the resource in full once, then follow it again; ask the DBA to keep binary logs longer (7 days).",
    )


def _touched(table: Keyed, event: Any, place: Place, moment: float | None) -> Seen:  # noqa: ANN401 - no types there
    written: list[Key] = []
    deleted: list[Key] = []
    for row in event.rows:
        if "values" in row:
            (deleted if type(event).__name__.startswith("Delete") else written).append(table.of(row["values"]))
            continue
        before, after = table.of(row["before_values"]), table.of(row["after_values"])
        # An incomplete row image leaves columns out that did not change.
        now = tuple(old if new is None else new for old, new in zip(before, after, strict=True))
        written.append(now)
        if before != now:
            deleted.append(before)
    return Seen(place, written, deleted, moment=moment)


def _statement(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _altered(table: Keyed, schema: str, text: str) -> bool:
    """Whether the statement alters the table; SRC-LOG-REBUILT when it takes the table's rows away unseen."""
    found = _REBUILT.match(text)
    if not found or not re.search(rf"(?<![\w$]){re.escape(table.name)}(?![\w$])", text):
        return False
    if table.schema not in (schema, *re.findall(r"[\w$]+", text)):
        return False
    if found[1].lower().startswith("alter"):
        return True
    raise SourceChanged(
        "SRC-LOG-REBUILT",
        zh=f"表 {table.name} 被清空、删除或改名：{text}",
        en=f"the table {table.name} was emptied, dropped or renamed: {text}",
        fix_zh="请与来源部门确认，然后完整读取一次再继续：shutong follow <资源> --full",
        fix_en="Ask the department, then read everything once and go on: shutong follow <resource> --full",
    )


def _signed(value: Any, kind: Any) -> Any:  # noqa: ANN401 - whatever the log holds
    """An unsigned number the log gives without saying so."""
    bits = _BITS.get(type(kind).__name__)
    if isinstance(value, int) and value < 0 and bits and getattr(kind, "unsigned", False):
        return value + (1 << bits)
    return value
