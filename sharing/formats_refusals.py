"""Why an answer cannot be given in the format the caller accepts."""

from __future__ import annotations

from sharing.errors import SharingError


class NotAcceptableError(SharingError):
    """None of the formats the caller accepts is one that this call is answered in."""

    status, title_zh, title_en = 406, "没有可接受的格式", "No acceptable format"

    @classmethod
    def of(cls) -> NotAcceptableError:
        """Names those there are; nothing has been counted."""
        return cls(
            "SHR-NOT-ACCEPTABLE",
            zh="请求头 Accept 中没有本接口能给出的格式",
            en="Accept names no format that this call is answered in",
            fix_zh="可用：application/json、text/csv、application/vnd.apache.arrow.stream",
            fix_en="Accept application/json, text/csv or application/vnd.apache.arrow.stream",
        )
