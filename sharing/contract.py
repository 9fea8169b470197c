"""The contract as OpenAPI shows it: models, and the lean look-ups described beside the routes FastAPI serves itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PROBLEM_REF = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REASONS = {
    401: "没有密钥或密钥无效 No key, or the key is not accepted",
    403: "没有授权，或字段不在授权之内 Not granted, or a field outside the grant",
    404: "没有找到 Not found",
    405: "方法不允许；个人信息库的键不得出现在网址中 Wrong method; keys of personal libraries never travel in a URL",
    406: "不能以此格式应答 Not available in this format",
    409: "当前状态不能办理，或请求编号已用 Not in the present state, or the call's number was used",
    410: "需要重新同步 Begin anew: the changes are not kept any more",
    413: "请求体过大 Body too large",
    422: "键或请求体格式错误 Malformed key or body",
    429: "配额已用完，见 Retry-After Quota spent, see Retry-After",
    503: "暂不可用，没有应答任何数据 Unavailable: nothing was answered",
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


class QueryBody(BaseModel):
    """What records to find: by whole values, by the beginning of one, or both."""

    model_config = ConfigDict(extra="forbid")
    equal: dict[str, str] = Field({}, description="字段: 完整取值 field: whole value")
    prefix: dict[str, str] = Field({}, description="一个字段: 开头 one field: how it begins")
    limit: int = Field(100, ge=1, le=100, description="一页至多几条 records a page")
    after: str | None = Field(None, description="上一页给出的标记 the mark the page before gave")
    fields: list[str] | None = Field(None, description="只要这些字段；缺省为授权内全部字段 only these fields")


class Provenance(BaseModel):
    """What every answer says about where it comes from."""

    masked: list[str] = Field(description="已脱敏的字段 fields shown masked")
    library: str | None = Field(None, description="查询基础库时 of a library")
    resource: str | None = Field(None, description="查询资源时 of a resource")
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


class PageAnswer(Provenance):
    """A page of records."""

    data: list[dict[str, Any]]
    after: str | None = Field(description="下一页的标记，没有下一页时为空 mark of the next page, null at the end")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its `responses`."""
    return {status: {"description": _REASONS[status], "content": PROBLEM_REF} for status in statuses}


def where_wrong(error: ValidationError) -> str:
    """Which field of a body is wrong: its name as the caller wrote it, never its value."""
    return ".".join(str(one) for one in error.errors(include_input=False)[0]["loc"])[:64] or "JSON"


def example_of(model: type[BaseModel]) -> str:
    """A body with the fields that must be there, as a refusal shows it."""
    needed = (name for name, one in model.model_fields.items() if one.is_required())
    return "{" + ", ".join(f'"{name}": …' for name in needed) + "}"


Name = Annotated[str, Path(description="基础库名称或资源编号 library or resource")]
GrantName = Annotated[str | None, Query(alias="grant", description="使用哪一项授权 which grant (or header X-Grant)")]
GrantHeader = Annotated[str | None, Header(alias="X-Grant", description="使用哪一项授权 which grant")]

Matter = Annotated[str | None, Header(alias="X-Matter", description="办理的事项，须与授权相同 must be the grant's")]
Case = Annotated[str | None, Header(alias="X-Case", description="办件编号 number of the case")]
OwnId = Annotated[str | None, Header(alias="X-Client-Request-Id", max_length=64, pattern="^[A-Za-z0-9._:-]+$",
                  description="调用方编号：当日重试只计一次 your id: counted once a day")]  # fmt: skip

# Described here and answered by sharing/front.py: these routes are never mounted, they only speak to the OpenAPI page.
lean = APIRouter(tags=["查询 look-up"])
_REFUSALS = problems(401, 403, 404, 405, 409, 422, 429, 503)
_FORMS = {"text/csv": {"schema": {"type": "string"}},
          "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}}}  # fmt: skip
_IN_FORMS: dict[int | str, dict[str, Any]] = {200: {"content": _FORMS}, **problems(406)}
_UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "与 If-None-Match 所示相同，照常计量 As If-None-Match has it; it is counted all the same"}
}
Known = Annotated[str | None, Header(alias="If-None-Match", description="上次应答的 ETag of the answer before")]


def look_up(  # noqa: PLR0917 they are headers
    name: Name,
    key: Annotated[str, Path(description="键，例如统一社会信用代码 the key")],
    fields: Annotated[str | None, Query(description="逗号分隔的字段 comma-separated fields")] = None,
    grant: GrantName = None,
    x_grant: GrantHeader = None,
    x_matter: Matter = None,
    x_case: Case = None,
    x_client_request_id: OwnId = None,
    if_none_match: Known = None,
) -> None:
    """每次应答都先写入不可篡改的调用记录。Every answer is recorded before it leaves."""


def look_up_by_body(  # noqa: PLR0917 they are headers
    name: Name, body: KeyBody, grant: GrantName = None, x_grant: GrantHeader = None, x_matter: Matter = None,
    x_case: Case = None, x_client_request_id: OwnId = None,
) -> None:  # fmt: skip
    """个人信息的键只能写在请求体中。Keys of persons travel in the body only."""


def look_up_many(  # noqa: PLR0917 they are headers
    name: Name, body: KeysBody, grant: GrantName = None, x_grant: GrantHeader = None, x_matter: Matter = None,
    x_case: Case = None, x_client_request_id: OwnId = None,
) -> None:  # fmt: skip
    """每个键计一次配额，配额不足时整批拒绝。Each key counts; a batch that exceeds the quota is refused whole."""


def seek(  # noqa: PLR0917 they are headers
    name: Name, body: QueryBody, grant: GrantName = None, x_grant: GrantHeader = None, x_matter: Matter = None,
    x_case: Case = None, x_client_request_id: OwnId = None,
) -> None:  # fmt: skip
    """只能按授权 find 所列字段查找；每条计一次配额。By fields of the grant's `find`; each record counts."""


for _kind, _zh, _en in (("libraries", "基础库", "a library"), ("resources", "资源", "a served resource")):
    _path = f"/v1/{_kind}/{{name}}/records"
    _with_body = _REFUSALS | problems(413)
    lean.get(_path + "/{key}", summary=f"按键查询{_zh}的一条记录（非个人信息） Look up one record of {_en}",
             response_model=RecordAnswer, responses=_UNCHANGED | _REFUSALS)(look_up)  # fmt: skip
    lean.post(_path, summary=f"按键查询{_zh}的一条记录（键在请求体中） Look up one record of {_en}, key in the body",
              response_model=RecordAnswer, responses=_with_body)(look_up_by_body)  # fmt: skip
    lean.post(_path + ":batch", summary=f"批量按键查询{_zh}（至多 1000 个键） Look up many records of {_en}",
              response_model=BatchAnswer, responses=_with_body | _IN_FORMS)(look_up_many)  # fmt: skip
    lean.post(_path + ":query", summary=f"按字段查找{_zh}的记录，逐页返回 Find records of {_en}, page by page",
              response_model=PageAnswer, responses=_with_body | _IN_FORMS)(seek)  # fmt: skip
