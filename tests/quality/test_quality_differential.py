"""Every core expectation of Great Expectations comes out the same from kernels, from one SQL scan and from its own SQL."""

from __future__ import annotations

import os
import random
import warnings
from datetime import date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from quality.dialect import lend
from quality.engine import validate
from quality.kept import Kept
from quality.parts import Parts

import great_expectations as gx  # isort: skip
import great_expectations.expectations as gxe  # isort: skip
from great_expectations.expectations.registry import list_registered_expectation_implementations  # isort: skip
from great_expectations.expectations.row_conditions import Column  # isort: skip

SEEDS = range(400 if os.environ.get("SHUTONG_PROVE") == "1" else 4)
COMPLETE = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["_row"],
    "partial_unexpected_count": 200,
    "exclude_unexpected_values": False,
}
SCHEMA = pa.schema({
    "_row": pa.int64(),
    "text": pa.string(),
    "code": pa.string(),
    "low": pa.int64(),
    "high": pa.int64(),
    "real": pa.float64(),
    "money": pa.decimal128(24, 6),
    "begin": pa.date32(),
    "finish": pa.date32(),
    "seen": pa.timestamp("us"),
    "flag": pa.bool_(),
    "empty": pa.string(),
})  # fmt: skip
TEXTS = ["a", "ab", "b1", "数通", "𠮷a", "", " ", "a%b", "A\n", "a'b", "2024-01-01", "3", None]
VALUES = {
    "text": TEXTS,
    "code": ["1", "2", "3", "９", None],
    "low": [-1, 0, 1, 2, 7, None],
    "high": [-1, 0, 1, 2, 7, None],
    "real": [0.0, -0.0, 0.1, 1.5, float("nan"), float("inf"), -2.0, None],
    "money": [Decimal(one) for one in ("-1.5", "0", "0.1", "0.100001", "99999999999999.5")] + [None],
    "begin": [date(1969, 12, 31), date(1970, 1, 1), date(2024, 1, 1), None],
    "finish": [date(1969, 12, 31), date(1970, 1, 1), date(2024, 1, 1), None],
    "seen": [datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 0, 1), datetime(1950, 5, 5), None],  # noqa: DTZ001
    "flag": [True, False, None],
    "empty": [None],
}
# No form of these for SQL in Great Expectations 1.24, or nothing that a table by itself could be asked.
NOT_IN_SQL = {
    "expect_column_values_to_be_dateutil_parseable", "expect_column_values_to_be_decreasing",
    "expect_column_values_to_be_increasing", "expect_column_values_to_be_json_parseable",
    "expect_column_values_to_match_json_schema", "expect_column_values_to_match_strftime_format",
    "expect_column_values_to_not_be_outliers", "expect_column_bootstrapped_ks_test_p_value_to_be_greater_than",
    "expect_column_chisquare_test_p_value_to_be_greater_than",
    "expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than",
    "expect_column_pair_cramers_phi_value_to_be_less_than", "expect_multicolumn_values_to_be_unique",
    "expect_query_results_to_match_comparison", "expect_table_row_count_to_equal_other_table",
}  # fmt: skip
OURS = {
    "expect_column_values_to_be_in_code_list", "expect_column_values_to_be_valid_identifier",
    "expect_column_values_to_be_present_valid_identifier", "expect_rows_to_satisfy_condition",
    "expect_rows_to_agree_with_other_rows", "expect_identifier_to_be_valid_where",
}  # fmt: skip


