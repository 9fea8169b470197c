"""The contract of what is asked about one subject, as OpenAPI shows it: verification, profile and forms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path
from pydantic import BaseModel, ConfigDict, Field

from sharing.contract import Case, GrantHeader, GrantName, Matter, Name, OwnId, Provenance, problems

Verdict = Literal["yes", "no", "unknown"]
Claim = Annotated[str, Field(min_length=1, max_length=200)]
Claimed = Annotated[dict[str, Claim], Field(min_length=1, max_length=50, description="字段: 待核验的值 field: claim")]


class SubjectClaims(BaseModel):
    """What is claimed of one subject."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(description="主键 the library's key")
    claims: Claimed


class ManyClaims(BaseModel):
    """What is claimed of many subjects."""

    model_config = ConfigDict(extra="forbid")
    subjects: list[SubjectClaims] = Field(min_length=1, max_length=1000, description="每个计一次配额 one unit each")


class SubjectVerdicts(BaseModel):
    """What is so of one subject's claims."""

    key: str
    result: dict[str, Verdict]


class VerificationAnswer(Provenance):
    """yes 一致, no 不一致, unknown 无从判断: not recorded, of the field or of the subject, within the grant."""

    masked: list[str] = Field([], exclude=True)
    data: dict[str, Verdict] | list[SubjectVerdicts]


class ProfileBody(BaseModel):
    """Whom the profile is about."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(description="统一社会信用代码或公民身份号码 USCC or citizen's number")
    kind: Literal["firm", "person"]


class FillBody(BaseModel):
    """Whom the form is about."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(description="统一社会信用代码或公民身份号码 USCC or citizen's number")


class ValueShown(BaseModel):
    """A value, whose word it is, and when that department's newest record landed."""

    value: Any
    masked: bool
    source: str | None
    at: str | None


class Refused(BaseModel):
    """Why one library told nothing."""

    code: str
    zh: str
    en: str
    retryable: bool


class PartShown(BaseModel):
    """What one library or resource shows, or why it shows nothing; `request_id` is that of its own record."""

    library: str | None = None
    resource: str | None = None
    grant: str | None
    request_id: str
    refused: Refused | None = None
    title: dict[str, str] | None = None
    generation: int | str | None = None
    published_at: str | None = None
    freshness: dict[str, str] | None = None
    found_by: str | None = Field(None, description="据以找到主体的字段 the field the subject was found by")
    more: bool | None = Field(None, description="还有更多记录 there are more records")
    records: list[dict[str, ValueShown]] | None = None


class Word(BaseModel):
    """What one library says of a field."""

    model_config = ConfigDict(populate_by_name=True)
    value: Any
    origin: str = Field(alias="from")
    source: str | None
    at: str | None


class Conflict(BaseModel):
    """A field of which libraries say different things."""

    field: str
    values: list[Word]


class ProfileData(BaseModel):
    """A subject over all libraries."""

    kind: str
    parts: list[PartShown]
    conflicts: list[Conflict]


class Told(BaseModel):
    """What it was asked for."""

    matter: str
    case: str
    request_id: str


class ProfileAnswer(Told):
    """Everything the grants for the matter show about the subject."""

    data: ProfileData


class Filled(BaseModel):
    """A field of the form: filled, or to be asked of the citizen because `why`: nowhere, masked, missing."""

    model_config = ConfigDict(populate_by_name=True)
    name: str
    zh: str
    en: str
    required: bool
    status: Literal["filled", "ask"]
    value: Any
    origin: str | None = Field(None, alias="from")
    source: str | None = None
    at: str | None = None
    why: Literal["nowhere", "masked", "missing"] | None = None


class FormData(BaseModel):
    """A form, as far as it can be filled."""

    form: str
    fields: list[Filled]
    parts: list[PartShown]
    conflicts: list[Conflict]


class FillAnswer(Told):
    """A form, as far as it can be filled."""

    data: FormData


class FormField(BaseModel):
    """A field of a form and where its answer is looked for."""

    model_config = ConfigDict(populate_by_name=True)
    name: str
    zh: str
    en: str
    required: bool
    origin: list[str] = Field(alias="from")


class FormShown(BaseModel):
    """A form that can be filled."""

    form: str
    zh: str
    en: str
    about: Literal["firm", "person"]
    fields: list[FormField]


class FormsAnswer(BaseModel):
    """The forms there are."""

    forms: list[FormShown]
    request_id: str


# As in sharing/contract.py: never mounted, they only speak to the OpenAPI page.
subjects = APIRouter(tags=["核验与画像 subjects"])


def verify(  # noqa: PLR0917 they are headers
    name: Name, body: SubjectClaims | ManyClaims, grant: GrantName = None, x_grant: GrantHeader = None,
    x_matter: Matter = None, x_case: Case = None, x_client_request_id: OwnId = None,
) -> None:  # fmt: skip
    """只答是否一致，不返回值；同一主体同一字段每日限 5 个不同的值。Whether claims are so, never what is recorded."""


for _kind, _zh, _en in (("libraries", "基础库", "a library"), ("resources", "资源", "a served resource")):
    subjects.post(
        f"/v1/{_kind}/{{name}}/records:verify",
        summary=f"核验{_zh}中主体的信息（至多 1000 个主体） Verify what is claimed of subjects of {_en}",
        response_model=VerificationAnswer,
        responses=problems(401, 403, 404, 405, 409, 413, 422, 429, 503),
    )(verify)

TheMatter = Annotated[str, Header(alias="X-Matter", description="办理的事项，须与授权相同 must be the grants'")]
TheCase = Annotated[str, Header(alias="X-Case", description="办件编号 number of the case")]
_REFUSALS = problems(401, 403, 405, 409, 413, 422, 429, 503)


@subjects.post("/v1/profile", summary="一证通办：一个主体的全部信息 A subject over all libraries",
               response_model=ProfileAnswer, responses=_REFUSALS)  # fmt: skip
def profile(body: ProfileBody, x_matter: TheMatter, x_case: TheCase, x_client_request_id: OwnId = None) -> None:
    """按该事项的授权逐库读取，每库单独计量；冲突如实列出。By the grants for the matter; each library is recorded."""


@subjects.get("/v1/forms", summary="可预填的表单 Forms", response_model=FormsAnswer, responses=problems(401, 405, 503))
def forms() -> None:
    """各表单的字段与取值来源。Their fields and where the answers are looked for."""


@subjects.post("/v1/forms/{form}:fill", summary="预填表单 Fill a form",
               response_model=FillAnswer, responses=_REFUSALS | problems(404))  # fmt: skip
def fill(
    form: Annotated[str, Path(description="表单编号 id of the form")], body: FillBody, x_matter: TheMatter,
    x_case: TheCase, x_client_request_id: OwnId = None,
) -> None:  # fmt: skip
    """每个字段给出值、来源与时间，或注明须向申请人询问。A value with its source, or that it is to be asked."""
