"""The keys of a deployment that exchanges bundles: one pair signs (Ed25519), one opens (X25519); a card names both."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from warehouse.bundle_errors import bad_card, bad_keys

_MARK = "stb1-"
_KEY, _CHECK = 32, 4  # bytes of a raw key; of the digest by which a slip in copying is noticed
_SIGNED = b"shutong bundle 1\n"  # a signature for bundles is worth nothing anywhere else


@dataclass(frozen=True, slots=True)
class Card:
    """The public keys of a deployment, as partners write them into their bundles.yaml."""

    signs: bytes
    opens: bytes

    @classmethod
    def read(cls, text: str, name: str = "?") -> Card:
        """The card as it was written; WH-BUNDLE-CARD, naming whose, where it is incomplete."""
        try:
            raw = base64.b32decode(text.strip().removeprefix(_MARK).replace("-", "").upper() + "======"[: _pad(text)])
        except (binascii.Error, ValueError):
            raise bad_card(name) from None
        both, check = raw[: 2 * _KEY], raw[2 * _KEY :]
        if not text.strip().startswith(_MARK) or len(both) != 2 * _KEY or check != _check(both):
            raise bad_card(name)
        return cls(both[:_KEY], both[_KEY:])

    @property
    def text(self) -> str:
        """The card on one line, to be copied as it is; it is no secret."""
        both = self.signs + self.opens
        return _MARK + base64.b32encode(both + _check(both)).decode().rstrip("=").lower()

    @property
    def fingerprint(self) -> str:
        """Twenty hexadecimal digits in groups of four, to be compared by telephone."""
        digest = hashlib.sha256(_SIGNED + self.signs + self.opens).hexdigest()[:20]
        return "-".join(digest[at : at + 4] for at in range(0, len(digest), 4))

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether the owner of the card signed the content."""
        try:
            Ed25519PublicKey.from_public_bytes(self.signs).verify(signature, _SIGNED + content)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Keys:
    """The private keys; nothing shows them, and `text` goes nowhere but among the encrypted secrets."""

    _signing: Ed25519PrivateKey
    opening: X25519PrivateKey

    @classmethod
    def new(cls) -> Keys:
        """Two new keys."""
        return cls(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def read(cls, text: str) -> Keys:
        """The keys as `text` gave them; WH-BUNDLE-KEYS."""
        try:
            raw = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise bad_keys() from None
        if len(raw) != 2 * _KEY:
            raise bad_keys()
        opening = X25519PrivateKey.from_private_bytes(raw[_KEY:])
        return cls(Ed25519PrivateKey.from_private_bytes(raw[:_KEY]), opening)

    @property
    def text(self) -> str:
        """What `read` takes: a secret."""
        return base64.b64encode(self._signing.private_bytes_raw() + self.opening.private_bytes_raw()).decode()

    @cached_property
    def card(self) -> Card:
        """The public side of both."""
        return Card(self._signing.public_key().public_bytes_raw(), self.opening.public_key().public_bytes_raw())

    def sign(self, content: bytes) -> bytes:
        """A signature that `Card.signed` knows."""
        return self._signing.sign(_SIGNED + content)

    def __repr__(self) -> str:
        return f"Keys({self.card.fingerprint})"


def _check(both: bytes) -> bytes:
    return hashlib.sha256(both).digest()[:_CHECK]


def _pad(text: str) -> int:
    return -len(text.strip().removeprefix(_MARK).replace("-", "")) % 8
