"""Every core expectation comes out the same from kernels, from one SQL scan, from Great Expectations' SQL and on pandas."""

from __future__ import annotations

import os
import random
import warnings

import duckdb
import pyarrow as pa
import pytest
from differential_cases import NOTHING, in_frames, in_pandas, in_parts, in_sql, of_columns, of_rows, table_of
from differential_pandas import DIFFERENCES, NOT_IN_PANDAS, differing, disagreement
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import great_expectations.expectations as gxe  # isort: skip
from great_expectations.expectations.registry import list_registered_expectation_implementations  # isort: skip

EXAMPLES = 400 if os.environ.get("SHUTONG_PROVE") == "1" else 2
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
OURS = {
    "expect_column_values_to_be_in_code_list", "expect_column_values_to_be_valid_identifier",
    "expect_column_values_to_be_present_valid_identifier", "expect_rows_to_satisfy_condition",
    "expect_rows_to_agree_with_other_rows", "expect_identifier_to_be_valid_where",
}  # fmt: skip


def named(expectations):
    """Each expectation by the name it has in results."""
    return {f"{place} {type(one).__name__}": one for place, one in enumerate(expectations)}


def without_values(said):
    """What was told, but for the values."""
    return {
        rule: one if one == NOTHING else (one[0], {key: value for key, value in one[1].items() if key != "values"})
        for rule, one in said.items()
    }


def without_reason(expectations, table, ours, rows, theirs):
    """Where pandas says something else and nothing explains it."""
    found = {
        rule: disagreement(one, table, ours[rule], rows.get(rule, []), theirs[rule])
        for rule, one in named(expectations).items()
        if one.expectation_type not in NOT_IN_PANDAS
    }
    return {rule: one for rule, one in found.items() if one is not None}


def test_every_core_expectation_is_tried():
    first = [*of_columns(), *of_rows(lambda some: some[0]), *in_frames(lambda some: some[0])]
    core = {one for one in list_registered_expectation_implementations() if one not in OURS}
    assert {one.expectation_type for one in first} == core


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(st.randoms(use_true_random=False))
def test_kernels_one_scan_stock_sql_and_pandas_agree(chance):
    table = table_of(chance, chance.choice([1, 7, 25, 60]))
    expectations = of_rows(chance.choice)
    stock = in_sql(table, expectations, fused=False)
    assert in_sql(table, expectations, fused=True) == stock
    ours, rows = in_parts(table, expectations, chance.choice([1, 9, 100]))
    assert ours == without_values(stock)
    assert without_reason(expectations, table, ours, rows, in_pandas(table, expectations)) == {}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(st.randoms(use_true_random=False))
def test_what_has_no_sql_is_answered_as_pandas_answers_it(chance):
    table, expectations = table_of(chance, chance.choice([1, 25])), in_frames(chance.choice)
    theirs = in_pandas(table, expectations)
    ours, rows = in_parts(table, expectations, 9)
    assert NOTHING not in ours.values()
    assert ours == theirs
    assert {rule: one[1]["rows"] for rule, one in ours.items()} == rows
    assert without_values(in_sql(table, expectations, fused=True)) == theirs


@pytest.mark.parametrize("rows", [25, 3, 0, *range(1, EXAMPLES - 2)])
def test_what_a_whole_column_or_table_is_asked_comes_out_as_in_stock_sql_and_in_pandas(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table, expectations = table_of(random.Random(rows + 3), rows), of_columns()
        if rows == 3:
            table = nothing_in(table)
        stock = in_sql(table, expectations, fused=False)
        assert in_sql(table, expectations, fused=True) == stock
        ours, found = in_parts(table, expectations, 7)
        assert ours == without_values(stock)
        assert without_reason(expectations, table, ours, found, in_pandas(table, expectations)) == {}


def nothing_in(table):
    """As many rows, and nothing in them."""
    return pa.table([one if name == "_row" else pa.nulls(len(table), one.type) for name, one in
                     zip(table.column_names, table.columns, strict=True)], schema=table.schema)  # fmt: skip


@pytest.mark.parametrize("why", DIFFERENCES, ids=lambda one: one.__name__)
def test_pandas_still_differs_where_it_is_excused(why):
    expectation = {
        "not_a_number": gxe.ExpectColumnValuesToBeBetween(column="real", max_value=1),
        "compared_with_nothing": gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="low", column_B="high"),
        "ends_the_line": gxe.ExpectColumnValuesToMatchRegex(column="text", regex="^.$"),
        "a_tenth": gxe.ExpectColumnValuesToBeBetween(column="money", min_value=0.1),
    }[why.__name__]
    table = table_of(random.Random(5), 60)
    ((_, theirs),) = in_pandas(table, [expectation]).values()
    ours, rows = in_parts(table, [expectation], 100)
    ((_, said),) = ours.values()
    assert said["rows"] == rows[f"0 {type(expectation).__name__}"]
    odd = set(said["rows"]) ^ set(theirs["rows"])
    assert odd == {row["_row"] for row in table.to_pylist() if why(expectation, row)} & odd != set()
    assert odd <= differing(expectation, table)


def test_duckdb_still_leaves_filters_on_arrow_tables_to_arrow():
    # Why stock SQL is asked of DuckDB's own tables here, and why our scans never filter what they are shown.
    values = pa.table({"v": [0.0, -0.0, float("nan"), float("nan")]})
    repeated = "SELECT count(*) FROM {0} s JOIN (SELECT v FROM {0} GROUP BY v HAVING count(*) > 1) d ON s.v = d.v"
    with duckdb.connect() as connection:
        connection.register("shown", values)
        connection.execute("CREATE TABLE own AS FROM shown")
        asked = [connection.execute(repeated.format(one)).fetchone() for one in ("own", "shown")]
        above = [connection.execute(f"SELECT count(*) FROM {one} WHERE v > 1").fetchone() for one in ("own", "shown")]
    assert (asked, above) == ([(4,), (1,)], [(2,), (0,)])


def test_columns_have_the_types_that_great_expectations_looks_for():
    kinds = {
        "low": "BIGINT",
        "text": "TEXT",
        "begin": "DATE",
        "seen": "TIMESTAMP",
        "real": "DOUBLE_PRECISION",
        "flag": "BOOLEAN",
        "money": "NUMERIC",
    }
    table = table_of(random.Random(1), 3)
    right = [gxe.ExpectColumnValuesToBeOfType(column=name, type_=kind) for name, kind in kinds.items()]
    assert [one[0] for one in in_parts(table, right, 2)[0].values()] == [True] * len(kinds)
