"""The contract as OpenAPI shows it: models, and the lean look-ups described beside the routes FastAPI serves itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field

PROBLEM_REF = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REASONS = {
    401: "没有密钥或密钥无效 No key, or the key is not accepted",
    403: "没有授权，或字段不在授权之内 Not granted, or a field outside the grant",
    404: "没有找到 Not found",
    405: "方法不允许；个人信息库的键不得出现在网址中 Wrong method; keys of personal libraries never travel in a URL",
    413: "请求体过大 Body too large",
    422: "键或请求体格式错误 MalformedError key or body",
    429: "配额已用完，见 Retry-After Quota spent, see Retry-After",
    503: "暂不可用，没有应答任何数据 UnavailableError, nothing was answered",
}


class Words(BaseModel):
    """A problem in one language."""

    title: str
    detail: str
    fix: str


class Problem(BaseModel):
    """Why a call was refused (RFC 9457), in both languages, with what to do next."""

    type: str
    title: str = Field(description="中文 | English")
    status: int
    detail: str = Field(description="中文 | English")
    code: str = Field(description="稳定的错误码 stable code")
    fix: str = Field(description="怎么办 what to do next")
    retryable: bool = Field(description="不改动任何东西，稍后重试可否成功 may the same call succeed later")
    request_id: str
    zh: Words
    en: Words


class KeyBody(BaseModel):
    """What to look up."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(description="统一社会信用代码、公民身份号码等库的主键 the library's key")
    fields: list[str] | None = Field(None, description="只要这些字段；缺省为授权内全部字段 only these fields")


class KeysBody(BaseModel):
    """What to look up, many at once."""

    model_config = ConfigDict(extra="forbid")
    keys: list[str] = Field(min_length=1, max_length=1000, description="至多 1000 个键，每个计一次配额 one unit each")
    fields: list[str] | None = Field(None, description="只要这些字段；缺省为授权内全部字段 only these fields")


class Provenance(BaseModel):
    """What every answer says about where it comes from."""

    masked: list[str] = Field(description="已脱敏的字段 fields shown masked")
    library: str
    grant: str = Field(description="据以应答的授权 the grant it was answered under")
    generation: int | str = Field(description="数据版本 generation of the library")
    published_at: str = Field(description="该版本发布时间 when it was published")
    freshness: dict[str, str] = Field(description="各部门最近一次数据入库时间 newest landing per department")
    request_id: str


class RecordAnswer(Provenance):
    """One record, as far as the grant goes."""

    data: dict[str, Any]


class Line(BaseModel):
    """One key of a batch."""

    key: str
    found: bool
    record: dict[str, Any] | None


class BatchAnswer(Provenance):
    """Many records, in the order asked."""

    data: list[Line]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its `responses`."""
    return {status: {"description": _REASONS[status], "content": PROBLEM_REF} for status in statuses}


Library = Annotated[str, Path(description="基础库名称 library")]
GrantName = Annotated[str | None, Query(alias="grant", description="使用哪一项授权 which grant (or header X-Grant)")]
GrantHeader = Annotated[str | None, Header(alias="X-Grant", description="使用哪一项授权 which grant")]

# Described here and answered by sharing/front.py: these routes are never mounted, they only speak to the OpenAPI page.
lean = APIRouter(tags=["查询 look-up"])
_REFUSALS = problems(401, 403, 404, 405, 422, 429, 503)


@lean.get(
    "/v1/libraries/{library}/records/{key}",
    summary="按键查询一条记录（非个人信息库） Look up one record",
    response_model=RecordAnswer,
    responses=_REFUSALS,
)
def look_up(
    library: Library,
    key: Annotated[str, Path(description="键，例如统一社会信用代码 the key")],
    fields: Annotated[str | None, Query(description="逗号分隔的字段 comma-separated fields")] = None,
    grant: GrantName = None,
    x_grant: GrantHeader = None,
) -> None:
    """每次应答都先写入不可篡改的调用记录。Every answer is recorded before it leaves."""


@lean.post(
    "/v1/libraries/{library}/records",
    summary="按键查询一条记录（键在请求体中，个人信息库必须用此方式） Look up one record, key in the body",
    response_model=RecordAnswer,
    responses=_REFUSALS | problems(413),
)
def look_up_by_body(library: Library, body: KeyBody, grant: GrantName = None, x_grant: GrantHeader = None) -> None:
    """个人信息库的键只能写在请求体中。Keys of personal libraries travel in the body only."""


@lean.post(
    "/v1/libraries/{library}/records:batch",
    summary="批量按键查询（至多 1000 个键） Look up many records",
    response_model=BatchAnswer,
    responses=_REFUSALS | problems(413),
)
def look_up_many(library: Library, body: KeysBody, grant: GrantName = None, x_grant: GrantHeader = None) -> None:
    """每个键计一次配额，配额不足时整批拒绝。Each key counts; a batch that exceeds the quota is refused whole."""
