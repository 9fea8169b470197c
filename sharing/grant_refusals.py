"""Why a grant that is there does not cover a call: it rests, has ended, is another client's, or wants newer data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sharing.errors import FieldNotGrantedError, NoGrantError, QuotaSpentError, SharingError

if TYPE_CHECKING:
    from sharing.grant_file import Grant


class StaleError(SharingError):
    """The data are older than the grant allows to be answered from, or nobody knows how old they are."""

    status, title_zh, title_en = 503, "数据不够新", "Data not fresh enough"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls, grant: str, hours: float) -> StaleError:
        """`hours` is how old they may be."""
        return cls(
            "SHR-STALE",
            zh=f"授权 {grant} 要求数据在 {hours:g} 小时之内更新，现有数据不满足或无法确定",
            en=f"Grant {grant} wants data of the last {hours:g} hours; these are older, or their age is not known",
            fix_zh="数据更新后重试（见应答中的 freshness 与资源目录），或申请没有此条件的授权",
            fix_en="Try again when the data have come (see `freshness` and the directory), or ask for a grant without"
            " this condition",
        )


class PaceError(SharingError):
    """More calls a second than the grant allows; the next second lets more through."""

    status, title_zh, title_en = 429, "调用过于频繁", "Too many calls a second"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls, grant: str, per_second: int) -> PaceError:
        """`per_second` counts calls."""
        return cls(
            "SHR-PACE",
            zh=f"授权 {grant} 每秒至多 {per_second} 次调用",
            en=f"Grant {grant} allows {per_second} calls a second",
            fix_zh="放慢调用，或改用批量查询",
            fix_en="Call more slowly, or ask in batches",
        )


class MonthSpentError(QuotaSpentError):
    """The month's quota does not cover this call; the next month may."""


def month_spent(grant: str, per_month: int, left: int) -> MonthSpentError:
    """`per_month` and `left` count units."""
    return MonthSpentError(
        "SHR-QUOTA-MONTH",
        zh=f"授权 {grant} 每月配额 {per_month}，本月剩余 {left}",
        en=f"Grant {grant} allows {per_month} a month; {left} left",
        fix_zh="下月再试，或申请提高配额",
        fix_en="Try again next month, or ask for a higher quota",
    )


def not_verified(field: str, grant: str) -> FieldNotGrantedError:
    """Claims about the field are not judged, whether or not it may be seen, or is there at all."""
    shown = field[:64]
    return FieldNotGrantedError(
        "SHR-VERIFY",
        zh=f"授权 {grant} 不允许核验字段 {shown}",
        en=f"Grant {grant} does not let claims about {shown} be verified",
        fix_zh="去掉该字段，或申请在授权的 verify 中写明",
        fix_en="Leave the field out, or ask for it to be named in the grant's `verify`",
    )


def not_for_this(grant: Grant, day: str, channel: str) -> NoGrantError:
    """Why this grant does not cover a call on that day over that channel."""
    if grant.state == "suspended":
        return NoGrantError(
            "SHR-GRANT-SUSPENDED",
            zh=f"授权 {grant.id} 已暂停",
            en=f"Grant {grant.id} is suspended",
            fix_zh="向数据提供部门了解原因，恢复后重试",
            fix_en="Ask the department that provides the data; it may be resumed",
        )
    if grant.state == "revoked":
        return NoGrantError(
            "SHR-GRANT-REVOKED",
            zh=f"授权 {grant.id} 已撤销",
            en=f"Grant {grant.id} was revoked",
            fix_zh="重新提出共享申请",
            fix_en="File a new application",
        )
    if day > grant.until:
        return NoGrantError.expired(grant.id, grant.until)
    if channel not in grant.channels:
        return NoGrantError(
            "SHR-CHANNEL",
            zh=f"授权 {grant.id} 不允许以 {channel} 方式使用",
            en=f"Grant {grant.id} is not for the channel {channel}",
            fix_zh=f"可用方式：{'、'.join(sorted(grant.channels))}；需要其他方式请另行申请",
            fix_en=f"It is for: {', '.join(sorted(grant.channels))}; apply for another channel",
        )
    return NoGrantError(
        "SHR-CLIENT",
        zh=f"授权 {grant.id} 只供应用 {grant.client} 使用",
        en=f"Grant {grant.id} is for the application {grant.client} only",
        fix_zh="使用以该应用名称为标签签发的密钥",
        fix_en="Use a key that was issued with the application's name as its label",
    )
