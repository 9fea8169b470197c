"""What a webhook is sent: bodies without personal data, and the signature of Standard Webhooks 1.0.0."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sharing.calls import SHANGHAI
from sharing.webhook_store import Hook, Letter


def secret_of(secret: bytes, hook: Hook) -> bytes:
    """What a webhook's messages are signed with: made from the deployment's `secret`, so it is kept nowhere."""
    return HKDF(SHA256(), 32, None, f"shutong webhook {hook.id} {hook.salt}".encode()).derive(secret)


def shown_secret(secret: bytes, hook: Hook) -> str:
    """The same as receivers take it: `whsec_` and base64, as Standard Webhooks wants it."""
    return "whsec_" + base64.b64encode(secret_of(secret, hook)).decode()


def headers(key: bytes, letter: Letter, at: int) -> dict[str, str]:
    """The headers of a message sent `at` Unix seconds, signed as Standard Webhooks 1.0.0 says."""
    told = f"{letter.id}.{at}.{letter.body}".encode()
    signature = base64.b64encode(hmac.digest(key, told, "sha256")).decode()
    return {"content-type": "application/json", "user-agent": "shutong", "webhook-id": letter.id,
            "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}  # fmt: skip


def trial_body(hook: Hook) -> str:
    """What a test tells."""
    return body_of("test", {"subject": hook.subject})


def body_of(kind: str, data: Mapping[str, object]) -> str:
    """A body of that type, told now."""
    at = datetime.now(SHANGHAI).isoformat(timespec="seconds")
    return orjson.dumps({"type": kind, "timestamp": at, "data": data}).decode()
