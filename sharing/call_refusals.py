"""Why a call is refused for what its headers say: the matter, the case, or the caller's own number of the call."""

from __future__ import annotations

from typing import ClassVar

from sharing.errors import QuotaSpentError, SharingError


class HeaderError(SharingError):
    """A header cannot be used as it was sent."""

    status, title_zh, title_en = 422, "请求头格式错误", "Malformed header"

    @classmethod
    def of(cls, name: str, longest: int) -> HeaderError:
        """Says which header, and never what was in it."""
        return cls(
            "SHR-HEADER",
            zh=f"请求头 {name} 为空、超过 {longest} 个字符、含有不允许的字符或含有公民身份号码",
            en=f"The header {name} is empty, longer than {longest} characters, holds characters that are not allowed, "
            "or a citizen's number",
            fix_zh="编号用字母、数字和 . _ : -；中文先按 UTF-8 作百分号编码；不得写公民身份号码",
            fix_en="Use letters, digits and . _ : - for numbers; percent-encode Chinese as UTF-8; leave persons out",
        )


class MatterError(SharingError):
    """The call is for another matter than the grant."""

    status, title_zh, title_en = 403, "用途不符", "Another purpose"

    @classmethod
    def of(cls, grant: str, matter: str) -> MatterError:
        """The caller knows the matter of its own grant: it is told."""
        return cls(
            "SHR-MATTER",
            zh=f"授权 {grant} 只用于事项“{matter}”，与请求头 X-Matter 不符",
            en=f"Grant {grant} is for the matter '{matter}' only, which X-Matter is not",
            fix_zh="按办理的事项选择授权（X-Grant），或为该事项提出共享申请",
            fix_en="Choose the grant of the matter at hand (X-Grant), or apply for one",
        )


class GuessingError(QuotaSpentError):
    """One field of one subject has had as many different claims today as it may."""

    title_zh, title_en = "核验次数过多", "Too many different claims"


class RepeatedError(SharingError):
    """The caller's own number of the call was used today for another call."""

    status, title_zh, title_en = 409, "请求编号重复", "The number was used before"

    @classmethod
    def of(cls, first: str) -> RepeatedError:
        """Names the call that has the number."""
        return cls(
            "SHR-REPEATED",
            zh=f"X-Client-Request-Id 今天已用于另一次调用（{first}）",
            en=f"X-Client-Request-Id was used today for another call ({first})",
            fix_zh="每次新的调用使用新的编号；重试时内容须与第一次相同",
            fix_en="Give each new call a new id; a retry must ask the same as the first time",
        )


class UnderWayError(SharingError):
    """The call that has the number is being answered this moment."""

    status, title_zh, title_en = 409, "正在处理", "Under way"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls) -> UnderWayError:
        """One wording: what became of the first is not known yet."""
        return cls(
            "SHR-UNDER-WAY",
            zh="编号相同的调用正在处理，尚无结果",
            en="A call of the same X-Client-Request-Id is being answered",
            fix_zh="一秒后以相同编号重试",
            fix_en="Try again in a second, with the same id",
        )


def guessed(field: str, most: int, left: int, place: int | None = None) -> GuessingError:
    """`most` different claims a day; the next in `left` seconds; `place` counts subjects from 1 in a batch."""
    at_zh = f"第 {place} 个主体的" if place else ""
    at_en = f" of subject number {place}" if place else ""
    return GuessingError(
        "SHR-GUESSING",
        zh=f"{at_zh}字段 {field} 今日已核验 {most} 个不同的值，{left} 秒后重新计数",
        en=f"The field {field}{at_en} has had {most} different claims today; counting begins anew in {left} s",
        fix_zh="与当事人核对后，明日零时（北京时间）再试；重复核验相同的值不受此限",
        fix_en="Check with the person concerned and try after midnight Asia/Shanghai; a claim made before is free",
    )
