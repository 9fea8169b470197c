"""What a request shows of who sends it: key, proof headers, connection, and its body held until it is checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from sharing.caller_refusals import HeadersTooLargeError
from sharing.errors import MalformedError, TooLargeError

LARGEST_HEADERS: Final = 32 << 10  # bytes, names and values together
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(slots=True)
class Shown:
    """What a request shows: a key, the headers that matter, and the rest where it is asked for."""

    key: str | None = None
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    scope: MutableMapping[str, Any] = field(default_factory=dict)
    held: Held | None = None

    @classmethod
    def of(cls, scope: MutableMapping[str, Any], key: str | None, held: Held, names: frozenset[bytes]) -> Shown:
        """From a call and the key it carries; `names` are the headers that matter. Raises HeadersTooLargeError.

        A header said twice becomes one with a comma, which only lists of addresses may have.
        """
        headers = scope["headers"]
        if len(b"".join(map(b"".join, headers))) > LARGEST_HEADERS:
            raise HeadersTooLargeError.of(LARGEST_HEADERS)
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in names:
                found[name] = found[name] + b"," + value if name in found else value
        return cls(key, found, scope, held)

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def method(self) -> str:
        """GET, POST and so on."""
        method: str = self.scope["method"]
        return method

    @property
    def path(self) -> bytes:
        """As it stands in the URL."""
        raw: bytes | None = self.scope.get("raw_path")
        return raw or quote(self.scope["path"], safe="/:@!$&'()*+,;=~-._").encode()

    @property
    def query(self) -> bytes:
        """As it stands in the URL, without the question mark."""
        query: bytes = self.scope["query_string"]
        return query

    async def body(self) -> bytes:
        """All of it; the routes get it again. Raises what Held.body does."""
        return await self.held.body() if self.held is not None else b""


class Held:
    """A request's body in the place of ASGI's receive: it passes, or is read ahead whole and given again."""

    __slots__ = ("_kept", "_largest", "_receive")

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive, self._largest = receive, largest
        self._kept: bytes | None = None

    async def __call__(self) -> MutableMapping[str, Any]:
        """The next part of the request."""
        kept, self._kept = self._kept, None
        if kept is None:
            return await self._receive()
        return {"type": "http.request", "body": kept, "more_body": False}

    async def body(self) -> bytes:
        """All of it. Raises TooLargeError above the limit, MalformedError when it is not sent whole."""
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise MalformedError.body("请求体没有传完", "The body was not sent whole")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._largest:
                raise TooLargeError.of(self._largest)
            parts.append(part)
            if not message.get("more_body"):
                break
        self._kept = b"".join(parts)
        return self._kept
