"""What a metered operation is: one module that reads its body and answers; `sharing/registered.py` lists them all.

An operation takes what it asks through the Desk: its plan first, then the charge, then the read; it never looks into a
library by itself. The front identifies the caller before, and records the call after, whatever the operation does.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sharing.desk import Desk, Target, Visit
from sharing.errors import MalformedError
from sharing.problems import Answer

LARGEST_BATCH: Final = 1000
Headers = Sequence[tuple[bytes, bytes]]
_KEYS: Final = '{"keys": ["…"], "fields": ["…"]}'


@dataclass(frozen=True, slots=True)
class Question:
    """What a call says besides where: the grant it names, its body, its parameters, what its path holds, headers."""

    grant: str | None = None
    body: Mapping[str, object] = field(default_factory=dict)
    parameters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Verb:
    """An operation on one library or served resource, at `…/records:<verb>`.

    `operation` is what the ledger calls it; `names` are those its body may hold; one of method GET has no body.
    """

    operation: str
    names: frozenset[str]
    answer: Callable[[Desk, Visit, Target, Question], Awaitable[Answer]]
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Path:
    """An operation at a path of its own; the groups of its pattern become `Question.parts`."""

    operation: str
    pattern: re.Pattern[str]
    names: frozenset[str]
    answer: Callable[[Desk, Visit, Question], Awaitable[Answer]]
    method: str = "POST"


def keys_of(body: Mapping[str, object]) -> list[str]:
    """The keys of a batch, at most LARGEST_BATCH. Raises MalformedError."""
    keys = body.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise MalformedError.body("请求体缺少文本列表 keys", "The body has no list of text `keys`", _KEYS)
    if len(keys) > LARGEST_BATCH:
        raise MalformedError.body(f"一次最多 {LARGEST_BATCH} 个键", f"At most {LARGEST_BATCH} keys at a time", _KEYS)
    return keys


def fields_of(body: Mapping[str, object]) -> list[str] | None:
    """The fields a body names; None for all. Raises MalformedError."""
    fields = body.get("fields")
    if fields is None:
        return None
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise MalformedError.body("fields 应为文本列表", "`fields` must be a list of text")
    return fields


def key_of(body: Mapping[str, object]) -> str:
    """The one key a body names. Raises MalformedError."""
    key = body.get("key")
    if not isinstance(key, str):
        raise MalformedError.body("请求体缺少文本键 key", "The body has no text `key`")
    return key