def of_columns():
    """Expectations about the whole of a column or the table."""
    return [
        gxe.ExpectColumnDistinctValuesToBeInSet(column="code", value_set=["1", "2"]),
        gxe.ExpectColumnDistinctValuesToContainSet(column="code", value_set=["1"]),
        gxe.ExpectColumnDistinctValuesToEqualSet(column="code", value_set=["1", "2"]),
        gxe.ExpectColumnKLDivergenceToBeLessThan(
            column="code", partition_object={"values": ["1", "2", "3"], "weights": [0.3, 0.3, 0.4]}, threshold=1
        ),
        gxe.ExpectColumnMaxToBeBetween(column="low", max_value=3),
        gxe.ExpectColumnMeanToBeBetween(column="low", max_value=3),
        gxe.ExpectColumnMedianToBeBetween(column="low", max_value=3),
        gxe.ExpectColumnMinToBeBetween(column="low", min_value=0),
        gxe.ExpectColumnMostCommonValueToBeInSet(column="code", value_set=["1", "2"]),
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(column="code", min_value=0.5),
        gxe.ExpectColumnProportionOfUniqueValuesToBeBetween(column="code", max_value=0.5),
        gxe.ExpectColumnQuantileValuesToBeBetween(
            column="low", quantile_ranges={"quantiles": [0.5], "value_ranges": [[0, 2]]}
        ),
        gxe.ExpectColumnStdevToBeBetween(column="low", max_value=3),
        gxe.ExpectColumnSumToBeBetween(column="low", max_value=30),
        gxe.ExpectColumnToExist(column="code"),
        gxe.ExpectColumnTypeToBe(column="code", type_="TEXT"),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="code", max_value=3),
        gxe.ExpectColumnValuesToBeOfType(column="low", type_="BIGINT"),
        gxe.ExpectColumnValuesToBeInTypeList(column="low", type_list=["BIGINT", "INTEGER"]),
        gxe.ExpectColumnValueZScoresToBeLessThan(column="low", threshold=1, double_sided=True),
        gxe.ExpectTableColumnCountToBeBetween(min_value=1, max_value=12),
        gxe.ExpectTableColumnCountToEqual(value=11),
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=SCHEMA.names),
        gxe.ExpectTableColumnsToMatchSet(column_set=["code", "low"], exact_match=False),
        gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=30),
        gxe.ExpectTableRowCountToEqual(value=25),
        gxe.UnexpectedRowsExpectation(unexpected_rows_query="SELECT * FROM {batch} WHERE low > high"),
    ]


def of_rows(pick):
    """Expectations about single rows, and about keys that rows share, with parameters of a random kind."""
    text, number = pick(["text", "code", "empty"]), pick(["low", "real", "money"])
    limit = pick([0, 1, 0.1, 0.5, -2, 10**12])
    day = pick([date(1970, 1, 1), date(2024, 1, 1)])
    pair = pick([("low", "high"), ("begin", "finish"), ("text", "code"), ("low", "real"), ("begin", "seen")])
    alike = pick([("low", "high"), ("begin", "finish"), ("text", "code")])
    regex = pick(["^a", "^[ab]$", "^[a-z][0-9]$", "b", "^[^a]+$", "^[^ %]*$", "[０-９𠮷]", "^.$", "\\s", "^$"])
    a, b = pair
    either = pick(["both_values_are_missing", "either_value_is_missing", "neither"])
    never = pick(["all_values_are_missing", "any_value_is_missing", "never"])
    strict = {"strict_min": pick([True, False]), "strict_max": pick([True, False])}
    like = pick(["a%", "%b%", "_", "__", "数%"])
    return [
        gxe.ExpectColumnValuesToBeBetween(column=number, min_value=limit, **strict),
        gxe.ExpectColumnValuesToBeBetween(
            column=number, min_value=-1.5, max_value=limit if limit > -1 else 5, **strict
        ),
        gxe.ExpectColumnValuesToBeBetween(column=pick(["begin", "seen"]), min_value=day, **strict),
        gxe.ExpectColumnValuesToBeInSet(column=text, value_set=pick([["1", "a"], ["数通", ""]]), mostly=0.5),
        gxe.ExpectColumnValuesToBeInSet(column="low", value_set=pick([[0, 1], [1.0, 7], [0.5]])),
        gxe.ExpectColumnValuesToBeInSet(column=pick(["begin", "flag", "money"]), value_set=[True]),
        gxe.ExpectColumnValuesToNotBeInSet(column=text, value_set=["1", "a"]),
        gxe.ExpectColumnValuesToNotBeInSet(column="flag", value_set=[True]),
        gxe.ExpectColumnValuesToBeNull(column=pick(SCHEMA.names)),
        gxe.ExpectColumnValuesToNotBeNull(column=pick(SCHEMA.names), mostly=0.6),
        gxe.ExpectColumnValuesToNotBeNull(column=text, row_condition=Column("code") == "1"),
        gxe.ExpectColumnValuesToBeInSet(column="code", value_set=["1"], row_condition=Column("low") > 0),
        gxe.ExpectColumnValueLengthsToBeBetween(column=text, min_value=1, max_value=2, **strict),
        gxe.ExpectColumnValueLengthsToEqual(column=text, value=pick([1, 2])),
        gxe.ExpectColumnValuesToMatchRegex(column=text, regex=regex),
        gxe.ExpectColumnValuesToNotMatchRegex(column=text, regex=regex),
        gxe.ExpectColumnValuesToMatchRegexList(column=text, regex_list=[regex, "2$"], match_on=pick(["any", "all"])),
        gxe.ExpectColumnValuesToNotMatchRegexList(column=text, regex_list=[regex, "2$"]),
        gxe.ExpectColumnValuesToMatchLikePattern(column=text, like_pattern=like),
        gxe.ExpectColumnValuesToNotMatchLikePattern(column=text, like_pattern=like),
        gxe.ExpectColumnValuesToMatchLikePatternList(column=text, like_pattern_list=[like, "1"]),
        gxe.ExpectColumnValuesToNotMatchLikePatternList(column=text, like_pattern_list=[like, "1"]),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=a, column_B=b, or_equal=pick([True, False]), ignore_row_if=either
        ),
        gxe.ExpectColumnPairValuesToBeEqual(column_A=alike[0], column_B=alike[1], ignore_row_if=either),
        gxe.ExpectColumnPairValuesToBeInSet(
            column_A="low", column_B="high", value_pairs_set=[(0, 1), (2, 2)], ignore_row_if=either
        ),
        gxe.ExpectMulticolumnSumToEqual(column_list=["low", "money"], sum_total=pick([1, 1.1]), ignore_row_if=never),
        gxe.ExpectMulticolumnValuesToBeEqual(column_list=["low", "high"], ignore_row_if=never),
        gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(column_list=["low", "high"], ignore_row_if=never),
        gxe.ExpectColumnValuesToBeUnique(column=pick(["text", "low", "money", "begin", "empty"])),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=pick([["text", "low"], ["code", "begin"]]), ignore_row_if=never
        ),
    ]


