"""Where Great Expectations on pandas may differ from its SQL, why, and for which rows: everywhere else they agree."""

from __future__ import annotations

import math
from decimal import Decimal

# Expectations Great Expectations has no pandas form of; and three about types, which pandas names otherwise than SQL.
NOT_IN_PANDAS = {
    "expect_column_values_to_match_like_pattern", "expect_column_values_to_not_match_like_pattern",
    "expect_column_values_to_match_like_pattern_list", "expect_column_values_to_not_match_like_pattern_list",
    "expect_table_row_count_to_equal_other_table", "expect_query_results_to_match_comparison",
    "unexpected_rows_expectation", "expect_column_type_to_be", "expect_column_values_to_be_of_type",
    "expect_column_values_to_be_in_type_list",
}  # fmt: skip


def columns_of(expectation):
    """The columns an expectation is about."""
    kwargs = expectation.configuration.kwargs
    return [kwargs[one] for one in ("column", "column_A", "column_B") if one in kwargs] + kwargs.get("column_list", [])


def unanswered_in_sql(expectation, table):
    """What its SQL has no answer for, and its pandas has.

    DuckDB does not compare a date or an amount with true; in Python they are simply not equal to it. And of a column
    without values, the divergence divides zero by zero: Python's own numbers, from SQL, raise where numpy's do not.
    """
    if "kl_divergence" in expectation.expectation_type:
        return table[columns_of(expectation)[0]].null_count == table.num_rows
    return expectation.configuration.kwargs.get("value_set") == [True] and columns_of(expectation) != ["flag"]


def unanswered_in_pandas(expectation):
    """Python does not add a float, which whole numbers with nulls are in pandas, to an amount, nor subtract them."""
    sums = expectation.expectation_type in {
        "expect_multicolumn_sum_to_equal",
        "expect_column_values_to_not_be_outliers",
    }
    return sums and "money" in columns_of(expectation)


def counted_otherwise(expectation, table):
    """Of an even number of values, SQL takes for the median the one below the middle, and pandas the one above.

    And the sum of no values is null in SQL, and zero in pandas.
    """
    columns = columns_of(expectation)
    values = len(table) - table[columns[0]].null_count if columns else 0
    if "quantile" in expectation.expectation_type:
        return values % 2 == 0
    return expectation.expectation_type == "expect_column_sum_to_be_between" and values == 0


def differing(expectation, table):
    """The rows for which SQL and pandas do not mean the same."""
    return {row["_row"] for row in table.to_pylist() if any(differs(expectation, row) for differs in DIFFERENCES)}


def not_a_number(expectation, row):
    """NaN is a missing value in pandas, and in DuckDB a number greater than all others."""
    return any(isinstance(row[one], float) and math.isnan(row[one]) for one in columns_of(expectation))


def compared_with_nothing(expectation, row):
    """Whether a value equals a null, or is less, is not known in SQL, which finds nothing wrong; pandas says no.

    And two nulls are the same key in pandas, but no key in SQL.
    """
    columns = columns_of(expectation)
    return len(columns) > 1 and any(row[one] is None for one in columns)


def ends_the_line(expectation, row):
    """In Python `$` is also before a newline that ends the text; in RE2 it is the end alone."""
    value = row[columns_of(expectation)[0]] if "regex" in expectation.expectation_type else None
    return isinstance(value, str) and value.endswith("\n")


def a_tenth(expectation, row):
    """0.1 is a tenth in SQL; in Python it is a float, a little more than the amount that is a tenth."""
    kwargs, columns = expectation.configuration.kwargs, columns_of(expectation)
    limits = {kwargs.get(one) for one in ("min_value", "max_value", "sum_total")} - {None}
    if "money" not in columns or None in (row[one] for one in columns):
        return False
    exact = sum(Decimal(row[one]) for one in columns)
    return any(Decimal(repr(one)) == exact != Decimal(one) for one in limits if isinstance(one, float))


DIFFERENCES = (not_a_number, compared_with_nothing, ends_the_line, a_tenth)


def disagreement(expectation, table, ours, rows, theirs):
    """What SQL and pandas say differently without a reason; None when there is nothing of the kind."""
    if (
        unanswered_in_sql(expectation, table)
        or unanswered_in_pandas(expectation)
        or counted_otherwise(expectation, table)
    ):
        return None
    if "no answer" in (ours, theirs):
        return None if ours == theirs else (ours, theirs)
    said, beside = {**ours[1], "rows": rows}, theirs[1]
    may = differing(expectation, table)
    if not may:
        return None if (ours[0], said) == theirs else (ours[0], said, theirs)
    odd = set(rows) ^ set(beside["rows"])
    return None if odd <= may else (odd, may)
