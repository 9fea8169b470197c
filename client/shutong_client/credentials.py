"""How a call proves who sends it: an API key, a signature over the call, or an access token of an hour."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote

import httpx

from shutong_client.errors import refused

TOKEN: Final = "/oauth/token"  # noqa: S105 a path
_EARLY: Final = 60.0  # seconds before its end a token is not used any more
_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The key travels with every call."""

    key: str = field(repr=False)

    def auth(self) -> httpx.Auth:
        """For httpx."""
        return _Key(self.key)


@dataclass(frozen=True, slots=True)
class SignedCalls:
    """The secret stays here; `algorithm` is sha256 or sm3."""

    key_id: int
    secret: str = field(repr=False)
    algorithm: str = "sha256"

    def auth(self) -> httpx.Auth:
        """For httpx."""
        return _Signed(self)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A key of the application is exchanged for a token, which travels instead."""

    client_id: int
    key: str = field(repr=False)

    def auth(self) -> httpx.Auth:
        """For httpx."""
        return _Bearer(self)


Credential = ApiKey | SignedCalls | Tokens


def signature(call: SignedCalls, request: httpx.Request, timestamp: int, nonce: str) -> str:
    """`<algorithm>=<hex>`: HMAC over method, path, sorted query, time, nonce and the body's hash, a line each."""
    path, _, query = request.url.raw_path.partition(b"?")
    pairs = sorted(parse_qsl(query.decode("latin-1"), keep_blank_values=True), key=lambda pair: pair[0])
    told = "&".join(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in pairs)
    body = hashlib.new(call.algorithm, request.content).hexdigest()
    text = "\n".join([request.method, path.decode("latin-1"), told, str(timestamp), nonce, body]).encode("latin-1")
    return f"{call.algorithm}={hmac.digest(call.secret.encode(), text, call.algorithm).hex()}"


class _Key(httpx.Auth):
    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["X-Api-Key"] = self._key
        yield request


class _Signed(httpx.Auth):
    requires_request_body = True

    def __init__(self, call: SignedCalls) -> None:
        self._call = call

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        timestamp, nonce = int(time.time()), secrets.token_urlsafe(24)
        request.headers["X-Key-Id"] = str(self._call.key_id)
        request.headers["X-Timestamp"], request.headers["X-Nonce"] = str(timestamp), nonce
        request.headers["X-Signature"] = signature(self._call, request, timestamp, nonce)
        yield request


class _Bearer(httpx.Auth):
    requires_response_body = True

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self._token, self._until = tokens, "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        held = time.monotonic() < self._until
        if not held:
            yield from self._renewed(request)
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if held and response.status_code == _UNAUTHORIZED:  # it was ended early
            yield from self._renewed(request)
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _renewed(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        url = request.url.copy_with(raw_path=TOKEN.encode())
        form = {"grant_type": "client_credentials", "client_id": str(self._tokens.client_id),
                "client_secret": self._tokens.key}  # fmt: skip
        response = yield httpx.Request("POST", url, data=form)
        if response.is_error:
            raise refused(response)
        told = response.json()
        self._token, self._until = told["access_token"], time.monotonic() + float(told["expires_in"]) - _EARLY
