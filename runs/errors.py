"""What can go wrong between the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from schemas.errors import ShutongError


class RunError(ShutongError):
    """A step was called out of order, or a batch is held."""


class RunInterrupted(RunError):
    """A run ended before its pull counted: its process was stopped."""

    retryable: ClassVar[bool] = True


def unknown_resource(resource: str, known: list[str]) -> RunError:
    """The deployment has no resource of that id."""
    return RunError(
        "RUN-RESOURCE-UNKNOWN",
        zh=f"没有名为 {resource} 的资源；已有：{'、'.join(known) or '无'}",
        en=f"there is no resource {resource}; known: {', '.join(known) or 'none'}",
        fix_zh="用 shutong resource list 查看全部资源",
        fix_en="Run `shutong resource list`",
    )


def unknown_library(library: str, known: list[str]) -> RunError:
    """No resource of the deployment belongs to a library of that name."""
    return RunError(
        "RUN-LIBRARY-UNKNOWN",
        zh=f"没有基础库 {library}；已有：{'、'.join(known) or '无'}",
        en=f"there is no library {library}; known: {', '.join(known) or 'none'}",
        fix_zh="检查库名；基础库由资源所用标准的 library 决定",
        fix_en="Check the name; libraries come from the standards that resources use",
    )


def run_taken(run: str, resource: str) -> RunError:
    """A run id belongs to one resource."""
    return RunError(
        "RUN-ID-TAKEN",
        zh=f"运行编号 {run} 已被另一资源使用，不能用于 {resource}",
        en=f"the run id {run} belongs to another resource and cannot serve {resource}",
        fix_zh="换一个运行编号",
        fix_en="Use another run id",
    )


def interrupted(run: str) -> RunInterrupted:
    """What is said of a run whose process died."""
    return RunInterrupted(
        "RUN-INTERRUPTED",
        zh=f"运行 {run} 在拉取完成前中断",
        en=f"the run {run} was interrupted before its pull was complete",
        fix_zh="无需处理：下一次运行已从原位置重新拉取",
        fix_en="Nothing to do: the next run pulls again from the same position",
    )


def wrong_key(resource: str, said: Sequence[str], feeding: Sequence[str]) -> RunError:
    """The columns of `read.key` are not those that feed the key of the standard."""
    return RunError(
        "RUN-READ-KEY",
        zh=f"{resource} 的 read.key 写为 {'、'.join(said)}，而标准的主键来自 {'、'.join(feeding)}",
        en=f"read.key of {resource} is {', '.join(said)}, but the key of the standard comes from {', '.join(feeding)}",
        fix_zh=f"写 read: {{key: [{', '.join(feeding)}]}}，或删除 key：删除的记录要靠这些列找到",
        fix_en=f"Write read: {{key: [{', '.join(feeding)}]}} or leave key out: deleted records are found by these",
    )
