"""One call as it is recorded: who asked what under which grant, when, and how it was answered."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import orjson

SHANGHAI = ZoneInfo("Asia/Shanghai")


class _Process:
    """What tells this process's request ids from those of every other: drawn once, and again in a forked child."""

    mark = secrets.token_hex(6)
    count = itertools.count()

    @classmethod
    def renew(cls) -> None:
        cls.mark = secrets.token_hex(6)


os.register_at_fork(after_in_child=_Process.renew)


@dataclass(slots=True)
class Call:
    """A call, filled in while it is handled and recorded before its answer leaves.

    `key` is the key asked for: plain for a valid social credit code, else its HMAC-SHA256 under the deployment's
    secret (`hmac:` + hex); `keys` the same for a batch. `units` counts against the quota. `fields` counts the fields
    sent, `names` are theirs, `size` the bytes of the body, `generation` the data it came from. `department` is null
    while nobody is known to ask; `app` is its application, the label of the key. `case` 办件编号 and `matter_asked`
    are what the caller said the call is for, `client_id` is its own number of the call; `repeats` is the id of the call
    it had sent under that number before, and been counted for. `micros` is how long it took, in millionths of a second.
    `claims` are the marks of what was claimed of a subject, from which a day's guesses are counted again.
    `family` is the id of the call that this one was made within, each of which is one library's part of its answer.
    `request` and `answer` are HMAC-SHA256 of the hashes in the receipt, so that they tell nobody a person's key.
    """

    id: str
    at: str
    department: str | None = None
    key_id: int | None = None
    operation: str = "unknown"
    library: str | None = None
    resource: str | None = None
    grant: str | None = None
    matter: str | None = None
    basis: str | None = None
    key: str | None = None
    keys: list[str] = field(default_factory=list)
    units: int = 0
    status: int = 0
    code: str | None = None
    fields: int = 0
    size: int = 0
    app: str | None = None
    case: str | None = None
    matter_asked: str | None = None
    client_id: str | None = None
    repeats: str | None = None
    names: list[str] = field(default_factory=list)
    generation: int | str | None = None
    micros: int = 0
    request: str | None = None
    answer: str | None = None
    family: str | None = None
    claims: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls) -> Call:
        """A call that has just arrived, under a request id that sorts by time and is never given twice."""
        now = time.time_ns()
        second, nanos = divmod(now, 1_000_000_000)
        written = _second(second)
        return cls(
            id=f"{now:016x}{_Process.mark}{next(_Process.count) & 0xFFFF:04x}",
            at=f"{written[:19]}.{nanos // 1000:06d}{written[19:]}",
        )

    @property
    def day(self) -> str:
        """The day it arrived, Asia/Shanghai, `2026-01-31`."""
        return self.at[:10]

    def payload(self) -> bytes:
        """The call as JSON."""
        return orjson.dumps(self)

    @classmethod
    def read(cls, payload: bytes) -> Call | None:
        """The call a record holds; None for a record that is no call (a segment's header or seal)."""
        told: Mapping[str, object] = orjson.loads(payload)
        return cls(**told) if "id" in told else None  # type: ignore[arg-type]  # written by payload() and checksummed


def today() -> str:
    """The present day, Asia/Shanghai, ISO 8601."""
    return _quarter(int(time.time()) // 900)[0]


def this_date() -> date:
    """The present day, Asia/Shanghai."""
    return _quarter(int(time.time()) // 900)[1]


@lru_cache(4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, SHANGHAI).isoformat()


@lru_cache(4)
def _quarter(number: int) -> tuple[str, date]:
    day = datetime.fromtimestamp(number * 900, SHANGHAI).date()  # days begin where a quarter of an hour does
    return day.isoformat(), day


def until_midnight() -> int:
    """Whole seconds until the next day begins in Asia/Shanghai, at least 1."""
    now = datetime.now(SHANGHAI)
    morrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(1, int((morrow - now).total_seconds()) + 1)


def until_next_month() -> int:
    """Whole seconds until the next month begins in Asia/Shanghai, at least 1."""
    now = datetime.now(SHANGHAI)
    later = (now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return max(1, int((later - now).total_seconds()) + 1)
