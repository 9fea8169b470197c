"""The portable queries come to the library that the whole merge makes: in DuckDB, in Sail, and in Spark for prove."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import engines
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_merge_delta import STEP, WHO, Town

from warehouse import portable, portable_spark
from warehouse.library_job import Job
from warehouse.library_state import LibraryState
from warehouse.merge import merge

ENGINES = [engines.sail, pytest.param(engines.spark, marks=pytest.mark.prove)]
ROWS = [
    {"n": 1, "s": "𠮷野家(温州)ＡＢ", "d": Decimal("1.500000"), "day": dt.date(2020, 2, 29), "b": True},
    {"n": -7, "s": "", "d": Decimal("-123456789012345678.000001"), "day": dt.date(1931, 1, 1), "b": False},
    {"n": None, "s": None, "d": None, "day": None, "b": None},
    {"n": 2**62, "s": "a-b-c", "d": Decimal("0.000001"), "day": dt.date(9999, 12, 31), "b": None},
]
SCHEMA = pa.schema([("n", pa.int64()), ("s", pa.string()), ("d", pa.decimal128(24, 6)), ("day", pa.date32()),
                    ("seen", pa.timestamp("us", tz="UTC")), ("b", pa.bool_())])  # fmt: skip
# Whatever a portable query may say, one expression for each way in which engines differ.
PORTABLE = [
    "length(s)", "strlen(s)", "substr(s, 2, 3)", "md5(concat(s, '𠮷'))[:20]", "concat('a', s)", "concat_ws(',', s, NULL, 'x')",
    "s || 'x'", "nullif(s, '')", "replace(s, '-', '')", "coalesce(nullif(s, ''), 'nothing')", "s < 'b'", "s = ''",
    "n // 2", "n % 3", "n * 1.0", "n + 1 > 0", "CAST(n AS VARCHAR)", "CAST(d AS VARCHAR)", "CAST(day AS VARCHAR)", "CAST(b AS VARCHAR)",
    "d + d", "d * 2", "d < 1", "CAST(d AS DECIMAL(24, 6))", "CAST(seen AS TIMESTAMP WITH TIME ZONE)", "day < DATE '2000-01-01'",
    "b IS NOT DISTINCT FROM NULL", "NOT b", "b OR n > 0", "CASE WHEN b THEN s END", "list_sort([s, 'b', '𠮷'])",
    "list_sort(list_distinct([s, CASE WHEN b THEN 'x' END, 'b', 'b']))", "CASE WHEN array_contains(['a', '', '𠮷'], s) THEN 1 ELSE 0 END", "CAST([] AS VARCHAR[])",
    "row_number() OVER (ORDER BY d DESC NULLS LAST)", "row_number() OVER (ORDER BY s ASC NULLS LAST)",
    "row_number() OVER (ORDER BY seen DESC NULLS LAST, n)", "row_number() OVER (ORDER BY b ASC NULLS LAST, n ASC NULLS LAST)",
]  # fmt: skip
TOGETHER = [
    "count(*)", "count(s)", "count(DISTINCT b)", "min(s)", "max(seen)", "sum(CASE WHEN n > 0 THEN 1 ELSE 0 END)", "sum(d)",
    "min_by(s, n)", "min_by(s, CASE WHEN s IS NOT NULL THEN d END)", "list_sort(array_agg(DISTINCT s) FILTER (WHERE s IS NOT NULL))", "count(CASE WHEN b THEN 1 END)",
]  # fmt: skip


@dataclass(frozen=True)
class Side:
    """A library as the whole merge made it, and its job."""

    town: Town
    job: Job

    def texts(self) -> portable.Texts:
        return portable.texts(self.job, [self.town.tables.columns(one.table) for one in self.job.contributions])

    def matches(self, records, links, compared, made) -> None:
        assert in_order(records) == in_order(self.town.rows("small"))
        assert in_order(links) == in_order(self.town.rows("small", "_xref"))
        assert self.texts().counted(compared.to_pylist()[0]) == made.compared


def side(town):
    inputs = {one.table: town.state.released(one.table) for one in WHO if town.state.released(one.table)}
    there = tuple(one for one in WHO if one.table in inputs)
    return Side(town, Job("small", town.standard, there, inputs, LibraryState(town.state.engine).words("small"), ""))


def in_order(rows):
    return sorted(rows if isinstance(rows, list) else rows.to_pylist(), key=repr)


@settings(
    max_examples=30 if os.environ.get("SHUTONG_PROVE") else 1, deadline=None, suppress_health_check=list(HealthCheck)
)
@example([("replace", 0, [])])
@given(st.lists(STEP, min_size=4, max_size=8))
def test_in_duckdb_random_histories_come_to_the_same(tmp_path_factory, steps):
    town = Town(tmp_path_factory.mktemp("town"))
    for step in steps:
        town.act(*step)
    told = side(town)
    if told.job.contributions:
        made, asked = merge(town.state, town.tables, "small", town.standard, WHO, whole=True), told.texts()
        with town.tables.connect() as connection:
            for number, one in enumerate(told.job.contributions):
                rows = town.tables.relation(one.table, told.job.inputs[one.table])
                connection.execute(f"CREATE TEMP VIEW {portable.INPUT.format(number)} AS FROM {rows}")
            found = [
                connection.execute(query).to_arrow_table() for query in (asked.records, asked.links, asked.compared)
            ]
        told.matches(*found, made)
    town.close()


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Iterator[Side]:
    """A town where rows meet by every identifier, fail to, are decided, and keys became others."""
    town = Town(tmp_path_factory.mktemp("town"))
    blank = dict.fromkeys(("uscc", "subject_id", "reg_no", "ent_name", "dom", "reg_capital", "appr_date"))
    registry = [{"uscc": "A", "reg_no": "R1", "ent_name": "甲𠮷"}, {"uscc": "B", "reg_no": "R2", "subject_id": "P1"}, {"uscc": "A", "dom": "一"},
                {"uscc": "C", "reg_no": "R3", "subject_id": "P2", "reg_capital": Decimal("1.5"), "appr_date": dt.date(2021, 6, 1)}]  # fmt: skip
    tax = [{"uscc": "A", "ent_name": "乙", "reg_no": "R2"}, {"reg_no": "R1", "dom": "二"}, {"reg_no": "R2"}, {"reg_no": "R1", "subject_id": "P2"},
           {"reg_no": "没有"}, {"uscc": "", "subject_id": "P1"}, {"uscc": "D", "ent_name": "旧码"}]  # fmt: skip
    for number, rows in enumerate((registry, tax)):
        town.act("upsert", number, [{"id": str(place), **blank, **row} for place, row in enumerate(rows)])
    town.act("changed", "D", "C")
    town.merge()
    town.act("decide", 0, 0)
    town.act("authority", "tax", None)
    yield side(town)
    town.close()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda one: one.__name__)
def test_an_engine_makes_the_same_library_on_every_column_and_means_the_same_by_each_function(told, engine, tmp_path):
    town, asked, places = told.town, told.texts(), {}
    made = merge(town.state, town.tables, "small", town.standard, WHO, whole=True)
    moments = [dt.datetime(2026, 1, 1, 23, 59, 59, 999999, tzinfo=dt.UTC), None, dt.datetime(1940, 6, 1, tzinfo=dt.UTC), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)]  # fmt: skip
    sample = pa.Table.from_pylist([{**row, "seen": at} for row, at in zip(ROWS, moments, strict=True)], schema=SCHEMA)
    with town.tables.connect() as connection:
        for number, one in enumerate(told.job.contributions):
            rows = town.tables.relation(one.table, told.job.inputs[one.table])
            places[portable.INPUT.format(number)] = written(connection, f"FROM {rows}", tmp_path / f"input-{number}")
        connection.register("sample", sample)
        places["sample"] = written(connection, "FROM sample", tmp_path / "sample")
        listed = ", ".join(f"{one} AS c{place}" for place, one in enumerate(PORTABLE))
        single = f"SELECT n, {listed} FROM sample"
        together = "SELECT " + ", ".join(f"{one} AS c{place}" for place, one in enumerate(TOGETHER)) + " FROM sample"
        ours = [connection.execute(query).to_arrow_table() for query in (single, together)]
    queries = {
        "records": asked.records,
        "links": asked.links,
        "compared": asked.compared,
        "single": single,
        "together": together,
    }
    with engine(tmp_path) as ask:
        found = ask({name: portable_spark.spark(query, places) for name, query in queries.items()})
    for mine, theirs, said in zip(
        ours, (found["single"], found["together"]), (["n", *PORTABLE], TOGETHER), strict=True
    ):
        assert differing(mine, theirs, said) == {}
    schema = town.tables.read("base.small", town.state.released("base.small")).schema
    told.matches(
        found["records"].cast(pa.schema(schema.field(name) for name in found["records"].column_names)),
        found["links"],
        found["compared"],
        made,
    )


def differing(ours, theirs, said):
    """The expressions for which two engines answer otherwise, with the answers."""
    assert theirs.num_rows == ours.num_rows
    mine, other = (in_order([plain(row) for row in rows.to_pylist()]) for rows in (ours, theirs))
    columns = {one: ([row[place] for row in mine], [row[place] for row in other]) for place, one in enumerate(said)}
    return {one: both for one, both in columns.items() if both[0] != both[1]}


def plain(row):
    """Values as they compare over engines: instants in one zone."""
    return [value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value for value in row.values()]


def written(connection, query, folder: Path) -> str:
    folder.mkdir()
    connection.execute(f"COPY ({query}) TO '{folder / 'rows.parquet'}'")
    return f"parquet.`{folder}`"
