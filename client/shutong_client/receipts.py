"""Receipts 回执, checked without asking anybody: signature, key, and the hashes of what was asked and answered.

The form is the contract (docs/ledger.md of the exchange): a compact JWS, EdDSA, `typ` shutong-receipt. This module
needs nothing of the server's, so that a department can hold the exchange to what it signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shutong_client.errors import ReceiptError

TYPE: Final = "shutong-receipt"
LONGEST: Final = 8192  # characters
SLACK: Final = timedelta(hours=1)  # between the time in a receipt and the time in which its key was in use
Keys = Mapping[str, Sequence[Mapping[str, str]]]  # a JWK set, as GET /v1/receipt-keys gives it
_KEEP = (
    "保留回执、请求与应答的原文，向平台管理员核对",
    "Keep receipt, request and answer as they were, and ask the operator",
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the exchange states of one call; hashes are SHA-256 in base64url without padding."""

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


def request_hash(method: str, target: str, body: bytes = b"", grant: str = "") -> bytes:
    """SHA-256 of a request: `METHOD target`, X-Grant as sent (or nothing), each ended by a line feed, then the body."""
    return hashlib.sha256(f"{method} {target}\n{grant}\n".encode() + body).digest()


def check(text: str, keys: Keys, *, request: bytes | None = None, answer: bytes | None = None) -> Receipt:
    """The receipt, when one of the `keys` signed it; of that `request` (its hash) and that `answer` where given.

    Raises ReceiptError: CLI-RECEIPT-FORM, -KEY, -FORGED, -OTHER.
    """
    content, _, mark = text.strip().rpartition(".")
    if len(text) > LONGEST or not text.isascii():
        raise _no_receipt()
    try:
        head, told = (json.loads(_bytes(part)) for part in content.split("."))
        alg, kid, typ, signature = head["alg"], head["kid"], head["typ"], _bytes(mark)
    except (ValueError, TypeError, KeyError):
        raise _no_receipt() from None
    if typ != TYPE or not isinstance(told, dict) or not isinstance(kid, str):
        raise _no_receipt()
    key = next((one for one in keys["keys"] if one.get("kid") == kid and one.get("alg") == alg == "EdDSA"), None)
    if key is None:
        raise _unknown_key(kid)
    try:
        Ed25519PublicKey.from_public_bytes(_bytes(key["x"])).verify(signature, content.encode())
    except (InvalidSignature, ValueError, KeyError):
        raise _forged() from None
    if not _in_use(key, str(told.get("at"))):
        raise _unknown_key(kid)
    receipt = Receipt(**{one.name: told.get(one.name) for one in fields(Receipt)})  # type: ignore[arg-type]  # signed
    if request is not None:
        of_request(receipt, request)
    if answer is not None and receipt.answer != _text(hashlib.sha256(answer).digest()):
        raise _another("应答", "answer")
    return receipt


def of_request(receipt: Receipt, request: bytes) -> None:
    """ReceiptError (CLI-RECEIPT-OTHER) where the receipt is not of the request with that hash."""
    if receipt.request != _text(request):
        raise _another("请求", "request")


class Receipts:
    """The receipts of a client: the public keys it holds on to, and where what it got is kept."""

    def __init__(self, pinned: Path | None, folder: Path | None) -> None:
        self._pinned, self._folder = pinned, folder
        self._keys: Keys | None = None

    @property
    def keys(self) -> Keys | None:
        """The pinned public keys; None before the first were pinned."""
        if self._keys is None and self._pinned is not None and self._pinned.exists():
            self._keys = json.loads(self._pinned.read_text("utf-8"))
        return self._keys

    def pin(self, keys: Keys) -> None:
        """Hold on to these keys from now on, in the profile's file where it names one."""
        self._keys = keys
        if self._pinned is not None:
            self._pinned.parent.mkdir(parents=True, exist_ok=True)
            self._pinned.write_text(json.dumps(keys, indent=1), "utf-8")

    def verify(self, text: str, *, request: bytes | None = None, answer: bytes | None = None) -> Receipt:
        """As `check`, with the pinned keys."""
        return check(text, self.keys or {"keys": []}, request=request, answer=answer)

    def save(self, text: str, receipt: Receipt) -> Path | None:
        """Add a receipt to the file of its month in the profile's folder, one a line; None where it names no folder."""
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"receipts-{receipt.at[:7]}.txt"
        with path.open("a", encoding="ascii") as file:
            file.write(text + "\n")
        return path


def none_came() -> ReceiptError:
    """An answer without a receipt."""
    return ReceiptError("CLI-RECEIPT-NONE", zh="应答没有回执", en="The answer came without a receipt",
                        fix_zh=_KEEP[0], fix_en=_KEEP[1])  # fmt: skip


def _no_receipt() -> ReceiptError:
    return ReceiptError("CLI-RECEIPT-FORM", zh="这不是回执", en="This is no receipt",
                        fix_zh="原样取用 X-Receipt 的内容", fix_en="Take X-Receipt as it is")  # fmt: skip


def _unknown_key(kid: str) -> ReceiptError:
    return ReceiptError(
        "CLI-RECEIPT-KEY", zh=f"密钥 {kid[:64]} 不在所持公钥之中，或当时不在使用期内",
        en=f"Key {kid[:64]} is not among the pinned ones, or was not in use then",
        fix_zh="向平台管理员核实新公钥后执行 client.pin()", fix_en="Ask the operator about it, then client.pin()",
    )  # fmt: skip


def _forged() -> ReceiptError:
    return ReceiptError("CLI-RECEIPT-FORGED", zh="回执签名不符", en="The receipt's signature does not hold",
                        fix_zh=_KEEP[0], fix_en=_KEEP[1])  # fmt: skip


def _another(zh: str, en: str) -> ReceiptError:
    return ReceiptError("CLI-RECEIPT-OTHER", zh=f"回执属于另一次调用：{zh}的摘要不同",
                        en=f"The receipt is of another call: the hash of its {en} differs",
                        fix_zh=_KEEP[0], fix_en=_KEEP[1])  # fmt: skip


def _in_use(key: Mapping[str, str], at: str) -> bool:
    when, first, last = datetime.fromisoformat(at), key.get("from"), key.get("until")
    return (first is None or datetime.fromisoformat(first) <= when + SLACK) and (
        last is None or when <= datetime.fromisoformat(last) + SLACK
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    if _text(raw) != text:  # one receipt has one spelling
        raise ValueError(text)
    return raw
