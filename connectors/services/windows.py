"""Ask a service only for what is new: in windows of time, or from the newest value that was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc

from connectors.options import Options, wrong
from schemas.values import Json, Position, Split

WINDOW = ("from_param", "to_param", "span", "start", "lag", "overlap", "format", "zone", "ends", "at_most")
SINCE = ("param", "field", "start", "lag", "format", "type")
_LOCAL = "%Y-%m-%d %H:%M:%S"
_EPOCHS = {"epoch": 1, "epoch_ms": 1000}
_AHEAD = timedelta(days=2)  # room for clocks and time zones
_FROM, _UNTIL = "from", "until"

Clock = Callable[[], datetime]


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


class Windows:
    """The option `window`: `{from_param, to_param, span: 1d, start: 2020-01-01, lag: 10m}`, a split for each window.

    Windows reach up to `lag` ago; `overlap` is read again at the next run. `format` is strftime's, or epoch, epoch_ms,
    iso; `zone` Asia/Shanghai; `ends: inclusive` for services whose `to` belongs to the window. `at_most` windows a run.
    """

    def __init__(self, options: Options, clock: Clock = now) -> None:
        self._clock = clock
        self._from, self._to = options.text("from_param"), options.text("to_param")
        self._format = options.text("format", _LOCAL)
        self._zone = _zone(options.text("zone", "Asia/Shanghai"))
        self._unit = _unit(self._format)
        self._span = max(options.span("span", "1d"), self._unit)
        self._lag, self._overlap = options.span("lag", "10m"), options.span("overlap", "0s")
        self._inclusive = options.choice("ends", "exclusive", ("exclusive", "inclusive")) == "inclusive"
        self._most = options.whole("at_most", 1_000_000, least=1)
        try:
            start = datetime.fromisoformat(options.text("start"))
        except ValueError:
            raise wrong(
                "source.window.start", "须为日期，例如 2020-01-01", "must be a date such as 2020-01-01"
            ) from None
        self._start = start if start.tzinfo else start.replace(tzinfo=self._zone)

    def plan(self, path: str, position: Position | None) -> list[Split]:
        """The windows from where the last run ended up to `lag` ago."""
        reached = position.cursor.get("window") if position else None
        begin = self._start
        if isinstance(reached, str):
            begin = max(begin, datetime.fromisoformat(reached) - self._overlap)
        end = self._whole(self._clock() - self._lag)
        splits: list[Split] = []
        begin = self._whole(begin)
        while begin < end and len(splits) < self._most:
            until = min(begin + self._span, end)
            said = {_FROM: begin.isoformat(), _UNTIL: until.isoformat()}
            splits.append(Split(f"{path} {said[_FROM]}/{said[_UNTIL]}", dict(said)))
            begin = until
        return splits

    def params(self, split: Split) -> Mapping[str, str]:
        """What asks for one window."""
        until = datetime.fromisoformat(str(split.options[_UNTIL]))
        begin = datetime.fromisoformat(str(split.options[_FROM]))
        last = until - self._unit if self._inclusive else until
        return {self._from: self._shown(begin), self._to: self._shown(last)}

    def position(self, split: Split) -> Position:
        """What is remembered once the window's records are durable."""
        return Position({"window": split.options[_UNTIL]})

    def _whole(self, moment: datetime) -> datetime:
        local = moment.astimezone(self._zone).replace(microsecond=0)
        return local.replace(hour=0, minute=0, second=0) if self._unit.days else local

    def _shown(self, moment: datetime) -> str:
        local = moment.astimezone(self._zone)
        if self._format in _EPOCHS:
            return str(int(local.timestamp()) * _EPOCHS[self._format])
        return local.isoformat() if self._format == "iso" else local.strftime(self._format)


class Since:
    """The option `since`: `{param: updatedSince, field: update_time, start: …, lag: 10m}`, the newest value seen, asked
    from again the next time less `lag`.

    `type` says how values compare: time (by `format`), number, or text. Values that are none of it are records all the
    same; they do not move the position, and neither do times that are still to come.
    """

    def __init__(self, options: Options) -> None:
        self._param, self._field = options.text("param"), options.text("field")
        self._format = options.text("format", _LOCAL)
        self._type = options.choice("type", "time", ("time", "number", "text"))
        self._start, self._lag = options.maybe("start"), options.span("lag", "0s")
        if self._type == "text" and self._lag:
            raise wrong("source.since.lag", "不能用于文本", "cannot be used with text", ("type: time", "type: number"))

    def plan(self, path: str, position: Position | None) -> list[Split]:
        """One split: all pages from the newest value seen on."""
        reached = position.cursor.get("since") if position else None
        return [Split(path, {"since": reached} if reached is not None else {})]

    def params(self, split: Split) -> Mapping[str, str]:
        """What asks for the records since then; nothing when there is no beginning."""
        reached = split.options.get("since")
        value = self._back(str(reached)) if reached is not None else self._start
        return {self._param: value} if value is not None else {}

    def newest(self, rows: pa.RecordBatch, so_far: str | None) -> str | None:
        """The newest of `so_far` and the field's values in the rows."""
        if self._field not in rows.schema.names:
            return so_far
        values = [*pc.unique(rows.column(self._field)).to_pylist(), so_far]
        ordered = [
            (order, value)
            for value in values
            if value is not None and (order := self._order(value)) is not None and not _beyond(order)
        ]
        return max(ordered, key=lambda pair: pair[0])[1] if ordered else so_far

    def position(self, newest: str | None) -> Position:
        """What is remembered once the records are durable."""
        cursor: dict[str, Json] = {} if newest is None else {"since": newest}
        return Position(cursor)

    def _order(self, value: str) -> datetime | int | str | None:
        try:
            if self._type == "time":
                return datetime.strptime(value, self._format)  # noqa: DTZ007 - the service's own clock, compared to itself
            return int(value) if self._type == "number" else value
        except ValueError:
            return None

    def _back(self, value: str) -> str:
        order = self._order(value)
        if isinstance(order, datetime):
            earliest = datetime.min.replace(tzinfo=order.tzinfo)
            return (max(order - earliest, self._lag) - self._lag + earliest).strftime(self._format)
        return str(order - int(self._lag.total_seconds())) if isinstance(order, int) else value


def _beyond(order: datetime | int | str) -> bool:
    """True for a time nothing can have changed at yet: a single mistyped year would hide every later change."""
    if not isinstance(order, datetime):
        return False
    latest = now() + _AHEAD
    return order > (latest if order.tzinfo else latest.replace(tzinfo=None))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise wrong(
            "source.window.zone", f"没有时区 {name}", f"there is no time zone {name}", ("Asia/Shanghai",)
        ) from None


def _unit(form: str) -> timedelta:
    """The smallest step a format can say."""
    if form in _EPOCHS or form == "iso":
        return timedelta(seconds=1)
    try:
        shown = {datetime(2020, 1, 1, 1, 1, second, tzinfo=UTC).strftime(form) for second in (0, 1)}
        hours = {datetime(2020, 1, 1, hour, 1, tzinfo=UTC).strftime(form) for hour in (0, 1)}
    except ValueError:
        raise wrong("source.window.format", f"不能是 {form}", f"cannot be {form}", (_LOCAL, "iso", "epoch")) from None
    return timedelta(seconds=1) if len(shown) > 1 else timedelta(days=1) if len(hours) == 1 else timedelta(minutes=1)
