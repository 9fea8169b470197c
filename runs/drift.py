"""See before anything is read whether a source's columns changed, and stop or say so as the resource file wants."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

from runs.errors import RunError
from schemas.errors import StandardError
from schemas.lines import Node
from schemas.standard import Standard
from schemas.values import StreamInfo

if TYPE_CHECKING:  # whoever only reads resource files opens no database
    from warehouse.state.streams import Streams

Reaction = Literal["stop", "warn", "ignore"]
REACTIONS = ("stop", "warn", "ignore")


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """What to do about each kind of change; a missing column counts only where it feeds a field of the standard."""

    new_column: Reaction = "warn"
    missing_column: Reaction = "stop"
    type_change: Reaction = "warn"


class Watched(Protocol):
    """What of a resource matters here."""

    @property
    def id(self) -> str:
        """`<department>.<resource>`."""
        ...

    @property
    def checked(self) -> Standard:
        """The standard its columns feed."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """Which column feeds which field, as far as its file says."""
        ...

    @property
    def drift(self) -> DriftPolicy:
        """What to do about a change."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One column that is new, missing or retyped; `feeds`: it feeds a field of the standard."""

    kind: Literal["new_column", "missing_column", "type_change"]
    column: str
    before: str = ""
    now: str = ""
    feeds: bool = False

    def said(self) -> dict[str, str]:
        """The change for people and for the history."""
        words = {
            "new_column": (f"新增列 {self.column}（{self.now}）", f"new column {self.column} ({self.now})"),
            "missing_column": (f"缺少列 {self.column}", f"column {self.column} is missing"),
            "type_change": (
                f"列 {self.column} 的类型由 {self.before} 变为 {self.now}",
                f"column {self.column} changed from {self.before} to {self.now}",
            ),
        }
        zh, en = words[self.kind]
        return {"kind": self.kind, "column": self.column, "zh": zh, "en": en}


def read_drift(node: Node) -> DriftPolicy:
    """The key `drift` of a resource file: `{new_column: warn, missing_column: stop, type_change: warn}`."""
    below = node.node("drift")
    if below is None:
        return DriftPolicy()
    below.only("new_column", "missing_column", "type_change")
    usual = DriftPolicy()

    def said(key: str, default: Reaction) -> Reaction:
        return cast("Reaction", below.one_of(key, REACTIONS)) if below.has(key) else default

    return DriftPolicy(
        new_column=said("new_column", usual.new_column),
        missing_column=said("missing_column", usual.missing_column),
        type_change=said("type_change", usual.type_change),
    )


def compare(before: Mapping[str, str], now: Mapping[str, str], feeding: Collection[str]) -> list[Change]:
    """What changed between two sets of columns (name → source type); `feeding` are those that feed a field."""
    changes = [Change("missing_column", name, before[name], "", name in feeding) for name in before if name not in now]
    changes += [
        Change("type_change", name, before[name], kind, name in feeding)
        for name, kind in now.items()
        if name in before and before[name] != kind
    ]
    changes += [Change("new_column", name, "", kind) for name, kind in now.items() if name not in before]
    return changes


def watch(streams: Streams, resource: Watched, run: str, stream: StreamInfo) -> list[Change]:
    """Compare the stream with what the last run saw and remember it; RUN-DRIFT where the resource's policy says stop.

    Streams whose columns are only seen in their records are not judged. Returns what a person should hear of.
    """
    if not stream.declared or not stream.columns:
        return []
    last, policy = streams.last(resource.id), resource.drift
    changes = (
        compare(last.columns, stream.columns, _feeding(resource, [*last.columns, *stream.columns])) if last else []
    )
    changes = [one for one in changes if getattr(policy, one.kind) != "ignore"]
    stopping = [
        one for one in changes if getattr(policy, one.kind) == "stop" and (one.feeds or one.kind != "missing_column")
    ]
    streams.record(resource.id, run, stream.columns, [one.said() for one in changes], accepted=not stopping)
    if stopping:
        raise _drifted(resource.id, stopping)
    return changes


def _feeding(resource: Watched, columns: Sequence[str]) -> Collection[str]:
    from schemas.mapping import resolve

    try:
        return resolve(resource.checked, list(dict.fromkeys(columns)), resource.columns).values()
    except StandardError:
        return resource.columns.values()  # the check step says what is wrong with the mapping


def _drifted(resource: str, changes: list[Change]) -> RunError:
    said = [one.said() for one in changes]
    return RunError(
        "RUN-DRIFT",
        zh=f"{resource} 的来源结构有变，尚未读取：{'；'.join(one['zh'] for one in said)}",
        en=f"the source of {resource} changed and was not read: {'; '.join(one['en'] for one in said)}",
        fix_zh=f"请与来源部门确认；改名的列在资源文件 map 中更正，确认无误后执行 shutong resource drift {resource}"
        " --accept",
        fix_en="Ask the department; correct map in the resource file where a column was renamed, or run shutong"
        f" resource drift {resource} --accept to take it as it is",
    )
