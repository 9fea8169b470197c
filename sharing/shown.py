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


async def _nothing() -> bytes:
    return b""


@dataclass(slots=True)
class Shown:
    """What a request shows; `path` and `query` as they stand in the URL, `peer` the address of the connection."""

    key: str | None = None
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    peer: str | None = None
    method: str = "GET"
    path: bytes = b""
    query: bytes = b""
    body: Callable[[], Awaitable[bytes]] = _nothing

    @classmethod
    def of(cls, scope: MutableMapping[str, Any], key: str | None, held: Held, names: frozenset[bytes]) -> Shown:
        """From a call and the key it carries; `names` are the headers that matter. Raises HeadersTooLargeError.

        A header said twice becomes one with a comma, which only lists of addresses may have.
        """
        found: dict[bytes, bytes] = {}
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in names:
                found[name] = found[name] + b"," + value if name in found else value
        if size > LARGEST_HEADERS:
            raise HeadersTooLargeError.of(LARGEST_HEADERS)
        path = scope.get("raw_path") or quote(scope["path"], safe="/:@!$&'()*+,;=~-._").encode()
        peer = scope.get("client")
        return cls(key, found, peer[0] if peer else None, scope["method"], path, scope["query_string"], held.body)


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
