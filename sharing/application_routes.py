"""Applications and grants over HTTP: a department's system files, follows, supplies, withdraws and disputes.

Deciding is for people, whose roles a key does not have: the service refuses it here as it does everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sharing.application_values import Actor, Application, GrantVersion, Purpose, State
from sharing.applications import Applications
from sharing.calls import SHANGHAI
from sharing.contract import example_of, problems, where_wrong
from sharing.desk import Visit
from sharing.errors import MalformedError, TooLargeError
from sharing.grant_acts import GrantActs
from sharing.grant_terms import Terms

LARGEST = 64 << 10  # bytes of a body
_LARGEST_NUMBER = 2**63 - 1
Body = TypeVar("Body", bound=BaseModel)
Number = Annotated[int, Path(ge=1, le=_LARGEST_NUMBER, description="申请编号 number of the application")]


class TermsBody(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")
    fields: list[str] = Field(max_length=500, description="字段；仅核验时可为空 fields, none to verify only")
    until: str = Field(description="有效期至，如 2027-12-31 last day")
    clear: list[str] = Field([], max_length=500, description="不脱敏的字段 fields shown unmasked")
    find: list[str] = Field([], max_length=500, description="据以查找的字段 fields records may be sought by")
    verify: list[str] = Field([], max_length=500, description="可核验的字段 fields of which claims are judged")
    token: list[str] = Field([], max_length=500, description="以关联令牌显示的字段 fields shown as join keys")
    rows: dict[str, list[str]] = Field(
        {}, description="行范围：取值或以 * 结尾的前缀 whole values, or prefixes ending in *"
    )
    channels: list[str] = Field(["query", "batch"], description="方式 query | batch | verify | bulk | feed | sql")
    per_day: int | None = Field(None, description="每日配额 a day")
    per_month: int | None = Field(None, description="每月配额 a month")
    per_second: int | None = Field(None, description="每秒调用 calls a second")
    fresh_within: str | None = Field(None, description="数据须在此时间内更新，如 24h data no older than that")

    def terms(self) -> Terms:
        """As a value."""
        return Terms(
            tuple(self.fields), self.until, frozenset(self.clear), frozenset(self.find),
            {name: tuple(values) for name, values in self.rows.items()}, frozenset(self.channels), self.per_day,
            self.per_month, self.per_second, self.fresh_within, frozenset(self.verify), frozenset(self.token),
        )  # fmt: skip


class FilingBody(BaseModel):
    """An application 共享申请."""

    model_config = ConfigDict(extra="forbid")
    subject: str = Field(description="基础库或资源 library or resource")
    matter_code: str = Field(description="事项编码 code of the matter")
    matter: str = Field(description="事项名称 name of the matter")
    basis: str = Field(description="法律依据 legal basis")
    terms: TermsBody
    client: str | None = Field(None, description="使用数据的应用，即密钥标签 the application, a key's label")
    renews: str | None = Field(None, description="续期的授权 the grant to go on with")


class StepBody(BaseModel):
    """A step of the applicant."""

    model_config = ConfigDict(extra="forbid")
    why: str = Field(description="理由 the reason")
    terms: TermsBody | None = Field(None, description="补正后的申请内容（仅 supply） changed terms, for supply")


def application_routes(applications: Applications, visit_of: Callable[[Request], Visit]) -> APIRouter:
    """The routes under /v1/applications and /v1/grants."""
    routes = APIRouter(prefix="/v1", tags=["申请与授权 applications"])
    _filing(routes, applications, visit_of)
    _grants(routes, GrantActs(applications), visit_of)

    @routes.get(
        "/applications", summary="本部门的申请 Applications of your department", responses=problems(401, 422, 503)
    )
    def applications_of(
        request: Request,
        state: Annotated[list[State] | None, Query(description="状态 states")] = None,
    ) -> Response:
        """本部门提出的，以及向本部门提出的。Those your department filed, and those filed for its data."""
        visit = visit_of(request)
        by = _actor(visit, "applications")
        return _json({"applications": [told(one) for one in applications.find(by, state)]}, visit)

    @routes.get(
        "/applications/{number}", summary="一件申请及经过 One, with its history", responses=problems(401, 404, 422, 503)
    )
    def application(request: Request, number: Number) -> Response:
        """状态、期限、内容与每一步经过。State, term, content and every step."""
        visit = visit_of(request)
        one, history = applications.one(number, _actor(visit, "application"))
        return _json({"application": told(one), "history": [asdict(event) for event in history]}, visit)

    return routes


def told(one: Application) -> dict[str, object]:
    """An application as JSON, with whether it is overdue."""
    return asdict(one) | {"overdue": one.overdue(datetime.now(SHANGHAI).date())}


def _filing(routes: APIRouter, applications: Applications, visit_of: Callable[[Request], Visit]) -> None:
    refusals = problems(401, 403, 404, 409, 413, 422, 503)

    @routes.post(
        "/applications", summary="提出申请 File an application", responses=refusals, openapi_extra=_body_of(FilingBody)
    )
    async def file(request: Request) -> Response:
        """无条件共享的经合规性检查即时授权，其余由提供部门决定。What is unconditional is granted at once."""
        visit = visit_of(request)
        by, body = _actor(visit, "apply"), await _read(request, FilingBody)
        purpose = Purpose(body.matter_code, body.matter, body.basis)

        def filed() -> Application:
            return applications.file(
                by, body.subject, body.terms.terms(), purpose, datetime.now(SHANGHAI), body.client, body.renews
            )

        return _json({"application": told(await asyncio.to_thread(filed))}, visit)

    @routes.post(
        "/applications/{number}/{act}", summary="补正、撤回、争议、提交下一步 Supply, withdraw, dispute, refer",
        responses=refusals, openapi_extra=_body_of(StepBody),
    )  # fmt: skip
    async def step(
        request: Request, number: Number, act: Literal["supply", "withdraw", "dispute", "refer"]
    ) -> Response:
        """每一步都须写明理由。Each step says why."""
        visit = visit_of(request)
        by, body = _actor(visit, act), await _read(request, StepBody)

        def done() -> Application:
            now = datetime.now(SHANGHAI)
            if act == "supply":
                return applications.supply(number, by, body.why, now, body.terms.terms() if body.terms else None)
            steps: Mapping[str, Callable[[int, Actor, str, datetime], Application]] = {
                "withdraw": applications.withdraw, "dispute": applications.dispute, "refer": applications.refer,
            }  # fmt: skip
            return steps[act](number, by, body.why, now)

        return _json({"application": told(await asyncio.to_thread(done))}, visit)


def _grants(routes: APIRouter, grants: GrantActs, visit_of: Callable[[Request], Visit]) -> None:

    @routes.get("/grants", summary="数据库中的授权 Grants of the database", responses=problems(401, 503))
    def every(request: Request) -> Response:
        """本部门持有的与本部门数据的。Those your department holds, and those of its data."""
        visit = visit_of(request)
        return _json({"grants": [asdict(one) for one in grants.find(_actor(visit, "grants"))]}, visit)

    @routes.get(
        "/grants/{grant}", summary="一项授权的各版本 The versions of a grant", responses=problems(401, 404, 503)
    )
    def grant(request: Request, grant: str) -> Response:
        """谁在何时为何改动。Who changed it, when and why."""
        visit = visit_of(request)
        found: list[GrantVersion] = grants.one(grant, _actor(visit, "grant"))
        return _json({"grant": asdict(found[-1]), "versions": [asdict(one) for one in found]}, visit)


def _actor(visit: Visit, operation: str) -> Actor:
    visit.call.operation = operation
    who = visit.caller.who if visit.caller is not None else "-"
    return Actor(who, visit.call.department or "", frozenset())


async def _read(request: Request, model: type[Body]) -> Body:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise TooLargeError.of(LARGEST)
        parts.append(part)
    try:
        return model.model_validate_json(b"".join(parts))
    except ValidationError as error:
        where, example = where_wrong(error), example_of(model)
        raise MalformedError.body(f"请求体有误：{where}", f"The body is wrong at: {where}", example) from None


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    for name, of in schema["properties"].items():
        for each in (of, *of.get("anyOf", ())):
            if "$ref" in each:
                schema["properties"][name] = parts[each["$ref"].rpartition("/")[2]]
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _json(found: dict[str, object], visit: Visit) -> Response:
    return Response(orjson.dumps(found | {"request_id": visit.call.id}), media_type="application/json")
