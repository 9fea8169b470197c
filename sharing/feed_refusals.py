"""Why changes cannot be told: they are not kept any more, keys are hidden, or the library has no feed."""

from __future__ import annotations

from sharing.errors import FieldNotGrantedError, NotFoundError, SharingError


class ResyncError(SharingError):
    """What changed since the cursor cannot be told any more; the caller must begin anew."""

    status, title_zh, title_en = 410, "需要重新同步", "Begin anew"

    @classmethod
    def of(cls, subject: str) -> ResyncError:
        """The changes were dropped, too many came at once, or the grant shows other rows or fields than before."""
        return cls(
            "SHR-RESYNC",
            zh=f"{subject} 自该游标以来的变更已不再保留，或授权内容、所要字段已变",
            en=f"What changed in {subject} since the cursor is not kept any more, or grant or fields are others",
            fix_zh="不带 since 取得新游标，再用批量作业重新取得所需记录，然后从新游标继续",
            fix_en="Ask without `since` for a new cursor, fetch the records you need anew by a job, then go on from it",
        )


class NoFeedError(NotFoundError):
    """Changes of this library cannot be followed."""

    @classmethod
    def of(cls, subject: str) -> NoFeedError:
        """Its records are not kept in a serving store that knows what changed."""
        return cls(
            "SHR-NO-FEED",
            zh=f"{subject} 不提供变更订阅",
            en=f"{subject} has no feed of changes",
            fix_zh="按键查询，或联系平台管理员",
            fix_en="Look records up by key, or ask the platform's operator",
        )


class KeyHiddenError(FieldNotGrantedError):
    """The grant hides the key, by which alone changes can be told apart."""

    @classmethod
    def of(cls, field: str, grant: str) -> KeyHiddenError:
        """The field is the library's key: anybody may know that."""
        return cls(
            "SHR-FEED-KEY",
            zh=f"授权 {grant} 不显示完整的主键 {field}，不能订阅变更",
            en=f"Grant {grant} does not show the key {field} whole, so changes cannot be told",
            fix_zh="申请在授权的 fields 与 clear 中写明主键，且不要从 fields 参数中去掉它",
            fix_en="Ask for the key among the grant's `fields` and `clear`, and do not leave it out of `fields`",
        )
