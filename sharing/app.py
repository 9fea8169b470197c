"""The sharing API: directory, libraries, look-ups, own usage and health behind one metered front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from sharing.access_log import AccessLog
from sharing.application_routes import application_routes
from sharing.bulk_routes import bulk_routes, described
from sharing.busy import LIVE, READY, Door, Watch
from sharing.catalog import CatalogEntry, Library, SharingConfig
from sharing.ckan import ckan_routes
from sharing.contract import Problem, lean, problems
from sharing.contract_feed import feeds
from sharing.contract_subjects import subjects
from sharing.counters import By, Counters
from sharing.desk import Desk, Visit
from sharing.directory_routes import directory_routes
from sharing.directory_usage import used
from sharing.directory_values import Usage
from sharing.docs_page import docs_routes
from sharing.drain import Drain, Work
from sharing.errors import MalformedError, NotAllowedError, NotFoundError, SharingError
from sharing.front import VISIT, Front
from sharing.grants import mask_of
from sharing.health import health_routes, library_state
from sharing.ingest import ingest_routes
from sharing.lockout import Gate
from sharing.metrics import Tally
from sharing.metrics_page import metrics_routes
from sharing.operating import Operating
from sharing.problems import refusal
from sharing.receipt_routes import receipt_routes
from sharing.session_routes import session_routes
from sharing.statement_routes import statement_routes
from sharing.statement_shelf import Shelf
from sharing.token_routes import TOKEN, token_routes
from sharing.traces import Traces
from sharing.usage import totals_of, used_of
from sharing.webhook_address import Reachable
from sharing.webhook_routes import webhook_routes

_ABOUT = """共享交换接口：按授权查询基础库，字段与行按授权过滤，个人信息默认脱敏，每次应答先记账后发出。

Query the base libraries under a grant: fields and rows are those of the grant, personal data is masked unless cleared,
and every call is recorded durably before its answer leaves. Send your department's key in `X-Api-Key`."""


