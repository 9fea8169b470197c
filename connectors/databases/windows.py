"""Decide which cursor values to read next, and from where to go on once they are kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.databases.cursor import Bound, beyond, lag_of, lowered, recalled, remembered, timely
from connectors.databases.horizon import Horizon, elsewhere, horizon, marks_of
from connectors.databases.postgres import connected
from connectors.databases.reader import ReaderOptions
from connectors.databases.snapshot import quoted
from connectors.databases.tables import Table
from connectors.errors import SourceError
from connectors.options import Options, wrong
from schemas.values import Check, Json

BOUNDS = ("auto", "lag", "transactions")
# What a first read goes back to when transactions do not end in time: as long as a transaction may reasonably last.
_FIRST = {"time": "1d", "count": "100000"}
_REASONS = {
    "standby": ("这是备库，看不到主库上正在运行的事务", "this is a standby, the primary's transactions cannot be seen"),
    "materialized": ("物化视图的行在刷新时才出现", "rows of a materialized view appear when it is refreshed"),
    "foreign": ("外部表的事务在另一台服务器上", "a foreign table's transactions are on another server"),
    "subscriber": ("该表由逻辑复制写入，次序与游标不同", "logical replication fills the table, in another order"),
    "other": ("只有 PostgreSQL 能说明哪些事务仍在运行", "only PostgreSQL tells which transactions run"),
}


@dataclass(frozen=True, slots=True)
class Window:
    """Rows with a cursor in [low, high] are read (None: open), then `after` is the position; both ends belong to it.

    `latest` is written where some rows say they changed after it, which cannot be: those are read every time.
    """

    low: Bound | None
    high: Bound | None
    after: Mapping[str, Json]
    latest: Bound | None = None

    def remembered(self) -> dict[str, Json]:
        """As JSON for a Split or a Position."""
        ends = {"low": self.low, "high": self.high, "latest": self.latest}
        kept: dict[str, Json] = {name: dict(remembered(end)) for name, end in ends.items() if end is not None}
        return {**kept, "after": dict(self.after)}

    def condition(
        self, column: sa.ColumnClause[Any], unusable: Sequence[sa.ColumnElement[bool]]
    ) -> sa.ColumnElement[bool]:
        """Which rows are read; an `unusable` one can never be known to be read: it is read every time."""
        if self.high is None:
            return sa.true()
        inside = column <= sa.bindparam("high", self.high)
        if self.low is not None:
            inside = sa.and_(inside, column >= sa.bindparam("low", self.low))
        if self.latest is not None:
            unusable = [*unusable, column > sa.bindparam("latest", self.latest)]
        return sa.or_(inside, *unusable)


def recalled_window(kept: Json) -> Window:
    """The window `remembered` wrote; everything for anything else."""
    if not isinstance(kept, dict):
        return Window(None, None, {})
    after = kept.get("after")
    low, high, latest = (recalled(kept.get(name)) for name in ("low", "high", "latest"))
    return Window(low, high, after if isinstance(after, dict) else {}, latest)


class Cursor:
    """The growing column of a table: its lag, and what bounds a window."""

    def __init__(self, options: Options, url: sa.URL, reading: ReaderOptions) -> None:
        self.column = options.text("column")
        self.lag = lag_of(options)
        self._bound = options.choice("bound", "auto", BOUNDS)
        self._url, self._reading = url, reading

    @property
    def times(self) -> bool:
        """Whether text in the column is meant to be a time: a lag can be taken from it."""
        return self.lag is None or self.lag.rstrip("smhd").strip("0") != ""

    def window(
        self, table: Table, high: Bound | None, kept: Mapping[str, Json], latest: Bound | None = None
    ) -> Window | None:
        """What to read after `kept`, now that `high` is the highest value up to `latest`; None when nothing is new."""
        low = recalled(kept.get("high"))
        if high is None:
            return None if low is not None else Window(None, None, {})
        if low is not None and beyond(low, dt.datetime.now(dt.UTC)) is not None:
            low = None  # a position that no change will ever reach again: read everything once
        if low is not None and type(low) is not type(high):
            low = None  # the column changed its type: read everything once
        if self.times and isinstance(low, str) and not timely(low):
            low = None  # no time to go on from
        complete = self._complete(table, high, kept if low is not None else {})
        lag = self.lag
        if complete is None:
            after: dict[str, Json] = {"high": dict(remembered(high)), **({"marks": []} if "marks" in kept else {})}
        else:
            if lag is None and isinstance(high, int):
                lag = "0"  # numbers are complete, and no clock is behind them
            after = self._after(low, high, complete)
        start = lowered(low, lag) if low is not None else None
        if start is not None and start == high:
            return None
        return Window(start, high, after, latest)

    def check(self, table: Table, highest: Callable[[Cursor], Bound | None]) -> Check:
        """What bounds a window, and what to ask the department for where nothing lost cannot be promised.

        Not ok where no lag can be taken from the `highest` value of the column.
        """
        try:
            high = highest(self)
            if high is not None:
                lowered(high, self.lag)
            reason = self._reason(table)
        except SourceError as error:
            return Check("cursor", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")
        if high is None:
            return Check(
                "cursor",
                ok=True,
                zh=f"{self.column}：没有可用的值（空表或全为空），每次读取全部行；有值之后才按增量读取",
                en=f"{self.column}: it has no value to go by (no rows, or null throughout): "
                "every row is read each time until it has one",
                warns=True,
            )
        if reason is None:
            return Check(
                "cursor",
                ok=True,
                zh=f"{self.column}：只推进到没有运行中事务能再写入的值；"
                "若该列由应用时钟或上游装载写入，请把 lag 设得比其延迟更长",
                en=f"{self.column}: moves on only to values no running transaction can still add; "
                "if an application's clock or a load from elsewhere writes it, make lag longer than their delay",
            )
        zh, en = _REASONS[reason]
        lag = self.lag or "10m / 1000"
        ask_zh = "请确认来源最长事务短于它，或请求主库只读账号"
        ask_en = "Make it longer than the source's longest transaction, or ask for an account on the primary"
        return Check(
            "cursor",
            ok=True,
            zh=f"{self.column}：{zh}，每次重读最近 {lag}；{ask_zh}",
            en=f"{self.column}: {en}; the last {lag} is read again each time. {ask_en}",
        )

    def _reason(self, table: Table) -> str | None:
        if self._bound == "lag" or self._url.get_backend_name() != "postgresql":
            return "other"
        with connected(self._url, self._reading) as connection:
            return elsewhere(connection, quoted(table))

    def _complete(self, table: Table, high: Bound, kept: Mapping[str, Json]) -> Horizon | None:
        """Up to where the table is complete; None where only a lag can be trusted."""
        if self._bound == "lag":
            return None
        if self._url.get_backend_name() != "postgresql":
            self._insist("other")
            return None
        try:
            with connected(self._url, self._reading) as connection:
                reason = elsewhere(connection, quoted(table))
                if reason is not None:
                    self._insist(reason)
                    return None
                return horizon(connection, high, marks_of(kept.get("marks")))
        except SourceError as error:
            # A relative of PostgreSQL may lack these views, or psycopg: the lag is left.
            if self._bound == "auto" and error.code in ("SRC-DRIVER", "SRC-SQL-QUERY", "SRC-CHANGED"):
                return None
            raise

    def _insist(self, reason: str) -> None:
        if self._bound == "transactions":
            zh, en = _REASONS[reason]
            raise wrong("source.cursor.bound", f"不能是 transactions：{zh}", f"cannot be transactions: {en}", ("lag",))

    def _after(self, low: Bound | None, high: Bound, found: Horizon) -> dict[str, Json]:
        safe = found.complete
        if safe is None:
            safe = low
        if safe is None:
            safe = lowered(high, _FIRST["time" if not isinstance(high, int) else "count"])
        return {"high": dict(remembered(safe)), "marks": [one.remembered() for one in found.marks]}
