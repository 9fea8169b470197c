"""Encrypt what a bundle holds to the one deployment that may read it, piece by piece, so that memory stays small.

A new content key for each bundle is wrapped for the receiver's X25519 key; every member has a key of its own derived
from it, every piece a counter and a mark on the last one: nothing can be left out, put elsewhere or cut off unnoticed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from warehouse.bundle_errors import damaged

PIECE = 1 << 20  # bytes encrypted at once
TAG = 16  # bytes that each piece grows by
_KEY = 32
_ONCE = bytes(12)  # nonce of a key that is used once


class Out(Protocol):
    """Where bytes go."""

    def write(self, content: bytes, /) -> int:
        """Take the next bytes."""
        ...


class Plain:
    """Bytes go on as they are; their number is counted."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self.taken = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        """Take the next bytes."""
        self.taken += len(content)
        return self._out.write(bytes(content))

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """No more comes."""
        self.closed = True


class Sealing(Plain):
    """Bytes go on encrypted; `close` writes the last piece."""

    def __init__(self, out: Out, key: bytes, name: str) -> None:
        super().__init__(out)
        self._aead, self._number, self._waiting = AESGCM(_derived(key, name)), 0, bytearray()

    def write(self, content: bytes) -> int:
        """Take the next bytes."""
        self.taken += len(content)
        self._waiting += content
        while len(self._waiting) > PIECE:
            self._piece(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        return len(content)

    def close(self) -> None:
        """No more comes."""
        if not self.closed:
            self._piece(bytes(self._waiting), last=True)
            self.closed = True

    def _piece(self, content: bytes, *, last: bool) -> None:
        self._out.write(self._aead.encrypt(_nonce(self._number, last=last), content, None))
        self._number += 1


def opened(source: BinaryIO, key: bytes, name: str) -> Iterator[bytes]:
    """What `Sealing` was given, piece by piece; WH-BUNDLE-DAMAGED at the first that is not right."""
    aead, number = AESGCM(_derived(key, name)), 0
    piece = source.read(PIECE + TAG)
    while True:
        after = source.read(PIECE + TAG)
        try:
            yield aead.decrypt(_nonce(number, last=not after), piece, None)
        except InvalidTag:
            raise damaged(f"成员 {name} 无法解密", f"its member {name} cannot be decrypted") from None
        if not after:
            return
        piece, number = after, number + 1


def new_key() -> bytes:
    """A content key."""
    return secrets.token_bytes(_KEY)


def wrap(key: bytes, receiver: bytes, bundle: str) -> bytes:
    """The content key of a bundle for the owner of a public X25519 key."""
    once = X25519PrivateKey.generate()
    public = once.public_key().public_bytes_raw()
    shared = once.exchange(X25519PublicKey.from_public_bytes(receiver))
    return public + AESGCM(_agreed(shared, public, receiver)).encrypt(_ONCE, key, bundle.encode())


def unwrap(wrapped: bytes, opening: X25519PrivateKey, bundle: str) -> bytes:
    """The content key; WH-BUNDLE-DAMAGED where it was not wrapped for this key and this bundle."""
    public, sealed = wrapped[:_KEY], wrapped[_KEY:]
    receiver = opening.public_key().public_bytes_raw()
    try:
        shared = opening.exchange(X25519PublicKey.from_public_bytes(public))
        return AESGCM(_agreed(shared, public, receiver)).decrypt(_ONCE, sealed, bundle.encode())
    except (InvalidTag, ValueError):
        raise damaged("内容密钥无法解开", "its content key cannot be opened") from None


def _agreed(shared: bytes, public: bytes, receiver: bytes) -> bytes:
    return HKDF(SHA256(), _KEY, salt=public + receiver, info=b"shutong bundle 1 wrap").derive(shared)


def _derived(key: bytes, name: str) -> bytes:
    return HKDF(SHA256(), _KEY, salt=None, info=b"shutong bundle 1 member " + name.encode()).derive(key)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
