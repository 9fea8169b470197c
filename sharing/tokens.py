"""Access tokens: JWTs that the deployment signs with Ed25519 for an application, for an hour, and checks itself."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LIFE: Final = 3600  # seconds
LEEWAY: Final = 30  # seconds between the clocks of two hosts of one deployment
ALGORITHM: Final = "EdDSA"
LONGEST: Final = 2048  # characters of a token
_CLAIMS = ["iss", "aud", "sub", "iat", "exp", "jti", "key"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: for which application, by which of its keys, until when (Unix seconds)."""

    client: int
    key: int
    until: float


class Tokens:
    """Makes and reads the tokens of one deployment; every process of it derives the same signing key."""

    def __init__(self, deployment: bytes, issuer: str) -> None:
        seed = HKDF(SHA256(), 32, None, b"shutong access tokens").derive(deployment)
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._private.public_key()
        self._issuer = issuer
        raw = self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._jwk = {"crv": "Ed25519", "kty": "OKP", "x": _base64(raw)}
        self.kid = _base64(hashlib.sha256(orjson.dumps(self._jwk, option=orjson.OPT_SORT_KEYS)).digest())  # RFC 7638

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public key, for whoever wants to check a token (RFC 7517)."""
        return {"keys": [self._jwk | {"kid": self.kid, "alg": ALGORITHM, "use": "sig"}]}

    def make(self, client: int, key: int, now: float, life: int = LIFE) -> str:
        """A token for the application, got by its key of that number; `life` in seconds."""
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": str(client),
            "client_id": str(client),
            "key": key,
            "iat": int(now),
            "exp": int(now) + life,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(claims, self._private, ALGORITHM, {"kid": self.kid, "typ": "at+jwt"})

    def read(self, token: str) -> Claims | None:
        """What a token says; None unless it is whole, ours, signed by EdDSA with our key, for us, and in its time."""
        if len(token) > LONGEST:
            return None
        try:
            told = jwt.decode_complete(
                token, self._public, algorithms=[ALGORITHM], audience=self._issuer, issuer=self._issuer, leeway=LEEWAY,
                options={"require": _CLAIMS, "strict_aud": True},
            )  # fmt: skip
            head, claims = told["header"], told["payload"]
            if head.get("kid") != self.kid or head.get("typ") != "at+jwt":
                return None
            return Claims(int(claims["sub"]), int(claims["key"]), float(claims["exp"]) + LEEWAY)
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return None


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
