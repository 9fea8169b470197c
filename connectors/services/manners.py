"""Be a bearable caller: so many calls a second and no more, and none at all for a while to a host that is down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from connectors.errors import SourceUnavailable
from connectors.options import Options

RATE = ("per_second", "burst")
BREAKER = ("failures", "pause")
_SHANGHAI = ZoneInfo("Asia/Shanghai")


class Rate:
    """A token bucket: `per_second` calls over time (0: no limit), up to `burst` of them at once."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._tokens, self._seen = float(burst), clock()
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Take a token, and the seconds to wait before the call may be made."""
        if not self._per_second:
            return 0.0
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._per_second)
            self._seen = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._per_second)


class Breaker:
    """Counts failures of one host in a row; after `failures` of them nobody calls it for `pause` seconds.

    Then one caller tries (half-open): if the host answers all may call again, otherwise the pause begins anew.
    """

    def __init__(self, failures: int, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures, self._pause, self._clock = failures, pause, clock
        self._in_a_row, self._until = 0, 0.0
        self._lock = threading.Lock()

    def closed_for(self) -> float:
        """Seconds for which nobody may call; 0 when the caller may, who must then tell `came_out`."""
        with self._lock:
            left = self._until - self._clock()
            if left <= 0 and self._failures and self._in_a_row >= self._failures:
                self._until = self._clock() + self._pause  # this caller tries, the others go on waiting
            return max(0.0, left)

    def came_out(self, *, well: bool, stay_away: float = 0) -> None:
        """How a call came out; `stay_away` is what the host asked for in seconds (Retry-After)."""
        with self._lock:
            self._in_a_row = 0 if well else self._in_a_row + 1
            self._until = 0.0
            if not well and self._failures and self._in_a_row >= self._failures:
                self._until = self._clock() + max(self._pause, stay_away)


_rates: dict[tuple[str, float, int], Rate] = {}
_breakers: dict[tuple[str, int, float], Breaker] = {}


def rate_of(base: str, options: Options | None) -> Rate:
    """The bucket that all callers of the host in this process draw from."""
    per_second = options.number("per_second", 0) if options else 0.0
    burst = options.whole("burst", 1, least=1) if options else 1
    return _rates.setdefault((_host(base), per_second, burst), Rate(per_second, burst))


def breaker_of(base: str, options: Options | None) -> Breaker:
    """The breaker of the host, shared by all its callers in this process; 10 failures and 60 seconds unless said."""
    failures = options.whole("failures", 10) if options else 10
    pause = options.span("pause", "60s").total_seconds() if options else 60.0
    return _breakers.setdefault((_host(base), failures, pause), Breaker(failures, pause))


def paused(where: str, seconds: float) -> SourceUnavailable:
    """SRC-REST-PAUSED: the host failed so often that it is left alone for that long."""
    until = datetime.fromtimestamp(time.time() + seconds, UTC).astimezone(_SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    return SourceUnavailable(
        "SRC-REST-PAUSED",
        zh=f"{where} 连续失败，已暂停调用，{until}（北京时间）后再试",
        en=f"{where} failed many times in a row and is left alone until {until} Asia/Shanghai",
        fix_zh="请等到该时间后重新运行；若持续，请联系来源部门检查服务",
        fix_en="Run again after that time; if it persists ask the department to check its service.",
    )


def _host(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
