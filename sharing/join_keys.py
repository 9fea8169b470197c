"""Join keys 关联令牌: what a department may join records by without seeing the identifier itself."""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.standard import Field
from sharing.comparing import plain_of
from sharing.masks import Mask

_LENGTH = 16  # bytes of a token


class JoinKeys:
    """Makes the tokens of each department under a secret of its own, derived from the deployment's.

    A value has one token in every library and resource of a department, however it is spelled there, and another one
    in every other department: two of them cannot match their extracts, and none can work back to the value.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mask(self, department: str, field: Field) -> Mask:
        """The mask that shows a field to a department as its token, 32 hexadecimal digits; null stays null."""
        key = HKDF(SHA256(), 32, None, b"shutong join keys\0" + department.encode()).derive(self._secret)
        kind, plain = plain_of(field)
        about = kind.encode() + b"\0"

        def token(value: object) -> object:
            if value is None:
                return None
            told = about + plain(str(value)).encode("utf-8", "surrogatepass")
            return hmac.digest(key, told, "sha256")[:_LENGTH].hex()

        return token
