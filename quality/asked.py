"""What Great Expectations asks for: which metrics a scan can answer, and the condition and rows behind each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from quality.fused import Condition

COUNT, VALUES, INDEXES, RECORDS, COUNTED = (
    "unexpected_count",
    "unexpected_values",
    "unexpected_index_list",
    "unexpected_rows",
    "filtered_row_count",
)
_ANSWERED = (COUNT, VALUES, INDEXES, RECORDS, COUNTED)
_SAMPLES = (VALUES, INDEXES, RECORDS)
_MISSING = "column_values.nonnull"  # asked of every column for its missing values
REPEATED = frozenset(("column_values.unique", "compound_columns.unique"))
# Their conditions are windows over, or joins with, the whole table.
_WINDOWED = REPEATED | {"compound_columns.count"}
LISTED = "multicolumn_values.not_listed"
_LISTS = "violators:"
# What is asked of single rows, and of keys that rows share: a stream answers these.
_STREAMED = REPEATED | {
    "column_values.between",
    "column_values.in_code_list",
    "column_values.in_set",
    "column_values.match_like_pattern",
    "column_values.match_like_pattern_list",
    "column_values.match_regex",
    "column_values.match_regex_list",
    "column_values.nonnull",
    "column_values.not_in_set",
    "column_values.not_match_like_pattern",
    "column_values.not_match_like_pattern_list",
    "column_values.not_match_regex",
    "column_values.not_match_regex_list",
    "column_values.null",
    "column_values.present_valid_identifier",
    "column_values.valid_identifier",
    "column_values.value_length.between",
    "column_values.value_length.equals",
    "column_pair_values.a_greater_than_b",
    "column_pair_values.equal",
    "column_pair_values.in_set",
    "multicolumn_sum.equal",
    "multicolumn_values.condition_satisfied",
    "multicolumn_values.equal",
    "multicolumn_values.identifier_where",
    LISTED,
    "select_column_values.unique.within_record",
}
_NAMED = ("column", "column_A", "column_B")
_IGNORED = {
    "both_values_are_missing": sa.and_,
    "all_values_are_missing": sa.and_,
    "either_value_is_missing": sa.or_,
    "any_value_is_missing": sa.or_,
}


def condition_of(metric: Any, *, windowed: bool = False) -> Any:  # noqa: ANN401 - MetricConfiguration → its id
    """The id of the condition behind a metric that a scan can answer; None for any other metric."""
    base, _, suffix = metric.metric_name.rpartition(".")
    if suffix not in _ANSWERED or (base in _WINDOWED and not (windowed and base in REPEATED)):
        return None
    needs = metric.metric_dependencies
    if "metric_partial_fn" in needs:
        needs = needs["metric_partial_fn"].metric_dependencies
    return needs["unexpected_condition"].id if "unexpected_condition" in needs else None


def understood(
    key: Any,  # noqa: ANN401 - a MetricConfigurationID
    resolved: Any,  # noqa: ANN401 - as GX resolved it
    filters: tuple[sa.ColumnElement[bool], ...] | None,
    jobs: Mapping[Any, Any],
) -> Condition | None:
    """A resolved condition as a scan needs it; None when it is not one of single rows.

    `filters` are what rows must satisfy to be looked at; `jobs`, metric → id of its condition, tell whether rows are
    asked for or only how many there are.
    """
    expression, compute, accessor = resolved
    domain = {**compute, **accessor}
    name = key.metric_name
    if filters is None or not isinstance(expression, sa.ColumnElement) or name.removesuffix(".condition") in _WINDOWED:
        return None
    where = _ignored(key.metric_name, domain)
    if where is None:
        return None
    sampled = any(other == key and metric.metric_name.endswith(_SAMPLES) for metric, other in jobs.items())
    return Condition(expression, (*filters, *where), columns_of(domain), not name.startswith(_MISSING) or sampled)


def counted(key: Any, resolved: Any) -> Condition:  # noqa: ANN401 - a MetricConfigurationID, as GX resolved it
    """A condition that holds for no row, of the rows that are looked at."""
    domain = {**resolved[1], **resolved[2]}
    return Condition(sa.false(), _ignored(key.metric_name, domain) or (), columns_of(domain), marked=False)


def _ignored(name: str, domain: Mapping[str, Any]) -> tuple[sa.ColumnElement[bool], ...] | None:
    """What rows must satisfy not to be ignored; None when that is not known."""
    ignored = domain.get("ignore_row_if", "never")
    if name.startswith("column_values.") or ignored in ("never", "neither", None):
        return ()
    if ignored not in _IGNORED:
        return None
    return (sa.not_(_IGNORED[ignored](*(sa.column(column).is_(None) for column in columns_of(domain)))),)


def columns_of(domain: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns a condition is about."""
    if "column" in domain:
        return (str(domain["column"]),)
    if "column_A" in domain:
        return (str(domain["column_A"]), str(domain["column_B"]))
    return tuple(str(name) for name in domain["column_list"])


def rule_of(expression: Any) -> str | None:  # noqa: ANN401 - a clause
    """The rule whose list of rows a condition looks into."""
    for one in sa.sql.visitors.iterate(expression):
        if isinstance(one, sa.TableClause) and one.name.startswith(_LISTS):
            return str(one.name).removeprefix(_LISTS)
    return None


def value(row: Mapping[str, Any], columns: Sequence[str], metric: str) -> Any:  # noqa: ANN401 - a cell, or several
    """What a sample shows of a row."""
    if len(columns) == 1:
        return row[columns[0]]
    if metric.startswith("column_pair"):
        return tuple(row[name] for name in columns)
    return {name: row[name] for name in columns}


def streams(expectation: Any) -> bool:  # noqa: ANN401 - a GX Expectation
    """Whether a pass over the parts of a table answers it; else all rows must be there at once."""
    name = getattr(expectation, "map_metric", None)
    filtered = getattr(expectation, "row_condition", None)
    return name in _STREAMED and not (isinstance(filtered, str) or (filtered is not None and name in REPEATED))


def reads(expectation: Any, every: Sequence[str]) -> set[str]:  # noqa: ANN401 - a GX Expectation
    """The columns of a table with the columns `every` that an expectation may look at."""
    kwargs = expectation.configuration.kwargs
    named = {str(kwargs[key]) for key in _NAMED if kwargs.get(key) is not None} | set(kwargs.get("column_list") or ())
    whole = kwargs.get("row_condition") is not None or any("query" in key for key in kwargs)
    if not named and expectation.expectation_type.startswith("expect_table_"):
        return set()
    return set(every) if whole or not named else named & set(every)
