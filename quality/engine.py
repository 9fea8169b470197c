"""Great Expectations on DuckDB: a data source and an execution engine that answers a suite from one scan."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from quality.errors import QualityError
from quality.fused import Condition, Marks, Scanner, together
from quality.parts import Parts
from schemas.values import ROW

os.environ["GX_ANALYTICS_ENABLED"] = "false"
with warnings.catch_warnings():
    # Its own imports use deprecated names of pandas, marshmallow and pydantic; nothing here can change that.
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine

logging.getLogger("great_expectations").addHandler(logging.NullHandler())  # never its last resort, stderr

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
_EVERY = "table.row_count"
_MOST = 200  # great_expectations.constants.MAX_RESULT_RECORDS
# Their conditions are windows over, or joins with, the whole table.
_WINDOWED = frozenset(("column_values.unique", "compound_columns.unique", "compound_columns.count"))
_IGNORED = {
    "both_values_are_missing": sa.and_,
    "all_values_are_missing": sa.and_,
    "either_value_is_missing": sa.or_,
    "any_value_is_missing": sa.or_,
}


class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):  # type: ignore[misc] # great_expectations is not typed for us
    """Great Expectations' SQL engine on a live DuckDB connection, every metric by its own query."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the parent
        super().__init__(*args, **kwargs)
        self.dialect_module = postgresql  # regular expressions: our compiler turns `~` into regexp_matches

    @property
    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """The connection that was lent."""
        with self.engine.connect() as connection:
            lent: duckdb.DuckDBPyConnection = connection.connection.driver_connection.duckdb
            return lent


