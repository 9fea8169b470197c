"""The keys that sign receipts: derived from the deployment's secret, their public sides kept in a file for good."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sharing.calls import SHANGHAI
from sharing.receipts import PublicKeys

FILE: Final = "receipt-keys.json"
OVERLAP: Final = timedelta(days=1)  # a new key is shown so long before it signs
LOOK_SECONDS: Final = 1.0  # how long a change of the file may go unnoticed


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """A key that signs."""

    kid: str
    _private: Ed25519PrivateKey = field(repr=False)
    alg: str = "EdDSA"

    def sign(self, content: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(content)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    x: str
    start: str

    @property
    def kid(self) -> str:
        told = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": self.x}, separators=(",", ":"))
        return _text(hashlib.sha256(told.encode()).digest())


class ReceiptKeys:
    """Key number n is derived from `secret`, so that every process has it and no file holds anything secret.

    The file has number, public key and first moment of each key there ever was. A key that is added signs a day later,
    when whoever checks receipts has seen it; where the deployment's secret was changed, a new key signs at once. Where
    the file cannot be written the keys of memory go on signing.
    """

    def __init__(self, file: Path, secret: bytes) -> None:
        self._file, self._secret = file, secret
        self._looked, self._stamp = 0.0, -1
        self._lines: list[_Line] = []
        self._signing: dict[int, Ed25519Key] = {}
        self._in_use: Ed25519Key | None = None  # found out with each look
        self._look()
        if not self._lines or self._derived(self._lines[-1].number)[1] != self._lines[-1].x:
            self._add(datetime.now(SHANGHAI))

    def signer(self) -> Ed25519Key:
        """The key in use now."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        if self._in_use is None:
            line = self._now()
            if line.number not in self._signing:
                self._signing[line.number] = Ed25519Key(line.kid, self._derived(line.number)[0])
            self._in_use = self._signing[line.number]
        return self._in_use

    def public(self) -> PublicKeys:
        """All keys there ever were, as a JWK set, each with the time in which it signs (ISO 8601)."""
        self._look()
        ends = [line.start for line in self._lines[1:]]
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": line.kid, "x": line.x,
                 "from": line.start} | ({"until": ends[place]} if place < len(ends) else {})
                for place, line in enumerate(self._lines)
            ]
        }  # fmt: skip

    def rotate(self, wait: timedelta = OVERLAP) -> str:
        """Add a key that signs after so long, and return its kid; the keys before go on being shown. Raises OSError."""
        return self._add(datetime.now(SHANGHAI) + wait, strict=True)

    def _now(self) -> _Line:
        now = datetime.now(SHANGHAI).isoformat()
        begun = [line for line in self._lines if line.start <= now]
        return (begun or self._lines)[-1]

    def _add(self, start: datetime, *, strict: bool = False) -> str:
        try:
            with self._alone():
                self._look()
                known = bool(self._lines) and self._derived(self._lines[-1].number)[1] == self._lines[-1].x
                if not known or strict:
                    self._lines.append(self._line(start))
                    self._in_use = None
                    self._save()
        except OSError:
            if strict:
                raise
            self._lines.append(self._line(start))
            self._in_use = None
        return self._lines[-1].kid

    def _line(self, start: datetime) -> _Line:
        number = self._lines[-1].number + 1 if self._lines else 1
        return _Line(number, self._derived(number)[1], start.isoformat())

    def _derived(self, number: int) -> tuple[Ed25519PrivateKey, str]:
        seed = HKDF(SHA256(), 32, None, f"shutong receipts {number}".encode()).derive(self._secret)
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return private, _text(private.public_key().public_bytes_raw())

    def _look(self) -> None:
        self._looked, self._in_use = time.monotonic(), None
        with suppress(OSError, ValueError, KeyError):
            stamp = self._file.stat().st_mtime_ns
            if stamp != self._stamp:
                told = json.loads(self._file.read_text("utf-8"))
                self._lines = [_Line(int(one["number"]), str(one["x"]), str(one["from"])) for one in told]
                self._stamp = stamp

    def _save(self) -> None:
        told = [{"number": line.number, "x": line.x, "from": line.start} for line in self._lines]
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