def table_of(chance, rows):
    """A random table."""
    made = {name: [chance.choice(values) for _ in range(rows)] for name, values in VALUES.items()}
    return pa.table({"_row": list(range(1, rows + 1)), **made}, schema=SCHEMA)


def suite_of(expectations):
    """A suite in which each expectation is known by its place."""
    for place, one in enumerate(expectations):
        one.meta = {"rule": f"{place} {type(one).__name__}"}
    return gx.ExpectationSuite(name="random", expectations=expectations)


def results(table, suite, *, fused=True, size=None):
    """What each expectation found: in parts of `size` rows, or at once."""
    with duckdb.connect(":memory:") as connection, lend(connection) as url:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        if size is None:
            connection.register("checked", table)
            found, _ = validate(url, "checked", suite, COMPLETE, fused=fused)
        else:
            pieces = [table.slice(at, size) for at in range(0, table.num_rows, size)]
            parts = Parts(connection, "checked", pieces, table.schema, lambda part: part)
            found, _ = validate(url, "checked", suite, COMPLETE, parts=parts, kept=Kept(connection, "checked", ()))
            if parts.error is not None:
                raise parts.error
    return {one.expectation_config.meta["rule"]: told(one) for one in found.results}


def told(one):
    """The figures of a result, or that there is none."""
    if one.exception_info and (one.exception_info.get("raised_exception") or not one.result):
        return "no answer"
    figures = ("element_count", "missing_count", "unexpected_count", "unexpected_percent", "observed_value")
    said = {name: repr(one.result.get(name)) for name in figures}
    if not one.result.get("element_count"):
        said.pop("unexpected_count")  # of no rows, its SQL counts "nothing" (the sum of no numbers), where we count 0
    said["rows"] = sorted(row["_row"] for row in one.result.get("unexpected_index_list") or [])
    return one.success, said


def test_every_core_expectation_is_tried_or_has_a_reason_not_to_be():
    registered = set(list_registered_expectation_implementations())
    tried = {one.expectation_type for one in (*of_columns(), *of_rows(lambda some: some[0]))}
    ours = {one for one in registered if one in OURS}
    assert {one for one in registered - tried - NOT_IN_SQL - ours if one.startswith("expect_")} == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_kernels_one_scan_and_stock_sql_agree(seed):
    chance = random.Random(seed)
    table = table_of(chance, chance.choice([1, 7, 25, 60]))
    stock = results(table, suite_of(of_rows(random.Random(seed).choice)), fused=False)
    in_parts = results(table, suite_of(of_rows(random.Random(seed).choice)), size=chance.choice([1, 9, 100]))
    assert in_parts == stock
    at_once = results(table, suite_of(of_rows(random.Random(seed).choice)))
    assert at_once == stock


def test_what_a_whole_column_or_table_is_asked_comes_out_as_in_stock_sql():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = table_of(random.Random(3), 25)
        stock = results(table, suite_of(of_columns()), fused=False)
        assert results(table, suite_of(of_columns())) == stock
        assert results(table, suite_of(of_columns()), size=7) == stock
