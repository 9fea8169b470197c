"""Access tokens over HTTP: client credentials for a token (RFC 6749 §4.4), and the key that tokens are checked with."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote_plus

import orjson
from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from sharing.callers import FORWARDED, Callers
from sharing.desk import Visit
from sharing.errors import SharingError, UnavailableError
from sharing.keys import Key, digest
from sharing.lockout import Delays, Door, Entry, Gate, Pace, network_of
from sharing.shown import Held, Shown
from sharing.tokens import LIFE
from warehouse.errors import WarehouseError

TOKEN, JWKS = "/oauth/token", "/.well-known/jwks.json"
LARGEST: Final = 8 << 10  # bytes of a body
# What one network may ask for, right or wrong; one application, once it is known; and what failures cost.
FROM_NETWORK, FOR_APPLICATION = Pace(600, 60.0), Pace(120, 60.0)
FAILED_FROM_NETWORK, FAILED_FOR_APPLICATION = Delays(free=50, first=10.0, most=900.0), Delays(free=10, most=900.0)
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_id": {"type": "string", "description": "应用编号 number of the application"},
                        "client_secret": {"type": "string", "description": "应用的一个密钥 a key of the application"},
                    },
                }
            }
        },
    },
    "security": [],
}
_ERROR: dict[str, Any] = {
    "content": {"application/json": {"schema": {"type": "object", "properties": {"error": {"type": "string"}}}}}
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "参数有误 A parameter is wrong (RFC 6749 §5.2)"} | _ERROR,
    401: {"description": "应用或密钥不被接受 Application or key not accepted"} | _ERROR,
    429: {"description": "请求过多，见 Retry-After Too many, see Retry-After"} | _ERROR,
}


class TokenError(Exception):
    """A refusal in the words of RFC 6749 §5.2."""

    def __init__(self, error: str, status: int = 400, wait: float = 0.0) -> None:
        super().__init__(error)
        self.error, self.status, self.wait = error, status, wait

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        if self.wait > 0:
            return {"retry-after": str(int(self.wait) + 1)}
        return {"www-authenticate": 'Basic realm="shutong"'} if self.status == 401 else {}  # noqa: PLR2004


def token_routes(callers: Callers, visit_of: Callable[[Request], Visit], gate: Gate) -> APIRouter:
    """`POST /oauth/token`, as often as `gate` lets through, and `/.well-known/jwks.json`."""
    routes = APIRouter(tags=["认证 authentication"])

    @routes.post(TOKEN, summary="以应用的密钥换取访问令牌 A token for a key", responses=_REFUSALS, openapi_extra=_FORM)
    async def token(request: Request) -> Response:
        """OAuth 2.0 客户端凭据；令牌一小时有效，写在 Authorization: Bearer 中。Client credentials; good for an hour."""
        visit = visit_of(request)
        visit.call.operation = "token"
        held = Held(request.receive, LARGEST)
        shown = Shown.of(request.scope, None, held, callers.headers)
        try:
            number, secret = _asked(request, await held.body())
            key = await _known(callers, number, secret, shown, gate)
        except TokenError as error:
            visit.call.code = f"OAUTH-{error.error}"
            return Response(orjson.dumps({"error": error.error}), error.status, error.headers, "application/json")
        visit.call.department, visit.call.key_id = key.department, key.id
        made = callers.tokens.make(number, key.id, time.time())
        told = {"access_token": made, "token_type": "Bearer", "expires_in": LIFE}
        return Response(orjson.dumps(told), media_type="application/json", headers={"pragma": "no-cache"})

    @routes.get(JWKS, summary="访问令牌的公钥（无需密钥） Public key of tokens", openapi_extra={"security": []})
    async def jwks() -> Response:
        """以此公钥核对访问令牌（RFC 7517）。The key that access tokens are checked with."""
        return Response(orjson.dumps(callers.tokens.jwks()), media_type="application/json")

    return routes


def _asked(request: Request, body: bytes) -> tuple[int, str]:
    """The application's number and one of its keys, from the Authorization header or the form, not from both."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise TokenError("invalid_request")
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise TokenError("invalid_request") from None
    if any(len(values) > 1 for values in form.values()):
        raise TokenError("invalid_request")
    said = {name: values[0] for name, values in form.items()}
    if "grant_type" not in said:
        raise TokenError("invalid_request")
    if said["grant_type"] != "client_credentials":
        raise TokenError("unsupported_grant_type")
    if said.get("scope"):
        raise TokenError("invalid_scope")  # what may be seen is a matter of grants
    number, secret = said.get("client_id", ""), said.get("client_secret", "")
    authorization = request.headers.get("authorization", "")
    if authorization[:6].lower() == "basic ":
        if secret:
            raise TokenError("invalid_request")
        number, secret = _basic(authorization[6:])
    if not (number.isascii() and number.isdigit() and len(number) <= 9 and secret):  # noqa: PLR2004 digits
        raise TokenError("invalid_client", 401)
    return int(number), secret


def _basic(written: str) -> tuple[str, str]:
    try:
        number, _, secret = base64.b64decode(written.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise TokenError("invalid_client", 401) from None
    return unquote_plus(number), unquote_plus(secret)


async def _known(callers: Callers, number: int, secret: str, shown: Shown, gate: Gate) -> Key:
    """The key, when it is alive and of that application, which may get tokens and calls from where it may."""

    def find() -> Key | None:
        key, client = callers.keys.find(digest(secret)), callers.clients.get(number)
        if key is None or client is None or key.client != client.id or client.disabled_at is not None:
            return None
        try:
            callers.admit(client, "token", shown)
        except SharingError:
            return None
        return key if key.alive(datetime.now(UTC)) else None

    def judged() -> Key | None:
        # Failures count for an application as asked from one network, or anybody could shut it out by its number.
        network = network_of(callers.trust.origin(shown.peer, shown.headers.get(FORWARDED)))
        failing = Door(f"token:{number}@{network}", FAILED_FOR_APPLICATION)
        around = Door(f"token-failed:{network}", FAILED_FROM_NETWORK)
        entry = _enter(gate, failing, around, Door(f"token-network:{network}", FROM_NETWORK))
        key = find()
        if key is not None:
            gate.right(entry, failing, around)
            _enter(gate, Door(f"token-application:{number}", FOR_APPLICATION))
        return key

    try:
        found = await asyncio.to_thread(judged)
    except (SQLAlchemyError, WarehouseError) as error:
        raise UnavailableError.state() from error
    if found is None:
        raise TokenError("invalid_client", 401)
    return found


def _enter(gate: Gate, *doors: Door) -> Entry:
    entry = gate.enter(*doors)
    if entry.wait > 0:
        raise TokenError("slow_down", 429, entry.wait)
    return entry