def create_app(config: SharingConfig) -> FastAPI:
    """The service over a deployment's libraries; call it once per process, after any fork.

    Raises SharingError (SHR-SECRET, SHR-MASK) when it is misconfigured. Broken grants do not stop it:
    it then grants nothing.
    """
    desk, operating = Desk(config), config.operating
    watch = _watch(operating)
    desk.meter.noted = partial(_committed, watch.tally)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        Drain(watch.work, operating.drain_seconds, operating.room).listen()
        yield
        desk.close()
        watch.close()

    app = FastAPI(
        title="数通 Shutong", version="1", description=_ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan,
        redirect_slashes=False,  # a redirect would go wherever the caller's Host header says
    )  # fmt: skip
    app.state.desk, app.state.watch = desk, watch
    app.include_router(_directory(desk))
    app.include_router(_account(desk))
    app.include_router(health_routes(desk, watch.work))
    app.include_router(metrics_routes(desk, watch, operating))
    app.include_router(docs_routes())
    app.include_router(token_routes(desk.callers, _visit, Gate(config.engine)))
    app.include_router(ingest_routes(config.pushes, config.meter / "nonces", _visit))
    app.include_router(receipt_routes(desk.receipts))
    app.include_router(bulk_routes(desk, _visit))
    app.include_router(webhook_routes(desk, Reachable(config.webhook_networks), _visit))
    app.include_router(statement_routes(Shelf(config.meter), _visit))
    if config.people is not None:
        app.include_router(session_routes(config.people, desk.callers, _visit))
    if config.applications is not None:
        app.include_router(application_routes(config.applications, _visit))
    if config.directory is not None:
        directory = cache(partial(config.directory, _usage(desk)))
        app.include_router(directory_routes(directory, _visit))
        app.include_router(ckan_routes(directory, _visit))
    app.add_exception_handler(SharingError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(RequestValidationError, _refuse_parameter)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _openapi(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend FastAPI's schema
    # Outside of Starlette's own layers, which a look-up has no use for.
    front = Front(app.build_middleware_stack(), desk, watch.work)
    app.middleware_stack = Door(front, watch, operating.body_seconds)
    return app


def _watch(operating: Operating) -> Watch:
    return Watch(
        Work(operating.calls),
        Tally(operating.room),
        AccessLog(operating.log) if operating.log is not None else None,
        Traces(operating.traces) if operating.traces is not None else None,
    )


def _committed(tally: Tally, calls: int, micros: int) -> None:
    tally.add("records", by=calls)
    tally.time("commits", micros=micros)


def _visit(request: Request) -> Visit:
    visit: Visit = request.scope[VISIT]
    return visit


Caller = Annotated[Visit, Depends(_visit)]


def _directory(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["目录 directory"])
    config = desk.config

    @routes.get("/resources", summary="资源目录 The directory of resources", responses=problems(401, 503))
    def resources(visit: Caller) -> Response:
        """全部资源：归属部门、标准、所属基础库、更新计划与新鲜度。Every resource, with schedule and freshness."""
        visit.call.operation = "resources"
        return _json({"resources": [_entry(entry) for entry in config.catalog], "request_id": visit.call.id})

    @routes.get("/resources/{resource}", summary="一项资源 One resource", responses=problems(401, 404, 503))
    def resource(resource: str, visit: Caller) -> Response:
        """字段、分级、共享属性与默认脱敏方式。Its fields, levels, sharing attributes and default masks."""
        visit.call.operation = "resource"
        for entry in config.catalog:
            if entry.resource == resource:
                visit.call.resource = resource
                told = _entry(entry) | {"fields": _fields(entry), "granted": _granted(desk, visit, entry)}
                served = config.served.get(resource)
                told |= {"served": _asked(served) if served is not None else None}
                return _json(told | {"request_id": visit.call.id})
        raise NotFoundError.resource(resource)

    @routes.get("/libraries", summary="基础库 Libraries", responses=problems(401, 503))
    def libraries(visit: Caller) -> Response:
        """可查询的基础库、当前版本与本部门的授权。The libraries that can be asked, and your grants for them."""
        visit.call.operation = "libraries"
        told = [_library(desk, visit, name, library) for name, library in config.libraries.items()]
        return _json({"libraries": told, "request_id": visit.call.id})

    return routes


def _usage(desk: Desk) -> Usage:
    counters = Counters(desk.config.meter)

    def since(day: str) -> Mapping[str, tuple[int, int]]:
        subjects: dict[str, Mapping[str, str]] = {}

        def subject_of(department: str, grant: str) -> str | None:
            if department not in subjects:
                subjects[department] = {one.id: one.subject for one in desk.grants.of(department)}
            return subjects[department].get(grant)

        return used(totals_of(counters, day), subject_of)

    return since


def _account(desk: Desk) -> APIRouter:
    routes, counters = APIRouter(), Counters(desk.config.meter)

    @routes.get("/v1/usage", summary="本部门用量 Your usage", tags=["用量 usage"], responses=problems(401, 422, 503))
    def usage(
        visit: Caller,
        days: Annotated[int, Query(ge=1, le=366, description="最近几天 days back")] = 31,
        by: Annotated[By, Query(description="按日、时（31 天内）、分（2 天内） day, hour or minute")] = "day",
    ) -> Response:
        """按时间、数据、授权、状态统计本部门的调用，及今日剩余配额。Your calls, and what is left of each quota."""
        visit.call.operation = "usage"
        department = visit.call.department or ""
        since, calls = used_of(counters, department, days, by)
        return _json({"department": department, "since": since, "calls": calls, "quotas": _quotas(desk, department),
                      "request_id": visit.call.id})  # fmt: skip

    return routes


def _json(told: object, status: int = 200) -> Response:
    return Response(orjson.dumps(told, default=str), status, media_type="application/json")


def _entry(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "resource": entry.resource,
        "department": entry.department,
        "title": {"zh": entry.title_zh, "en": entry.title_en},
        "standard": entry.standard.id,
        "library": entry.library,
        "schedule": entry.schedule,
        "freshness": entry.freshness(),
    }


def _fields(entry: CatalogEntry) -> list[dict[str, Any]]:
    known = {field.name: field for field in entry.standard.fields}
    shown = [known[name] for name in entry.fields if name in known]
    return [
        {
            "name": field.name,
            "zh": field.zh,
            "en": field.en,
            "type": field.type,
            "level": field.level,
            "share": field.share,
            "masked_by_default": mask_of(field) is not None,
        }
        for field in shown
    ]


def _granted(desk: Desk, visit: Visit, entry: CatalogEntry) -> list[str]:
    grants = desk.grants.of(visit.call.department or "")
    return [grant.id for grant in grants if grant.subject in {entry.resource, entry.library}]


def _library(desk: Desk, visit: Visit, name: str, library: Library) -> dict[str, Any]:
    grants = [grant for grant in desk.grants.of(visit.call.department or "") if grant.subject == name]
    return {
        "library": name,
        "title": {"zh": library.standard.zh, "en": library.standard.en},
        "standard": library.standard.id,
        "grants": [
            {
                "id": grant.id,
                "fields": grant.fields,
                "clear": sorted(grant.clear),
                "find": sorted(grant.find),
                "verify": sorted(grant.verify),
                "token": sorted(grant.token),
                "until": grant.until,
            }
            for grant in grants
        ],
    } | _asked(library)


def _asked(library: Library) -> dict[str, Any]:
    return {"key": library.key_field, "personal": library.personal} | library_state(library)


def _quotas(desk: Desk, department: str) -> list[dict[str, Any]]:
    """What each grant has left today, no more than its month has."""
    told = []
    for grant in desk.grants.of(department):
        limit = desk.months.limited(grant).per_day
        used = desk.quota.used(department, grant.id) if limit is not None else None
        left = max(0, limit - used) if limit is not None and used is not None else None
        told.append({"grant": grant.id, "origin": grant.origin, "state": grant.state, "subject": grant.subject,
                     "until": grant.until, "per_day": grant.per_day, "per_month": grant.per_month,
                     "per_second": grant.per_second, "used": used, "left": left})  # fmt: skip
    return told


def _problem(request: Request, error: SharingError) -> Response:
    visit = _visit(request)
    visit.call.code = error.code
    answer = refusal(error, visit.call.id)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, answer.media.decode())


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, SharingError):
        raise error
    return _problem(request, error)


