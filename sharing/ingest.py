"""Take batches that departments push: known key, own resource, fresh signature, durable before it is answered."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import re
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from starlette.requests import ClientDisconnect

from sharing.contract import PROBLEM_REF
from sharing.desk import Visit
from sharing.ingest_errors import SECONDS, BadBatchError, NoPushError, NotYoursError, PushTooLargeError
from sharing.ingest_gate import Nonces, Seal
from sharing.ingest_terms import LARGEST, UNPACKED, Counter, Pushed, Receipt

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RULES = {
    400: "不是 JSON、JSON 行或 CSV，给出行号 Not JSON, JSON lines or CSV; says which line",
    401: "没有密钥，或签名缺失、过期、重放、不符 No key, or a signature missing, stale, replayed or wrong",
    403: "其他部门的资源 Another department's resource",
    404: "该资源不接收推送 The resource takes no batches",
    409: "同一编号已用于不同内容 The id was used for other content",
    413: "批次过大 Batch too large",
    503: "暂不可用，没有收下 Unavailable, nothing was taken",
}
_SIGNED = """推送一个批次：JSON 数组、JSON 行或 CSV，可用 gzip。落盘后才应答；同一编号同一内容再推送得到同样的应答。

`X-Signature: sha256=<hex>` 或 `sm3=<hex>`，是用推送密钥对以下五行（以 \\n 相连）所作的 HMAC：方法、路径、X-Timestamp
（Unix 秒）、X-Nonce（16 至 128 个字母数字，每次发送都换新）、请求体（发送时的字节）摘要的十六进制。

Push one batch. It is durable before it is answered; the same id and content again gets the same answer. The signature
is the HMAC, keyed with the push secret, of five lines joined by \\n: method, path, X-Timestamp (Unix seconds), X-Nonce
(16 to 128 letters and digits, new for each sending), and the hexadecimal hash of the body as sent."""


def ingest_routes(
    counters: Mapping[str, Counter],
    folder: Path,
    visit_of: Callable[[Request], Visit],
    largest: int = LARGEST,
    unpacked: int = UNPACKED,
) -> APIRouter:
    """The route that takes batches for `counters`, by resource; used nonces rest in `folder`; limits in bytes."""
    routes = APIRouter(prefix="/v1/ingest", tags=["推送 push"])
    nonces = Nonces(folder)
    problems: dict[int | str, dict[str, Any]] = {
        status: {"description": said, "content": PROBLEM_REF} for status, said in _RULES.items()
    }

    @routes.post(
        "/{resource}/batches/{batch_id}",
        summary="推送一个批次 Push a batch",
        description=_SIGNED,
        response_model=Receipt,
        responses=problems,
        openapi_extra=_documented(),
    )
    async def push(
        request: Request,
        resource: Annotated[str, InPath(description="资源编号 resource id")],
        batch_id: Annotated[str, InPath(description="发送方给的批次编号 the sender's id of the batch")],
    ) -> Response:
        visit = visit_of(request)
        visit.call.operation = "push"
        counter = counters.get(resource)
        if counter is None:
            raise NoPushError.of(resource)
        visit.call.resource = resource
        if visit.call.department != counter.department:
            raise NotYoursError.of(resource)
        if not _ID.fullmatch(batch_id):
            raise BadBatchError.name()
        seal = Seal.of(request.headers, counter.algorithm, time.time())
        body = await _body(request, largest)

        def let_in() -> Pushed:
            seal.check(counter.secret(), request.method, request.url.path, body)
            nonces.use(counter.department, seal)
            content = _content(request.headers.get("content-encoding", ""), body, unpacked)
            kind = request.headers.get("content-type", "")
            return Pushed(batch_id, kind, content, hashlib.sha256(content).hexdigest())

        receipt = await asyncio.to_thread(lambda: counter.accept(let_in()))
        told = receipt.model_dump() | {"request_id": visit.call.id}
        return Response(orjson.dumps(told), 200, media_type="application/json")

    return routes


async def _body(request: Request, largest: int, patience: float = SECONDS) -> bytes:
    """The body, whole; its signature would be stale after `patience` seconds, so nobody waits for it longer."""
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said) > largest:
        raise PushTooLargeError.of(largest)
    parts, size = [], 0
    try:
        async with asyncio.timeout(patience):
            async for part in request.stream():
                size += len(part)
                if size > largest:
                    raise PushTooLargeError.of(largest)
                parts.append(part)
    except (ClientDisconnect, TimeoutError):
        raise BadBatchError.torn() from None
    return b"".join(parts)


def _content(encoding: str, body: bytes, largest: int) -> bytes:
    if encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() != "gzip":
        raise BadBatchError.packed()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            content = packed.read(largest + 1)
    except (OSError, EOFError, zlib.error):
        raise BadBatchError.packed() from None
    if len(content) > largest:
        raise PushTooLargeError.of(largest)
    return content


def _documented() -> dict[str, Any]:
    record = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
    text = {"schema": {"type": "string"}}
    headers = {
        "X-Timestamp": "Unix 秒，与平台时间相差不超过 300 秒 Unix seconds, within 300 of the platform's clock",
        "X-Nonce": "16 至 128 个字母数字，每次换新 16 to 128 letters and digits, new each time",
        "X-Signature": "sha256=<hex> 或 or sm3=<hex>",
    }
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": record}, "application/x-ndjson": text, "text/csv": text},
        },
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": said, "schema": {"type": "string"}}
            for name, said in headers.items()
        ],
    }
