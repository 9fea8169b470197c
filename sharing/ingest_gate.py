"""Let a pushed batch in only when it is signed with the department's push secret, now, and for the first time."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connectors.services.signing import ALGORITHMS, digest, sign
from sharing.ingest_errors import SECONDS, SignatureError

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")
_SIGNATURE = re.compile(rf"({'|'.join(ALGORITHMS)})=([0-9a-fA-F]{{64}})")


@dataclass(frozen=True, slots=True)
class Seal:
    """The signature of a call: `X-Timestamp` (Unix seconds), `X-Nonce`, `X-Signature: sha256=<hex>` or `sm3=<hex>`."""

    timestamp: int
    nonce: str
    algorithm: str
    signature: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str], wanted: str | None, now: float) -> Seal:
        """What the headers say; SignatureError when one is missing, of another algorithm than `wanted`, or too old."""
        timestamp, nonce = headers.get("x-timestamp", ""), headers.get("x-nonce", "")
        signature = _SIGNATURE.fullmatch(headers.get("x-signature", ""))
        if not re.fullmatch(r"[0-9]{1,12}", timestamp):
            raise SignatureError.missing("X-Timestamp")
        if not _NONCE.fullmatch(nonce):
            raise SignatureError.missing("X-Nonce")
        if signature is None or (wanted is not None and signature[1] != wanted):
            raise SignatureError.missing("X-Signature")
        if abs(now - int(timestamp)) > SECONDS:
            raise SignatureError.stale()
        return cls(int(timestamp), nonce, signature[1], bytes.fromhex(signature[2]))

    def check(self, secret: str, method: str, path: str, body: bytes) -> None:
        """SignatureError unless the call is what was signed; `body` as it was sent."""
        lines = [method, path, str(self.timestamp), self.nonce, digest(self.algorithm, body).hex()]
        if not hmac.compare_digest(sign(self.algorithm, secret.encode(), "\n".join(lines).encode()), self.signature):
            raise SignatureError.wrong()


class Nonces:
    """Nonces that were used, as empty files: over all processes of a machine, and over restarts.

    Each lies in the folder of its time; folders whose calls would be stale are removed.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock

    def use(self, department: str, seal: Seal) -> None:
        """Use up a nonce; SignatureError when it was used before."""
        span = seal.timestamp // SECONDS
        folder = self._folder / str(span)
        folder.mkdir(parents=True, exist_ok=True)
        # The clock's folder is part of the signature: a replay has the same timestamp and comes to the same folder.
        name = hashlib.sha256(f"{department}\n{seal.nonce}".encode()).hexdigest()
        try:
            os.close(os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise SignatureError.replayed() from None
        self._forget(int(self._clock()) // SECONDS)

    def _forget(self, span: int) -> None:
        with suppress(OSError):
            for old in self._folder.iterdir():
                if old.name.isdigit() and int(old.name) < span - 2:
                    shutil.rmtree(old, ignore_errors=True)
