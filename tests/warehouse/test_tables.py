"""Tables: every snapshot reads alike through pyiceberg and through us, and concurrent writers lose nothing."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from decimal import Decimal
from inspect import signature
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from at_once import at_once
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.table.update.snapshot import _SnapshotProducer

from warehouse import columns, site
from warehouse.errors import WarehouseError
from warehouse.tables import Tables

NAME = "std_market.base"
EACH = 8 if os.environ.get("SHUTONG_PROVE") else 4  # upserts of each of two processes
IMPORTS = (
    "from pathlib import Path\nimport pyarrow as pa\nimport pyiceberg.io.pyarrow\nfrom warehouse.tables import Tables\n"
)
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
SCHEMA = pa.schema(
    [
        ("k", pa.large_string()),
        ("v", pa.string()),
        ("capital", pa.decimal128(24, 6)),
        ("day", pa.date32()),
        ("at", pa.timestamp("ms", tz="Asia/Shanghai")),
        ("n", pa.int64()),
        ("yes", pa.bool_()),
        ("rules", pa.list_(pa.string())),
    ]
)


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    made = Tables(tmp_path / "数据", f"sqlite:///{tmp_path}/catalog.db")
    made.ensure(NAME, SCHEMA)
    yield made
    made.close()


def rows(keys: list[str], value: str) -> pa.Table:
    count = len(keys)
    values = {
        "k": pa.array(keys, pa.string()),
        "v": pa.array([value] * count, pa.string()),
        "capital": pa.array([Decimal("123456789012345678.000001")] * count, pa.decimal128(24, 6)),
        "day": pa.array([dt.date(1931, 2, 28)] * count, pa.date32()),
        "at": pa.array([dt.datetime(2026, 1, 1, 8, tzinfo=SHANGHAI)] * count, pa.timestamp("ms", tz="Asia/Shanghai")),
        "n": pa.array([2**62] * count, pa.int64()),
        "yes": pa.array([None] * count, pa.bool_()),
        "rules": pa.array([["a", "𠮷"]] * count, pa.list_(pa.string())),
    }
    return pa.table(values)


def values(tables: Tables, snapshot: int | None) -> dict[str, str]:
    return {row["k"]: row["v"] for row in tables.read(NAME, snapshot, ["k", "v"]).to_pylist()}


def test_each_snapshot_is_read_alike_by_pyiceberg_and_by_us(tables: Tables) -> None:
    snapshots = [
        tables.upsert(NAME, rows(["𠮷1", "a2", "a3"], "1"), key=["k"]),
        tables.upsert(NAME, rows(["a2", "z9"], "2"), key=["k"]),
        tables.append(NAME, rows(["b1"], "3")),
        tables.upsert(NAME, rows(["a2", "b1"], "4"), key=["k"]),
        tables.replace(NAME, rows(["c", "d"], "5"), sort=["k"]),
        tables.upsert(NAME, rows(["d"], "6"), key=["k"]),
    ]
    table = tables._load(NAME)
    expected = [3, 4, 5, 5, 2, 2]
    for snapshot, count in zip(snapshots, expected, strict=True):
        ours = tables.read(NAME, snapshot)
        theirs = table.scan(snapshot_id=snapshot).to_arrow()
        assert sorted(ours.to_pylist(), key=lambda row: row["k"]) == sorted(
            theirs.to_pylist(), key=lambda row: row["k"]
        )
        assert ours.num_rows == count == tables.row_count(NAME, snapshot)
    assert values(tables, snapshots[3]) == {"𠮷1": "1", "a2": "4", "a3": "1", "z9": "2", "b1": "4"}


@settings(
    max_examples=40 if os.environ.get("SHUTONG_PROVE") else 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.sets(st.sampled_from(["a", "aé", "𠮷", "b" * 20, "b" * 21, "~"]), min_size=1), min_size=1, max_size=4)
)
def test_an_upsert_replaces_what_has_the_key_and_adds_the_rest(tables: Tables, history: list[set[str]]) -> None:
    expected: dict[str, str] = {}
    snapshot = tables.replace(NAME, rows([], ""))
    for number, keys in enumerate(history):
        snapshot = tables.upsert(NAME, rows(sorted(keys), str(number)), key=["k"])
        expected |= dict.fromkeys(keys, str(number))
    assert values(tables, snapshot) == expected
    assert tables.row_count(NAME, snapshot) == len(expected)


def test_a_stream_gives_the_rows_that_are_read_at_once(tables: Tables) -> None:
    tables.append(NAME, rows(["a", "b"], "1"))
    snapshot = tables.upsert(NAME, rows(["b", "c"], "2"), key=["k"])
    streamed = tables.stream(NAME, snapshot, ["v", "k"]).read_all()
    assert sorted(streamed.to_pylist(), key=str) == sorted(tables.read(NAME, snapshot, ["v", "k"]).to_pylist(), key=str)
    assert tables.stream(NAME, None).read_all().num_rows == 0


def test_nothing_released_means_nothing_to_read(tables: Tables) -> None:
    tables.append(NAME, rows(["a"], "1"))
    found = tables.read(NAME, None)
    assert found.num_rows == 0
    assert found.schema.names == SCHEMA.names
    assert tables.row_count(NAME, None) == 0


def test_a_condition_is_bound_and_columns_are_chosen(tables: Tables) -> None:
    snapshot = tables.append(NAME, rows(["it's", "𠮷"], "1"))
    found = tables.read(NAME, snapshot, ["k"], "k = ?", ["it's"])
    assert found.to_pylist() == [{"k": "it's"}]
    assert tables.read(NAME, snapshot, ["k"], "k = ?", ["' OR '1'='1"]).num_rows == 0


def test_columns_added_later_are_null_in_earlier_rows(tables: Tables) -> None:
    first = tables.upsert(NAME, rows(["a", "b"], "1"), key=["k"])
    tables.ensure(NAME, pa.schema([("地址.x", pa.string()), ("k", pa.string())]))
    wider = rows(["b"], "2").append_column("地址.x", pa.array(["杭州𠮷"]))
    second = tables.upsert(NAME, wider, key=["k"])
    assert "地址.x" not in tables.read(NAME, first).column_names
    assert "地址.x" in tables.columns(NAME)
    found = {row["k"]: row["地址.x"] for row in tables.read(NAME, second).to_pylist()}
    assert found == {"a": None, "b": "杭州𠮷"}


def test_a_renamed_column_is_still_found_in_older_files(tables: Tables) -> None:
    tables.append(NAME, rows(["a"], "old"))
    with tables._load(NAME).update_schema() as update:
        update.rename_column("v", "w")
    head = tables.append(NAME, rows(["b"], "new").rename_columns(["k", "w", *SCHEMA.names[2:]]))
    assert sorted(row["w"] for row in tables.read(NAME, head, ["w"]).to_pylist()) == ["new", "old"]


def test_an_integer_may_widen_but_no_other_type_may_change(tables: Tables) -> None:
    tables.ensure("t.x", pa.schema([("n", pa.int32())]))
    tables.ensure("t.x", pa.schema([("n", pa.int64())]))
    snapshot = tables.append("t.x", pa.table({"n": [2**40]}))
    assert tables.read("t.x", snapshot).to_pylist() == [{"n": 2**40}]
    with pytest.raises(WarehouseError, match=r"WH-COLUMN-TYPE.* t\.x .*n"):
        tables.ensure("t.x", pa.schema([("n", pa.string())]))


def test_a_key_of_two_columns_is_found_in_files_from_before_one_was_widened(tables: Tables) -> None:
    def keyed(numbers: list[int | None], kind: pa.DataType, label: str) -> pa.Table:
        texts = ["𠮷" * 9, "b", "c"][: len(numbers)]
        return pa.table({"n": pa.array(numbers, kind), "t": texts, "v": [label] * len(numbers)})

    tables.ensure("t.x", keyed([1, 2, 3], pa.int32(), "old").schema)
    tables.upsert("t.x", keyed([1, 2, 3], pa.int32(), "old"), key=["n", "t"])
    tables.ensure("t.x", pa.schema([("n", pa.int64())]))
    snapshot = tables.upsert("t.x", keyed([1, 2**40], pa.int64(), "new"), key=["n", "t"])
    found = sorted((row["n"], row["t"][0], row["v"]) for row in tables.read("t.x", snapshot).to_pylist())
    assert found == [(1, "𠮷", "new"), (2, "b", "old"), (3, "c", "old"), (2**40, "b", "new")]


def test_an_upsert_of_many_rows_names_each_place_once_in_order(tables: Tables) -> None:
    every = [f"{n:06}" for n in range(9000)]
    for part in (every[::2], every[1::2]):
        tables.append(NAME, rows(part, "1"))
    snapshot = tables.upsert(NAME, rows(every[::2], "2"), key=["k"])
    (deletes,) = tables.plan(NAME, snapshot).deletes
    named = [(row["file_path"], row["pos"]) for row in pq.read_table(site.name(deletes)).to_pylist()]
    assert named == sorted(set(named))
    assert len(named) == 4500
    said = values(tables, snapshot)
    assert said == {one: "2" if number % 2 == 0 else "1" for number, one in enumerate(every)}
    with tables.connect() as connection:
        plan = str(connection.execute(f"EXPLAIN FROM {tables.relation(NAME, snapshot, ['k'])}").fetchall())
    assert "ANTI" in plan
    assert "RIGHT_ANTI" not in plan  # which would hash the table to look up what is deleted


@pytest.mark.parametrize(
    ("keys", "code"), [(["a", "a"], "WH-KEY-TWICE"), (["a", None], "WH-KEY-NULL")], ids=["twice", "null"]
)
def test_an_upsert_refuses_keys_that_do_not_name_one_row(tables: Tables, keys: list[str], code: str) -> None:
    with pytest.raises(WarehouseError, match=code):
        tables.upsert(NAME, rows(keys, "1"), key=["k"])
    assert tables.head(NAME) is None


def test_a_column_the_table_lacks_is_refused(tables: Tables) -> None:
    with pytest.raises(WarehouseError, match=r"WH-COLUMN-UNKNOWN.*odd"):
        tables.append(NAME, rows(["a"], "1").append_column("odd", pa.array(["x"])))


def test_a_missing_table_says_so(tables: Tables) -> None:
    assert tables.head("no.table") is None
    with pytest.raises(WarehouseError, match=r"WH-TABLE-MISSING.*no\.table"):
        tables.read("no.table", None)


def test_a_duckdb_relation_is_written_as_it_is_read(tables: Tables) -> None:
    with duckdb.connect(":memory:") as connection:
        relation = connection.sql("SELECT 'k' || n AS k, n FROM range(5) t(n)")
        snapshot = tables.replace(NAME, relation, sort=["k"])
    assert tables.read(NAME, snapshot, ["n"], "k = ?", ["k3"]).to_pylist() == [{"n": 3}]


def test_rolling_back_brings_the_earlier_rows_back(tables: Tables) -> None:
    first = tables.upsert(NAME, rows(["a"], "1"), key=["k"], properties={"shutong.run": "r1"})
    tables.upsert(NAME, rows(["a"], "2"), key=["k"])
    tables.rollback_to(NAME, first)
    head = tables.head(NAME)
    assert head is not None
    assert (head.snapshot, head.parent, head.summary["shutong.run"]) == (first, None, "r1")
    again = tables.upsert(NAME, rows(["b"], "3"), key=["k"])
    assert values(tables, again) == {"a": "1", "b": "3"}
    tables.rollback_to(NAME, None)
    assert tables.head(NAME) is None
    assert values(tables, tables.append(NAME, rows(["z"], "4"))) == {"z": "4"}


def test_expiry_keeps_the_newest_and_what_a_release_pins(tables: Tables) -> None:
    made = [tables.upsert(NAME, rows(["a"], str(number)), key=["k"]) for number in range(6)]
    assert tables.expire(NAME, keep=2, pinned=frozenset({made[1]})) == 3
    assert [values(tables, one) for one in (made[1], made[4], made[5])] == [{"a": "1"}, {"a": "4"}, {"a": "5"}]
    with pytest.raises(WarehouseError, match="WH-SNAPSHOT-GONE"):
        tables.read(NAME, made[0])


def test_a_sweep_removes_only_what_nothing_names(tables: Tables) -> None:
    tables.replace(NAME, rows(["a"], "1"))
    newest = tables.replace(NAME, rows(["b"], "2"))
    orphan = tables.stage(NAME, rows(["c"], "3")).files[0]
    assert tables.sweep(NAME) == []
    assert tables.sweep(NAME, older_than_hours=-1) == [orphan]
    tables.expire(NAME, keep=1)
    pinned = tables.pin(NAME, newest).metadata_location
    assert any("/data/" in file for file in tables.sweep(NAME, older_than_hours=-1, pinned=[pinned]))
    assert values(tables, newest) == {"b": "2"}


def test_two_processes_upserting_at_once_lose_nothing(tables: Tables, tmp_path: Path) -> None:
    code = IMPORTS + (
        "def act(me, folder, catalog):\n"
        "    t = Tables(Path(folder), catalog)\n"
        f"    for n in range({EACH}):\n"
        f"        t.upsert({NAME!r}, pa.table({{'k': ['both', f'{{me}}{{n}}'], 'v': [me, me]}}), key=['k'])\n"
        "    t.close()\n"
    )
    at_once(code, "ab", str(tables.folder), f"sqlite:///{tmp_path}/catalog.db")
    head = tables.head(NAME)
    assert head is not None
    found = tables.read(NAME, head.snapshot, ["k"])["k"].to_pylist()
    assert sorted(found) == sorted(["both", *(f"{me}{n}" for me in "ab" for n in range(EACH))])
    assert len(tables._load(NAME).snapshots()) == 2 * EACH


def test_processes_that_make_the_same_table_at_once_all_succeed(tmp_path: Path) -> None:
    code = IMPORTS + (
        "def act(_me, folder, catalog):\n"
        "    t = Tables(Path(folder), catalog); t.ensure('base.x', pa.schema([('k', pa.string())])); t.close()\n"
    )
    at_once(code, "abc", str(tmp_path / "tables"), f"sqlite:///{tmp_path}/catalog.db")


def test_data_files_carry_field_ids_and_are_sorted(tables: Tables) -> None:
    import pyarrow.parquet as pq

    staged = tables.stage(NAME, rows(["c", "a", "b"], "1"), sort=["k"])
    file = pq.ParquetFile(staged.files[0])
    ids = [field.metadata[b"PARQUET:field_id"] for field in file.schema_arrow]
    assert ids == [str(field.field_id).encode() for field in tables._load(NAME).schema().fields]
    assert file.read(["k"])["k"].to_pylist() == ["a", "b", "c"]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_pyiceberg_still_has_the_private_parts_we_stand_on() -> None:
    assert list(signature(_SnapshotProducer.__init__).parameters)[1:] == [
        "operation",
        "transaction",
        "io",
        "commit_uuid",
        "snapshot_properties",
        "branch",
    ]
    hooks = ["_deleted_entries", "_existing_manifests", "_process_manifests", "_summary", "_validate_concurrency"]
    assert [name for name in hooks if not hasattr(_SnapshotProducer, name)] == []
    needed = ("_snapshot_id", "_parent_snapshot_id", "_added_data_files", "_compression", "_io")
    assert [name for name in needed if name not in _SnapshotProducer.__annotations__] == []


def test_arrow_types_are_stored_as_iceberg_has_them() -> None:
    given_types = pa.schema(
        [
            ("a", pa.dictionary(pa.int8(), pa.large_string())),
            ("b", pa.timestamp("ns")),
            ("c", pa.uint32()),
            ("d", pa.null()),
            ("e", pa.large_list(pa.large_string())),
            ("f", pa.int8()),
        ]
    )
    stored = [pa.string(), pa.timestamp("us"), pa.int64(), pa.string(), pa.list_(pa.string()), pa.int32()]
    assert [field.type for field in columns.storable(given_types)] == stored
