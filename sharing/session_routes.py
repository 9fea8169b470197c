"""Log-in of people over HTTP: sessions begin, are shown and end; answers are JSON, for pages and the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from sharing.callers import FORWARDED, Callers
from sharing.contract import example_of, problems, where_wrong
from sharing.contract_people import EndedAnswer, GoAnswer, LeftAnswer, SessionAnswer, SessionsAnswer
from sharing.desk import Visit
from sharing.errors import MalformedError, UnavailableError
from sharing.oidc import CALLBACK
from sharing.people import Verified
from sharing.people_door import Opened, PeopleDoor
from sharing.people_refusals import ForgeryError
from sharing.proxies import Address
from sharing.roles import may, rights
from sharing.sessions import csrf_holds, csrf_of
from sharing.shown import Held, Shown
from warehouse.errors import WarehouseError

SESSION, INVITATION, PASSWORD = "/v1/session", "/v1/session/invitation", "/v1/session/password"
ALL, ONE, ELSEWHERE = "/v1/session/all", "/v1/session/end", "/v1/session/oidc"
SESSION_PATHS: Final = frozenset({SESSION, INVITATION, PASSWORD, ALL, ONE, ELSEWHERE, CALLBACK})
LARGEST: Final = 4 << 10  # bytes of a body
LONGEST: Final = 1024  # characters of what is typed
CSRF: Final = "x-csrf-token"
Body = TypeVar("Body", bound=BaseModel)
Told = TypeVar("Told")


class LoginBody(BaseModel):
    """Who logs in."""

    model_config = ConfigDict(extra="forbid")
    person: str = Field(max_length=LONGEST, description="用户名，即 people.yaml 中的 id the person's id")
    password: str = Field(max_length=LONGEST, description="口令 password")


class InvitationBody(BaseModel):
    """A first or new password."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(max_length=LONGEST, description="邀请码 what shutong person invite gave")
    password: str = Field(max_length=LONGEST, description="所设口令 the password to be")


class PasswordBody(BaseModel):
    """Another password."""

    model_config = ConfigDict(extra="forbid")
    password: str = Field(max_length=LONGEST, description="原口令 the present one")
    new: str = Field(max_length=LONGEST, description="新口令 the new one")


class EndBody(BaseModel):
    """A session to end."""

    model_config = ConfigDict(extra="forbid")
    session: int = Field(ge=1, le=2**63 - 1, description="登录编号 number of the session")


class Guard:
    """What every route about people asks of a request: from where it comes, whose session it has, who sent it."""

    def __init__(self, door: PeopleDoor, callers: Callers, visit_of: Callable[[Request], Visit]) -> None:
        self.door, self._callers, self._visit_of = door, callers, visit_of

    def secret(self, request: Request) -> str | None:
        """The secret of the session the browser has."""
        return self.door.cookie.of(_cookies(request))

    def address(self, request: Request) -> Address | None:
        """Where the call comes from, in front of our proxies."""
        shown = Shown.of(request.scope, None, Held(request.receive, LARGEST), self._callers.headers)
        return self._callers.trust.origin(shown.peer, shown.headers.get(FORWARDED))

    async def verified(self, request: Request, operation: str, *, changes: bool = False) -> Verified:
        """Who is logged in. SessionError; ForgeryError where the call `changes` something and lacks its token."""
        visit = self._visit_of(request)
        visit.call.operation = operation
        secret = self.secret(request)
        found = await self.asked(lambda: self.door.who(secret))
        visit.call.department = found.person.department
        if changes:
            self.same_site(request)
            if secret is None or not csrf_holds(secret, request.headers.get(CSRF)):
                raise ForgeryError.of()
        return found

    def same_site(self, request: Request) -> None:
        """ForgeryError for a call that the browser says another site sent, and for a body that forms can send."""
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        site = request.headers.get("sec-fetch-site", "same-origin")
        if kind != "application/json" or site not in {"same-origin", "none"}:
            raise ForgeryError.of()

    async def read(self, request: Request, model: type[Body]) -> Body:
        """The body. MalformedError, TooLargeError; ForgeryError, also for a body of no kind, as any page can send."""
        self.same_site(request)
        if "content-type" not in request.headers:
            raise ForgeryError.of()
        raw = await Held(request.receive, LARGEST).body()
        try:
            return model.model_validate_json(raw)
        except ValidationError as error:
            where, example = where_wrong(error), example_of(model)
            raise MalformedError.body(f"请求体有误：{where}", f"The body is wrong at: {where}", example) from None

    async def asked(self, work: Callable[[], Told]) -> Told:
        """What the door says, in a thread. UnavailableError while the state database is silent."""
        try:
            return await asyncio.to_thread(work)
        except (SQLAlchemyError, WarehouseError) as error:
            raise UnavailableError.state() from error

    def opened(self, request: Request, opened: Opened, operation: str) -> Response:
        """The answer to a log-in: who it is, the token for calls that change something, and the cookie."""
        visit = self._visit_of(request)
        visit.call.operation, visit.call.department = operation, opened.verified.person.department
        answer = _json(told(opened.verified) | {"csrf": opened.csrf}, visit)
        answer.headers["set-cookie"] = self.door.cookie.set(opened.secret, int(self.door.sessions.longest))
        return answer


