"""Why a bulk job is not taken, or cannot be shown."""

from __future__ import annotations

from typing import ClassVar

from sharing.errors import MalformedError, NotFoundError, SharingError


class TooManyJobsError(SharingError):
    """The department has as many jobs under way as it may."""

    status, title_zh, title_en = 429, "作业过多", "Too many jobs"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls, most: int) -> TooManyJobsError:
        """`most` at a time."""
        return cls(
            "SHR-JOBS",
            zh=f"本部门已有 {most} 个作业在进行",
            en=f"Your department has {most} jobs under way",
            fix_zh="等待其中一个完成，或取消一个",
            fix_en="Wait for one of them to end, or cancel one",
        )


class NoRoomError(SharingError):
    """The disk has no room for the job's files."""

    status, title_zh, title_en = 503, "空间不足", "No room"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls) -> NoRoomError:
        """Nothing was taken."""
        return cls(
            "SHR-JOB-ROOM",
            zh="磁盘空间不足，作业没有收下",
            en="There is no room on the disk; the job was not taken",
            fix_zh="请稍后重试；管理员请清理部署目录所在的磁盘",
            fix_en="Try again later; operators: make room on the disk of the deployment",
        )


class NoJobError(NotFoundError):
    """There is no such job of this caller."""

    @classmethod
    def of(cls) -> NoJobError:
        """One wording for unknown ones and those of others."""
        return cls(
            "SHR-NO-JOB",
            zh="没有这个作业，或不是由本应用提交",
            en="There is no such job of this application",
            fix_zh="用 GET /v1/jobs 查看本应用的作业",
            fix_en="See your jobs with GET /v1/jobs",
        )


class NotReadyError(SharingError):
    """The job has no result to give."""

    status, title_zh, title_en = 409, "作业状态不符", "Not in this state"

    @classmethod
    def of(cls, state: str) -> NotReadyError:
        """`state` as GET /v1/jobs/{id} tells it."""
        return cls(
            "SHR-JOB-STATE",
            zh=f"作业的状态为 {state}：完成或取消之后才有结果，只有进行中的作业可以取消",
            en=f"The job is {state}: it has a result once done or cancelled, and can be cancelled while under way",
            fix_zh="用 GET /v1/jobs/{id} 查看进度；结果保留 7 天",
            fix_en="See GET /v1/jobs/{id}; results are kept for 7 days",
        )


class NarrowedError(SharingError):
    """The grant shows less than when the job was answered."""

    status, title_zh, title_en = 403, "授权已收窄", "The grant shows less now"

    @classmethod
    def of(cls, grant: str) -> NarrowedError:
        """The grant, by its id."""
        return cls(
            "SHR-JOB-RIGHTS",
            zh=f"授权 {grant} 现在允许的字段或范围小于作业应答之时，结果不再提供",
            en=f"The grant {grant} shows less than when the job was answered: its result is not handed out any more",
            fix_zh="按现在的授权重新提交作业",
            fix_en="Hand the file in again under the grant as it is now",
        )


def bad_file(line: int, zh: str, en: str) -> MalformedError:
    """The file is not one key a line; `line` counts from 1. The line itself is not repeated."""
    return MalformedError(
        "SHR-JOB-FILE",
        zh=f"第 {line} 行：{zh}",
        en=f"Line {line}: {en}",
        fix_zh="UTF-8 文本，每行一个键，至多 1,000,000 行；CSV 取第一列，可有表头 key",
        fix_en="UTF-8 text, one key a line, up to 1,000,000; of a CSV the first column counts, with or without `key`",
    )
