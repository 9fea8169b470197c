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


def comes_by_bundles(library: str) -> RunError:
    """The library is merged elsewhere."""
    return RunError(
        "RUN-LIBRARY-RECEIVED",
        zh=f"基础库 {library} 由合作方的数据包提供，不在本部署归并",
        en=f"the library {library} comes from a partner by bundles and is not merged here",
        fix_zh="用 shutong library import 导入新数据包；本部署也有该库的资源时，在 bundles.yaml 中用 as 给它另一名称",
        fix_en="Import the next bundle with shutong library import; where resources of this deployment belong to such a"
        " library too, give the partner's another name in bundles.yaml (as)",
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


def only_followed(resource: str) -> RunError:
    """A resource that is followed change by change is not pulled from time to time as well."""
    return RunError(
        "RUN-FOLLOWED",
        zh=f"{resource} 写明 read: {{mode: cdc}}，按来源日志持续跟踪，不能单独接入",
        en=f"{resource} says read: {{mode: cdc}}: it is followed by the log of its source, not pulled at a time",
        fix_zh=f"运行 shutong follow {resource}；shutong up 会自动启动它",
        fix_en=f"Run `shutong follow {resource}`; `shutong up` starts it by itself",
    )


def already_followed(resource: str, process: str) -> RunError:
    """Another process follows the resource."""
    return RunError(
        "RUN-FOLLOWED-TWICE",
        zh=f"{resource} 已由进程 {process or '?'} 跟踪",
        en=f"{resource} is followed by process {process or '?'} already",
        fix_zh="一个资源只需一个跟踪进程；要换一个，先结束原来的",
        fix_en="One follower is enough; to replace it end that one first",
    )


def not_followed(resource: str) -> RunError:
    """The resource file does not ask to be followed."""
    return RunError(
        "RUN-NOT-CDC",
        zh=f"{resource} 的资源文件没有写 read: {{mode: cdc}}",
        en=f"the file of {resource} does not say read: {{mode: cdc}}",
        fix_zh=f"写 read: {{mode: cdc}}，或运行 shutong ingest {resource}",
        fix_en=f"Write read: {{mode: cdc}}, or run `shutong ingest {resource}`",
    )


def unnamed_deletions(resource: str, feeding: Sequence[str], key: Sequence[str]) -> RunError:
    """The log of the source names records by other columns than those of the standard's key."""
    return RunError(
        "RUN-FOLLOW-KEY",
        zh=f"{resource} 的日志以 {'、'.join(key)} 指明记录，而标准的主键来自 {'、'.join(feeding)}",
        en=f"the log of {resource} names records by {', '.join(key)}, but the key of the standard comes from"
        f" {', '.join(feeding)}",
        fix_zh="请对方以这些列为主键或 REPLICA IDENTITY USING INDEX；或写 read: {mode: snapshot_diff}",
        fix_en="Ask for a primary key or REPLICA IDENTITY USING INDEX of these columns; or write"
        " read: {mode: snapshot_diff}",
    )


def reserved_too_long(resource: str, behind: str) -> RunError:
    """The source kept so much of its log for us that the resource file says to let go."""
    return RunError(
        "RUN-SLOT-DROPPED",
        zh=f"{resource} 落后 {behind} 日志，超过 drop_slot_after，已删除复制槽，来源不再保留日志",
        en=f"{resource} was {behind} of log behind, more than drop_slot_after: its slot was dropped",
        fix_zh=f"运行 shutong follow {resource} --full：完整读取一次后继续跟踪",
        fix_en=f"Run `shutong follow {resource} --full`: everything is read once, then followed again",
    )
