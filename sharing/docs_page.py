"""The interactive page /docs over the OpenAPI of the service, whole from this package: no other host is asked."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from sharing.errors import NotFoundError

DOCS: Final = "/docs"
ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}
PATHS: Final = frozenset({DOCS, *(f"{DOCS}/{name}" for name in ASSETS)})
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)


def docs_routes() -> APIRouter:
    """The page in Chinese or English, and what it is made of; neither belongs to the contract it shows."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(DOCS)
    async def docs(request: Request, lang: Annotated[str | None, Query(max_length=8)] = None) -> Response:
        accepted = (lang or request.headers.get("accept-language", "zh")).strip().lower()
        told = "en" if accepted.startswith("en") else "zh"
        headers = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer", "content-language": told}
        return Response(_read(f"page.{told}.html"), headers=headers, media_type="text/html; charset=utf-8")

    @routes.get(DOCS + "/{name}")
    async def asset(request: Request, name: str) -> Response:
        media = ASSETS.get(name)
        if media is None:
            raise NotFoundError.path()
        packed = (files("sharing") / "docs_assets" / f"{name}.gz").is_file()
        if not packed:
            return Response(_read(name), media_type=media)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(_read(f"{name}.gz"), headers={"content-encoding": "gzip"}, media_type=media)
        return Response(_unpacked(f"{name}.gz"), media_type=media)

    return routes


@cache
def _unpacked(name: str) -> bytes:
    return gzip.decompress(_read(name))


@cache
def _read(name: str) -> bytes:
    return (files("sharing") / "docs_assets" / name).read_bytes()