class FusedExecutionEngine(DuckDBExecutionEngine):
    """Answers counts and samples of row conditions from one scan; what it does not understand goes the usual way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the parent
        super().__init__(*args, **kwargs)
        self._resolved: dict[Any, tuple[Any, dict[str, Any], dict[str, Any]]] = {}
        self._conditions: dict[Any, Condition] = {}
        self._refused: set[Any] = set()
        self._marks: Marks | None = None
        self._counting: set[Any] = set()  # ids of metrics that count rows
        self.scans = 0
        self.parts: Parts | None = None  # set before anything is asked: what the one scan goes through

    def resolve_metrics(
        self,
        metrics_to_resolve: Iterable[Any],
        metrics: dict[Any, Any] | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> dict[Any, Any]:
        """Resolve one wave of metrics.

        Metrics that are not answered stay unresolved and are asked again, so the scan waits until every condition of
        the suite is known, and there is one scan however many waves it takes.
        """
        known = metrics or {}
        jobs = {metric: _condition_of(metric) for metric in metrics_to_resolve}
        ours = {metric: key for metric, key in jobs.items() if key is not None and key in known}
        self._counting |= {metric.id for metric in jobs if metric.metric_name == _EVERY}
        others = [metric for metric in jobs if metric not in ours]
        if not others:
            answers = self._answer(ours, known)
            others = [metric for metric in ours if metric.id not in answers]
            self._refuse_to_guess(ours[metric] for metric in others)
        else:
            answers = {}
        resolved = super().resolve_metrics(others, metrics, runtime_configuration) if others else {}
        if self._marks is not None and self.parts is not None:
            # Great Expectations asks for the number of rows before it has conditions, when no part has come.
            answers |= dict.fromkeys(self._counting, self._marks.total)
        self._resolved |= {key: value for key, value in resolved.items() if key.metric_name.endswith(".condition")}
        return {**resolved, **answers}

    def violating(self, metric: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401 - a MetricConfiguration
        """The `_row`s, ordered, that violate the condition `metric`; KeyError when it was never resolved."""
        if self._marks is not None and metric.id in self._marks.bits:
            return self._marks.of(metric.id)
        expression, compute, accessor = self._resolved[metric.id]
        records = self.get_domain_records(domain_kwargs={**compute, **accessor})
        if isinstance(records, sa.Select):
            records = records.subquery()
        query: sa.Select[Any] = sa.select(sa.column(ROW)).select_from(records).where(expression)
        return np.unique(np.array([row[0] for row in self.execute_query(query).fetchall()], dtype=np.int64))

    def _refuse_to_guess(self, left: Iterable[Any]) -> None:
        """When a table was scanned part by part, nobody can look at all of it any more."""
        if self.parts is not None and self.parts.error is None and not self._refused.issuperset(left):
            self.parts.error = QualityError(
                "QUA-SCAN",
                zh="有规则无法与其他规则一起逐块执行，批次未作判定",
                en="Some rules could not be evaluated part by part with the others; the batch was not judged",
                fix_zh="请报告此问题",
                fix_en="Report this",
            )

    def _answer(self, jobs: Mapping[Any, Any], known: Mapping[Any, Any]) -> dict[Any, Any]:
        try:
            marks = self._scan(jobs, known)
            return self._read(marks, jobs) if marks is not None else {}
        except (duckdb.Error, sa.exc.SQLAlchemyError, NotImplementedError, LookupError, TypeError, ValueError):
            return {}  # the usual way says what is wrong, rule by rule

    def _scan(self, jobs: Mapping[Any, Any], known: Mapping[Any, Any]) -> Marks | None:
        fresh: dict[Any, Condition] = {}
        sampled = {key for metric, key in jobs.items() if metric.metric_name.endswith(_SAMPLES)}
        for key in dict.fromkeys(jobs.values()):
            if key not in self._conditions and key not in self._refused:
                marked = not key.metric_name.startswith(_MISSING) or key in sampled
                one = _understood(key.metric_name.removesuffix(".condition"), known[key], marked=marked)
                if one is not None:
                    fresh[key] = one
        if not fresh:
            return self._marks
        scanner = self._scanner()
        if scanner is None or (self.parts is not None and self._marks is not None):
            return None  # parts are gone through once
        self.scans += 1
        if self.parts is not None:
            return self._stream(scanner, self.parts, fresh)
        everything = {**self._conditions, **fresh}
        try:
            self._marks = scanner.scan(everything)
        except (duckdb.Error, sa.exc.SQLAlchemyError, NotImplementedError):
            self._refused |= {key for key, one in everything.items() if not scanner.holds(one)}
            everything = {key: one for key, one in everything.items() if key not in self._refused}
            self._marks = scanner.scan(everything) if everything else None
        self._conditions = everything
        return self._marks

    def _stream(self, scanner: Scanner, parts: Parts, fresh: Mapping[Any, Condition]) -> Marks:
        """Scan part by part; a condition that cannot be evaluated on one of them is left out from there on."""
        live, found = dict(fresh), list[Marks]()
        scan = scanner.prepare(live)
        for _ in chain((None,), parts):  # first as it is before the first part: empty, the shape of the answer
            try:
                found.append(scan())
            except (duckdb.Error, sa.exc.SQLAlchemyError, NotImplementedError):
                broken = {key for key, one in live.items() if not scanner.holds(one)}
                self._refused |= broken
                parts.failing()
                live |= {key: replace(live[key], expression=sa.false()) for key in broken}
                scan = scanner.prepare(live)
                found.append(scan())
        self._conditions = {key: one for key, one in live.items() if key not in self._refused}
        self._marks = together(found, self._refused)
        return self._marks

    def _scanner(self) -> Scanner | None:
        selectable = self.batch_manager.active_batch_data.selectable
        if not isinstance(selectable, sa.FromClause):
            return None
        return Scanner(self.duckdb, self.engine.dialect, selectable)

    def _read(self, marks: Marks, jobs: Mapping[Any, Any]) -> dict[Any, Any]:
        answers: dict[Any, Any] = {}
        for metric, key in jobs.items():
            if key not in marks.counts:
                continue
            suffix = metric.metric_name.rpartition(".")[2]
            if suffix == COUNT:
                answers[metric.id] = marks.counts[key]
            elif suffix == COUNTED:
                answers[metric.id] = marks.looked_at[key]
            elif key in marks.bits:
                answers[metric.id] = self._sample(marks, metric, key, suffix)
        return answers

    def _sample(self, marks: Marks, metric: Any, key: Any, suffix: str) -> Any:  # noqa: ANN401 - metric, id, metric value
        wanted = metric.metric_value_kwargs.get("result_format") or {}
        columns = self._conditions[key].columns
        indexes = wanted.get("unexpected_index_column_names")
        if suffix == INDEXES and indexes is None:
            return None
        complete = wanted.get("result_format") == "COMPLETE" and suffix != INDEXES
        limit = _MOST if complete else min(wanted.get("partial_unexpected_count", 20), _MOST)
        rows = [int(row) for row in marks.of(key)[:limit]]
        scanner = self._scanner()
        if scanner is None or not rows:
            return []
        picked = () if suffix == RECORDS else tuple(dict.fromkeys((*(indexes or ()), *columns)))
        values = scanner.values(rows, picked)
        if suffix == VALUES:
            return [_value(values[row], columns, metric.metric_name) for row in rows]
        return [values[row] for row in rows]


def _value(row: Mapping[str, Any], columns: Sequence[str], metric: str) -> Any:  # noqa: ANN401 - a cell, or several
    if len(columns) == 1:
        return row[columns[0]]
    if metric.startswith("column_pair"):
        return tuple(row[name] for name in columns)
    return {name: row[name] for name in columns}


def _condition_of(metric: Any) -> Any:  # noqa: ANN401 - MetricConfiguration → MetricConfigurationID
    """The id of the condition behind a metric that a scan can answer; None for any other metric."""
    base, _, suffix = metric.metric_name.rpartition(".")
    if suffix not in _ANSWERED or base in _WINDOWED:
        return None
    needs = metric.metric_dependencies
    if "metric_partial_fn" in needs:
        needs = needs["metric_partial_fn"].metric_dependencies
    return needs["unexpected_condition"].id if "unexpected_condition" in needs else None


def _understood(name: str, resolved: Any, *, marked: bool) -> Condition | None:  # noqa: ANN401 - as GX resolved it
    expression, compute, accessor = resolved
    domain = {**compute, **accessor}
    filtered = domain.get("row_condition") or domain.get("filter_conditions") or domain.get("table")
    if filtered or not isinstance(expression, sa.ColumnElement):
        return None
    columns = _columns(domain)
    ignored = domain.get("ignore_row_if", "never")
    where: tuple[sa.ColumnElement[bool], ...] = ()
    if ignored in _IGNORED and not name.startswith("column_values."):
        where = (sa.not_(_IGNORED[ignored](*(sa.column(column).is_(None) for column in columns))),)
    elif ignored not in ("never", "neither", None) and not name.startswith("column_values."):
        return None
    return Condition(expression, where, columns, marked)


def _columns(domain: Mapping[str, Any]) -> tuple[str, ...]:
    if "column" in domain:
        return (str(domain["column"]),)
    if "column_A" in domain:
        return (str(domain["column_A"]), str(domain["column_B"]))
    return tuple(str(name) for name in domain["column_list"])


class DuckDBDatasource(SQLDatasource):  # type: ignore[misc]
    """`context.data_sources.add_shutong_duckdb(name, connection_string=…)`: a lent connection, stock evaluation."""

    type: Literal["shutong_duckdb"] = "shutong_duckdb"

    @property
    def execution_engine_type(self) -> Any:  # noqa: ANN401 - an engine class; `type` is a field here
        """The engine without the wide scan."""
        return DuckDBExecutionEngine

    def _execution_engine_type(self) -> Any:  # noqa: ANN401 - dto.
        return self.execution_engine_type


class FusedDatasource(DuckDBDatasource):
    """`context.data_sources.add_shutong_fused(name, connection_string=…)`: a lent connection, one scan per suite."""

    type: Literal["shutong_fused"] = "shutong_fused"  # type: ignore[assignment]

    @property
    def execution_engine_type(self) -> Any:  # noqa: ANN401 - an engine class; `type` is a field here
        """The engine with the wide scan."""
        return FusedExecutionEngine


def validate(
    url: str,
    table: str,
    suite: Any,  # noqa: ANN401 - GX
    result_format: Any,  # noqa: ANN401 - GX
    *,
    fused: bool = True,
    parts: Parts | None = None,
) -> tuple[Any, Any]:
    """Great Expectations' result of the suite over a table of the lent connection, and the engine that made it.

    `url` is what quality.dialect.lend gave. With `parts` the table shows one part after the other while it is scanned;
    conditions on rows are all that can be asked then. The context lives in memory; nothing is written or printed.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    add = context.data_sources.add_shutong_fused if fused else context.data_sources.add_shutong_duckdb
    source = add("live", connection_string=url)
    whole = source.add_table_asset("batch", table_name=table).add_batch_definition_whole_table("whole")
    if parts is not None:
        source.get_execution_engine().parts = parts
    result = whole.get_batch().validate(suite, result_format=result_format)
    return result, source.get_execution_engine()
