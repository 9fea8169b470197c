"""One snapshot, many readers: every engine that offices use sees the rows, the types and the hashes that we see."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pytest
import readers
from readers import Made, Reader

from warehouse import positions, record_hash
from warehouse.tables import Tables

NAME = "std_market.base"
EXPECTED = {
    "a": (2, "𠮷野家", None),
    "b": (2**40, "新", dt.date(1931, 2, 28)),
    "c": (5, None, None),
    "𠮷1": (1, "旧", None),
}


def rows(said: dict[str, tuple[int, str | None]], number: pa.DataType, label: str) -> pa.Table:
    """Records of every type that a table has, by key."""
    count = len(said)
    return pa.table(
        {
            "k": pa.array(said, pa.string()),
            "n": pa.array([one[0] for one in said.values()], number),
            label: pa.array([one[1] for one in said.values()], pa.string()),
            "capital": pa.array([Decimal("-123456789012345678.000001"), *[None] * (count - 1)], pa.decimal128(24, 6)),
            "at": pa.array([dt.datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=dt.UTC)] * count, pa.timestamp("us", tz="UTC")),
            "local": pa.array([-(2**51) - 1] * count, pa.timestamp("us")),
            "yes": pa.array([True, *[None] * (count - 1)], pa.bool_()),
            "rate": pa.array([0.1] * count, pa.float64()),
            "_hash": pa.array([b"\x00\xff"] * count, pa.binary()),
            "rules": pa.array([["a", None, "𠮷"]] * count, pa.list_(pa.string())),
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A table that was written to, had a column renamed, one widened and one added, and was written to again."""
    folder = tmp_path_factory.mktemp("readers")
    tables = Tables(folder / "tables", f"sqlite:///{folder}/catalog.db")
    first = rows({"𠮷1": (1, "旧"), "a": (2, "𠮷野家"), "b": (3, "错"), "gone": (4, "撤")}, pa.int32(), "old_name")
    tables.ensure(NAME, first.schema)
    tables.upsert(NAME, first, key=["k"])
    with tables._load(NAME).update_schema() as update:
        update.rename_column("old_name", "企业名称")
    second = rows({"b": (2**40, "新"), "c": (5, None), "failed": (6, "不合格")}, pa.int64(), "企业名称")
    second = second.append_column("成立日期", pa.array([dt.date(1931, 2, 28), None, None], pa.date32()))
    tables.ensure(NAME, second.schema)
    staged = tables.stage(NAME, second, sort=["k"])
    (file,) = staged.files
    dropped = positions.places({file: pa.array([2], pa.int64()).to_numpy()})  # sorted by key: "failed" is the last
    replaced = pa.table({"k": ["b", "c", "gone"]})
    staged = dataclasses.replace(staged, rows=2, replaced=replaced, dropped=dropped)
    snapshot = tables.commit(staged, key=["k"])
    assert snapshot is not None
    yield Made(tables, NAME, snapshot, folder)
    tables.close()


def alike(table: pa.Table) -> pa.Table:
    """In one order, in the types of Arrow that say the same as Iceberg's."""
    kinds = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}

    def kind(one: pa.DataType) -> pa.DataType:
        if pa.types.is_list(one) or pa.types.is_large_list(one):
            return pa.list_(kind(one.value_type))
        if pa.types.is_timestamp(one) and one.tz is not None:
            return pa.timestamp(one.unit, "UTC")
        return kinds.get(one, one)

    schema = pa.schema([pa.field(one.name, kind(one.type)) for one in table.schema])
    return table.cast(schema).sort_by("k").combine_chunks()


def hashes(table: pa.Table) -> list[bytes]:
    """The hash of each row, as landing makes it, of the columns that landing knows."""
    columns = {
        one: table[one].chunk(0) for one in table.column_names if not pa.types.is_list(table.schema.field(one).type)
    }
    return record_hash.record_hashes(columns).to_pylist()


def test_the_snapshot_holds_what_was_written(made: Made) -> None:
    found = {row["k"]: (row["n"], row["企业名称"], row["成立日期"]) for row in readers.ours(made).to_pylist()}
    assert found == EXPECTED


@pytest.mark.parametrize(
    "reader",
    [
        readers.pyiceberg,
        readers.iceberg_scan,
        readers.polars,
        readers.sail,
        pytest.param(readers.spark, marks=pytest.mark.prove),
    ],
    ids=lambda reader: reader.__name__,
)
def test_a_reader_sees_the_rows_the_types_and_the_hashes_that_we_see(made: Made, reader: Reader) -> None:
    ours, theirs = alike(readers.ours(made)), alike(reader(made))
    assert theirs.schema == ours.schema
    assert theirs.to_pylist() == ours.to_pylist()
    assert hashes(theirs) == hashes(ours)
