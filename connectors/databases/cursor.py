"""Work out which rows of a growing table to read next: from the last value minus a lag, up to the highest value now."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal

from connectors.options import Options, wrong
from schemas.values import Json

LAG = "10m"  # longer than the longest transaction at the source, or rows that commit late are never read
LAG_WHOLE = 1_000  # the same for a cursor that counts
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
# How departments write a time as text, the most telling first; a bound is written the way the table writes it.
_FORMATS = (
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d",
)

Bound = int | str | dt.date | dt.datetime | Decimal


def lag_of(options: Options | None) -> str | None:
    """The lag as written (`90s`, `10m`, `2h`, `1d`, or a whole number for a cursor that counts); None when left out."""
    if options is None or not options.has("lag"):
        return None
    written = str(options.whole("lag", 0)) if options.is_whole("lag") else options.text("lag")
    if not re.fullmatch(r"\d+[smhd]?", written):
        raise wrong(
            "source.cursor.lag", f"不能是 {written}", f"cannot be {written}", ("90s", "10m", "2h", "1d", "1000")
        )
    return written


def remembered(value: Bound) -> dict[str, Json]:
    """A cursor value as JSON for a Position."""
    kind = type(value).__name__
    return {"value": value if isinstance(value, int | str) else str(value), "type": kind}


def recalled(kept: Json) -> Bound | None:
    """The cursor value `remembered` wrote; None for what it did not write."""
    if not isinstance(kept, dict):
        return None
    value, kind = kept.get("value"), kept.get("type")
    if kind == "int" and isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    readers: dict[str, Callable[[str], Bound]] = {
        "datetime": dt.datetime.fromisoformat,
        "date": dt.date.fromisoformat,
        "Decimal": Decimal,
        "str": str,
    }
    return readers[str(kind)](value) if kind in readers else None


def lowered(value: Bound, lag: str | None) -> Bound:
    """The cursor value less its lag, in the type and spelling of the table."""
    if isinstance(value, int | Decimal):
        if lag is not None and not lag.isdecimal():
            raise wrong(
                "source.cursor.lag", f"不能是 {lag}：游标列是数", f"cannot be {lag}: the cursor is a number", ("1000",)
            )
        return value - (LAG_WHOLE if lag is None else int(lag))
    seconds = _seconds(lag or LAG)
    if isinstance(value, dt.datetime):
        return value - dt.timedelta(seconds=seconds)
    if isinstance(value, dt.date):
        return value - dt.timedelta(days=-(-seconds // _UNITS["d"]))
    if seconds == 0:
        return value
    if (found := _moment(value)) is not None:
        moment, form = found
        return (moment - dt.timedelta(seconds=seconds)).strftime(form)
    raise wrong(
        "source.cursor.column",
        f"的值 {value!r} 不是时间，无法回退；请将 lag 写为 0s",
        f"holds {value!r}, which is no time a lag can be taken from; write lag: 0s",
    )


def beyond(value: Bound, now: dt.datetime) -> Bound | None:
    """The latest time a row can really have changed at, where `value` is a time after it; else None.

    A single mistyped year would otherwise hide every later change. Two days leave room for clocks and time zones.
    """
    latest = now + dt.timedelta(days=2)
    if isinstance(value, dt.datetime):
        latest = latest if value.tzinfo else latest.replace(tzinfo=None)
        return latest if value > latest else None
    if isinstance(value, dt.date):
        return latest.date() if value > latest.date() else None
    if isinstance(value, str) and (found := _moment(value)) is not None:
        moment, form = found
        return latest.strftime(form) if moment > latest.replace(tzinfo=None) else None
    return None


def timely(value: str) -> bool:
    """Whether a text is a time, in one of the spellings that are known."""
    return _moment(value) is not None


def _moment(value: str) -> tuple[dt.datetime, str] | None:
    for form in _FORMATS:
        try:
            return dt.datetime.strptime(value, form), form  # noqa: DTZ007 - a bound is in the table's own zone
        except ValueError:
            continue
    return None


def _seconds(lag: str) -> int:
    if lag.isdecimal() and lag != "0":
        raise wrong(
            "source.cursor.lag", f"不能是 {lag}：须写单位", f"cannot be {lag}: write a unit", ("90s", "10m", "2h", "1d")
        )
    return int(lag.rstrip("smhd")) * _UNITS.get(lag[-1], 1)
