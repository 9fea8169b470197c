"""Calls signed with a secret that never travels: HMAC over method, path, query, time, nonce and body, each once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sharing.caller_refusals import SealError
from sharing.ingest_errors import SECONDS, SignatureError
from sharing.ingest_gate import Nonces, Seal

KEY_ID, TIMESTAMP, NONCE, SIGNATURE = b"x-key-id", b"x-timestamp", b"x-nonce", b"x-signature"
HEADERS: Final = (KEY_ID, TIMESTAMP, NONCE, SIGNATURE)
_SHAPES = {
    KEY_ID: re.compile(rb"[0-9]{1,9}"),
    TIMESTAMP: re.compile(rb"[0-9]{1,12}"),
    NONCE: re.compile(rb"[A-Za-z0-9_-]{16,128}"),
    SIGNATURE: re.compile(rb"(?:sha256|sm3)=[0-9a-fA-F]{64}"),
}
_SHOWN = {KEY_ID: "X-Key-Id", TIMESTAMP: "X-Timestamp", NONCE: "X-Nonce", SIGNATURE: "X-Signature"}


def signing_secret(deployment: bytes, digested: str) -> str:
    """What the calls of a key are signed with, from the deployment's secret and the `digest` of the key.

    Nothing of it is stored, and neither the database nor a key alone leads to it.
    """
    derived = HKDF(SHA256(), 32, None, b"shutong request signing\n" + digested.encode()).derive(deployment)
    return base64.urlsafe_b64encode(derived).decode().rstrip("=")


def knows_sm3() -> bool:
    """Whether the OpenSSL of this machine has SM3 (GB/T 32905)."""
    try:
        hashlib.new("sm3")
    except ValueError:
        return False
    return True


def text(method: str, path: bytes, query: bytes, seal: Seal, body: bytes) -> bytes:
    """The six lines that are signed; `path` and `query` as they stand in the URL, the query then sorted by name."""
    told = [method, path.decode("latin-1"), _sorted(query), str(seal.timestamp), seal.nonce]
    return "\n".join([*told, hashlib.new(seal.algorithm, body).hexdigest()]).encode("latin-1")


@dataclass(frozen=True, slots=True)
class SignedCall:
    """The signature of one call as its headers tell it."""

    key_id: int
    seal: Seal

    @classmethod
    def of(cls, headers: Mapping[bytes, bytes], now: float, *, sm3: bool) -> SignedCall:
        """SealError where a header is missing or malformed, the time is too far from `now`, or SM3 is not there."""
        for name, shape in _SHAPES.items():
            if not shape.fullmatch(headers.get(name, b"")):
                raise SealError.missing(_SHOWN[name])
        algorithm, _, signature = headers[SIGNATURE].decode().partition("=")
        if algorithm == "sm3" and not sm3:
            raise SealError.algorithm()
        if abs(now - int(headers[TIMESTAMP])) > SECONDS:
            raise SealError.stale()
        seal = Seal(int(headers[TIMESTAMP]), headers[NONCE].decode(), algorithm, bytes.fromhex(signature))
        return cls(int(headers[KEY_ID]), seal)

    def check(self, secret: str, method: str, path: bytes, query: bytes, body: bytes) -> None:
        """SealError unless the call is what was signed; compared in constant time."""
        signed = hmac.digest(secret.encode(), text(method, path, query, self.seal, body), self.seal.algorithm)
        if not hmac.compare_digest(signed, self.seal.signature):
            raise SealError.wrong()

    def use(self, nonces: Nonces) -> None:
        """Use the nonce up; SealError when it was used before, by any process of the host."""
        try:
            nonces.use(f"key:{self.key_id}", self.seal)
        except SignatureError:
            raise SealError.replayed() from None


def _sorted(query: bytes) -> str:
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise SealError.wrong() from None
    pairs.sort(key=lambda pair: pair[0])
    return "&".join(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in pairs)
