"""The directory as a CKAN site that can be read: the five actions that harvesters and ckanapi begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson
from fastapi import APIRouter, Request, Response

from schemas.values import Json
from sharing.contract import problems
from sharing.desk import Visit
from sharing.directory import Directory, by_code
from sharing.directory_search import Only
from sharing.directory_values import SHARE_NAMES, Entry
from sharing.errors import NotFoundError, TooLargeError

SPEAKS = "2.11"  # the version of CKAN whose answers these are
LARGEST = 64 << 10  # bytes of a body
LARGEST_PAGE = 1000
_FILTERS = {"organization": "department", "share_type": "share", "theme": "theme"}
Asked = Mapping[str, Json]
Visiting = Callable[[Request], Visit]


class _Wrong(Exception):
    """A parameter that cannot be."""


def ckan_routes(directory: Callable[[], Directory], visit_of: Visiting) -> APIRouter:
    """The actions under /api/3/action and /api/action; they only read."""
    routes = APIRouter(tags=["目录 directory"])
    error: dict[str, Any] = {"description": "CKAN error", "content": {"application/json": {}}}
    shape = {200: {"description": "CKAN"}} | problems(401, 413, 503) | {404: error, 409: error}

    @routes.get("/api/3/action/{action}", summary="CKAN 只读接口 Read as a CKAN site", responses=shape)
    @routes.get("/api/action/{action}", include_in_schema=False)
    def read(request: Request, action: str) -> Response:
        """package_list、package_show、package_search、organization_list、status_show。"""
        return _answer(directory, visit_of(request), action, dict(request.query_params))

    @routes.post("/api/3/action/{action}", summary="CKAN 只读接口 Read as a CKAN site", responses=shape)
    @routes.post("/api/action/{action}", include_in_schema=False)
    async def ask(request: Request, action: str) -> Response:
        """同上，参数在请求体中。The same, parameters in the body."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise TooLargeError.of(LARGEST)
        try:
            said = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            return _refused("Validation Error", "The body is not a JSON object", 409)
        return _answer(directory, visit_of(request), action, said)

    return routes


def _answer(directory: Callable[[], Directory], visit: Visit, action: str, asked: Asked) -> Response:
    visit.call.operation = f"ckan-{action}"[:40] if action in _ACTIONS else "ckan"
    if action not in _ACTIONS:
        return _refused("Not Found Error", "No such action: this site can only be read", 404)
    try:
        result = _ACTIONS[action](directory(), asked)
    except NotFoundError as error:
        return _refused("Not Found Error", error.en, 404)
    except _Wrong as wrong:
        return _refused("Validation Error", str(wrong), 409)
    return Response(orjson.dumps({"help": action, "success": True, "result": result}), media_type="application/json")


def _refused(kind: str, message: str, status: int) -> Response:
    told = {"success": False, "error": {"__type": kind, "message": message}}
    return Response(orjson.dumps(told), status, media_type="application/json")


def _package_list(directory: Directory, asked: Asked) -> Json:
    names: list[Json] = [_name(one) for one in by_code(directory)]
    start = _number(asked, "offset", 0)
    return names[start : start + _number(asked, "limit", len(names))]


def _package_show(directory: Directory, asked: Asked) -> Json:
    wanted = asked.get("id")
    if not isinstance(wanted, str) or not wanted:
        raise _Wrong("id: Missing value")
    for one in directory.entries.values():
        if wanted in {_name(one), one.id, one.code}:
            return _package(one)
    raise NotFoundError.resource(wanted)


def _package_search(directory: Directory, asked: Asked) -> Json:
    query = str(asked.get("q") or "")
    only: dict[str, str] = {}
    for one in str(asked.get("fq") or "").split():
        name, _, value = one.lstrip("+").partition(":")
        if name not in _FILTERS:
            raise _Wrong(f"fq: {', '.join(_FILTERS)} can be filtered by")
        only[_FILTERS[name]] = value.strip('"')
    hits = directory.index.find("" if query == "*:*" else query, Only(**only))
    start, rows = _number(asked, "start", 0), _number(asked, "rows", 10)
    page: list[Json] = [_package(hit.entry) for hit in hits[start : start + rows]]
    return {"count": len(hits), "results": page, "sort": "score desc", "facets": {}, "search_facets": {}}


def _organization_list(directory: Directory, asked: Asked) -> Json:
    entries = directory.entries.values()
    known = {one.provider.id: one for one in entries if one.provider.id}
    if str(asked.get("all_fields", "")).lower() not in {"true", "1"}:
        return cast("list[Json]", sorted(known))
    counts = {name: sum(other.provider.id == name for other in entries) for name in known}
    return [_organization(one) | {"package_count": counts[name]} for name, one in sorted(known.items())]


def _status_show(_directory: Directory, _asked: Asked) -> Json:
    return {
        "ckan_version": SPEAKS,
        "site_title": "数通 Shutong",
        "site_description": "",
        "locale_default": "zh_Hans_CN",
        "extensions": [],
    }


_ACTIONS: Mapping[str, Callable[[Directory, Asked], Json]] = {
    "package_list": _package_list,
    "package_show": _package_show,
    "package_search": _package_search,
    "organization_list": _organization_list,
    "status_show": _status_show,
}


def _package(entry: Entry) -> Json:
    core = entry.core
    extras = {
        "resource_code": entry.code,
        "share_type": SHARE_NAMES[core.share][0] if core.share else "",
        "update_cycle": core.update,
        "classification": "/".join(one.zh for one in core.classes),
        "provider_code": entry.provider.code,
    }
    fields: list[Json] = [{"id": one.name, "type": one.type, "info": {"label": one.zh}} for one in entry.items]
    return {
        "id": entry.id,
        "name": _name(entry),
        "title": entry.listed.title.zh,
        "notes": core.abstract.zh,
        "type": "dataset",
        "state": "active",
        "private": False,
        "isopen": False,
        "organization": _organization(entry),
        "owner_org": entry.provider.id,
        "metadata_created": core.published,
        "tags": [{"name": one, "display_name": one} for one in core.keywords],
        "num_tags": len(core.keywords),
        "extras": [{"key": key, "value": value} for key, value in extras.items() if value],
        "num_resources": 1,
        "resources": [
            {"id": f"{entry.id}-items", "name": entry.listed.title.zh, "format": "JSON", "package_id": entry.id,
             "url": f"/v1/directory/{entry.id}", "schema": {"fields": fields}},
        ],
    }  # fmt: skip


def _organization(entry: Entry) -> dict[str, Json]:
    provider = entry.provider
    return {"id": provider.id, "name": provider.id, "title": provider.name.zh, "type": "organization"}


def _name(entry: Entry) -> str:
    """CKAN's names have no dots."""
    return entry.id.replace(".", "-")


def _number(asked: Asked, name: str, otherwise: int) -> int:
    said = asked.get(name, otherwise)
    text = str(said)
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(10**9)):
        raise _Wrong(f"{name}: Must be a natural number")
    return min(int(text), 10**9) if name in {"start", "offset"} else min(int(text), max(LARGEST_PAGE, otherwise))
