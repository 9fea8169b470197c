"""The time as the warehouse writes it down: Asia/Shanghai with its offset, to the microsecond."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The present instant, timezone-aware, in Asia/Shanghai."""
    return datetime.now(SHANGHAI)


def now_text() -> str:
    """The present instant as ISO 8601 with offset; fixed width, so that text order is time order."""
    return now().isoformat(timespec="microseconds")
