"""Read a departmental system politely: at most so many rows a second, only at certain hours, not while it is busy."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

import pyarrow as pa

from connectors.errors import SourceUnavailable
from connectors.options import Options, wrong
from schemas.values import Batch, Check, Json, Position, Source, Split, StreamInfo

LIMITS = ("rows_per_second", "window", "max_active", "wait")
ZONE = ZoneInfo("Asia/Shanghai")
_LOOK_EVERY = 5.0  # seconds between two looks at a busy system


@runtime_checkable
class Loaded(Protocol):
    """A source that can say how busy its system is."""

    def active(self) -> int | None:
        """Sessions at work in the system besides ours; None when the account may not see them."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How a system wants to be read.

    `window` (from, to) is Asia/Shanghai time and may run over midnight. While more than `max_active` sessions are at
    work the reader waits, at most `wait` seconds.
    """

    rows_per_second: int | None = None
    window: tuple[dt.time, dt.time] | None = None
    max_active: int | None = None
    wait: float = 600.0


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, and waiting; tests bring their own."""

    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(ZONE)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def read_limits(said: Mapping[str, Json]) -> Limits:
    """The `limits` of a resource file: `{rows_per_second: 20000, window: "22:00-06:00", max_active: 20, wait: 600}`."""
    options = Options(said, LIMITS, "limits")
    return Limits(
        rows_per_second=options.whole("rows_per_second", 0, least=1) if options.has("rows_per_second") else None,
        window=_window(options.text("window")) if options.has("window") else None,
        max_active=options.whole("max_active", 0, least=1) if options.has("max_active") else None,
        wait=options.number("wait", 600),
    )


def _window(said: str) -> tuple[dt.time, dt.time]:
    try:
        first, last = (dt.time.fromisoformat(part.strip()) for part in said.split("-"))
    except ValueError:
        first = last = dt.time(0)
    if first == last:
        raise wrong("limits.window", f"不能是 {said}", f"cannot be {said}", ("22:00-06:00",))
    return first, last


class Limited:
    """A source read within its limits."""

    def __init__(self, source: Source, limits: Limits, clock: Clock | None = None) -> None:
        self._source, self._limits, self._clock = source, limits, clock or Clock()
        self._over, self._cut = False, False

    def check(self) -> list[Check]:
        """The source's own checks, and whether it may be read now."""
        lines = self._source.check()
        if self._limits.window is not None:
            shown, now, may = self._shown(), f"{self._clock.now():%H:%M}", self._open()
            zh = f"可读时段 {shown}，现在 {now}" + ("" if may else "，定时运行会等到时段内")
            en = f"may be read {shown}, it is {now}" + ("" if may else "; scheduled runs wait for the window")
            lines.append(Check("window", ok=True, zh=zh, en=en))
        if self._limits.max_active is not None:
            lines.append(self._load_line(self._limits.max_active))
        return lines

    def discover(self) -> list[StreamInfo]:
        """As the source says."""
        return self._source.discover()

    def stream(self) -> StreamInfo:
        """As the source says."""
        return self._source.stream()

    def preview(self, rows: int = 20) -> pa.Table:
        """As the source says: a few rows burden nobody."""
        return self._source.preview(rows)

    def estimate(self) -> int | None:
        """As the source says."""
        return self._source.estimate()

    def plan(self, position: Position | None) -> list[Split]:
        """The source's splits; SRC-WINDOW outside the window, SRC-BUSY when the system stays busy."""
        if not self._open():
            raise self._closed()
        self._over = self._cut = False
        self._wait_for_calm()
        return self._source.plan(position)

    def read(self, split: Split) -> Iterator[Batch]:
        """The source's batches, no faster than allowed.

        When the window closes, reading ends at the next batch the source can be resumed after; the next run goes on.
        """
        if self._over:
            self._cut = True
            return
        began, rows = self._clock.monotonic(), 0
        looked = began
        for batch in self._source.read(split):
            if self._over:
                self._cut = True
                return
            yield batch
            rows += batch.rows.num_rows
            if self._limits.rows_per_second is not None:
                ahead = rows / self._limits.rows_per_second - (self._clock.monotonic() - began)
                if ahead > 0:
                    self._clock.sleep(ahead)
            if self._clock.monotonic() - looked > _LOOK_EVERY:
                self._wait_for_calm()
                looked = self._clock.monotonic()
            self._over = batch.position is not None and not self._open()

    @property
    def cut(self) -> bool:
        """Whether the window closed before all that was planned had been read."""
        return self._cut

    def insist(self) -> None:
        """SRC-WINDOW where the window closed before all was read: what was not read would be taken for gone."""
        if not self._cut:
            return
        shown = self._shown()
        raise SourceUnavailable(
            "SRC-WINDOW",
            zh=f"可读时段 {shown} 结束时尚未读完，而比对快照、扫描主键和跟踪前的完整读取须读完全部记录",
            en=f"the window {shown} closed before everything was read, and comparing with a snapshot, sweeping keys or "
            "beginning to follow needs every record",
            fix_zh="会在时段内重试；若一个时段读不完，请与来源部门商定更长的 limits.window，或改按游标读取",
            fix_en="It will be tried again inside the window; if one window is too short agree on a longer "
            "limits.window, or read by a cursor.",
        )

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _open(self) -> bool:
        if self._limits.window is None:
            return True
        first, last = self._limits.window
        now = self._clock.now().timetz().replace(tzinfo=None)
        return first <= now < last if first < last else now >= first or now < last

    def _active(self) -> int | None:
        return self._source.active() if isinstance(self._source, Loaded) else None

    def _wait_for_calm(self) -> None:
        most = self._limits.max_active
        if most is None:
            return
        began = self._clock.monotonic()
        while (active := self._active()) is not None and active > most:
            if self._clock.monotonic() - began >= self._limits.wait:
                raise _busy(active, most)
            self._clock.sleep(min(_LOOK_EVERY, self._limits.wait))

    def _load_line(self, most: int) -> Check:
        active = self._active()
        if active is None:
            zh = "无法得知来源库的活动会话数；请来源部门授予查看会话的权限，否则 max_active 不起作用"
            en = "the number of active sessions cannot be seen; ask the DBA for it, or max_active has no effect"
            return Check("load", ok=False, zh=zh, en=en)
        zh, en = f"活动会话 {active}，上限 {most}", f"{active} active sessions, at most {most}"
        return Check("load", ok=active <= most, zh=zh, en=en)

    def _shown(self) -> str:
        return "-".join(f"{one:%H:%M}" for one in self._limits.window or ())

    def _closed(self) -> SourceUnavailable:
        shown = self._shown()
        return SourceUnavailable(
            "SRC-WINDOW",
            zh=f"不在可读时段 {shown} 之内",
            en=f"it is outside the window {shown} in which the system may be read",
            fix_zh="时段开始后的下一次运行会读取；可把 schedule 安排在时段之内",
            fix_en="The next run inside the window reads it; let schedule fall into the window.",
        )


def insist_on_all(source: Source) -> None:
    """SRC-WINDOW where `source` is read within limits, and they ended the read early."""
    if isinstance(source, Limited):
        source.insist()


def _busy(active: int, most: int) -> SourceUnavailable:
    return SourceUnavailable(
        "SRC-BUSY",
        zh=f"来源库有 {active} 个活动会话，超过上限 {most}，等待后仍未下降",
        en=f"the system has {active} active sessions, more than {most}, and stayed so while we waited",
        fix_zh="稍后会重试；若常常如此，请与来源部门商定时段（limits.window）或提高 max_active",
        fix_en="It will be tried again; if it is often so agree on a window (limits.window) or raise max_active.",
    )
