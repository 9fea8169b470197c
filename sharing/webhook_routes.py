"""Webhooks over HTTP: a department says where it wants to be told of changes, and tries it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sharing.contract import problems, where_wrong
from sharing.contract_work import HookAnswer, HookGone, HookMade, HooksAnswer, TrialAnswer
from sharing.desk import Desk, Visit
from sharing.errors import MalformedError, TooLargeError
from sharing.webhook_address import Reachable
from sharing.webhook_letters import shown_secret, trial_body
from sharing.webhook_refusals import NoWebhookError, TooManyWebhooksError
from sharing.webhook_store import MOST, Hook, HookStore, marked

LARGEST = 16 << 10  # bytes of a body
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="通知地址编号 number of the webhook")]
_EXAMPLE = '{"url": "https://…", "library": "legal_person"}'


class HookBody(BaseModel):
    """Where to be told of what."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(max_length=2000, description="https 地址 an https address")
    library: str | None = Field(None, description="基础库 a library, or:")
    resource: str | None = Field(None, description="资源 a served resource")
    grant: str | None = Field(None, description="哪一项授权；缺省为有效的第一项 which grant; the first in force")


def webhook_routes(desk: Desk, reachable: Reachable, visit_of: Callable[[Request], Visit]) -> APIRouter:
    """The routes under /v1/webhooks."""
    routes, store = APIRouter(prefix="/v1", tags=["变更通知 webhooks"]), HookStore(desk.config.engine)
    _adding(routes, desk, reachable, store, visit_of)
    _looking(routes, store, visit_of)
    return routes


def _adding(
    routes: APIRouter, desk: Desk, reachable: Reachable, store: HookStore, visit_of: Callable[[Request], Visit]
) -> None:
    schema = {"requestBody": {"required": True, "content": {
        "application/json": {"schema": HookBody.model_json_schema()}}}}  # fmt: skip

    @routes.post("/webhooks", summary="登记通知地址 Register a webhook", status_code=201, openapi_extra=schema,
                 response_model=HookMade, responses=problems(401, 403, 404, 409, 413, 422, 503))  # fmt: skip
    async def add(request: Request) -> Response:
        """变更只告知游标与条数，不含数据；密钥只显示一次。A cursor and counts; the secret is shown once."""
        visit = visit_of(request)
        visit.call.operation = "webhook-add"
        body = _read(await _body(request))
        reachable.read(body.url)
        name, library = body.library or body.resource or "", body.library is not None
        target = desk.library(visit, name) if library else desk.served(visit, name)
        desk.plan(visit, target.name, body.grant, "feed")
        caller = visit.caller
        hook = await asyncio.to_thread(
            store.add, visit.call.department or "", caller.client if caller is not None else None, body.url,
            ("libraries" if library else "resources", target.name), body.grant,
        )  # fmt: skip
        if hook is None:
            raise TooManyWebhooksError.of(MOST)
        marked(desk.config.meter.parent)
        return _json({"webhook": hook.told(), "secret": shown_secret(desk.config.secret, hook)}, visit, 201)


def _looking(routes: APIRouter, store: HookStore, visit_of: Callable[[Request], Visit]) -> None:
    @routes.get("/webhooks", summary="本部门的通知地址 Your webhooks", response_model=HooksAnswer,
                responses=problems(401, 503))  # fmt: skip
    async def listed(request: Request) -> Response:
        """含连续失败与停用的时间。With since when they fail, and when they were switched off."""
        visit = visit_of(request)
        visit.call.operation = "webhooks"
        found = await asyncio.to_thread(store.of, visit.call.department or "")
        return _json({"webhooks": [one.told() for one in found]}, visit)

    @routes.get("/webhooks/{number}", summary="最近的通知 The newest messages", response_model=HookAnswer,
                responses=problems(401, 404, 422, 503))  # fmt: skip
    async def one(request: Request, number: Number) -> Response:
        """每条的状态、次数与对方的应答。The state of each, how often it was tried, and the answer."""
        visit = visit_of(request)
        visit.call.operation = "webhook"
        hook = await asyncio.to_thread(_mine, store, visit, number)
        return _json({"webhook": hook.told(), "messages": await asyncio.to_thread(store.letters, number)}, visit)

    @routes.delete("/webhooks/{number}", summary="删除 Remove one", response_model=HookGone,
                   responses=problems(401, 404, 422, 503))  # fmt: skip
    async def remove(request: Request, number: Number) -> Response:
        """未送出的通知一并删除。Messages that wait go with it."""
        visit = visit_of(request)
        visit.call.operation = "webhook-remove"
        hook = await asyncio.to_thread(_mine, store, visit, number)
        await asyncio.to_thread(store.remove, number)
        return _json({"removed": hook.id}, visit)

    @routes.post("/webhooks/{number}/test", summary="发送测试通知 Send a test", response_model=TrialAnswer,
                 responses=problems(401, 404, 422, 503))  # fmt: skip
    async def test(request: Request, number: Number) -> Response:
        """几秒内送出。It is on its way within seconds."""
        visit = visit_of(request)
        visit.call.operation = "webhook-test"
        hook = await asyncio.to_thread(_mine, store, visit, number)
        return _json({"message": await asyncio.to_thread(store.post, number, trial_body(hook))}, visit)


def _mine(store: HookStore, visit: Visit, number: int) -> Hook:
    hook = store.get(number)
    if hook is None or hook.department != visit.call.department:
        raise NoWebhookError.of()
    return hook


async def _body(request: Request) -> bytes:
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > LARGEST:
            raise TooLargeError.of(LARGEST)
    return raw


def _read(raw: bytes) -> HookBody:
    try:
        body = HookBody.model_validate_json(raw)
    except ValidationError as error:
        where = where_wrong(error)
        raise MalformedError.body(f"请求体有误：{where}", f"The body is wrong at: {where}", _EXAMPLE) from None
    if (body.library is None) == (body.resource is None):
        raise MalformedError.body("library 与 resource 写且只写一个", "Name either `library` or `resource`", _EXAMPLE)
    return body


def _json(found: dict[str, object], visit: Visit, status: int = 200) -> Response:
    return Response(orjson.dumps(found | {"request_id": visit.call.id}), status, media_type="application/json")
