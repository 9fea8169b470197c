"""Let a data manager decide about held batches: release them to land, or reject them for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from quality.orders_refusals import plain_words
from quality.orders_values import DATA_MANAGER, Actor, day_of, written
from runs.errors import RunError, unknown_resource
from runs.holds_store import Decided, Holds
from runs.reports import Report
from runs.resources import Resource
from schemas.values import Manifest
from warehouse.checked import kept_check
from warehouse.state import Run, State
from warehouse.store import ObjectStore

if TYPE_CHECKING:  # a list of what waits imports nothing that lands it
    from runs.batch import Parts
    from runs.steps import Steps

LOOKED_AT = 2000  # runs of a resource that are looked through


class Looked(Protocol):
    """What it takes to see what waits: nothing of what checks and lands."""

    @property
    def state(self) -> State:
        """The state database."""
        ...

    @property
    def store(self) -> ObjectStore:
        """Where checked batches rest."""
        ...

    @property
    def resources(self) -> Mapping[str, Resource]:
        """The resources by id."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """The held batches of one run: how many rows, since when, and why in both languages."""

    resource: str
    run: str
    batches: tuple[str, ...]
    rows: int
    since: str
    reason_zh: str
    reason_en: str


def waiting(parts: Looked, resource: str | None = None) -> list[Waiting]:
    """What waits for a decision, the oldest first."""
    chosen = [_resource(parts, resource)] if resource else list(parts.resources.values())
    found = [one for each in chosen for one in _waiting(parts, each)]
    return sorted(found, key=lambda one: (one.since, one.resource))


def held_batches(parts: Looked, resource: Resource) -> list[Manifest]:
    """The held batches of a resource that nobody has decided about, the oldest first."""
    runs = [one for one in parts.state.runs(resource.id, LOOKED_AT) if one.status == "held"]
    pieces = {piece.batch: piece for one in reversed(runs) for piece in parts.state.pieces(one.run_id)}
    return [one for one in pieces.values() if _held(parts, one) and _decided(parts, one) is None]


def decide(  # noqa: PLR0917 - what, by whom, why and when, in the order they are said
    steps: Steps, parts: Parts, resource_id: str, decision: Decided, by: Actor, why: str, at: datetime,
    run: str | None = None,
) -> Report:  # fmt: skip
    """Release the held batches of a run, which land at once, or reject them; `run` may be left out where one waits.

    A rejected batch never lands unless a data manager releases it, naming its run; of two who decide at once the first
    one's word counts. Called again after a process died it ends in the same. RUN-HELD-RIGHT, RUN-HELD-NONE,
    RUN-HELD-WHICH, RUN-HELD-LANDED.
    """
    if DATA_MANAGER not in by.roles:
        raise no_right(by)
    words, resource = plain_words(why, day_of(at)), _resource(parts, resource_id)
    holds = Holds(parts.state.engine)
    waits = [one.run for one in _waiting(parts, resource)] if run is None else []
    owner = run or _only(resource.id, waits or _unfinished(parts, resource, decision))
    batches = [one for one in parts.state.manifests(resource.id, run=owner) if _verdict(parts, one) == "hold"]
    if not batches:
        raise _nothing(resource.id, owner)
    before = [] if waits else [holds.decided(resource.id, one.batch) for one in batches]
    known = max((one.id for one in before if one), default=0)
    told = {"resource": resource.id, "decision": decision, "at": written(at), "who": by.id, "why": words}
    rows = []
    for one in batches:
        kept = kept_check(parts.store, one)
        reasons = {"held_zh": kept.reason_zh, "held_en": kept.reason_en}
        rows.append({**told, **reasons, "batch": one.batch, "run": one.run, "rows": one.rows})
    found = holds.decide(rows, known)
    if found == "overtaken":
        raise _nothing(resource.id, owner)
    if found == "released" and (decision == "reject" or all(_landed(parts, one) for one in batches)):
        raise _landed_already(resource.id, owner)
    report = steps.land(resource.id, owner) if decision == "release" else _rejected(parts, resource, owner, batches)
    _settle(parts, resource)
    return report


def _waiting(parts: Looked, resource: Resource) -> list[Waiting]:
    by_run: dict[str, list[Manifest]] = {}
    for one in held_batches(parts, resource):
        by_run.setdefault(one.run, []).append(one)
    found = []
    for run, pieces in by_run.items():
        kept = kept_check(parts.store, pieces[0])
        rows, since = sum(one.rows for one in pieces), pieces[0].pulled_at
        names = tuple(one.batch for one in pieces)
        found.append(Waiting(resource.id, run, names, rows, since, kept.reason_zh, kept.reason_en))
    return found


def _unfinished(parts: Parts, resource: Resource, decision: Decided) -> list[str]:
    """The runs about whose batches that was decided by a process that died before it was done."""
    found = []
    for run in parts.state.runs(resource.id, LOOKED_AT):
        if run.status == "held":
            pieces = [one for one in parts.state.pieces(run.run_id) if _held(parts, one)]
            if {_decided(parts, one) for one in pieces} == {decision}:
                found.append(run.run_id)
    return found


def _rejected(parts: Parts, resource: Resource, run: str, batches: Sequence[Manifest]) -> Report:
    kept, rows = kept_check(parts.store, batches[0]), sum(one.rows for one in batches)
    return Report(
        run, resource.id, batches[-1].batch, pulled=rows, rejected=rows, decision="hold",
        reason_zh=kept.reason_zh, reason_en=kept.reason_en,
    )  # fmt: skip


def _settle(parts: Parts, resource: Resource) -> None:
    """End the runs that were held for batches which have been decided about, be it that they had come again."""
    for run in parts.state.runs(resource.id, LOOKED_AT):
        if run.status == "held":
            status = _status(parts, run)
            if status is not None:
                parts.state.finish_run(run.run_id, status=status)


def _status(parts: Parts, run: Run) -> str | None:
    pieces = [one for one in parts.state.pieces(run.run_id) if _verdict(parts, one) == "hold"]
    open_ones = [one for one in pieces if not _landed(parts, one)]
    decided = [_decided(parts, one) for one in open_ones]
    if None in decided or "release" in decided:
        return None
    return "rejected" if decided else "done"


def _resource(parts: Looked, name: str) -> Resource:
    if name not in parts.resources:
        raise unknown_resource(name, sorted(parts.resources))
    return parts.resources[name]


def _verdict(parts: Looked, batch: Manifest) -> str:
    return kept_check(parts.store, batch).decision


def _decided(parts: Looked, batch: Manifest) -> str | None:
    found = Holds(parts.state.engine).decided(batch.resource, batch.batch)
    return None if found is None else found.decision


def _landed(parts: Looked, batch: Manifest) -> bool:
    return any(one.batch == batch.batch for one in parts.state.releases(run=batch.run, limit=10**6))


def _held(parts: Looked, batch: Manifest) -> bool:
    return _verdict(parts, batch) == "hold" and not _landed(parts, batch)


def _only(resource: str, found: Sequence[str]) -> str:
    if not found:
        raise _nothing(resource, None)
    if len(found) > 1:
        runs = ", ".join(found)
        raise RunError(
            "RUN-HELD-WHICH",
            zh=f"{resource} 有 {len(found)} 个运行待定：{runs}",
            en=f"{len(found)} runs of {resource} wait for a decision: {runs}",
            fix_zh="用 --run 指明其中一个",
            fix_en="Name one of them with --run",
        )
    return found[0]


def _nothing(resource: str, run: str | None) -> RunError:
    zh, en = (f" 的运行 {run} ", f" of the run {run}") if run else (" ", "")
    return RunError(
        "RUN-HELD-NONE",
        zh=f"{resource}{zh}没有待定的批次，或他人刚刚已作决定",
        en=f"no batch{en} of {resource} waits for a decision, or somebody has just decided",
        fix_zh="用 shutong held list 查看待定的批次，用 shutong held history 查看决定经过",
        fix_en="List what waits with shutong held list, and who decided what with shutong held history",
    )


def _landed_already(resource: str, run: str) -> RunError:
    return RunError(
        "RUN-HELD-LANDED",
        zh=f"{resource} 的运行 {run} 已放行入库，不能改判",
        en=f"the run {run} of {resource} was released and has landed, which cannot be undone",
        fix_zh="请来源部门重新交付更正后的数据；用 shutong held history 查看决定经过",
        fix_en="Ask the department to deliver the data again; see who decided with: shutong held history",
    )


def no_right(by: Actor) -> RunError:
    """Who is not a data manager decides about no held batches, quarantined rows or identifiers."""
    return RunError(
        "RUN-HELD-RIGHT",
        zh=f"{by.id}（{by.department}）不能决定挂起的批次、隔离的行和基础库的待定项",
        en=f"{by.id} ({by.department}) may not decide about held batches, quarantined rows or held identifiers",
        fix_zh="由数据管理员（data_manager）办理；角色登记在部署目录的 people.yaml",
        fix_en="This is for a data manager; roles stand in people.yaml of the deployment",
    )
