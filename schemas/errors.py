"""The root of Shutong's errors: a code, what happened, what to do next, in both languages, and whether a retry helps.

ShutongError
├─ StandardError      (schemas)     a standard, code list or resource file cannot be used
├─ SourceError        (connectors)  a departmental system cannot be read; SourceUnavailable may be retried
├─ QualityError       (quality)     a rule could not be evaluated
├─ WarehouseError     (warehouse)   something durable is missing, torn or contested
├─ RunError           (runs)        a step was called out of order, a batch is held
├─ SharingError       (sharing)     a call is refused; carries its HTTP status
└─ SetupError         (shutong)     the deployment or this machine is not ready
"""

from __future__ import annotations

from typing import ClassVar


class ShutongError(Exception):
    """Something a user can act on.

    `code` is stable and documented; `zh` and `en` say what happened, `fix_zh` and `fix_en` what to do next. `retryable`
    says whether the same call may succeed later without anybody changing anything.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, *, zh: str, en: str, fix_zh: str, fix_en: str) -> None:
        super().__init__(code, zh, en, fix_zh, fix_en)
        self.code, self.zh, self.en, self.fix_zh, self.fix_en = code, zh, en, fix_zh, fix_en

    def __reduce__(self) -> tuple[object, ...]:
        words = {"zh": self.zh, "en": self.en, "fix_zh": self.fix_zh, "fix_en": self.fix_en}
        return _rebuild, (type(self), self.code, words)

    def __str__(self) -> str:
        return f"[{self.code}] {self.zh}；{self.fix_zh} | {self.en}. {self.fix_en}"

    def as_dict(self) -> dict[str, object]:
        """The error as JSON-ready data: code, zh, en, fix_zh, fix_en, retryable."""
        return {
            "code": self.code,
            "zh": self.zh,
            "en": self.en,
            "fix_zh": self.fix_zh,
            "fix_en": self.fix_en,
            "retryable": self.retryable,
        }


def _rebuild(kind: type[ShutongError], code: str, words: dict[str, str]) -> ShutongError:
    return kind(code, **words)


class StandardError(ShutongError):
    """A standard, code list, resource or grant file says something that cannot be used; names file and line."""
