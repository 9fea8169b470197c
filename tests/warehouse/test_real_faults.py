"""Faults of a store or a catalog, made for real between us and the server: told clearly, and nothing is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from land_factory import RESOURCE, Warehouse
from land_kills import FIRST, SECOND
from pairs import Pair, assert_released, fresh
from test_pair_faults import reads_and_writes, seen, through, told

from infra.testing import answers, wire
from warehouse.errors import WarehouseError
from warehouse.land import landed_table
from warehouse.tables import Tables

TABLE = landed_table(RESOURCE)


@pytest.fixture
def way(bucket_server) -> Iterator[answers.Answers]:
    with answers.between(bucket_server.port) as between:
        yield between


def along(pair: Pair, way: answers.Answers) -> Pair:
    return through(pair, endpoint=f"http://127.0.0.1:{way.port}")


@pytest.mark.parametrize(
    ("fault", "code", "retryable"), [("busy", "WH-S3-UNAVAILABLE", True), ("expired", "WH-S3-REFUSED", False)]
)
def test_a_store_that_answers_so_is_understood_whichever_library_asks(pair, way, fault, code, retryable) -> None:
    way.go_wrong(fault)
    for error in reads_and_writes(along(pair, way)):
        told(error, code, retryable=retryable)
    assert way.given >= 3
    assert len(seen(pair)) == 6


def test_a_store_that_is_busy_for_a_moment_holds_nothing_up(pair, way) -> None:
    warehouse = along(pair, way).open()
    way.go_wrong("busy", 1)
    assert warehouse.tables.read(TABLE, warehouse.state.released(TABLE)).num_rows == 6
    way.go_wrong("busy", 1)
    warehouse.store.put("land/x/y", b"z")
    assert warehouse.store.get("land/x/y") == b"z"
    warehouse.store.remove("land/x/y")
    warehouse.close()


def test_half_an_object_is_never_taken_for_the_whole(pair, way) -> None:
    warehouse = along(pair, way).open()
    warehouse.store.put("land/half", bytes(range(256)) * 1000)
    way.go_wrong("half")
    for act in (
        lambda: warehouse.store.get("land/half"),
        lambda: warehouse.tables.read(TABLE, warehouse.state.released(TABLE)),
    ):
        with pytest.raises(WarehouseError) as raised:
            act()
        told(raised.value, "WH-S3-UNAVAILABLE", retryable=True)
    assert way.given >= 2
    way.go_wrong("")
    assert warehouse.tables.read(TABLE, warehouse.state.released(TABLE)).num_rows == 6
    assert len(warehouse.store.get("land/half")) == 256_000
    warehouse.store.remove("land/half")
    warehouse.close()


def test_a_catalog_that_somebody_holds_locked_is_named_and_free_again_takes_the_rows(tmp_path: Path) -> None:
    tables = Tables(tmp_path / "tables", f"sqlite:///{tmp_path}/catalog.db?timeout=0.2")
    tables.ensure("t.locked", pa.schema([("k", pa.string())]))
    tables.append("t.locked", pa.table({"k": ["a"]}))
    holder = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(WarehouseError) as raised:
        tables.append("t.locked", pa.table({"k": ["b"]}))
    told(raised.value, "WH-CATALOG-LOCKED", retryable=True)
    holder.execute("ROLLBACK")
    holder.close()
    snapshot = tables.append("t.locked", pa.table({"k": ["c"]}))
    assert sorted(tables.read("t.locked", snapshot)["k"].to_pylist()) == ["a", "c"]
    tables.close()


def test_a_database_that_goes_in_the_middle_loses_nothing_and_the_next_run_completes(tmp_path, database_server) -> None:
    pair = fresh("folder-postgres", tmp_path, None, database_server)
    with wire.between(database_server.port) as line:
        port = str(database_server.port)
        assert port in pair.url
        warehouse = Warehouse(pair.folder, None, pair.url.replace(port, str(line.port)))
        warehouse.ingest(FIRST, "run-1")
        manifest = warehouse.pull(SECOND, "run-2")
        warehouse.check(manifest, SECOND)
        found = set()
        for after in (0, 8_000):
            line.breaks("cut", after)
            try:
                warehouse.land(manifest, "run-2")
            except Exception as error:  # noqa: BLE001 - what it is, is asserted below
                found.add(error.code if isinstance(error, WarehouseError) else type(error).__name__)
            line.mend()
            warehouse.state.engine.dispose()
            assert {len(seen(pair))} <= {6, len(FIRST) + 1}
        assert found
        assert found <= {"WH-CATALOG-GONE", "WH-STATE-GONE", "WH-LOCK-LOST", "OperationalError"}
        warehouse.land(manifest, "run-2")
        assert_released(warehouse)
        warehouse.close()
