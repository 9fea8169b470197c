"""What a query for records asks, a page at a time, and the sealed mark with which the next page is asked for."""

from __future__ import annotations

import base64
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sharing.errors import FieldNotGrantedError, MalformedError
from sharing.grants import Plan

LARGEST_PAGE: Final = 100
LONGEST_VALUE: Final = 200  # characters
NAMES: Final = frozenset({"equal", "prefix", "limit", "after", "fields"})  # of the body
_NONCE: Final = 12  # bytes, of AES-GCM


@dataclass(frozen=True, slots=True)
class Sought:
    """Records whose fields are `equal` to these and whose `prefix` field begins so; `after` is a mark or None."""

    equal: Mapping[str, str]
    prefix: tuple[str, str] | None
    limit: int
    after: str | None

    @property
    def said(self) -> bytes:
        """What is sought, the same however it was written."""
        return orjson.dumps([sorted(self.equal.items()), self.prefix])

    def allowed_by(self, plan: Plan) -> None:
        """Raises FieldNotGrantedError when the grant does not let one of the fields be sought by."""
        for name in (*self.equal, *([self.prefix[0]] if self.prefix else [])):
            if name not in plan.grant.find:
                raise FieldNotGrantedError.sought(name, plan.grant.id)


def read(body: Mapping[str, object]) -> Sought:
    """What the body of a query asks. Raises MalformedError."""
    equal, prefix = _pairs(body, "equal"), _pairs(body, "prefix")
    if not (equal or prefix) or len(prefix) > 1:
        raise MalformedError.sought(
            "equal 与 prefix 至少写一个；prefix 只能有一个字段", "`equal` or `prefix` is needed; `prefix` has one field"
        )
    limit, after = body.get("limit", LARGEST_PAGE), body.get("after")
    if type(limit) is not int or not 1 <= limit <= LARGEST_PAGE:
        raise MalformedError.sought(f"limit 应为 1 至 {LARGEST_PAGE}", f"`limit` must be 1 to {LARGEST_PAGE}")
    if after is not None and not isinstance(after, str):
        raise MalformedError.mark()
    return Sought(equal, next(iter(prefix.items()), None), limit, after)


def _pairs(body: Mapping[str, object], name: str) -> dict[str, str]:
    told = body.get(name, {})
    if not isinstance(told, dict) or not all(isinstance(one, str) and _sayable(one) for one in told.values()):
        raise MalformedError.sought(
            f"{name} 应为“字段: 文本”，文本不空，至多 {LONGEST_VALUE} 字",
            f"`{name}` must map fields to text of 1 to {LONGEST_VALUE} characters",
        )
    return told


def _sayable(text: str) -> bool:
    return 0 < len(text) <= LONGEST_VALUE and not any(unicodedata.category(one) in {"Cc", "Cs"} for one in text)


class Marks:
    """Seals marks: one names a place in the store, and a record by a key that the caller may see masked or not at all.

    A mark opens for the caller, the grant and the query it was given for, and for nothing else.
    """

    def __init__(self, secret: bytes) -> None:
        # Not HMAC under the secret itself: records hold that of whatever text was asked for.
        self._cipher = AESGCM(HKDF(SHA256(), 32, None, b"shutong page marks").derive(secret))

    def sealed(self, mark: str, about: bytes) -> str:
        """What the caller is handed."""
        nonce = secrets.token_bytes(_NONCE)
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, mark.encode(), about)).decode()

    def opened(self, sealed: str, about: bytes) -> str:
        """The mark. Raises MalformedError for one that was not sealed about this."""
        try:
            told = base64.b64decode(sealed, altchars=b"-_", validate=True)
            return self._cipher.decrypt(told[:_NONCE], told[_NONCE:], about).decode()
        except (ValueError, InvalidTag):
            raise MalformedError.mark() from None