def session_routes(door: PeopleDoor, callers: Callers, visit_of: Callable[[Request], Visit]) -> APIRouter:
    """The routes under /v1/session."""
    routes = APIRouter(tags=["登录 log-in"])
    guard = Guard(door, callers, visit_of)
    _password(routes, guard)
    _elsewhere(routes, guard, visit_of)
    _own(routes, guard, visit_of)
    return routes


def _password(routes: APIRouter, guard: Guard) -> None:
    door = guard.door
    refusals = problems(401, 403, 413, 422, 429, 503)

    @routes.post(SESSION, summary="登录 Log in", response_model=SessionAnswer, responses=refusals,
                 openapi_extra=_body_of(LoginBody))  # fmt: skip
    async def log_in(request: Request) -> Response:
        """登录编号写入 Cookie，返回人员、角色与 csrf。The session goes into a cookie; who it is, and `csrf`."""
        body, address = await guard.read(request, LoginBody), guard.address(request)
        old = guard.secret(request)
        found = await guard.asked(lambda: door.log_in(body.person, body.password, address, old))
        return guard.opened(request, found, "login")

    @routes.post(INVITATION, summary="用邀请码设置口令并登录 Set a password by a code", responses=refusals,
                 response_model=SessionAnswer, openapi_extra=_body_of(InvitationBody))  # fmt: skip
    async def accept(request: Request) -> Response:
        """邀请码由 shutong person invite 发出，只能用一次。A code works once."""
        body, address = await guard.read(request, InvitationBody), guard.address(request)
        old = guard.secret(request)
        found = await guard.asked(lambda: door.accept(body.code, body.password, address, old))
        return guard.opened(request, found, "login")

    @routes.post(PASSWORD, summary="修改口令，其他登录全部结束 Change the password", responses=refusals,
                 response_model=SessionAnswer,
                 openapi_extra=_body_of(PasswordBody) | {"security": [{"session": []}]})  # fmt: skip
    async def change(request: Request) -> Response:
        """须带 X-CSRF-Token。Every other session of the person ends."""
        await guard.verified(request, "password", changes=True)
        body, address, secret = await guard.read(request, PasswordBody), guard.address(request), guard.secret(request)
        found = await guard.asked(lambda: door.change(secret or "", body.password, body.new, address))
        return guard.opened(request, found, "password")


