"""Answer expectations that Great Expectations has no SQL for by its pandas engine, over the few columns they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality import asked, limits
from quality.dialect import quote
from schemas.values import ROW

_DAYS = frozenset(("column_values.dateutil_parseable", "column_values.match_strftime_format"))
_FRAMED = _DAYS | {
    "column_values.decreasing",
    "column_values.increasing",
    "column_values.json_parseable",
    "column_values.match_json_schema",
}
# Characters of a date: a text of a million takes dateutil longer than the whole batch, to find that it is none.
_LONGEST, _NO_DATE = 1_000, "……"
_EVERY = 1 << 31  # rows told of a rule: all there are

Rows = npt.NDArray[np.int64]


def framed(expectation: Any) -> bool:  # noqa: ANN401 - a GX Expectation
    """Whether Great Expectations 1.24 judges it in pandas and has no SQL for it."""
    return getattr(expectation, "map_metric", None) in _FRAMED


def groups(expectations: Sequence[Any]) -> list[list[Any]]:
    """Framed expectations by the frame they need: those about dates see texts too long for a date as no date at all."""
    days = [one for one in expectations if one.map_metric in _DAYS]
    return [some for some in (days, [one for one in expectations if one not in days]) if some]


def frame(
    context: Any,  # noqa: ANN401 - GX
    connection: duckdb.DuckDBPyConnection,
    table: str,
    expectations: Sequence[Any],
) -> Any:  # noqa: ANN401 - a GX batch
    """The columns of a table that a group of expectations reads, by `_row`, as a batch in pandas of the GX context."""
    every = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {quote(table)}").fetchall()}
    wanted = {ROW}.union(*(asked.reads(one, list(every)) for one in expectations))
    days = {one.column for one in expectations if one.map_metric in _DAYS and every.get(one.column) == "VARCHAR"}
    columns = ", ".join(_date(one) if one in days else quote(one) for one in every if one in wanted)
    found = connection.execute(f"SELECT {columns} FROM {quote(table)} ORDER BY {quote(ROW)}").to_arrow_table()
    asset = context.data_sources.add_pandas(f"frame for {expectations[0].map_metric}").add_dataframe_asset("batch")
    return asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame_of(found)})


def _date(column: str) -> str:
    name = quote(column)
    return f"CASE WHEN length({name}) > {_LONGEST} THEN '{_NO_DATE}' ELSE {name} END AS {name}"


def frame_of(table: pa.Table) -> Any:  # noqa: ANN401 - a pandas frame
    """A table as pandas has it with the least loss: whole numbers with nulls stay whole, days become moments."""
    import pandas as pd

    whole = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
    return table.to_pandas(types_mapper=whole.get, date_as_object=False)


def in_time(batch: Any, suite: Any, result_format: Any) -> Any:  # noqa: ANN401 - GX
    """A batch's result of a suite of one expectation; an exception of it where it takes longer than limits.RULE."""
    try:
        with limits.python(limits.RULE):
            return batch.validate(suite, result_format=result_format)
    except limits.OverdueError:
        return _overdue(suite)


def _overdue(suite: Any) -> Any:  # noqa: ANN401 - GX
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult

    told = {"raised_exception": True, "exception_message": limits.STOPPED, "exception_traceback": ""}
    results = [
        ExpectationValidationResult(success=False, expectation_config=one.configuration, exception_info=told, result={})
        for one in suite.expectations
    ]
    return ExpectationSuiteValidationResult(
        success=False, results=results, suite_name=suite.name, statistics={}, meta={}
    )


def condition(configuration: Any) -> Any:  # noqa: ANN401 - GX → the id of a metric
    """The condition behind a result, as it is asked for; None when it is not one of single rows."""
    from great_expectations.expectations.registry import get_metric_kwargs
    from great_expectations.validator.metric_configuration import MetricConfiguration

    name = getattr(configuration.to_domain_obj(), "map_metric", None)
    if name is None:
        return None
    kwargs = get_metric_kwargs(f"{name}.condition", configuration)
    return MetricConfiguration(f"{name}.condition", kwargs["metric_domain_kwargs"], kwargs["metric_value_kwargs"]).id


def violators(batch: Any, configuration: Any) -> Callable[[], Rows]:  # noqa: ANN401 - GX
    """How to find the rows of a batch that an expectation does not hold for; they are not looked for until asked."""

    def found() -> Rows:
        wanted = {
            "result_format": "COMPLETE",
            "unexpected_index_column_names": [ROW],
            "partial_unexpected_count": _EVERY,
            "exclude_unexpected_values": True,
        }
        expectation = configuration.to_domain_obj()
        told = batch.validate(expectation, result_format=wanted).result.get("unexpected_index_list") or []
        return np.unique(np.array([one[ROW] for one in told], np.int64))

    return found


def some_of(suite: Any, expectations: list[Any]) -> Any:  # noqa: ANN401 - GX
    """The suite, or one of the same name with some of its expectations."""
    import great_expectations as gx

    if len(expectations) == len(suite.expectations):
        return suite
    return gx.ExpectationSuite(name=suite.name, expectations=expectations)


def together(found: Sequence[Any]) -> Any:  # noqa: ANN401 - GX results
    """One result from several."""
    first = found[0]
    if len(found) == 1:
        return first
    results = [one for each in found for one in each.results]
    first.results, first.statistics = results, statistics(results)
    first.success = first.statistics["unsuccessful_expectations"] == 0
    return first


def statistics(results: Sequence[Any]) -> dict[str, Any]:
    """How many expectations came out right, as Great Expectations says it."""
    right = sum(bool(one.success) for one in results)
    return {
        "evaluated_expectations": len(results),
        "successful_expectations": right,
        "unsuccessful_expectations": len(results) - right,
        "success_percent": right / len(results) * 100 if results else None,
    }
