"""The issued statements of a department over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Request, Response

from sharing.contract import problems
from sharing.contract_work import StatementsAnswer
from sharing.desk import Visit
from sharing.statement_refusals import NoStatementError
from sharing.statement_shelf import Shelf
from sharing.statements import read_month


def statement_routes(shelf: Shelf, visit_of: Callable[[Request], Visit]) -> APIRouter:
    """The one route there is; whoever calls sees the statements it is a party to, and no others."""
    routes = APIRouter(tags=["用量 usage"])

    @routes.get("/v1/statements/{month}", summary="对账单 Statements", response_model=StatementsAnswer,
                responses=problems(401, 404, 422, 503))  # fmt: skip
    def statements(
        request: Request, month: Annotated[str, Path(description="年月 month, 2026-01", max_length=7)]
    ) -> Response:
        """本部门作为使用方与提供方的已出具对账单，各带平台签名。Issued statements of your department, each signed."""
        visit = visit_of(request)
        visit.call.operation = "statements"
        department = visit.call.department or ""
        found = [orjson.Fragment(one) for one in shelf.of(read_month(month), department)]
        if not found:
            raise NoStatementError.of(month)
        told = {"month": month, "department": department, "statements": found, "request_id": visit.call.id}
        return Response(orjson.dumps(told), media_type="application/json")

    return routes
