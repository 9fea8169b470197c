"""The directory over HTTP: list and search, one entry with what is measured of it, and the whole for other systems."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from schemas.values import Json
from sharing.contract import problems
from sharing.desk import Visit
from sharing.directory import Directory
from sharing.directory_export import MEDIA, Format, export
from sharing.directory_sample import MOST, sample
from sharing.directory_search import Only, told

LARGEST_PAGE = 500
Match = Annotated[str | None, Header(alias="If-None-Match", description="上次应答的 ETag the ETag you have")]


def directory_routes(directory: Callable[[], Directory], visit_of: Callable[[Request], Visit]) -> APIRouter:
    """The routes under /v1/directory; `directory` is asked at each call, and makes it at the first."""
    routes = APIRouter(prefix="/v1", tags=["目录 directory"])

    @routes.get("/directory", summary="查找目录 Search the directory", responses=problems(401, 422, 503))
    def search(  # noqa: PLR0917 - what may be asked
        request: Request,
        q: Annotated[
            str, Query(max_length=100, description="词语、拼音或首字母，以空格分隔 words, pinyin, initials")
        ] = "",
        department: Annotated[str | None, Query(max_length=200, description="提供部门 provider")] = None,
        share: Annotated[Literal["1", "2", "3"] | None, Query(description="1 无条件 2 有条件 3 不予")] = None,
        theme: Annotated[str | None, Query(max_length=100, description="分类代码或名称，如 1/02 class")] = None,
        offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        match: Match = None,
    ) -> Response:
        """按相关程度排列；没有词语时列出全部。The best first; without words everything."""
        visit = _begin(visit_of(request), "directory")
        hits = directory().index.find(q, Only(department, share, theme))
        page: list[Json] = [told(hit) for hit in hits[offset : offset + limit]]
        return _tagged({"total": len(hits), "entries": page}, visit, match)

    @routes.get(
        "/directory:export", summary="导出目录 The whole directory", responses=problems(401, 406, 422, 503),
        response_class=Response,
    )  # fmt: skip
    def whole(
        request: Request,
        form: Annotated[Format, Query(alias="format", description="格式 format")] = "json",
        match: Match = None,
    ) -> Response:
        """核心元数据全部条目。Every entry with its core metadata."""
        _begin(visit_of(request), "directory-export")
        every = directory()
        tag = f'W/"{every.mark}-{form}"'
        if _same(match, tag):
            return Response(status_code=304, headers={"ETag": tag})
        name = f'attachment; filename="directory.{form}"'
        body = export(every, form)
        return Response(body, media_type=MEDIA[form], headers={"ETag": tag, "Content-Disposition": name})

    _samples(routes, directory, visit_of)

    @routes.get("/directory/{name:path}", summary="一个条目 One entry", responses=problems(401, 404, 503))
    def entry(request: Request, name: str, match: Match = None) -> Response:
        """按资源编号、基础库名称或资源代码；含核心元数据与实测情况。By id, name or code; with what is measured."""
        visit = _begin(visit_of(request), "directory-entry")
        return _tagged(directory().shown(name), visit, match)

    return routes


def _samples(routes: APIRouter, directory: Callable[[], Directory], visit_of: Callable[[Request], Visit]) -> None:
    @routes.get("/directory:sample", summary="样例（虚构） A made-up sample", responses=problems(401, 404, 422, 503))
    def made_up(
        request: Request,
        name: Annotated[str, Query(max_length=200, description="资源编号、基础库名称或代码 id, library or code")],
        rows: Annotated[int, Query(ge=1, le=MOST, description="行数 rows")] = 5,
        match: Match = None,
    ) -> Response:
        """依标准虚构，不含任何真实记录。Made up from the standard; no record of anybody has a part in it."""
        visit = _begin(visit_of(request), "directory-sample")
        records: list[Json] = [dict(one) for one in sample(directory().entry(name), rows)]
        return _tagged({"synthetic": True, "records": records}, visit, match)


def _begin(visit: Visit, operation: str) -> Visit:
    visit.call.operation = operation
    return visit


def _tagged(found: Mapping[str, Json], visit: Visit, match: str | None) -> Response:
    tag = f'W/"{hashlib.sha256(orjson.dumps(found)).hexdigest()[:32]}"'
    if _same(match, tag):
        return Response(status_code=304, headers={"ETag": tag})
    body = orjson.dumps({**found, "request_id": visit.call.id})
    return Response(body, media_type="application/json", headers={"ETag": tag})


def _same(match: str | None, tag: str) -> bool:
    return match is not None and (match.strip() == "*" or tag in [one.strip() for one in match.split(",")])
