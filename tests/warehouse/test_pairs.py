"""One behaviour over all pairs of place and catalog: what a folder with SQLite does, a bucket with PostgreSQL does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from land_factory import RESOURCE, Record, Warehouse
from land_kills import FIRST, SECOND
from pair_kills import EACH, SHARED
from pairs import PAIRS, Pair, assert_released, fresh, run_kills
from test_merge import BOTH, NAMES, STANDARD, firm, land, registry_rows, tax_rows

from warehouse import backup, compaction, history
from warehouse.bundle_export import LAST, Order, export
from warehouse.bundle_file import reading
from warehouse.bundle_import import take
from warehouse.bundle_keys import Keys
from warehouse.compaction import Tended, compact, fold
from warehouse.errors import WarehouseError
from warehouse.land import Landing, landed_table, lock_name, quarantine_table
from warehouse.merge import merge
from warehouse.said import explain
from warehouse.site import size_of

TABLE = landed_table(RESOURCE)
PROVEN = [pytest.param(one, marks=pytest.mark.prove) for one in PAIRS[:-1]]


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    bucket = request.getfixturevalue("bucket_server") if "bucket" in request.param else None
    database = request.getfixturevalue("database_server") if "postgres" in request.param else None
    return fresh(request.param, tmp_path_factory.mktemp(request.param), bucket, database)


@pytest.fixture(scope="module")
def warehouse(pair: Pair) -> Iterator[Warehouse]:
    made = pair.open()
    yield made
    made.close()


@pytest.fixture(scope="module")
def landed(warehouse: Warehouse) -> list[Landing]:
    return [warehouse.ingest(FIRST, "run-1"), warehouse.ingest(SECOND, "run-2")]


def names(tables, table: str, snapshot: int | None) -> dict[str, str]:
    return {row["k"]: row["v"] for row in tables.read(table, snapshot, ["k", "v"]).to_pylist()}


def rows(keys: list[str], value: str) -> pa.Table:
    return pa.table({"k": keys, "v": [value] * len(keys)})


def test_rows_land_are_replaced_deleted_and_quarantined_and_seen_together(
    warehouse: Warehouse, landed: list[Landing]
) -> None:
    assert landed == [Landing(6, 1, 0), Landing(4, 1, 3, 1)]
    found = {row["code"]: row["name"] for row in warehouse.landed()}
    assert found == {"A0": "甲", "A1": "甲", "A3": "乙𠮷", "A4": "乙𠮷", "A5": "乙𠮷", "C1": "丁"}
    assert [row["code"] if "code" in row else row["_row"] for row in warehouse.quarantined()]
    for table in (TABLE, quarantine_table(RESOURCE)):
        assert warehouse.tables.head(table).snapshot == warehouse.state.released(table)


def test_the_snapshot_reads_alike_through_pyiceberg(warehouse: Warehouse, landed: list[Landing]) -> None:
    released = warehouse.state.released(TABLE)
    theirs = warehouse.tables._load(TABLE).scan(snapshot_id=released).to_arrow()
    ours = warehouse.tables.read(TABLE, released)
    assert sorted(ours.to_pylist(), key=str) == sorted(theirs.to_pylist(), key=str)


def test_the_same_content_again_changes_nothing(warehouse: Warehouse, landed: list[Landing]) -> None:
    released, folders = warehouse.state.released(TABLE), warehouse.store.folders("land")
    assert warehouse.ingest(SECOND, "run-again") == landed[1]
    assert (warehouse.state.released(TABLE), warehouse.store.folders("land")) == (released, folders)


def test_a_rollback_brings_the_earlier_release_back(warehouse: Warehouse, landed: list[Landing]) -> None:
    earlier = warehouse.state.releases(run="run-1")[0].tables[TABLE].snapshot
    newest = warehouse.state.released(TABLE)
    warehouse.tables.rollback_to(TABLE, earlier)
    assert warehouse.tables.head(TABLE).snapshot == earlier
    assert {row["name"] for row in warehouse.tables.read(TABLE, earlier).to_pylist()} == {"甲"}
    warehouse.tables.rollback_to(TABLE, newest)


def test_a_file_of_the_check_becomes_the_tables_own(warehouse: Warehouse) -> None:
    records = [Record(f"D{n}", "2026-01-01", "采") for n in range(8)]
    warehouse.ingest(records, "run-adopted", resource="market.adopted")
    name = "std_market.adopted"
    (task,) = warehouse.tables._load(name).scan().plan_files()
    (folder,) = warehouse.store.folders("land/market/adopted")
    warehouse.store.remove(folder)
    assert not warehouse.store.folders("land/market/adopted")
    assert task.file.record_count == 8
    assert warehouse.tables.read(name, warehouse.state.released(name)).num_rows == 8


def test_old_snapshots_go_and_what_nothing_names_is_swept(warehouse: Warehouse) -> None:
    tables, name = warehouse.tables, "t.sweep"
    tables.ensure(name, rows(["a"], "1").schema)
    made = [tables.upsert(name, rows(["a"], str(number)), key=["k"]) for number in range(4)]
    orphan = tables.stage(name, rows(["c"], "3")).files[0]
    assert tables.expire(name, keep=1, pinned=frozenset({made[1]})) == 2
    assert tables.sweep(name) == []
    swept = tables.sweep(name, older_than_hours=-1)
    assert orphan in swept
    assert len(swept) > 1
    assert [names(tables, name, one) for one in (made[1], made[3])] == [{"a": "1"}, {"a": "3"}]
    with pytest.raises(WarehouseError, match="WH-SNAPSHOT-GONE"):
        tables.read(name, made[0])


def test_columns_renamed_added_and_widened_are_found_by_their_ids(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, name = warehouse.tables, "t.evolving"
    tables.ensure(name, pa.schema([("k", pa.string()), ("v", pa.string()), ("n", pa.int32())]))
    tables.append(name, pa.table({"k": ["a"], "v": ["old"], "n": pa.array([1], pa.int32())}))
    with tables._load(name).update_schema() as update:
        update.rename_column("v", "名称")
    tables.ensure(name, pa.schema([("k", pa.string()), ("n", pa.int64()), ("地址.x", pa.string())]))
    for number in (0, 1):
        new = pa.table({"k": ["b"], "名称": ["new"], "n": [2**40 + number], "地址.x": ["杭州𠮷"]})
        head = tables.upsert(name, new, key=["k"])
        assert sorted(tables.read(name, head, ["k", "名称", "n", "地址.x"]).to_pylist(), key=str) == [
            {"k": "a", "名称": "old", "n": 1, "地址.x": None},
            {"k": "b", "名称": "new", "n": 2**40 + number, "地址.x": "杭州𠮷"},
        ]
        monkeypatch.setattr("warehouse.s3.extension", lambda: None)  # the second time as where it is not installed


def test_no_key_is_in_what_is_written_or_shown(pair: Pair, warehouse: Warehouse, landed: list[Landing]) -> None:
    if pair.bucket is None:
        return
    table = warehouse.tables._load(TABLE)
    assert pair.bucket.secret_key not in table.metadata.model_dump_json()
    assert (
        pair.bucket.secret_key not in f"{pair.bucket!r} {warehouse.tables!r} {table!r} {table.io!r} {table.catalog!r}"
    )
    with warehouse.tables.connect() as connection:
        told = connection.execute("SELECT secret_string FROM duckdb_secrets()").fetchall()
    assert pair.bucket.secret_key not in str(told)


def test_a_link_serves_the_file_to_whoever_has_it(pair: Pair, warehouse: Warehouse, landed: list[Landing]) -> None:
    import urllib3

    warehouse.store.put("exports/a b/企业.csv", "统一社会信用代码\n".encode())
    link = warehouse.store.link("exports/a b/企业.csv", 60)
    assert (link is None) == (pair.bucket is None)
    if link is not None:
        assert urllib3.request("GET", link).data.decode() == "统一社会信用代码\n"
        assert urllib3.request("GET", link.replace("X-Amz-Expires=60", "X-Amz-Expires=61")).status == 403


@pytest.mark.kills
def test_killed_in_a_bucket_and_run_again_all_is_there_and_writers_at_once_lose_nothing(
    tmp_path: Path, bucket_server, database_server
) -> None:
    pair = fresh("bucket-postgres", tmp_path / "work", bucket_server, database_server)
    run_kills(tmp_path / "plan", {"bucket-postgres": pair}, points=["land.quarantine_committed"])
    warehouse = pair.open()
    try:
        found = {row["code"]: row["name"] for row in warehouse.landed()}
        assert found == {"A0": "甲", "A1": "甲", "A3": "乙𠮷", "A4": "乙𠮷", "A5": "乙𠮷", "C1": "丁"}
        assert len(warehouse.quarantined()) == 2
        assert len(warehouse.store.folders("land")) == 2
        assert_released(warehouse)
        head = warehouse.tables.head(SHARED)
        keys = warehouse.tables.read(SHARED, head.snapshot, ["k"])["k"].to_pylist()
        assert sorted(keys) == sorted(["both", *(f"{me}{n}" for me in "ab" for n in range(EACH))])
    finally:
        warehouse.close()


def released_more(warehouse: Warehouse, number: int) -> dict[str, str]:
    """Two rows, one of them in the place of another, released."""
    added = rows(["both", f"k{number}"], f"第{number}次𠮷")
    warehouse.tables.ensure(TABLE, added.schema)
    snapshot = warehouse.tables.upsert(TABLE, added, key=["k"])
    run = f"r{snapshot}"
    warehouse.state.start_run(run, RESOURCE)
    warehouse.state.commit_release(run, {TABLE: warehouse.tables.pin(TABLE, snapshot)})
    return dict(zip(*added.to_pydict().values(), strict=True))


@pytest.mark.parametrize("kind", [PAIRS[-1], *PROVEN])
def test_folded_compacted_backed_up_and_restored_the_rows_stay_what_they_were(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_server, database_server
) -> None:
    monkeypatch.setattr(compaction, "MANY", 4)
    pair = fresh(kind, tmp_path / "work", bucket_server, database_server)
    warehouse, expected = pair.open(), dict[str, str]()
    for number in range(4):
        expected |= released_more(warehouse, number)
    one = Tended(TABLE, ("k",), lambda: warehouse.store.lock(lock_name(RESOURCE)))
    assert fold(warehouse.state, warehouse.tables, one)
    assert names(warehouse.tables, TABLE, warehouse.state.released(TABLE)) == expected
    expected |= released_more(warehouse, 5)
    assert compact(warehouse.state, warehouse.tables, one, always=True).changed
    assert names(warehouse.tables, TABLE, warehouse.state.released(TABLE)) == expected
    place, site = backup.Place(tmp_path / "kept", warehouse.state.url, warehouse.state.url), warehouse.tables.site
    made = backup.create(place, warehouse.state, warehouse.tables)
    released_more(warehouse, 6)
    warehouse.close()
    backup.restore(place, made, site)
    warehouse = pair.open()
    assert backup.settle(warehouse.state, warehouse.store, warehouse.tables, made).batches == 0
    assert names(warehouse.tables, TABLE, warehouse.state.released(TABLE)) == expected
    expected |= released_more(warehouse, 7)
    assert names(warehouse.tables, TABLE, warehouse.state.released(TABLE)) == expected
    warehouse.close()
    site.remove(
        next(file for file in sorted(backup.spared(place)) if file.endswith(".parquet") and size_of(site, file))
    )
    with pytest.raises(WarehouseError, match="WH-BACKUP-FILES"):
        backup.restore(place, made, site)


@pytest.mark.parametrize("kind", [PAIRS[-1], *PROVEN])
def test_a_library_whose_rows_came_together_by_their_identifiers_travels_from_one_to_another(
    kind: str, tmp_path: Path, bucket_server, database_server
) -> None:
    sender, receiver = (fresh(kind, tmp_path / name, bucket_server, database_server).open() for name in "ab")
    ours, theirs = Keys.new(), Keys.new()
    order = Order("legal_person", STANDARD, "them", theirs.card, "us", "li")
    land(sender.state, sender.tables, BOTH[1].table, tax_rows(), "tax")
    for number, moved in enumerate((False, True)):
        land(sender.state, sender.tables, BOTH[0].table, registry_rows(moved=moved), f"run-{number}")
        merge(sender.state, sender.tables, "legal_person", STANDARD, BOTH)
        file = tmp_path / f"{number}.stb"
        export(sender.state, sender.tables, replace(order, since=LAST if number else None), ours, file)
        with reading(file, {"us": ours.card}) as got:
            taken = take(receiver.state, receiver.tables, got, "legal_person", STANDARD, theirs)
        assert (taken.changed, taken.bundle.previous is None) == (True, number == 0)
        for name in NAMES:
            there = [sorted(one.tables.read(name, one.state.released(name)).to_pylist(), key=str)
                     for one in (sender, receiver)]  # fmt: skip
            assert there[0] == there[1], name
        for key in (firm(0)["uscc"], firm(12)["uscc"], firm(39)["uscc"]):
            said = [explain(one.state, one.tables, "legal_person", key) for one in (sender, receiver)]
            assert said[0] == said[1]
    began = [history.began(one.state, "legal_person") for one in (sender, receiver)]
    assert began[0] == began[1]
    then = [history.whole(one.state, one.tables, "legal_person", began[0]) for one in (sender, receiver)]
    assert then[0].equals(then[1])
    assert then[0].num_rows == 30
    sender.close()
    receiver.close()
