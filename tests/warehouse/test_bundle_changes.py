"""What came and went between two snapshots is exactly that, whatever happened to files and snapshots in between."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from land_factory import RESOURCE, Warehouse

from warehouse import bundle_changes, compaction
from warehouse.compaction import Tended, compact, fold
from warehouse.land import landed_table, lock_name

TABLE = landed_table(RESOURCE)


def step(chance: random.Random, warehouse: Warehouse) -> int:
    """Rows put, taken away or written anew at random; the released snapshot then."""
    act, tables = chance.choice(("put", "put", "gone", "fold", "compact", "whole", "back")), warehouse.tables
    rows = pa.table({"k": chance.sample("abcdefghij", 3), "v": [chance.choice("xy") for _ in range(3)]})
    one = Tended(TABLE, ("k",), lambda: warehouse.store.lock(lock_name(RESOURCE)))
    if act == "fold":
        fold(warehouse.state, tables, one)
    elif act == "compact":
        compact(warehouse.state, tables, one, always=True)
    else:
        snapshot = warehouse.state.released(TABLE)
        if act == "whole":
            snapshot = tables.replace(TABLE, rows)
        elif act == "back":
            known = tables.loaded(TABLE).metadata.snapshots
            snapshot = chance.choice(known).snapshot_id
            tables.rollback_to(TABLE, snapshot)
        else:
            staged = tables.stage(TABLE, rows if act == "put" else rows.slice(0, 0), sort=["k"])
            keys = pa.table({"k": rows["k"]})
            snapshot = tables.commit(compaction.dataclasses.replace(staged, replaced=keys), key=("k",))
        assert snapshot is not None
        run = f"r{len(warehouse.state.releases(10_000))}"
        warehouse.state.start_run(run, RESOURCE)
        warehouse.state.commit_release(run, {TABLE: tables.pin(TABLE, snapshot)})
    released = warehouse.state.released(TABLE)
    assert released is not None
    return released


def held(warehouse: Warehouse, snapshot: int) -> Counter:
    return Counter((row["k"], row["v"]) for row in warehouse.tables.read(TABLE, snapshot).to_pylist())


@pytest.mark.parametrize("seed", range(2))
def test_random_histories_differ_by_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(compaction, "MANY", 2)
    chance, warehouse = random.Random(seed), Warehouse(tmp_path)
    warehouse.tables.ensure(TABLE, pa.schema([("k", pa.string()), ("v", pa.string())]))
    warehouse.tables.append(TABLE, pa.table({"k": ["a", "b"], "v": ["x", "x"]}))
    stood = [step(chance, warehouse) for _ in range(14)]
    with warehouse.tables.connect() as connection:
        for old, new in (sorted(chance.sample(range(len(stood)), 2)) for _ in range(12)):
            was, now = held(warehouse, stood[old]), held(warehouse, stood[new])
            plans = [warehouse.tables.plan(TABLE, stood[one]) for one in (old, new)]
            bundle_changes.between(connection, *plans, ["k", "v"], ("_came", "_went"))
            assert Counter(connection.execute("FROM _came").fetchall()) == now - was
            assert Counter(connection.execute("FROM _went").fetchall()) == was - now
    warehouse.close()
