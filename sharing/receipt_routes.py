"""The public keys of receipts over HTTP, for anybody: whoever holds a receipt can check it without asking us."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Response

from sharing.receipt_keys import ReceiptKeys

PATH = "/v1/receipt-keys"


def receipt_routes(keys: ReceiptKeys) -> APIRouter:
    """The one route there is; it needs no key and is not metered."""
    routes = APIRouter(tags=["用量 usage"])

    @routes.get(
        PATH, summary="回执的公钥（无需密钥） Public keys of receipts", openapi_extra={"security": []},
        response_class=Response, responses={200: {"content": {"application/jwk-set+json": {}}}},
    )  # fmt: skip
    def receipt_keys() -> Response:
        """JWK 集；from、until 为各密钥的使用期，换下的密钥长期保留。A JWK set; keys that were replaced stay in it."""
        return Response(orjson.dumps(keys.public()), media_type="application/jwk-set+json")

    return routes
