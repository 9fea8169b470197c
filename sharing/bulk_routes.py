"""Bulk jobs over HTTP: hand one in, list them, see one, end one; results are in sharing/bulk.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from sharing.bulk import Form, Jobs
from sharing.contract import Case, GrantHeader, GrantName, Matter, problems
from sharing.contract_work import JobAnswer, JobsAnswer
from sharing.desk import Desk, Visit
from sharing.operations import Question

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="作业编号 id of the job")]
_KEYS = {"schema": {"type": "string", "example": "key\n91330106MA2ABCDE1X\n"}}
_FILE = {"requestBody": {"required": True, "content": {"text/csv": _KEYS, "text/plain": _KEYS}}}


def bulk_routes(desk: Desk, visit_of: Callable[[Request], Visit]) -> APIRouter:
    """The routes under /v1/jobs, and those that take a file of keys."""
    routes, jobs = APIRouter(prefix="/v1", tags=["批量作业 jobs"]), Jobs(desk)
    _filing(routes, desk, jobs, visit_of)

    @routes.get("/jobs", summary="本应用的作业 Your jobs", response_model=JobsAnswer, responses=problems(401, 503))
    async def listed(request: Request) -> Response:
        """进行中与已结束的作业，最新的在前。Those under way and those that ended, the newest first."""
        visit = visit_of(request)
        visit.call.operation = "jobs"
        found = await asyncio.to_thread(jobs.of, visit)
        return _json({"jobs": [one.told() for one in found]}, visit)

    @routes.get("/jobs/{job}", summary="一个作业的进度 How far a job is", response_model=JobAnswer,
                responses=problems(401, 404, 422, 503))  # fmt: skip
    async def one(request: Request, job: JobId) -> Response:
        """已完成的键数、命中数、计费数；等待的作业写明原因与继续的时间。Keys done, found, counted; why it waits."""
        visit = visit_of(request)
        visit.call.operation = "job-status"
        return _json({"job": (await asyncio.to_thread(jobs.one, visit, job)).told()}, visit)

    @routes.post("/jobs/{job}/cancel", summary="取消作业 End a job", response_model=JobAnswer,
                 responses=problems(401, 404, 409, 422, 503))  # fmt: skip
    async def cancel(request: Request, job: JobId) -> Response:
        """已完成的部分仍可下载。What was answered by then is its result."""
        visit = visit_of(request)
        visit.call.operation = "job-cancel"
        return _json({"job": (await asyncio.to_thread(jobs.cancel, visit, job)).told()}, visit)

    return routes


def described() -> APIRouter:
    """What is answered by sharing/bulk.py itself, for the OpenAPI page."""
    routes = APIRouter(prefix="/v1", tags=["批量作业 jobs"])
    binary = {"schema": {"type": "string", "format": "binary"}}
    told: dict[int | str, dict[str, Any]] = {200: {"content": {
        "text/csv": {"schema": {"type": "string"}}, "application/vnd.apache.parquet": binary,
        "application/vnd.apache.arrow.stream": binary,
    }}}  # fmt: skip

    @routes.get("/jobs/{job}/result", summary="作业的结果 The result of a job", response_class=Response,
                responses={**told, **problems(401, 403, 404, 409, 503)})  # fmt: skip
    def result(job: JobId) -> None:
        """每个键一行；授权失效后不能下载。A row for each key; not to be had once the grant has ended."""

    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @routes.get("/jobs/{job}/receipts", summary="作业的回执 The receipts of a job", response_class=Response,
                responses={**text, **problems(401, 404, 503)})  # fmt: skip
    def receipts(job: JobId) -> None:
        """每批键一行。One a line, for each chunk of keys that was counted."""

    return routes


def _filing(routes: APIRouter, desk: Desk, jobs: Jobs, visit_of: Callable[[Request], Visit]) -> None:
    @routes.post(
        "/{kind}/{name}/jobs", summary="提交键文件（至多 100 万个键） Hand in a file of up to a million keys",
        status_code=202, response_model=JobAnswer, responses=problems(401, 403, 404, 413, 422, 429, 503),
        openapi_extra=_FILE,
    )  # fmt: skip
    async def file(  # noqa: PLR0917 they are parameters and headers
        request: Request,
        kind: Literal["libraries", "resources"],
        name: str,
        form: Annotated[Form, Query(alias="format", description="结果格式 format of the result")] = "csv",
        fields: Annotated[str | None, Query(description="逗号分隔的字段 comma-separated fields")] = None,
        grant: GrantName = None,
        x_grant: GrantHeader = None,
        x_matter: Matter = None,  # noqa: ARG001 the front reads it for every call
        x_case: Case = None,  # noqa: ARG001 as above
    ) -> Response:
        """每个键计一次配额，不足时次日继续；每批按当时的授权应答。Each key counts once, by the rights of then."""
        visit = visit_of(request)
        visit.call.operation = "job"
        target = desk.library(visit, name) if kind == "libraries" else desk.served(visit, name)
        asked = Question(grant or x_grant, {}, {"fields": [fields]} if fields else {})
        job = await jobs.file(visit, target, asked, form, request.stream())
        return _json({"job": job.told()}, visit, 202, {"Location": f"/v1/jobs/{job.id}"})


def _json(found: dict[str, object], visit: Visit, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(found | {"request_id": visit.call.id})
    return Response(body, status, headers, media_type="application/json")
