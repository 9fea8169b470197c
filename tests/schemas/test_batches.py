"""Standardising batch by batch: what a source adds is carried, and the pieces together are the whole."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from schemas.mapping import schema, standardise
from schemas.standard import Field, Standard
from schemas.values import DELETED, OP, RAW_COLUMNS

TODAY = date(2026, 3, 1)
FIELDS = (
    Field(name="uscc", zh="统一社会信用代码", en="code", type="uscc"),
    Field(name="ent_name", zh="企业名称", en="name", type="text"),
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
