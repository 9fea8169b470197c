"""Forget old snapshots of a table, and remove the files nothing names any more."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pyiceberg.table import Table

from warehouse.row_delta import SAME
from warehouse.site import Site, name


def expire(table: Table, keep: int, pinned: frozenset[int], least: int = 1) -> int:
    """Forget all but the newest `keep` snapshots, the head and those pinned; returns how many were forgotten.

    None are when they would be fewer than `least`.
    """
    newest = sorted(table.snapshots(), key=lambda one: one.sequence_number or 0, reverse=True)
    heads = {ref.snapshot_id for ref in table.metadata.refs.values()}
    kept = {*pinned, *heads}
    for one in reversed(newest):  # where a snapshot that is needed was rewritten, what changed since is told by that
        if one.summary is not None and one.summary.additional_properties.get(SAME) in {str(known) for known in kept}:
            kept.add(one.snapshot_id)
    old = [one.snapshot_id for one in newest[keep:] if one.snapshot_id not in kept]
    if len(old) < max(least, 1):
        return 0
    table.maintenance.expire_snapshots().by_ids(old).commit()
    return len(old)


def sweep(site: Site, table: Table, older_than_hours: float, pinned: Sequence[str]) -> list[str]:
    """Remove files below the table's folder that no snapshot, metadata log or release names; returns them.

    Younger files are left alone: a writer may be about to commit them.
    """
    named = used(table) | {name(one) for one in pinned}
    before = time.time() - older_than_hours * 3600
    removed = [one for one in site.below(name(table.location()), before) if one not in named]
    for one in removed:
        site.remove(one)
    return removed


def used(table: Table) -> set[str]:
    """The files that a table's snapshots and its log of metadata name."""
    named = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for snapshot in table.snapshots():
        named.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            named.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            named |= {entry.data_file.file_path for entry in entries}
    return {name(one) for one in named}
