"""The change feed as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from sharing.contract import Case, GrantHeader, GrantName, Matter, Name, OwnId, Provenance, problems
from sharing.feed import LARGEST, USUAL


class ChangeLine(BaseModel):
    """One record that changed within the grant."""

    key: str
    change: Literal["changed", "gone"] = Field(description="gone：已删除或不再属于授权范围 deleted, or out of the rows")
    record: dict[str, Any] | None


class ChangesAnswer(Provenance):
    """A page of changes, and where to go on."""

    data: list[ChangeLine]
    cursor: str = Field(description="下次请求的 since the `since` of the next call")
    more: bool = Field(description="还有未读的变更 more of them are there now")


# As in sharing/contract.py: never mounted, they only speak to the OpenAPI page.
feeds = APIRouter(tags=["变更订阅 changes"])


def follow_changes(  # noqa: PLR0917 they are headers
    name: Name,
    since: Annotated[str | None, Query(description="上次应答的 cursor；缺省为从现在开始 none: from now on")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST, description="一页至多几条 changes a page")] = USUAL,
    fields: Annotated[str | None, Query(description="逗号分隔的字段 comma-separated fields")] = None,
    grant: GrantName = None,
    x_grant: GrantHeader = None,
    x_matter: Matter = None,
    x_case: Case = None,
    x_client_request_id: OwnId = None,
) -> None:
    """只含授权范围内的变更，每条计一次配额，没有变更不计。Changes within the grant; each counts, none costs nothing."""


for _kind, _zh, _en in (("libraries", "基础库", "a library"), ("resources", "资源", "a served resource")):
    feeds.get(
        f"/v1/{_kind}/{{name}}/changes",
        summary=f"{_zh}自游标以来的变更 What changed in {_en} since a cursor",
        response_model=ChangesAnswer,
        responses=problems(401, 403, 404, 405, 409, 410, 422, 429, 503),
    )(follow_changes)
