"""Accept a batch that a department pushes: durable before it is answered, once under its id; its next run lands it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from connectors.services.push import batches_of
from runs.errors import RunError
from runs.modes import marked
from runs.resources import Resource
from schemas.values import DETAIL, REJECT, ROW, Batch, Json, Manifest, Position
from warehouse.keep import keep, received_batches
from warehouse.state import State
from warehouse.store import ObjectStore

TOLD_REJECTS = 1000  # rejected rows that an answer names
TRIGGER = "push"


class PushConflict(RunError):
    """A batch of that id was accepted before, with other content."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came: `batch` is the sender's id, `sha256` that of `body` (unpacked), in hexadecimal."""

    batch: str
    content_type: str
    body: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A row of a wrong shape, which is kept all the same: its number from 1, the rule, what exactly (zh | en)."""

    row: int
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is durable; `already`: before this call. `rejects` names the first TOLD_REJECTS of the `rejected` rows."""

    batch: str
    run: str
    rows: int
    sha256: str
    accepted_at: str
    rejected: int
    rejects: tuple[Refused, ...]
    already: bool


def accept(store: ObjectStore, state: State, resource: Resource, pushed: Pushed) -> Accepted:
    """Keep the batch as raw files and a manifest; the same id and content again gets the same answer.

    Checked and landed it is by the resource's next run. RUN-PUSH-CONFLICT for the same id with other content,
    SRC-PUSH-… for a body that is not what its Content-Type says; then nothing is kept.
    """
    run = f"{TRIGGER}-{resource.id}-{pushed.batch}"
    with store.lock(f"push-{resource.id}"):
        known = state.manifests(resource.id, run=run, limit=1)
        if known:
            return _answered(store, known[0], pushed, already=True)
        received = marked(resource, batches_of(pushed.body, pushed.content_type, pushed.batch))
        batches = _numbered(received, pushed)
        state.start_run(run, resource.id, trigger=TRIGGER)
        manifest = keep(store, state, resource.id, run, batches, name=f"{TRIGGER} {pushed.batch}")
        if state.run(run).status == "failed":  # another run took this one, still writing, for dead
            state.start_run(run, resource.id, trigger=TRIGGER)
        state.step(run, "pull", batch=manifest.batch, counts={"pulled": manifest.rows})
    return _answered(store, manifest, pushed, already=False)


def _numbered(batches: Iterator[Batch], pushed: Pushed) -> Iterator[Batch]:
    """The batches, each with what is remembered of this push; taken apart whole before anything is written."""
    whole = list(batches)
    said: dict[str, Json] = {"push": {"batch": pushed.batch, "sha256": pushed.sha256}}
    return (replace(batch, position=Position(said)) for batch in whole)


def _answered(store: ObjectStore, manifest: Manifest, pushed: Pushed, *, already: bool) -> Accepted:
    said = manifest.position.cursor.get("push")
    if not isinstance(said, dict) or said.get("sha256") != pushed.sha256:
        raise PushConflict(
            "RUN-PUSH-CONFLICT",
            zh=f"批次 {pushed.batch} 已于 {manifest.pulled_at} 收下，内容不同",
            en=f"the batch {pushed.batch} was accepted at {manifest.pulled_at} with other content",
            fix_zh="更正后的数据请用新的批次编号推送",
            fix_en="Push corrected data under a new batch id.",
        )
    rejected, named = 0, list[Refused]()
    for rows in received_batches(store, manifest):
        column = rows.column(REJECT)
        rejected += len(column) - column.null_count
        if column.null_count < len(column) and len(named) < TOLD_REJECTS:
            odd = rows.select([ROW, REJECT, DETAIL]).filter(column.is_valid()).slice(0, TOLD_REJECTS - len(named))
            named += [Refused(one[ROW], one[REJECT], one[DETAIL] or "") for one in odd.to_pylist()]
    return Accepted(
        pushed.batch, manifest.run, manifest.rows, pushed.sha256, manifest.pulled_at, rejected, tuple(named), already
    )
