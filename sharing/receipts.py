"""Receipts 回执: what a caller can prove of a call, signed; how they are made, and how anybody checks one."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sharing.receipt_refusals import another, forged, no_receipt, unknown_key

if TYPE_CHECKING:
    from sharing.calls import Call
    from sharing.meter import Written

TYPE: Final = "shutong-receipt"
LONGEST: Final = 8192  # characters of a receipt
SLACK: Final = timedelta(hours=1)  # between a call's arrival and its signature, clocks included
PublicKeys = Mapping[str, Sequence[Mapping[str, str]]]  # a JWK set (RFC 7517); `from` and `until` say when in use


class Signer(Protocol):
    """A private key and the name of its algorithm in JOSE; another algorithm (SM2) is another one of these."""

    @property
    def alg(self) -> str:
        """Such as EdDSA."""
        ...

    @property
    def kid(self) -> str:
        """Which key: the thumbprint of its public side (RFC 7638)."""
        ...

    def sign(self, content: bytes) -> bytes:
        """The signature."""
        ...


@dataclass(slots=True)  # not frozen: that would take three times as long to make, once a call
class Receipt:
    """What the platform states of one call; `at` is ISO 8601, hashes are SHA-256 in base64url without padding.

    `request` is the hash of sharing.asked.request_hash (null where the body was not read to its end), `answer` that of
    the body sent; `chain` is the value of the hash chain behind record number `record` of `segment`: it stands for that
    record and all before it in the segment. `keys` is how many keys were asked, `repeats` the call it repeats.
    """

    id: str
    at: str
    department: str
    app: str | None
    operation: str
    library: str | None
    resource: str | None
    grant: str | None
    matter: str | None
    case: str | None
    client_id: str | None
    repeats: str | None
    status: int
    code: str | None
    units: int
    keys: int
    request: str | None
    answer: str
    segment: str
    record: int
    chain: str


_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
_NAMES: Final = tuple(one.name for one in fields(Receipt))
_VALUES: Final = attrgetter(*_NAMES)


def receipt_of(call: Call, written: Written, request: bytes | None, answer: bytes) -> Receipt:
    """The receipt of a recorded call of a known department; `request` and `answer` are hashes."""
    return Receipt(
        id=call.id, at=call.at, department=call.department or "", app=call.app, operation=call.operation,
        library=call.library, resource=call.resource, grant=call.grant, matter=call.matter, case=call.case,
        client_id=call.client_id, repeats=call.repeats, status=call.status, code=call.code, units=call.units,
        keys=len(call.keys) or int(call.key is not None), request=_text(request) if request is not None else None,
        answer=_text(answer), segment=written.segment, record=written.record, chain=_text(written.chain),
    )  # fmt: skip


def signed(receipt: Receipt, signer: Signer) -> str:
    """The receipt as it travels: a compact JWS (RFC 7515) whose payload is JSON; what is null is left out."""
    told = {name: value for name, value in zip(_NAMES, _VALUES(receipt), strict=True) if value is not None}
    return stated(told, TYPE, signer)


def stated(told: Mapping[str, object], kind: str, signer: Signer) -> str:
    """A statement of the platform as a compact JWS of that `typ`; `at` in it says when it was made."""
    content = f"{_head(signer.alg, signer.kid, kind)}.{_text(orjson.dumps(told))}"
    return f"{content}.{_text(signer.sign(content.encode()))}"


def check(text: str, keys: PublicKeys, *, request: bytes | None = None, answer: bytes | None = None) -> Receipt:
    """The receipt, when one of the public `keys` (GET /v1/receipt-keys) signed it; nothing is read from anywhere.

    `request` is the `request_hash` of what was asked, `answer` the body that came; where given, the receipt must be of
    these. Raises ReceiptError: SHR-RECEIPT-FORM, -KEY, -FORGED, -OTHER.
    """
    receipt = _receipt(opened(text, TYPE, keys))
    if request is not None and receipt.request != _text(request):
        raise another("请求", "request")
    if answer is not None and receipt.answer != _text(hashlib.sha256(answer).digest()):
        raise another("应答", "answer")
    return receipt


def opened(text: str, kind: str, keys: PublicKeys) -> Mapping[str, object]:
    """What a statement of that `typ` says, when one of the keys signed it. Raises ReceiptError as `check` does."""
    content, _, mark = text.strip().rpartition(".")
    if len(text) > LONGEST or not text.isascii():
        raise no_receipt()
    try:
        head, told = (orjson.loads(_bytes(part)) for part in content.split("."))
        alg, kid, typ = head["alg"], head["kid"], head["typ"]
        signature = _bytes(mark)
    except (ValueError, TypeError, KeyError):
        raise no_receipt() from None
    if typ != kind or not isinstance(told, dict) or not isinstance(kid, str):
        raise no_receipt()
    key = next((one for one in keys["keys"] if one.get("kid") == kid and one.get("alg") == alg == "EdDSA"), None)
    if key is None:
        raise unknown_key(kid)
    try:
        Ed25519PublicKey.from_public_bytes(_bytes(key["x"])).verify(signature, content.encode())
    except (InvalidSignature, ValueError, KeyError):
        raise forged() from None
    if not _in_use(key, str(told.get("at"))):
        raise unknown_key(kid)
    return told


@cache
def _head(alg: str, kid: str, kind: str) -> str:
    return _text(orjson.dumps({"alg": alg, "kid": kid, "typ": kind}))


def _receipt(told: Mapping[str, object]) -> Receipt:
    try:
        return Receipt(**{name: told.get(name) for name in _NAMES})  # type: ignore[arg-type]  # signed by us: as we wrote it
    except TypeError:
        raise no_receipt() from None


def _in_use(key: Mapping[str, str], at: str) -> bool:
    when, first, last = datetime.fromisoformat(at), key.get("from"), key.get("until")
    return (first is None or datetime.fromisoformat(first) <= when + SLACK) and (
        last is None or when <= datetime.fromisoformat(last) + SLACK
    )


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URLSAFE).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    if _text(raw) != text:  # one receipt has one spelling
        raise binascii.Error
    return raw
