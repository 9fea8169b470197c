"""Judge whole runs once all their batches are checked: what only the run, and the runs before it, can tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quality.gate_history import Observed, reasons
from quality.gate_store import GateStore
from runs.batch import Parts, mark, told_of
from runs.reports import Report
from runs.resources import Resource
from schemas.values import Decision, Manifest
from warehouse.checked import kept_check, redecide


def judge_runs(parts: Parts, resource: Resource, checked: Sequence[Manifest]) -> dict[str, Report]:
    """The reports of checked batches whose run is held, or remarked on, by freshness, row count or distribution.

    Every batch of such a run is: none of them lands while another waits.
    """
    gate = resource.gate
    if not (gate.freshness or gate.drop or gate.shift):
        return {}
    changed: dict[str, Report] = {}
    store = GateStore(parts.state.engine)
    for run in dict.fromkeys(one.run for one in checked):
        pieces = [one for one in parts.state.pieces(run) if one.run == run] or [
            one for one in checked if one.run == run
        ]
        store = GateStore(parts.state.engine)
        wanted = max(one.runs for one in (gate.drop, gate.shift) if one) if gate.drop or gate.shift else 0
        before = store.rows_before(resource.id, run, wanted)
        usual = store.seen(resource.id, list(before)[: gate.shift.runs]) if gate.shift else Observed()
        rows, seen = sum(one.rows for one in pieces), store.seen(resource.id, [run])
        found = reasons(gate, rows, list(before.values()), seen, usual, parts.today())
        if not found:
            continue
        decision: Decision = "hold" if any(act == "hold" for act, _, _ in found) else "warn"
        said = [one for one in found if one[0] == decision]
        for piece in pieces:
            changed[piece.batch] = _amend(parts, resource, piece, decision, said)
        if parts.state.run(run).step != "start":
            parts.state.step(run, "check", decision=gravest(changed[one.batch].decision for one in pieces))
    return changed


def gravest(decisions: Iterable[str | None]) -> Decision:
    """The gravest of some decisions."""
    every = set(decisions)
    return "hold" if "hold" in every else "warn" if "warn" in every else "pass"


def _amend(
    parts: Parts, resource: Resource, piece: Manifest, decision: Decision, said: Sequence[tuple[str, str, str]]
) -> Report:
    """Add reasons to a batch's verdict, in its files and in the history."""
    kept = kept_check(parts.store, piece)
    final: Decision = gravest((kept.decision, decision))
    zh, en = ("；".join(one[1] for one in said), "; ".join(one[2] for one in said))
    if kept.decision != "pass" and decision in (kept.decision, "warn"):
        zh, en = f"{kept.reason_zh}；{zh}", f"{kept.reason_en}; {en}"
    redecide(parts.store, piece, final, zh, en)
    parts.quality.amend(resource.id, mark(parts.state, piece), final, zh, en)
    return told_of(parts, resource, piece)
