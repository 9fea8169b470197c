"""What the route for pushed batches is given: who may push what, and who keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

LARGEST = 16 << 20  # bytes of a batch as sent
UNPACKED = 128 << 20  # bytes of a batch when unpacked


@dataclass(frozen=True, slots=True)
class Pushed:
    """A batch that was let in: `body` is unpacked, `sha256` its hash in hexadecimal."""

    batch: str
    content_type: str
    body: bytes
    sha256: str


class Reject(BaseModel):
    """A row of a wrong shape: kept, and reported here."""

    row: int = Field(description="批次中的行号，从 1 起 row in the batch, from 1")
    rule: str
    detail: str = Field(description="中文 | English")


class Receipt(BaseModel):
    """What is durable now."""

    resource: str
    batch: str
    run: str = Field(description="运行编号 the run it is recorded under")
    rows: int
    sha256: str = Field(description="解压后请求体的 SHA-256 SHA-256 of the body, unpacked")
    accepted_at: str
    already: bool = Field(description="之前已经收下 it was accepted before")
    rejected: int = Field(description="形状有误的行数 rows of a wrong shape")
    rejects: Sequence[Reject] = Field(description="其中前 1000 行 the first 1000 of them")


@dataclass(frozen=True, slots=True)
class Counter:
    """One resource that takes batches; `accept` raises a SharingError for what it refuses.

    `secret` is asked for at each call, so that a changed one counts at once; `algorithm` None takes either.
    """

    department: str
    secret: Callable[[], str]
    accept: Callable[[Pushed], Receipt]
    algorithm: str | None = None
