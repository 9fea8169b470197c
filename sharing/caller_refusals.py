"""Why a caller is not let in: from where they call, how they prove who they are, or a signature that does not hold."""

from __future__ import annotations

from sharing.errors import SharingError
from sharing.ingest_errors import SECONDS


class AddressError(SharingError):
    """The application is called from elsewhere than it may be."""

    status, title_zh, title_en = 403, "来源地址不允许", "Address not allowed"

    @classmethod
    def of(cls, address: str) -> AddressError:
        """`address` is the caller's own, as it reached us: it tells them which proxy is in the way."""
        return cls(
            "SHR-ADDRESS",
            zh=f"该应用不得从 {address} 调用",
            en=f"The application may not be called from {address}",
            fix_zh="请平台管理员把该地址加入应用的地址范围",
            fix_en="Ask the platform's operator to add the address to the application's networks",
        )


class ProofError(SharingError):
    """The application has agreed to prove itself in another way."""

    status, title_zh, title_en = 401, "认证方式不允许", "Way of proof not allowed"

    @classmethod
    def of(cls, proofs: tuple[str, ...]) -> ProofError:
        """`proofs` are those that the application may use."""
        return cls(
            "SHR-PROOF",
            zh=f"该应用只可用以下方式证明身份：{'、'.join(proofs)}",
            en=f"The application proves who it is by: {', '.join(proofs)}",
            fix_zh="改用其中一种：key 密钥、signature 签名、token 访问令牌、certificate 客户端证书",
            fix_en="Use one of them: an API key, a signature, an access token, a client certificate",
        )


class CertificateError(SharingError):
    """A client certificate is told by somebody who may not tell it, or cannot be used."""

    status, title_zh, title_en = 401, "客户端证书不被接受", "Client certificate not accepted"

    @classmethod
    def elsewhere(cls) -> CertificateError:
        """The header came from somebody who is not the proxy."""
        return cls(
            "SHR-CERTIFICATE-HEADER",
            zh="客户端证书的请求头只接受来自本平台代理的",
            en="The header of client certificates is taken from the platform's own proxy only",
            fix_zh="去掉该请求头；客户端证书在 TLS 连接中出示",
            fix_en="Leave the header out; a client certificate is shown in the TLS connection",
        )

    @classmethod
    def unusable(cls) -> CertificateError:
        """Unknown, out of its time, or not readable: they are not told apart."""
        return cls(
            "SHR-CERTIFICATE",
            zh="客户端证书未登记、不在有效期内或无法读取",
            en="The client certificate is not registered, out of its time, or cannot be read",
            fix_zh="请平台管理员为应用登记现用证书",
            fix_en="Ask the platform's operator to register the certificate with the application",
        )


class HeadersTooLargeError(SharingError):
    """The headers are larger than any call needs."""

    status, title_zh, title_en = 431, "请求头过大", "Headers too large"

    @classmethod
    def of(cls, limit: int) -> HeadersTooLargeError:
        """`limit` in bytes."""
        return cls(
            "SHR-HEADERS",
            zh=f"请求头合计超过 {limit} 字节",
            en=f"The headers have more than {limit} bytes together",
            fix_zh="去掉接口说明中没有的请求头",
            fix_en="Leave out headers the contract does not name",
        )


class SealError(SharingError):
    """The call is not signed as agreed, too old, or was made before."""

    status, title_zh, title_en = 401, "请求签名不被接受", "Signature of the call not accepted"

    @classmethod
    def missing(cls, header: str) -> SealError:
        """A header of the signature is not there, there twice, or not of its shape."""
        return cls(
            "SHR-SIGN-HEADER",
            zh=f"请求头 {header} 缺失、重复或格式不对",
            en=f"The header {header} is missing, doubled or malformed",
            fix_zh="按接口说明写入 X-Key-Id、X-Timestamp、X-Nonce 和 X-Signature，各一次",
            fix_en="Send X-Key-Id, X-Timestamp, X-Nonce and X-Signature as the contract says, each once",
        )

    @classmethod
    def stale(cls) -> SealError:
        """The timestamp is too far from our clock."""
        return cls(
            "SHR-SIGN-STALE",
            zh=f"X-Timestamp 与平台时间相差超过 {SECONDS} 秒",
            en=f"X-Timestamp is more than {SECONDS} seconds from the platform's clock",
            fix_zh="校准本机时间，并在每次发送前重新签名",
            fix_en="Set your clock, and sign anew before each sending",
        )

    @classmethod
    def wrong(cls) -> SealError:
        """It does not fit what was sent, or the key is unknown, revoked or expired: a guesser is not told which."""
        return cls(
            "SHR-SIGN-WRONG",
            zh="密钥编号不被接受，或签名与收到的内容不符",
            en="The key number is not accepted, or the signature does not fit what was received",
            fix_zh="核对密钥编号、签名密钥、待签文本的各行和请求体的摘要",
            fix_en="Check the key number, the signing secret, the lines that are signed, and the hash of the body",
        )

    @classmethod
    def replayed(cls) -> SealError:
        """The nonce was used before."""
        return cls(
            "SHR-SIGN-REPLAYED",
            zh="X-Nonce 已经用过",
            en="The X-Nonce was used before",
            fix_zh="每次发送，包括重试，都要换新的 X-Nonce 并重新签名",
            fix_en="Take a new X-Nonce and sign anew for each sending, a retry too",
        )

    @classmethod
    def algorithm(cls) -> SealError:
        """There is no SM3 on the machine of the platform."""
        return cls(
            "SHR-SIGN-SM3",
            zh="本平台所在机器的 OpenSSL 不支持国密 SM3",
            en="The OpenSSL of the platform's machine has no SM3",
            fix_zh="改用 sha256 签名",
            fix_en="Sign with sha256 instead",
        )
