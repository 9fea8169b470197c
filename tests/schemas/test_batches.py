"""Standardising batch by batch: what a source adds is carried, and the pieces together are the whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pytest

from schemas import mapping as mapping_module
from schemas.mapping import schema, standardise, standardise_batches
from schemas.standard import Field, Standard
from schemas.values import DELETED, OP, RAW_COLUMNS

TODAY = date(2026, 3, 1)
FIELDS = (
    Field(name="uscc", zh="统一社会信用代码", en="code", type="uscc"),
    Field(name="ent_name", zh="企业名称", en="name", type="text"),
    Field(name="est_date", zh="成立日期", en="founded", type="date"),
)
STANDARD = Standard("firm", 1, "企业", "Firms", FIELDS, (), key=("uscc",))


def received(**columns: list[str | None]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    about = {"_row": pa.array(range(1, rows + 1), pa.int64())}
    about |= {name: pa.nulls(rows, pa.string()) for name in RAW_COLUMNS[1:]}
    return pa.table(about | {name: pa.array(values, pa.string()) for name, values in columns.items()})


def test_a_record_the_source_deleted_says_so_after_standardising():
    raw = received(**{"uscc": ["91350100M000100Y43", "1"], "ent_name": ["甲", None], OP: [None, DELETED]})
    mapping = {"uscc": "uscc", "ent_name": "ent_name"}
    done = standardise(raw, STANDARD, mapping, {}, TODAY).table
    assert done[OP].to_pylist() == [None, DELETED]
    assert done.column_names[: len(RAW_COLUMNS) + 1] == [*RAW_COLUMNS, OP]
    assert f"raw:{OP}" not in done.column_names
    assert done.schema == schema(STANDARD, mapping, ["uscc", "ent_name", OP])


def test_a_source_that_knows_of_no_deletes_adds_no_column():
    raw = received(uscc=["91350100M000100Y43"])
    assert OP not in standardise(raw, STANDARD, {"uscc": "uscc"}, {}, TODAY).table.column_names
    assert OP not in schema(STANDARD, {"uscc": "uscc"}, ["uscc"]).names


MAPPING = {"uscc": "uscc", "ent_name": "ent_name", "est_date": "est_date"}


def pieces(count: int, drawn: list[int] | None = None) -> Iterator[pa.RecordBatch]:
    for number in range(count):
        if drawn is not None:
            drawn.append(number)
        names = [f" {number}-{row}" for row in range(5)]
        rows = received(
            uscc=["91350100m000100y43"] * 5, ent_name=names, est_date=["2019/4/4", "?", None, "", f"{number}"]
        )
        yield from rows.to_batches()


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_the_pieces_come_in_their_order_and_are_the_whole(workers, count):
    done = list(standardise_batches(pieces(count), STANDARD, MAPPING, {}, TODAY, workers=workers))
    assert len(done) == count
    if count:
        whole = standardise(pa.Table.from_batches(pieces(count)), STANDARD, MAPPING, {}, TODAY)
        assert pa.concat_tables([one.table for one in done]).equals(whole.table)
        assert whole.unparsed["est_date"] == {"?": count} | {str(number): 1 for number in range(count)}
        assert [one.table["ent_name"][0].as_py() for one in done] == [f"{number}-0" for number in range(count)]


def test_no_more_is_drawn_than_a_few_batches_ahead():
    drawn: list[int] = []
    stream = standardise_batches(pieces(50, drawn), STANDARD, MAPPING, {}, TODAY, workers=2)
    for taken in range(10):
        next(stream)
        assert len(drawn) <= taken + 1 + 3
    stream.close()
    assert len(drawn) <= 13


def test_the_error_of_a_batch_is_raised_in_its_place():
    lacking = received(uscc=["1"]).to_batches()
    stream = standardise_batches([*pieces(2), *lacking, *pieces(1)], STANDARD, MAPPING, {}, TODAY)
    assert [next(stream).table.num_rows, next(stream).table.num_rows] == [5, 5]
    with pytest.raises(KeyError, match="ent_name"):
        next(stream)


def test_a_table_is_read_in_pieces_and_counted_as_one(monkeypatch):
    monkeypatch.setattr(mapping_module, "BATCH_ROWS", 7)
    raw = pa.Table.from_batches(pieces(9)).combine_chunks()
    done = standardise(raw, STANDARD, MAPPING, {}, TODAY)
    assert done.table["raw:ent_name"].to_pylist() == raw["ent_name"].to_pylist()
    assert done.table["_row"].to_pylist() == raw["_row"].to_pylist()
    assert next(iter(done.unparsed["est_date"].items())) == ("?", 9)
