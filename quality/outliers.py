"""Quartiles for Great Expectations' outliers, which it asks of some databases only and DuckDB is not among them."""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa

from quality.engine import DuckDBExecutionEngine

from great_expectations.core.metric_domain_types import MetricDomainTypes  # isort: skip
from great_expectations.expectations.metrics.column_aggregate_metrics.column_outlier_statistics import (  # isort: skip
    ColumnOutlierStatistics,
    OutlierStatistics,
)
from great_expectations.expectations.metrics.metric_provider import metric_value  # isort: skip

_QUARTERS = (0.25, 0.75)


class DuckDBOutlierStatistics(ColumnOutlierStatistics):  # type: ignore[misc]
    """The statistics as Great Expectations defines them; the quartiles are interpolated, as it asks for elsewhere."""

    @metric_value(engine=DuckDBExecutionEngine)  # type: ignore[untyped-decorator]
    def _duckdb(
        cls,  # noqa: N805 - dto.
        execution_engine: Any,  # noqa: ANN401 - dto.
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> Any:  # noqa: ANN401 - OutlierStatistics
        if metric_value_kwargs["method"] != "iqr":
            return ColumnOutlierStatistics._sqlalchemy(  # noqa: SLF001 - there is no other way to ask for it
                cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration
            )
        given = execution_engine.add_column_row_condition(metric_domain_kwargs)
        selectable, _, accessor = execution_engine.get_compute_domain(given, domain_type=MetricDomainTypes.COLUMN)
        values = sa.cast(sa.column(accessor["column"]), sa.Double)
        asked = sa.select(*(sa.func.quantile_cont(values, one) for one in _QUARTERS)).select_from(
            selectable.subquery() if isinstance(selectable, sa.Select) else selectable
        )
        low, high = (one if one is not None and math.isfinite(one) else None for one in
                     execution_engine.execute_query(asked).fetchone())  # fmt: skip
        return OutlierStatistics(low, high, high - low if low is not None and high is not None else None)