async def _refuse_http(request: Request, error: Exception) -> Response:
    # The framework itself raises 404 and 405 only.
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _problem(request, NotAllowedError.of((error.headers or {}).get("Allow", "GET")))
    return _problem(request, NotFoundError.path())


async def _refuse_parameter(request: Request, error: Exception) -> Response:
    places = error.errors()[0]["loc"] if isinstance(error, RequestValidationError) else ()
    return _problem(request, MalformedError.parameter(str(places[-1]) if places else "-"))


def _openapi(app: FastAPI) -> dict[str, Any]:
    told = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=[*app.routes, *lean.routes, *feeds.routes, *described().routes, *subjects.routes],
    )
    parts = told.setdefault("components", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts.setdefault("schemas", {}).update(schema.pop("$defs", {}) | {"Problem": schema})
    parts["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}
    flow = {"clientCredentials": {"tokenUrl": TOKEN, "scopes": {}}}
    parts["securitySchemes"]["token"] = {"type": "oauth2", "flows": flow}
    cookie = {"type": "apiKey", "in": "cookie", "name": "__Host-shutong"}
    parts["securitySchemes"]["session"] = cookie
    told["security"] = [{"key": []}, {"token": []}]
    for probe in (LIVE, READY):
        told["paths"][probe]["get"]["security"] = []
    for path in told["paths"].values():
        for operation in path.values():
            if "422" in operation["responses"] and "application/json" in operation["responses"]["422"]["content"]:
                del operation["responses"]["422"]  # FastAPI's own shape, which is never sent
    return told
