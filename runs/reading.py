"""The key `read` of a resource file: how a source is read again, and how deletions at the source are noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, cast

from schemas.lines import Node
from schemas.values import Json

Mode = Literal["full", "cursor", "snapshot_diff", "cdc"]
Detect = Literal["none", "flag", "key_sweep", "snapshot_diff"]
MODES = ("full", "cursor", "snapshot_diff", "cdc")
DETECTS = ("none", "flag", "key_sweep", "snapshot_diff")
CURSORS = ("cursor", "window", "since")  # options of a source that read it by what grew
PARTIAL = ("push",)  # kinds that never give every record
SWEEPABLE = ("sql",)  # kinds that can be asked for their key columns alone
FLAGS = ("1", "y", "yes", "t", "true", "d", "是", "已删除")  # what a column of soft deletes says, case aside
FOLLOWABLE = ("sql",)  # kinds whose system keeps a log of changes
SPANS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SIZES = {"MB": 10**6, "GB": 10**9}
FOLLOWING = ("every", "merge_every", "max_lag", "drop_slot_after", "slot", "publication")
MAX_DELETES = 10.0


@dataclass(frozen=True, slots=True)
class Control:
    """Columns that say what a row does to its record (`operation`), when (`time`), and as which number (`number`)."""

    operation: str
    time: str
    number: str


AUTO, NONE = "auto", "none"
VOCABULARIES = {
    # 数据来源：浙江省公共数据平台控制字段 dsc_*, and what tables of before them carry
    "dsc": Control("dsc_biz_operation", "dsc_biz_timestamp", "dsc_biz_record_id"),
    "cd": Control("cd_operation", "cd_time", "cd_id"),
}


@dataclass(frozen=True, slots=True)
class Deletes:
    """How deletions are noticed: a column whose `values` mean deleted, a look at all keys each `every`, or not."""

    detect: Detect = "none"
    column: str = ""
    values: tuple[str, ...] = FLAGS
    every: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Following:
    """How a log is followed: how often changes are taken and libraries merged; bytes of log the source may keep for us.

    Above `max_lag` a warning is given, above `drop_slot_after` the source is told to keep no more; `slot` and
    `publication` are names the DBA has given, if any.
    """

    every: timedelta = timedelta(seconds=2)
    merge_every: timedelta = timedelta(seconds=30)
    max_lag: int = 10 * SIZES["GB"]
    drop_slot_after: int | None = None
    slot: str = ""
    publication: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a resource is read.

    full: everything the source plans, each time; cursor: what grew since `source.cursor`; snapshot_diff: everything,
    but only new, changed and gone records go on; cdc: followed by the log of its database. `key` are the source columns
    that name a record, where the file says them. A batch that deletes more than `max_deletes` percent of what is landed
    is held.
    """

    mode: Mode = "full"
    key: tuple[str, ...] = ()
    deletes: Deletes = field(default_factory=Deletes)
    control: str = AUTO
    max_deletes: float = MAX_DELETES
    following: Following = field(default_factory=Following)


def read_reading(node: Node, kind: str, options: Mapping[str, Json]) -> Reading:
    """Read `read: {mode, key, deletes: {detect, column, values, every}, control, max_deletes}`; all may be left out.

    Without `read` a source with a cursor is read by it and any other in full. With `read` but no `mode`, a source
    without a cursor is compared with its last snapshot. StandardError where things do not go together.
    """
    cursor = next((name for name in CURSORS if options.get(name) is not None), "")
    below = node.node("read")
    if below is None:
        return Reading(mode="cursor" if cursor else "full")
    below.only("mode", "key", "deletes", "control", "max_deletes", *FOLLOWING)
    control = below.one_of("control", (*VOCABULARIES, AUTO, NONE), AUTO)
    whole = control in VOCABULARIES or kind in PARTIAL
    usual = "cursor" if cursor else "full" if whole else "snapshot_diff"
    mode = cast("Mode", below.one_of("mode", MODES, usual))
    if mode != "cursor" and cursor:
        below.fail(
            "mode",
            zh=f"mode: {mode} 每次读取全部记录，与 source.{cursor} 矛盾",
            en=f"mode: {mode} reads every record each time and cannot have source.{cursor}",
            fix_zh=f"删除 source.{cursor}，或写 mode: cursor",
            fix_en=f"Remove source.{cursor}, or write mode: cursor",
        )
    if mode == "cursor" and not cursor:
        below.fail(
            "mode",
            zh="mode: cursor 需要知道按哪一列增量读取",
            en="mode: cursor needs to know which column grows",
            fix_zh="在 source 中写 cursor: 列名；没有可用的列时写 mode: snapshot_diff",
            fix_en="Write cursor: <column> under source; where no column will do write mode: snapshot_diff",
        )
    if mode == "snapshot_diff" and kind in PARTIAL:
        below.fail(
            "mode",
            zh=f"{kind} 类来源每次只给出部分记录，不能与快照比对",
            en=f"a source of kind {kind} gives only some records each time and cannot be compared with a snapshot",
            fix_zh="写 mode: full；用 deletes: {detect: flag, column: …} 表示删除",
            fix_en="Write mode: full; let deletes: {detect: flag, column: …} say what is deleted",
        )
    following = _following(below, mode, kind)
    limit = below.number("max_deletes", default=None) if below.has("max_deletes") else MAX_DELETES
    return Reading(
        mode=mode,
        key=tuple(below.texts("key")),
        deletes=_deletes(below, mode, kind),
        control=control,
        max_deletes=MAX_DELETES if limit is None else float(limit),
        following=following,
    )


