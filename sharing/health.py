"""Is the service alive, and may it be sent calls: /healthz and /readyz, for load balancers and supervisors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from schemas.errors import ShutongError
from sharing.busy import LIVE, READY
from sharing.catalog import Library
from sharing.desk import Desk
from sharing.drain import Work
from warehouse.state.database import reading

STATE_SECONDS = 3.0  # that the state database has to answer


def health_routes(desk: Desk, work: Work) -> APIRouter:
    """Both answer anybody, say nothing about persons, and are not metered."""
    routes = APIRouter(tags=["运维 operations"])

    @routes.get(LIVE, summary="是否存活（无需密钥） Alive, no key needed")
    async def healthz() -> Response:
        """进程能应答即为 200，各部分状况仅供查看；据此重启进程。200 while it answers at all; restart it by this."""
        return _told(_parts(desk, work, state=None))

    @routes.get(READY, summary="是否可用（无需密钥） Ready for calls, no key needed", responses=_UNREADY)
    async def readyz() -> Response:
        """授权、计量、状态库与基础库都可用时为 200，否则或正在停止时为 503；据此分配流量。Route calls by this."""
        try:
            state = await asyncio.wait_for(asyncio.to_thread(_answers, desk.config.engine), STATE_SECONDS)
        except TimeoutError:
            state = False
        told = _parts(desk, work, state=state)
        return _told(told, 503 if told["status"] in {"failing", "leaving"} else 200)

    return routes


_UNREADY: dict[int | str, dict[str, Any]] = {503: {"description": "不可用或正在停止 Not ready, or about to stop"}}


def library_state(library: Library) -> dict[str, Any]:
    """How it stands with a library or a served resource: its generation, or the code of what is wrong."""
    try:
        info = library.records.info()
    except ShutongError as error:
        return {"status": "failing", "code": error.code}
    except Exception:  # noqa: BLE001 health is reported, never raised
        return {"status": "failing", "code": "SHR-INTERNAL"}
    return {
        "status": "ok",
        "generation": info.id,
        "rows": info.rows,
        "published_at": info.published_at,
        "freshness": info.freshness,
    }


def _parts(desk: Desk, work: Work, *, state: bool | None) -> dict[str, Any]:
    """Every part and what they come to; `state` None leaves the state database unasked."""
    libraries = {name: library_state(library) for name, library in desk.config.libraries.items()}
    served = {name: library_state(library) for name, library in desk.config.served.items()}
    grants = desk.grants.state()
    meter = desk.meter.probe()
    stores = [told["status"] for told in (*libraries.values(), *served.values())]
    failing = bool(meter) or state is False or (bool(stores) and "ok" not in stores)
    degraded = grants.problem is not None or "failing" in stores
    status = "leaving" if work.leaving else "failing" if failing else "degraded" if degraded else "ok"
    return {
        "status": status,
        "libraries": libraries,
        "resources": served,
        "grants": {
            "status": "degraded" if grants.problem else "ok",
            "grants": grants.grants,
            "loaded_at": grants.loaded_at,
            "problem": grants.problem,
        },
        "meter": {"status": "failing" if meter else "ok", "problem": meter},
        "calls": {"going": work.going, "most": work.most},
    } | ({"state": {"status": "ok" if state else "failing"}} if state is not None else {})


def _told(told: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(told, default=str), status, media_type="application/json")


def _answers(engine: sa.Engine) -> bool:
    try:
        with reading(engine) as connection:
            connection.execute(sa.text("SELECT 1 FROM api_key WHERE 1 = 0"))
    except (SQLAlchemyError, ShutongError):
        return False
    return True
