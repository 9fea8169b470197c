"""The files of a snapshot are those pyiceberg names, and what was read once is not read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.manifest import ManifestFile
from pyiceberg.table.snapshots import Snapshot

from warehouse import scan
from warehouse.listed import _Remembered
from warehouse.tables import Tables

NAME = "base.t"


def rows(*keys: int) -> pa.Table:
    return pa.table({"k": [f"{key:03d}" for key in keys], "v": [f"值{key}" for key in keys]})


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    """A table with rows added, replaced, replaced again, and replaced whole."""
    made = Tables(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    made.ensure(NAME, rows(1).schema)
    made.append(NAME, rows(1, 2, 3))
    made.upsert(NAME, rows(2, 4), key=["k"])
    made.upsert(NAME, rows(4, 5), key=["k"])
    made.replace(NAME, rows(6))
    made.upsert(NAME, rows(6, 7), key=["k"])
    yield made
    made.close()


def theirs(tables: Tables, snapshot: int) -> tuple[set[str], set[str]]:
    tasks = list(tables.loaded(NAME).scan(row_filter=AlwaysTrue(), snapshot_id=snapshot).plan_files())
    return {one.file.file_path for one in tasks}, {gone.file_path for one in tasks for gone in one.delete_files}


def test_every_snapshot_consists_of_the_files_pyiceberg_names(tables: Tables) -> None:
    every = [one.snapshot_id for one in tables.loaded(NAME).metadata.snapshots]
    plans = [tables.plan(NAME, one) for one in every]
    assert [({one.file_path for one in plan.data}, {*plan.deletes}) for plan in plans] == [
        theirs(tables, one) for one in every
    ]
    assert [(len(plan.data), len(plan.deletes)) for plan in plans] == [(1, 0), (2, 1), (3, 2), (1, 0), (2, 1)]
    assert [tables.plan(NAME, one) for one in every] == plans


def test_a_snapshot_is_read_once_and_of_the_next_one_only_what_is_new(tables: Tables, monkeypatch) -> None:
    lists, manifests, list_of, fetch = [], [], Snapshot.manifests, ManifestFile.fetch_manifest_entry
    monkeypatch.setattr(Snapshot, "manifests", lambda one, io: lists.append(one.snapshot_id) or list_of(one, io))
    monkeypatch.setattr(
        ManifestFile,
        "fetch_manifest_entry",
        lambda one, io, discard_deleted=True: manifests.append(one) or fetch(one, io, discard_deleted),
    )
    table = tables.loaded(NAME)
    snapshots = [one.snapshot_id for one in table.metadata.snapshots]
    for snapshot in (*snapshots[1:3], *snapshots[1:3]):
        scan.plan(table, snapshot)
    assert [one for one in snapshots[1:3] if lists.count(one) > 1] == []
    assert len(manifests) == len({one.manifest_path for one in manifests})


def test_what_was_asked_for_longest_ago_is_forgotten_and_what_is_too_long_never_kept() -> None:
    remembered, read = _Remembered[int](6), []

    def asked(path: str, length: int) -> None:
        assert remembered.get(path, lambda: read.append(path) or (7,) * length) == (7,) * length

    for path, length in (("a", 2), ("b", 2), ("a", 2), ("c", 2), ("a", 2), ("b", 2), ("long", 7), ("long", 7)):
        asked(path, length)
    assert read == ["a", "b", "c", "b", "long", "long"]
