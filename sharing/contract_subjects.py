"""The contract of what is asked about one subject: verification, as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
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
