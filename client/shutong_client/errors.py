"""What can go wrong, as types: refusals made from the exchange's problems, and what the client itself finds.

ClientError            everything here; has code, zh, en, fix_zh, fix_en and retryable
├─ ProfileError        the profile is missing or does not say what it must
├─ UnreachableError    no answer came; retryable
├─ ReceiptError        a receipt does not prove what it came with
└─ RefusedError        the exchange said no; has status, request_id and retry_after too
   ├─ NotKnownError      401, who calls is not known
   ├─ NotAllowedError    403, no grant, or not for this
   ├─ MissingError       404, no such record, library or path
   ├─ SpentError         429, quota or pace; retry_after says when
   └─ UnavailableError   503, nothing was answered
"""

from __future__ import annotations

import httpx


class ClientError(Exception):
    """Something did not work; what happened and what to do, in Chinese and English."""

    retryable: bool = False

    def __init__(self, code: str, *, zh: str, en: str, fix_zh: str = "", fix_en: str = "") -> None:
        super().__init__(f"{code}: {en}" if not fix_en else f"{code}: {en}. {fix_en}")
        self.code, self.zh, self.en, self.fix_zh, self.fix_en = code, zh, en, fix_zh, fix_en


class ProfileError(ClientError):
    """The profile cannot be used (CLI-PROFILE)."""


class ReceiptError(ClientError):
    """A receipt does not hold: CLI-RECEIPT-NONE, -FORM, -KEY, -FORGED, -OTHER."""


class UnreachableError(ClientError):
    """No whole answer came (CLI-UNREACHABLE); whether the call was counted is found out by sending it again."""

    retryable = True


class RefusedError(ClientError):
    """The exchange refused the call; `retry_after` is in seconds, None where it did not say."""

    def __init__(self, told: dict[str, object], status: int, retry_after: float | None) -> None:
        zh, en = _words(told.get("zh")), _words(told.get("en"))
        super().__init__(
            str(told.get("code") or f"HTTP-{status}"),
            zh=zh.get("detail", f"应答状态 {status}"), en=en.get("detail", f"the answer's status was {status}"),
            fix_zh=zh.get("fix", ""), fix_en=en.get("fix", ""),
        )  # fmt: skip
        self.title_zh, self.title_en = zh.get("title", ""), en.get("title", "")
        self.status, self.retry_after = status, retry_after
        self.request_id = str(told["request_id"]) if told.get("request_id") else None
        self.retryable = told.get("retryable") is True


class NotKnownError(RefusedError):
    """Who calls is not known: no key, a wrong or ended one, a signature that does not hold."""


class NotAllowedError(RefusedError):
    """There is no grant for this, or not for that field, matter or way of asking."""


class MissingError(RefusedError):
    """There is no such record within the grant, or no such library, resource or path."""


class SpentError(RefusedError):
    """The quota or the pace of the grant is used up."""


class UnavailableError(RefusedError):
    """The exchange could not answer now; nothing was counted."""


_KINDS: dict[int, type[RefusedError]] = {
    401: NotKnownError, 403: NotAllowedError, 404: MissingError, 429: SpentError, 503: UnavailableError,
}  # fmt: skip


def refused(response: httpx.Response) -> RefusedError:
    """The error that an answer of status 400 or more tells."""
    try:
        told = response.json()
    except ValueError:
        told = {}
    kind = _KINDS.get(response.status_code, RefusedError)
    return kind(told if isinstance(told, dict) else {}, response.status_code, _after(response))


def unreachable(error: httpx.TransportError) -> UnreachableError:
    """The error of a call without an answer; the address is not told, it may hold a key."""
    name = type(error).__name__
    return UnreachableError(
        "CLI-UNREACHABLE",
        zh=f"没有收到完整的应答（{name}）", en=f"no whole answer came ({name})",
        fix_zh="检查地址与网络后重试", fix_en="Check address and network, then call again",
    )  # fmt: skip


def _after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None  # noqa: PLR2004 digits


def _words(told: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in told.items()} if isinstance(told, dict) else {}