def _elsewhere(routes: APIRouter, guard: Guard, visit_of: Callable[[Request], Visit]) -> None:
    door = guard.door

    @routes.post(ELSEWHERE, summary="开始统一身份认证登录 Begin at the identity provider",
                 response_model=GoAnswer, responses=problems(401, 403, 429, 503),
                 openapi_extra={"security": []})  # fmt: skip
    async def begin(request: Request) -> Response:
        """返回浏览器应转到的地址。Where the browser has to go."""
        visit = visit_of(request)
        visit.call.operation = "login"
        guard.same_site(request)
        address = guard.address(request)
        begun = await guard.asked(lambda: door.begin_elsewhere(address))
        answer = _json({"go": begun.url}, visit)
        answer.headers["set-cookie"] = door.flow_cookie.set(begun.flow, 600)
        return answer

    @routes.get(CALLBACK, summary="从统一身份认证返回 Back from the identity provider", response_model=SessionAnswer,
                responses=problems(401, 429, 503), openapi_extra={"security": []})  # fmt: skip
    async def callback(request: Request) -> Response:
        """浏览器由统一身份认证转回此处。The provider sends the browser here."""
        visit = visit_of(request)
        visit.call.operation = "login"
        flow, old, address = door.flow_cookie.of(_cookies(request)), guard.secret(request), guard.address(request)
        query = {name: value for name, value in request.query_params.multi_items() if len(value) <= 4 * LONGEST}
        found = await guard.asked(lambda: door.come_back(flow, query, address, old))
        return guard.opened(request, found, "login")


def _own(routes: APIRouter, guard: Guard, visit_of: Callable[[Request], Visit]) -> None:
    door = guard.door

    @routes.get(SESSION, summary="谁已登录 Who is logged in", responses=problems(401, 503),
                response_model=SessionAnswer, openapi_extra={"security": [{"session": []}]})  # fmt: skip
    async def who(request: Request) -> Response:
        """人员、部门、角色、可办事项与 csrf。Person, department, roles, what they may do, and `csrf`."""
        found = await guard.verified(request, "session")
        return _json(told(found) | {"csrf": csrf_of(guard.secret(request) or "")}, visit_of(request))

    @routes.delete(SESSION, summary="退出登录 Log out", responses=problems(401, 403, 503),
                   response_model=LeftAnswer, openapi_extra={"security": [{"session": []}]})  # fmt: skip
    async def log_out(request: Request) -> Response:
        """须带 X-CSRF-Token。The session ends and the cookie goes."""
        found = await guard.verified(request, "logout", changes=True)
        await guard.asked(lambda: door.log_out(found))
        answer = _json({"person": found.person.id}, visit_of(request))
        answer.headers["set-cookie"] = door.cookie.clear()
        return answer

    @routes.get(ALL, summary="我的登录 Your sessions", responses=problems(401, 503),
                response_model=SessionsAnswer, openapi_extra={"security": [{"session": []}]})  # fmt: skip
    async def sessions(request: Request) -> Response:
        """从何处、何时登录。From where, since when."""
        found = await guard.verified(request, "sessions")
        listed = await guard.asked(lambda: door.sessions.of(found.person.id, found.session.seen))
        shown = [
            {"session": one.number, "way": one.way, "address": one.address, "begun": _instant(one.begun),
             "seen": _instant(one.seen), "this": one.number == found.session.number}
            for one in listed
        ]  # fmt: skip
        return _json({"sessions": shown}, visit_of(request))

    @routes.post(ONE, summary="结束我的一个登录 End one of your sessions", responses=problems(401, 403, 413, 422, 503),
                 response_model=EndedAnswer,
                 openapi_extra=_body_of(EndBody) | {"security": [{"session": []}]})  # fmt: skip
    async def end(request: Request) -> Response:
        """须带 X-CSRF-Token；没有此登录时 ended 为 false。`ended` is false when there is none of that number."""
        found = await guard.verified(request, "sessions", changes=True)
        body = await guard.read(request, EndBody)
        ended = await guard.asked(lambda: door.end(body.session, found.person.id, found.person.id))
        return _json({"ended": ended}, visit_of(request))


def told(verified: Verified) -> dict[str, object]:
    """Who is logged in, as JSON: never the secret."""
    person, session = verified.person, verified.session
    return {
        "person": person.id, "name": person.name, "department": person.department, "lang": person.lang,
        "roles": sorted(person.roles), "may": [act for act in rights() if may(person.actor, act, person.department)],
        "way": session.way, "until": _instant(session.until),
    }  # fmt: skip


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _cookies(request: Request) -> bytes | None:
    found = [value for name, value in request.scope["headers"] if name == b"cookie"]
    return b";".join(found) if found else None


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}, "security": []}


def _json(found: dict[str, object], visit: Visit) -> Response:
    return Response(orjson.dumps(found | {"request_id": visit.call.id}), media_type="application/json")
