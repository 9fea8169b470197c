"""Random tables and suites of every core expectation, and what each way of evaluating them says."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa

from quality.check import _violators
from quality.dialect import lend
from quality.engine import validate
from quality.kept import Kept
from quality.parts import Parts
from quality.rest import condition

import great_expectations as gx  # isort: skip
import great_expectations.expectations as gxe  # isort: skip
from great_expectations.data_context.types.base import ProgressBarsConfig  # isort: skip
from great_expectations.expectations.row_conditions import Column  # isort: skip

NOTHING = "no answer"
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
    "json": pa.string(),
    "entry": pa.string(),
    "day": pa.string(),
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
    "json": ['{"a": 1}', "[1, 2", "NaN", "1", "", "{'a': 1}", None],
    "entry": ['{"a": 1}', '{"a": "x"}', "[]", None],  # JSON, every one: what is none is an error, and no violation
    "day": ["2024-01-01", "2024-1-1", "20240101", "1 January 2024", "2024-02-30", "x", "", None],
}


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
        gxe.ExpectTableRowCountToEqualOtherTable(other_table_name="checked"),
        gxe.ExpectQueryResultsToMatchComparison(
            base_query="SELECT code, count(*) AS n FROM {batch} WHERE low > 0 GROUP BY code",
            comparison_data_source_name="live",
            comparison_query="SELECT code, count(*) AS n FROM checked GROUP BY code",
        ),
        gxe.UnexpectedRowsExpectation(unexpected_rows_query="SELECT * FROM {batch} WHERE low > high"),
    ]


def in_frames(pick):
    """Expectations that Great Expectations has no SQL for: pandas answers them."""
    return [
        gxe.ExpectColumnValuesToBeDateutilParseable(column="day"),
        gxe.ExpectColumnValuesToBeDecreasing(column=pick(["low", "real", "money"])),
        gxe.ExpectColumnValuesToBeIncreasing(column=pick(["low", "begin", "seen"]), strictly=pick([True, False])),
        gxe.ExpectColumnValuesToBeJsonParseable(column="json", mostly=0.5),
        gxe.ExpectColumnValuesToMatchJsonSchema(column="entry", json_schema={"type": "object", "required": ["a"]}),
        gxe.ExpectColumnValuesToMatchStrftimeFormat(column="day", strftime_format=pick(["%Y-%m-%d", "%Y%m%d"])),
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
        gxe.ExpectMulticolumnSumToEqual(
            column_list=pick([["low", "money"], ["low", "high"]]), sum_total=pick([1, 1.1]), ignore_row_if=never
        ),
        gxe.ExpectMulticolumnValuesToBeEqual(column_list=["low", "high"], ignore_row_if=never),
        gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(column_list=["low", "high"], ignore_row_if=never),
        gxe.ExpectColumnValuesToBeUnique(column=pick(["text", "low", "real", "money", "begin", "empty"])),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=pick([["text", "low"], ["code", "begin"], ["real", "flag"]]), ignore_row_if=never
        ),
        gxe.ExpectColumnValuesToNotBeOutliers(
            column=pick(["low", "money"]), method=pick(["iqr", "std"]), multiplier=pick([0.5, 1.5])
        ),
    ]


def table_of(chance, rows):
    """A random table."""
    made = {name: [chance.choice(values) for _ in range(rows)] for name, values in VALUES.items()}
    return pa.table({"_row": list(range(1, rows + 1)), **made}, schema=SCHEMA)


def suite_of(expectations):
    """A suite of copies of the expectations, each known by its place and type."""
    copies = [one.copy(deep=True) for one in expectations]
    for place, one in enumerate(copies):
        one.meta = {"rule": f"{place} {type(one).__name__}"}
    return gx.ExpectationSuite(name="random", expectations=copies)


def in_sql(table, expectations, *, fused):
    """What each expectation found: by Great Expectations' own SQL, or from one scan.

    The rows are DuckDB's own: it leaves filters on registered Arrow tables to Arrow, which orders NaN differently.
    """
    with duckdb.connect(":memory:") as connection, lend(connection) as url:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        connection.register("given", table)
        connection.execute("CREATE TABLE checked AS FROM given")
        found, _ = validate(url, "checked", suite_of(expectations), COMPLETE, fused=fused)
        return {one.expectation_config.meta["rule"]: told(one, values=True) for one in found.results}


def in_parts(table, expectations, size):
    """What each expectation found, `size` rows at a time; and the rows, as the engine has them."""
    with duckdb.connect(":memory:") as connection, lend(connection) as url:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        pieces = [table.slice(at, size) for at in range(0, table.num_rows, size)]
        parts = Parts(connection, "checked", pieces, table.schema, lambda part: part)
        kept = Kept(connection, "checked", ())
        found, engine = validate(url, "checked", suite_of(expectations), COMPLETE, parts=parts, kept=kept)
        if parts.error is not None:
            raise parts.error
        said = {one.expectation_config.meta["rule"]: told(one) for one in found.results}
        rows = {
            rule: _violators(engine, one).tolist()
            for one in found.results
            if condition(one.expectation_config) is not None
            and "unexpected_count" in one.result
            and said[rule := one.expectation_config.meta["rule"]] != NOTHING
        }
        return said, rows


def in_pandas(table, expectations):
    """What each expectation found by Great Expectations on pandas."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("batch")
    whole = asset.add_batch_definition_whole_dataframe("whole")
    batch = whole.get_batch({"dataframe": table.to_pandas(date_as_object=False)})
    suite = suite_of(expectations)
    for one in suite.expectations:
        for bound in ("min_value", "max_value"):
            day = getattr(one, bound, None)
            if isinstance(day, date):
                setattr(one, bound, datetime(day.year, day.month, day.day))  # noqa: DTZ001 - what it compares it with
    return {
        one.expectation_config.meta["rule"]: told(one) for one in batch.validate(suite, result_format=COMPLETE).results
    }


def told(one, *, values=False):
    """The figures of a result, or that there is none."""
    errors = [one.exception_info or {}, *(one.exception_info or {}).values()]
    if any(isinstance(each, dict) and each.get("raised_exception") for each in errors):
        return NOTHING
    figures = ("element_count", "missing_count", "unexpected_count", "unexpected_percent", "observed_value")
    said = {name: plain(one.result.get(name)) for name in figures}
    if not one.result.get("element_count"):
        said.pop("unexpected_count")  # of no rows, its SQL counts "nothing" (the sum of no numbers), where we count 0
    said["rows"] = sorted(int(row["_row"]) for row in one.result.get("unexpected_index_list") or [])
    if values:
        said["values"] = sorted(map(repr, one.result.get("unexpected_list") or []))
    return one.success, said


def plain(value):
    """A figure as numbers and texts that can be compared."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return sorted((plain(one) for one in value), key=repr)
    if isinstance(value, bool | str | None):
        return value
    try:
        return round(float(value), 9)
    except (TypeError, ValueError):
        return str(value)
