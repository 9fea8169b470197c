"""The contract of jobs, webhooks and statements: what their answers hold, as OpenAPI shows it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class JobTold(BaseModel):
    """A bulk job, and how far it is."""

    id: str
    state: Literal["queued", "running", "waiting", "done", "failed", "cancelled", "expired"]
    code: str | None = Field(description="等待或失败的原因 why it waits, or failed")
    library: str | None = Field(None, description="基础库 a library, or:")
    resource: str | None = Field(None, description="资源 a served resource")
    grant: str
    fields: list[str]
    format: Literal["csv", "parquet", "arrow"]
    keys: int = Field(description="文件中的键数 keys in the file")
    done: int = Field(description="已处理 answered by now")
    found: int = Field(description="有记录的 of those, how many have a record")
    units: int = Field(description="已计量 units counted")
    created_at: str
    changed_at: str
    retry_at: str | None = Field(description="何时继续 when a waiting one goes on")
    size: int | None = Field(description="结果的字节数 bytes of the result")
    sha256: str | None = Field(description="结果的摘要 digest of the result")
    kept_until: str | None = Field(description="结果保留至 when its result is taken away")


class JobAnswer(BaseModel):
    """One job."""

    job: JobTold
    request_id: str


class JobsAnswer(BaseModel):
    """The jobs of an application, the newest first."""

    jobs: list[JobTold]
    request_id: str


class HookTold(BaseModel):
    """A webhook, without its secret."""

    id: int
    url: str
    library: str | None = Field(None, description="基础库 a library, or:")
    resource: str | None = Field(None, description="资源 a served resource")
    grant: str | None = Field(description="指定的授权；空为有效的第一项 the grant named; null: the first in force")
    created_at: str
    failing_since: str | None = Field(description="连续失败自 since when nothing was delivered")
    disabled_at: str | None = Field(description="停用时间 when it was switched off")


class LetterTold(BaseModel):
    """A message to a webhook."""

    id: str
    created_at: str
    state: str
    attempts: int
    next_at: str | None = Field(description="下次尝试 when it is tried again")
    answer: str | None = Field(description="对方的应答 what the receiver answered")
    ended_at: str | None


class HookMade(BaseModel):
    """A new webhook."""

    webhook: HookTold
    secret: str = Field(description="签名密钥，只显示一次 what messages are signed with, shown once")
    request_id: str


class HooksAnswer(BaseModel):
    """The webhooks of a department."""

    webhooks: list[HookTold]
    request_id: str


class HookAnswer(BaseModel):
    """One webhook, with its newest messages."""

    webhook: HookTold
    messages: list[LetterTold]
    request_id: str


class HookGone(BaseModel):
    """A webhook that was removed."""

    removed: int
    request_id: str


class TrialAnswer(BaseModel):
    """A test message on its way."""

    message: str | None = Field(description="通知编号 id of the message")
    request_id: str


class StatementsAnswer(BaseModel):
    """The issued statements a department is a party to."""

    month: str
    department: str
    statements: list[dict[str, Any]] = Field(description="各带平台签名，字段见文档 each signed; see docs/ledger.md")
    request_id: str
