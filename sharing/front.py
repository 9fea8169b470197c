"""The way in: every call is identified, answered, recorded durably and only then let out; look-ups take a lean path."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import orjson

from schemas.errors import ShutongError
from sharing.asked import Heard, Said, own_id, said, words
from sharing.busy import PROBES
from sharing.calls import Call
from sharing.desk import Desk, Visit
from sharing.docs_page import PATHS as DOCS
from sharing.drain import Work
from sharing.errors import (
    InternalError,
    MalformedError,
    NotAllowedError,
    NotFoundError,
    SharingError,
    TooLargeError,
    UnavailableError,
)
from sharing.etag import NOT_MODIFIED, Tags
from sharing.formats_coding import coded
from sharing.looking_up import NAMES, one
from sharing.meter import Written
from sharing.operations import Path, Question, fields_of, key_of
from sharing.problems import Answer, SentFile, refusal
from sharing.receipt_routes import PATH
from sharing.receipts import receipt_of, signed
from sharing.registered import PATHS, VERBS
from sharing.session_routes import SESSION_PATHS
from sharing.shown import Held, Shown
from sharing.token_routes import JWKS, TOKEN

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

VISIT = "shutong.visit"  # where the scope carries the Visit for the routes behind
OPEN = frozenset({*PROBES, *DOCS, "/openapi.json", PATH, JWKS})  # answered to anybody, not metered
UNNAMED = frozenset({TOKEN, *SESSION_PATHS})  # recorded too; who calls is found out behind
LARGEST_BODY = 256 << 10
_PIECE = 256 << 10  # bytes of a file sent at a time
_STUCK = 60  # seconds after which a caller that takes not even one of them is given up
_ASKED = re.compile(r"/v1/(libraries|resources)/([^/]*)/records(?::([a-z]+))?(?:/(.*))?", re.DOTALL)
_log = logging.getLogger(__name__)


class Front:
    """ASGI middleware in front of the routes; nothing but OPEN passes without a key, and nothing without a record."""

    def __init__(self, app: App, desk: Desk, work: Work) -> None:
        self._app, self._desk, self._work = app, desk, work
        self._tags = Tags(desk.config.secret)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP call; other kinds of scope pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(Call.begin())
        scope[VISIT] = visit
        try:
            answer = await self._safely(visit, scope, receive)
            if scope["path"] not in OPEN:
                answer = await self._recorded(visit, answer)
            else:
                visit.call.operation, visit.call.status, visit.call.size = "open", answer.status, len(answer.body)
        finally:
            self._desk.once.let_go(visit.call)
        await _send(send, scope["method"], visit.call.id, await coded(answer, scope["headers"]), self._work)

    async def _safely(self, visit: Visit, scope: Scope, receive: Receive) -> Answer:
        try:
            return await self._answer(visit, scope, receive)
        except SharingError as error:
            visit.call.code = error.code
            return refusal(error, visit.call.id)
        except ShutongError as error:
            _log.error("call %s: %s", visit.call.id, error.code)
            told = UnavailableError.state() if error.retryable else InternalError.of()
            visit.call.code = told.code
            return refusal(told, visit.call.id)
        except Exception as error:  # noqa: BLE001 whatever happens, the caller gets a problem and not a trace
            # The message of the error may hold a record or a key: the log gets its kind and place only.
            place = traceback.extract_tb(error.__traceback__)[-1]
            _log.error("call %s: %s at %s:%s", visit.call.id, type(error).__name__, place.filename, place.lineno)
            visit.call.code = "SHR-INTERNAL"
            return refusal(InternalError.of(), visit.call.id)

    async def _recorded(self, visit: Visit, answer: Answer) -> Answer:
        call = visit.call
        file = answer.file
        call.status, call.size, call.fields = answer.status, file.size if file else len(answer.body), answer.fields
        sent = asked = None
        call.micros = (time.perf_counter_ns() - visit.began) // 1000
        if visit.caller is not None and visit.heard is not None:
            asked = visit.heard.hash
            call.request = self._desk.keyed(asked)
            sent = file.digest if file else hashlib.sha256(answer.body).digest()
            call.answer = self._desk.keyed(sent)
        if answer.status >= 500:  # noqa: PLR2004 our fault is not charged
            self._give_back(visit)
        try:
            written = await (self._record_all(visit) if visit.parts else self._desk.meter.record(call))
        except SharingError as error:
            self._give_back(visit)
            return refusal(error, call.id)
        units = sum(part.call.units for part in visit.parts) if visit.parts else 0
        self._desk.once.settle(replace(call, units=call.units + units) if units else call)
        if sent is not None:
            receipt = signed(receipt_of(call, written, asked, sent), self._desk.receipts.signer())
            answer = answer.headed(b"x-receipt", receipt.encode())
        return answer

    async def _record_all(self, visit: Visit) -> Written:
        """The call and each part of it, made durable together."""
        for part in visit.parts:
            part.call.request, part.call.answer = visit.call.request, visit.call.answer
        calls = [visit.call, *(part.call for part in visit.parts)]
        return (await asyncio.gather(*map(self._desk.meter.record, calls)))[0]

    def _give_back(self, visit: Visit) -> None:
        for one_visit in (visit, *visit.parts):
            self._desk.give_back(one_visit)

    async def _answer(self, visit: Visit, scope: Scope, receive: Receive) -> Answer:
        path: str = scope["path"]
        if path in OPEN or path in UNNAMED:
            return await _through(self._app, scope, receive)
        told = said(scope["headers"])
        grant = told.grant
        receive = visit.heard = Heard(scope, grant, receive)
        receive = held = Held(receive, LARGEST_BODY)
        await self._desk.identify(visit, Shown.of(scope, told.key, held, self._desk.callers.headers))
        call = visit.call
        call.matter_asked, call.case = words("X-Matter", told.matter), words("X-Case", told.case)
        call.client_id = own_id(told.client_id)
        await self._desk.follow()
        asked = _ASKED.fullmatch(path)
        if asked is not None and (asked[3] is None or asked[3] in VERBS):
            return await self._look_up(visit, scope, receive, asked, told)
        for act in PATHS:
            at = act.pattern.fullmatch(path)
            if at is not None:
                return await self._act(visit, scope, receive, act, at.groups())
        return await _through(self._app, scope, receive)

    async def _look_up(self, visit: Visit, scope: Scope, receive: Receive, asked: re.Match[str], told: Said) -> Answer:
        call, desk = visit.call, self._desk
        query = _parameters(scope)
        grant = query["grant"][0] if "grant" in query else told.grant
        kind, name, word, key = asked.groups()
        verb = VERBS[word] if word is not None else None
        call.operation = "get" if key is not None else verb.operation if verb is not None else "post"
        target = desk.library(visit, name) if kind == "libraries" else desk.served(visit, name)
        if key is not None:
            if target.library.personal:
                raise NotAllowedError.personal(name, kind)
            if verb is not None:
                raise NotFoundError.path()
            if scope["method"] != "GET":
                raise NotAllowedError.of("GET")
            await desk.numbered(visit)
            found = one(desk, visit, target, key, wanted=_listed(query.get("fields")), grant=grant)
            return self._tags.tagged(found, visit.charged, call, told.has)
        method = verb.method if verb is not None else "POST"
        if scope["method"] != method:
            raise NotAllowedError.of(method)
        body = await self._body(visit, receive, verb.names if verb is not None else NAMES, method)
        if verb is not None:
            return await verb.answer(desk, visit, target, Question(grant, body, query, (), scope["headers"]))
        return one(desk, visit, target, key_of(body), wanted=fields_of(body), grant=grant)

    async def _act(self, visit: Visit, scope: Scope, receive: Receive, act: Path, parts: tuple[str, ...]) -> Answer:
        visit.call.operation = act.operation
        if scope["method"] != act.method:
            raise NotAllowedError.of(act.method)
        query = _parameters(scope)
        told = said(scope["headers"]).grant
        body = await self._body(visit, receive, act.names, act.method)
        grant = query["grant"][0] if "grant" in query else told
        return await act.answer(self._desk, visit, Question(grant, body, query, parts, scope["headers"]))

    async def _body(self, visit: Visit, receive: Receive, names: frozenset[str], method: str) -> dict[str, object]:
        """The body, of those names; by then everything is known that the answer depends on."""
        body: dict[str, object] = {}
        if method != "GET":
            body = await _body(receive, names)
            await self._desk.follow()  # the body may have taken its time
        await self._desk.numbered(visit)
        return body


def _parameters(scope: Scope) -> dict[str, list[str]]:
    written: bytes = scope["query_string"]
    return parse_qs(written.decode("latin-1"), keep_blank_values=True, errors="replace") if written else {}


def _listed(values: Sequence[str] | None) -> list[str] | None:
    if values is None:
        return None
    return [name.strip() for value in values for name in value.split(",")]


async def _body(receive: Receive, names: frozenset[str]) -> dict[str, object]:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise MalformedError.body("请求体没有传完", "The body was not sent whole")
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            raise TooLargeError.of(LARGEST_BODY)
        parts.append(part)
        if not message.get("more_body"):
            break
    try:
        told = orjson.loads(b"".join(parts))
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        raise MalformedError.body("请求体不是 JSON 对象", "The body is not a JSON object")
    if told.keys() - names:
        known = ", ".join(sorted(names))
        raise MalformedError.body(f"请求体中有未定义的名称；只能有 {known}", f"The body may hold nothing but {known}")
    return told


async def _through(app: App, scope: Scope, receive: Receive) -> Answer:
    """The answer of the routes behind, held back until it is recorded."""
    head: Message = {"status": 500, "headers": []}
    parts: list[bytes] = []

    async def hold(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, hold)
    headers = {bytes(name).lower(): bytes(value) for name, value in head["headers"]}
    media = headers.pop(b"content-type", b"application/json")
    headers.pop(b"content-length", None)
    return Answer(head["status"], b"".join(parts), media, tuple(headers.items()))


def _about(answer: Answer) -> list[tuple[bytes, bytes]]:
    size = answer.file.size if answer.file else len(answer.body)
    return [(b"content-type", answer.media), (b"content-length", b"%d" % size)]


async def _send_file(send: Send, file: SentFile, work: Work) -> None:
    """The file, piece by piece: a caller that reads slowly holds up its own, and is not in work meanwhile."""
    work.going, work.waiting = work.going - 1, work.waiting + 1
    try:
        with file.path.open("rb") as stream:
            left = file.size
            while left > 0:
                part = await asyncio.to_thread(stream.read, min(left, _PIECE))
                left -= len(part)
                async with asyncio.timeout(_STUCK):
                    await send({"type": "http.response.body", "body": part, "more_body": left > 0 and bool(part)})
                if not part:
                    return
    except TimeoutError:
        _log.warning("a result was not read to its end")
    finally:
        work.going, work.waiting = work.going + 1, work.waiting - 1


async def _send(send: Send, method: str, request_id: str, answer: Answer, work: Work) -> None:
    headers = [
        *([] if answer.status == NOT_MODIFIED else _about(answer)),
        (b"x-request-id", request_id.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.file is not None and answer.file.size and method != "HEAD":
        await _send_file(send, answer.file, work)
        return
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
