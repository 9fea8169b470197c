"""Why a pushed batch is refused: one class per reason, with its HTTP status and a title in both languages."""

from __future__ import annotations

from sharing.errors import SharingError, TooLargeError

SECONDS = 300  # how far the sender's clock may be from ours


class NoPushError(SharingError):
    """The resource does not take pushed batches."""

    status, title_zh, title_en = 404, "不接收推送", "Takes no batches"

    @classmethod
    def of(cls, resource: str) -> NoPushError:
        """Nobody of that id, or one that is pulled from its department's system."""
        shown = resource[:128]
        return cls(
            "SHR-PUSH-RESOURCE",
            zh=f"{shown} 不接收推送的批次",
            en=f"{shown} takes no pushed batches",
            fix_zh="用 GET /v1/resources 核对资源编号；该资源的来源须为 kind: push",
            fix_en="Check the resource with GET /v1/resources; its source must be of kind: push",
        )


class NotYoursError(SharingError):
    """The resource belongs to another department."""

    status, title_zh, title_en = 403, "不是本部门的资源", "Not your resource"

    @classmethod
    def of(cls, resource: str) -> NotYoursError:
        """A department pushes to its own resources only."""
        return cls(
            "SHR-PUSH-DEPARTMENT",
            zh=f"{resource} 属于其他部门，本部门不能向它推送",
            en=f"{resource} belongs to another department; yours cannot push to it",
            fix_zh="改用本部门的资源，或使用归属部门的密钥",
            fix_en="Push to a resource of your own, or with the key of its department",
        )


class SignatureError(SharingError):
    """The call is not signed as agreed, too old, or was made before."""

    status, title_zh, title_en = 401, "签名不被接受", "Signature not accepted"

    @classmethod
    def missing(cls, header: str) -> SignatureError:
        """A header of the signature is not there, or not of its shape."""
        return cls(
            "SHR-PUSH-UNSIGNED",
            zh=f"请求头 {header} 缺失或格式不对",
            en=f"The header {header} is missing or malformed",
            fix_zh="按接口说明写入 X-Timestamp、X-Nonce 和 X-Signature",
            fix_en="Send X-Timestamp, X-Nonce and X-Signature as the contract says",
        )

    @classmethod
    def stale(cls) -> SignatureError:
        """The timestamp is too far from our clock."""
        return cls(
            "SHR-PUSH-STALE",
            zh=f"X-Timestamp 与平台时间相差超过 {SECONDS} 秒",
            en=f"X-Timestamp is more than {SECONDS} seconds from the platform's clock",
            fix_zh="校准本机时间，并在每次发送前重新签名",
            fix_en="Set your clock, and sign anew before each sending",
        )

    @classmethod
    def wrong(cls) -> SignatureError:
        """It does not fit what was sent."""
        return cls(
            "SHR-PUSH-SIGNATURE",
            zh="签名与收到的内容不符",
            en="The signature does not fit what was received",
            fix_zh="核对推送密钥、待签文本的各行和请求体（压缩后）的摘要",
            fix_en="Check the push secret, the lines that are signed, and the hash of the body as sent (packed)",
        )

    @classmethod
    def replayed(cls) -> SignatureError:
        """The nonce was used before."""
        return cls(
            "SHR-PUSH-REPLAYED",
            zh="X-Nonce 已经用过",
            en="The X-Nonce was used before",
            fix_zh="重发同一批次时也要换新的 X-Nonce 并重新签名",
            fix_en="Take a new X-Nonce and sign anew, also when the same batch is sent again",
        )


class PushTooLargeError(TooLargeError):
    """The batch is larger than one call may be."""

    @classmethod
    def of(cls, limit: int) -> PushTooLargeError:
        """`limit` in bytes."""
        return cls(
            "SHR-PUSH-TOO-LARGE",
            zh=f"一批不得超过 {limit} 字节",
            en=f"A batch may have {limit} bytes at most",
            fix_zh="拆成几批，每批用自己的编号",
            fix_en="Send it as several batches, each under an id of its own",
        )


class BadBatchError(SharingError):
    """The body or the batch id cannot be used."""

    status, title_zh, title_en = 400, "批次无法读取", "Batch cannot be read"

    @classmethod
    def name(cls) -> BadBatchError:
        """The id in the path is not of its shape."""
        return cls(
            "SHR-PUSH-ID",
            zh="批次编号只能由 1 到 100 个字母、数字、点、下划线、连字符组成，以字母或数字开头",
            en="A batch id has 1 to 100 letters, digits, dots, underscores and hyphens, a letter or digit first",
            fix_zh="换一个编号，例如 2026-01-31.1",
            fix_en="Take another id, such as 2026-01-31.1",
        )

    @classmethod
    def packed(cls) -> BadBatchError:
        """Content-Encoding says gzip and the body is none, or something else that is not supported."""
        return cls(
            "SHR-PUSH-GZIP",
            zh="请求体不是完整的 gzip，或 Content-Encoding 不受支持",
            en="The body is no whole gzip, or its Content-Encoding is not supported",
            fix_zh="用 gzip 压缩，或不压缩",
            fix_en="Pack it with gzip, or not at all",
        )

    @classmethod
    def torn(cls) -> BadBatchError:
        """The connection ended before the body did."""
        return cls(
            "SHR-PUSH-TORN",
            zh="请求体没有传完，未收下任何数据",
            en="The body was not sent whole; nothing was taken",
            fix_zh="重新发送",
            fix_en="Send it again",
        )


class ConflictError(SharingError):
    """The batch id was used before for other content."""

    status, title_zh, title_en = 409, "批次编号已用于其他内容", "Batch id used for other content"
