"""What is known of a check besides its verdict: fields that came, records that were counted, deliveries in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil

from quality.scores_values import Facts
from runs.resources import Resource
from schemas.values import Manifest
from warehouse.clock import now
from warehouse.state import State

LOOKED_AT = 200  # runs that are looked through for the last good one
OURS = ("correction", "release", "recheck", "rollback")  # triggers of runs that no delivery of the source began


def facts_of(state: State, resource: Resource, manifest: Manifest, mapping: Mapping[str, str], records: int) -> Facts:
    """The facts of one batch: `mapping` says what feeds each field, `records` how many rows are no deletions."""
    standard = resource.standard
    needed = [one.name for one in standard.fields if one.required or one.name in standard.key]
    return Facts(
        library=standard.library or "",
        fields=tuple(one for one in standard.fields if one.name in mapping),
        columns=mapping,
        missing=tuple(name for name in needed if name not in mapping),
        records=records,
        deliveries=_deliveries(state, resource, manifest),
    )


def _deliveries(state: State, resource: Resource, manifest: Manifest) -> tuple[int, int] | None:
    """How many deliveries came in time, and how many were due, since the last good run; None where nobody promised.

    A delivery after two and a half times the promised span is one of three that were due.
    """
    pieces = state.pieces(manifest.run)
    if resource.expect_within is None or (pieces and pieces[0].batch != manifest.batch):
        return None
    runs = state.runs(resource.id, LOOKED_AT)
    good = next(
        (one for one in runs if one.status == "done" and one.run_id != manifest.run and one.trigger not in OURS), None
    )
    if good is None or good.finished_at is None:
        return None
    return deliveries(now() - datetime.fromisoformat(good.finished_at), resource.expect_within)


def deliveries(since: timedelta, within: timedelta) -> tuple[int, int]:
    """One delivery that came, of those that were due in that time."""
    return 1, max(1, ceil(since / within))
