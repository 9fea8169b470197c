"""What a caller says about a call in its headers, and the hash of what it asks, taken while the body is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from schemas.validators import scalar
from sharing.call_refusals import HeaderError
from sharing.calls import SHANGHAI

LONGEST_ID: Final = 64
LONGEST_WORDS: Final = 200
_SAFE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_PERSON = re.compile(r"(?<![0-9])[0-9]{17}[0-9Xx](?![0-9])")
_NO_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Said(NamedTuple):
    """The headers that matter here: key, X-Grant, X-Matter, X-Case 办件编号 and X-Client-Request-Id, as they came."""

    key: str | None = None
    grant: str | None = None
    matter: bytes | None = None
    case: bytes | None = None
    client_id: bytes | None = None
    has: bytes | None = None  # If-None-Match


def said(headers: Sequence[tuple[bytes, bytes]]) -> Said:
    """What the headers say; nothing is judged yet, because nobody is known yet."""
    last = dict(headers).get  # of a header that is said twice the last counts
    key, grant = last(b"x-api-key"), last(b"x-grant")
    if key is None:
        bearer = last(b"authorization")
        key = bearer[7:] if bearer is not None and bearer[:7].lower() == b"bearer " else None
    return Said(
        key.decode("latin-1").strip() if key is not None else None,
        grant.decode("latin-1").strip() if grant is not None else None,
        last(b"x-matter"), last(b"x-case"), last(b"x-client-request-id"), last(b"if-none-match"),
    )  # fmt: skip


def words(name: str, value: bytes | None) -> str | None:
    """The text of a header that may be Chinese: UTF-8, percent-encoded or as it is. Raises HeaderError (SHR-HEADER).

    It is kept in the ledger, so it may not name a person by number.
    """
    if value is None:
        return None
    text = _decoded(value) if len(value) <= 12 * LONGEST_WORDS else None  # a character takes four bytes, %XX each
    if text is None or _personal(text):
        raise HeaderError.of(name, LONGEST_WORDS)
    return text


@lru_cache(256)  # matters are few
def _decoded(value: bytes) -> str | None:
    try:
        text = unquote_to_bytes(value).decode().strip()
    except UnicodeDecodeError:
        return None
    return text if 0 < len(text) <= LONGEST_WORDS and text.isprintable() else None


def own_id(value: bytes | None) -> str | None:
    """The caller's own number of the call, up to 64 safe characters. Raises HeaderError (SHR-HEADER)."""
    if value is None:
        return None
    text = value.decode("latin-1")
    if not _SAFE.fullmatch(text) or _personal(text):
        raise HeaderError.of("X-Client-Request-Id", LONGEST_ID)
    return text


def _personal(text: str) -> bool:
    found = _PERSON.findall(text)
    return bool(found) and any(scalar.valid("citizen_id", one.upper(), datetime.now(SHANGHAI).date()) for one in found)


def request_hash(method: str, target: str, body: bytes = b"", grant: str = "") -> bytes:
    """SHA-256 of a request: `METHOD target`, X-Grant as sent (or nothing), each ended by a line feed, then the body.

    `target` is path and query as they were sent.
    """
    return hashlib.sha256(f"{method} {target}\n{grant}\n".encode() + body).digest()


class Heard:
    """The request as it is read, and its `request_hash`: in the place of ASGI's receive."""

    __slots__ = ("_digest", "_receive", "whole")

    def __init__(
        self, scope: MutableMapping[str, Any], grant: str | None, receive: Callable[[], Awaitable[Any]]
    ) -> None:
        raw: bytes = scope.get("raw_path") or quote(scope["path"], safe="/:@!$&'()*+,;=~-._").encode()
        query: bytes = scope["query_string"]
        method: str = scope["method"]
        line = method.encode() + b" " + raw + (b"?" + query if query else b"")
        self._digest = hashlib.sha256(line + b"\n" + (grant or "").encode() + b"\n")
        self._receive = receive
        self.whole = method in _NO_BODY

    async def __call__(self) -> MutableMapping[str, Any]:
        """The next part of the request."""
        message: MutableMapping[str, Any] = await self._receive()
        if message["type"] == "http.request":
            if body := message.get("body"):
                self._digest.update(body)
            self.whole = not message.get("more_body")
        return message

    @property
    def hash(self) -> bytes | None:
        """The hash; None while the body has not been read to its end."""
        return self._digest.digest() if self.whole else None