def _following(node: Node, mode: Mode, kind: str) -> Following:
    if mode == "cdc" and kind not in FOLLOWABLE:
        node.fail(
            "mode",
            zh=f"{kind} 类来源没有可以跟踪的数据库日志",
            en=f"a source of kind {kind} has no database log to follow",
            fix_zh="每次给出全部记录的来源写 mode: snapshot_diff",
            fix_en="Write mode: snapshot_diff where the source gives every record each time",
        )
    for key in FOLLOWING:
        if node.has(key) and mode != "cdc":
            node.fail(
                key,
                zh=f"{key} 只用于 mode: cdc，这里是 {mode}",
                en=f"{key} belongs to mode: cdc, and here it is {mode}",
                fix_zh=f"删除 {key}，或写 mode: cdc",
                fix_en=f"Remove {key}, or write mode: cdc",
            )
    usual = Following()
    return Following(
        every=_span(node, "every", "smhd") if node.has("every") else usual.every,
        merge_every=_span(node, "merge_every", "smhd") if node.has("merge_every") else usual.merge_every,
        max_lag=_size(node, "max_lag") or usual.max_lag,
        drop_slot_after=_size(node, "drop_slot_after"),
        slot=node.pattern("slot", "[a-z0-9_]{1,63}", example="shutong_firms") if node.has("slot") else "",
        publication=node.text("publication") if node.has("publication") else "",
    )


def _size(node: Node, key: str) -> int | None:
    if not node.has(key):
        return None
    said = node.pattern(key, r"[1-9][0-9]*(MB|GB)", example="10GB")
    return int(said[:-2]) * SIZES[said[-2:]]


def _deletes(node: Node, mode: Mode, kind: str) -> Deletes:
    usual: Detect = "snapshot_diff" if mode == "snapshot_diff" else "none"
    below = node.node("deletes")
    if below is None:
        return Deletes(usual)
    below.only("detect", "column", "values", "every")
    detect = cast("Detect", below.one_of("detect", DETECTS, "flag" if below.has("column") else usual))
    _refuse(below, detect, mode, kind)
    for key, only in (("column", "flag"), ("values", "flag"), ("every", "key_sweep")):
        if below.has(key) and detect != only:
            below.fail(
                key,
                zh=f"{key} 只用于 detect: {only}，这里是 {detect}",
                en=f"{key} belongs to detect: {only}, and here it is {detect}",
                fix_zh=f"删除 {key}，或写 detect: {only}",
                fix_en=f"Remove {key}, or write detect: {only}",
            )
    values = tuple(one.strip().casefold() for one in below.texts("values"))
    return Deletes(
        detect=detect,
        column=below.text("column") if detect == "flag" else "",
        values=values or FLAGS,
        every=_span(below, "every"),
    )


def _refuse(node: Node, detect: Detect, mode: Mode, kind: str) -> None:
    if detect == "snapshot_diff" and mode != "snapshot_diff":
        node.fail(
            "detect",
            zh=f"detect: snapshot_diff 要与上次快照比对，而 mode 是 {mode}",
            en=f"detect: snapshot_diff compares with the last snapshot, but mode is {mode}",
            fix_zh="写 mode: snapshot_diff；按游标增量读取时写 detect: key_sweep",
            fix_en="Write mode: snapshot_diff; with a cursor write detect: key_sweep",
        )
    if detect == "key_sweep" and mode == "cdc":
        node.fail(
            "detect",
            zh="mode: cdc 的日志已经写明删除，无需扫描主键",
            en="mode: cdc learns of deletions from the log and needs no sweep",
            fix_zh="删除 deletes；软删除的列写 detect: flag",
            fix_en="Remove deletes; for a column of soft deletes write detect: flag",
        )
    if detect == "key_sweep" and mode == "snapshot_diff":
        node.fail(
            "detect",
            zh="mode: snapshot_diff 已经读到全部主键，无需再扫描",
            en="mode: snapshot_diff has read every key already and needs no sweep",
            fix_zh="写 detect: snapshot_diff",
            fix_en="Write detect: snapshot_diff",
        )
    if detect == "key_sweep" and kind not in SWEEPABLE:
        node.fail(
            "detect",
            zh=f"{kind} 类来源不能只读取主键",
            en=f"a source of kind {kind} cannot be asked for its keys alone",
            fix_zh="每次给出全部记录的来源写 mode: snapshot_diff；否则写 detect: flag 或 none",
            fix_en="Write mode: snapshot_diff where the source gives every record each time, else detect: flag or none",
        )
    if detect == "flag" and not node.has("column"):
        node.fail(
            "column",
            zh="detect: flag 需要写明哪一列表示已删除",
            en="detect: flag needs the column that says a record is deleted",
            fix_zh='例如 deletes: {detect: flag, column: is_deleted, values: ["1", "Y"]}',
            fix_en='For example deletes: {detect: flag, column: is_deleted, values: ["1", "Y"]}',
        )


def _span(node: Node, key: str, units: str = "mhd") -> timedelta:
    if not node.has(key):
        return timedelta(0)
    said = node.pattern(key, rf"[1-9][0-9]*[{units}]", example=f"1{units[-1]}")
    return timedelta(**{SPANS[said[-1]]: int(said[:-1])})
