"""Refusals on the wire: RFC 9457 problems, in Chinese and English, that say what to do next and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sharing.busy_refusals import SlowError
from sharing.calls import until_midnight, until_next_month
from sharing.errors import NotAllowedError, QuotaSpentError, TooLargeError
from sharing.grant_refusals import MonthSpentError
from sharing.people_refusals import WaitError

if TYPE_CHECKING:
    from sharing.errors import SharingError

JSON = b"application/json"
PROBLEM = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that is sent as it is: its bytes and SHA-256 are known before."""

    path: Path
    size: int
    digest: bytes


@dataclass(slots=True)  # not frozen: three are made for each look-up, each at a third of the cost
class Answer:
    """What goes back to the caller; `fields` counts the fields of data in it. A `file` goes in place of the body."""

    status: int
    body: bytes
    media: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    fields: int = 0
    file: SentFile | None = None

    def headed(self, name: bytes, value: bytes) -> Answer:
        """The same answer with one header more."""
        return Answer(self.status, self.body, self.media, (*self.headers, (name, value)), self.fields, self.file)


def refusal(error: SharingError, request_id: str) -> Answer:
    """The problem an error is told as."""
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, MonthSpentError):
        headers.append((b"retry-after", b"%d" % until_next_month()))
    elif isinstance(error, QuotaSpentError):
        headers.append((b"retry-after", b"%d" % until_midnight()))
    elif isinstance(error, WaitError):
        headers.append((b"retry-after", b"%d" % error.seconds))
    elif error.retryable:
        headers.append((b"retry-after", b"1"))
    if isinstance(error, NotAllowedError):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, TooLargeError | SlowError):
        headers.append((b"connection", b"close"))  # the rest of the body stays unread
    if error.status == 401:  # noqa: PLR2004 RFC 9110 wants the scheme named
        headers.append((b"www-authenticate", b'Bearer realm="shutong"'))
    told = {
        "type": f"urn:shutong:problem:{error.code}",
        "title": f"{error.title_zh} | {error.title_en}",
        "status": error.status,
        "detail": f"{error.zh} | {error.en}",
        "code": error.code,
        "fix": f"{error.fix_zh} | {error.fix_en}",
        "retryable": error.retryable,
        "request_id": request_id,
        "zh": {"title": error.title_zh, "detail": error.zh, "fix": error.fix_zh},
        "en": {"title": error.title_en, "detail": error.en, "fix": error.fix_en},
    }
    # A caller's own text may hold a lone surrogate, which JSON cannot: it is shown as a question mark.
    return Answer(error.status, orjson.dumps(_clean(told)), PROBLEM, tuple(headers))


def _clean(value: object) -> object:
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
