"""Why a receipt proves nothing: its form, its key, its signature, or what it is held against."""

from __future__ import annotations

from sharing.errors import SharingError

_FIX_ZH = "保留回执、请求与应答的原文，向平台管理员核对"
_FIX_EN = "Keep receipt, request and answer as they were, and ask the platform's operator"


class ReceiptError(SharingError):
    """A receipt does not prove what it is held to prove."""

    status, title_zh, title_en = 422, "回执不能证明此次调用", "The receipt does not prove the call"


def no_receipt() -> ReceiptError:
    """The text is no receipt at all."""
    return ReceiptError(
        "SHR-RECEIPT-FORM",
        zh="这不是回执：应为响应头 X-Receipt 的原文（JWS，三段以点相连）",
        en="This is no receipt: it should be the header X-Receipt as it came (a JWS, three parts joined by dots)",
        fix_zh="原样取用响应头 X-Receipt 的内容",
        fix_en="Take the value of X-Receipt as it is",
    )


def unknown_key(kid: str) -> ReceiptError:
    """None of the public keys signed it."""
    return ReceiptError(
        "SHR-RECEIPT-KEY",
        zh=f"签发回执的密钥 {kid[:64]} 不在所给公钥之中，或回执的时间不在其使用期内",
        en=f"The key {kid[:64]} is not among the public keys given, or was not in use when the receipt says",
        fix_zh="从 GET /v1/receipt-keys 重新取得公钥后再核",
        fix_en="Get the public keys anew from GET /v1/receipt-keys, then try again",
    )


def forged() -> ReceiptError:
    """The signature does not fit what is signed."""
    return ReceiptError(
        "SHR-RECEIPT-FORGED",
        zh="签名不符：回执被改动，或不是平台签发的",
        en="The signature does not hold: the receipt was changed, or the platform did not issue it",
        fix_zh=_FIX_ZH,
        fix_en=_FIX_EN,
    )


def unrecorded(what: str) -> ReceiptError:
    """Signed by us, and the ledger says otherwise: one of the two was tampered with."""
    return ReceiptError(
        "SHR-RECEIPT-RECORD",
        zh=f"调用记录与回执不一致：{what}",
        en=f"The call records do not agree with the receipt: {what}",
        fix_zh="执行 shutong ledger verify 核对全部记录",
        fix_en="Check all records with: shutong ledger verify",
    )


def unproven() -> ReceiptError:
    """The record is not under the root of its day, or the day has no root yet."""
    return ReceiptError(
        "SHR-RECEIPT-UNPROVEN",
        zh="不能证明记录在当日封条之下：当日尚未封存，或记录、证明与封条不符",
        en="The record is not shown to be under its day's seal: the day has none yet, or record, proof and seal differ",
        fix_zh="次日执行 shutong ledger seal 之后再取证明",
        fix_en="Ask for the proof a day later, after: shutong ledger seal",
    )


def another(what_zh: str, what_en: str) -> ReceiptError:
    """It is a receipt, of another request or answer."""
    return ReceiptError(
        "SHR-RECEIPT-OTHER",
        zh=f"回执属于另一次调用：{what_zh}的摘要不同",
        en=f"The receipt is of another call: the hash of its {what_en} differs",
        fix_zh="按收到的字节核对，不要解压、转码或重新排版",
        fix_en="Compare the bytes as they were sent: not unpacked, re-encoded or set anew",
    )
