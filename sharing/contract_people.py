"""The contract of log-in: what its answers hold, as OpenAPI shows it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SessionAnswer(BaseModel):
    """Who is logged in."""

    person: str
    name: str
    department: str = Field(description="所在部门，可为空 the department; none is an empty text")
    lang: str
    roles: list[str]
    may: list[str] = Field(description="可办的事项 what the roles let them do")
    way: str = Field(description="登录方式 how they logged in")
    until: str = Field(description="登录最迟结束于 when the session ends at the latest")
    csrf: str = Field(description="写入请求头 X-CSRF-Token goes into X-CSRF-Token of calls that change something")
    request_id: str


class SessionTold(BaseModel):
    """A session of one's own."""

    session: int
    way: str
    address: str | None
    begun: str
    seen: str
    this: bool = Field(description="即本次登录 the one that asks")


class SessionsAnswer(BaseModel):
    """One's own sessions."""

    sessions: list[SessionTold]
    request_id: str


class EndedAnswer(BaseModel):
    """Whether there was such a session."""

    ended: bool
    request_id: str


class LeftAnswer(BaseModel):
    """Who has logged out."""

    person: str
    request_id: str


class GoAnswer(BaseModel):
    """The way to the identity provider."""

    go: str = Field(description="浏览器应转到的地址 where the browser has to go")
    request_id: str
