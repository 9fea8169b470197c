"""Great Expectations on DuckDB: a data source and an execution engine that answers a suite from one scan."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from quality import asked, limits, rest
from quality.errors import QualityError
from quality.fused import Condition, Marks, Scanner
from quality.kept import Kept, Query
from quality.parts import Parts
from quality.put_off import put_off
from quality.repeats import Repeats
from quality.streamed import Late, Stream
from schemas.values import ROW

os.environ["GX_ANALYTICS_ENABLED"] = "false"
with warnings.catch_warnings(), put_off("scipy.stats"), put_off("altair"):  # a quarter of the time, for no rule
    # Its own imports use deprecated names of pandas, marshmallow and pydantic; nothing here can change that.
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
    from great_expectations.exceptions import GreatExpectationsError, MetricResolutionError
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.expectations.row_conditions import Condition as RowCondition
    from great_expectations.expectations.row_conditions import deserialize_row_condition

from quality.remembered import configurations  # after Great Expectations is imported

logging.getLogger("great_expectations").addHandler(logging.NullHandler())  # never its last resort, stderr

_EVERY = "table.row_count"
_MOST = 200  # great_expectations.constants.MAX_RESULT_RECORDS


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
        self._refused: dict[Any, str] = {}  # conditions that cannot be evaluated, and why
        self._marks: Marks | None = None
        self._counting: dict[Any, Any] = {}  # metrics that count rows by id, and which rows
        self.elsewhere: dict[Any, Callable[[], npt.NDArray[np.int64]]] = {}  # rows of conditions that it did not judge
        self.scans = 0
        self.parts: Parts | None = None  # set before anything is asked: what the one scan goes through
        self.kept: Kept | None = None  # what is to be kept of the parts
        self.beyond: Mapping[str, Late | str] = {}  # how to find the rows a rule about several rows lists, by rule
        self._asked: dict[Any, Any] = {}  # metrics that marks answer, and the conditions they are about
        self._late_ones: dict[Any, Any] = {}  # conditions that no part can tell, as they were resolved
        self._course: Stream | None = None

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
        streamed = self.parts is not None
        jobs = {metric: asked.condition_of(metric, windowed=streamed) for metric in metrics_to_resolve}
        ours = {metric: key for metric, key in jobs.items() if key is not None and key in known}
        self._counting |= {metric.id: self._filter(metric) for metric in jobs if metric.metric_name == _EVERY}
        self._asked |= ours
        others = [metric for metric in jobs if metric not in ours]
        if not others:
            answers = self._answer(ours, known)
            others = [metric for metric in ours if metric.id not in answers]
            if streamed and others and not answers:
                raise self._refusal({metric: ours[metric] for metric in others})
            others = [] if streamed else others
        else:
            answers = {}
        resolved = super().resolve_metrics(others, metrics, runtime_configuration) if others else {}
        if self._marks is not None and streamed:
            # Great Expectations asks for the number of rows before it has conditions, when no part has come.
            answers |= {one: self._marks.counts.get(one, self._marks.total) for one in self._counting}
        self._resolved |= {key: value for key, value in resolved.items() if key.metric_name.endswith(".condition")}
        return {**resolved, **answers}

    def violating(self, metric: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401 - a MetricConfiguration
        """The `_row`s, ordered, that violate the condition `metric`; KeyError when it was never resolved."""
        if metric.id in self.elsewhere:
            return self.elsewhere[metric.id]()
        if self._marks is not None and self._marks.holds(metric.id):
            return self._marks.of(metric.id)
        expression, compute, accessor = self._resolved[metric.id]
        records = self.get_domain_records(domain_kwargs={**compute, **accessor})
        if isinstance(records, sa.Select):
            records = records.subquery()
        query: sa.Select[Any] = sa.select(sa.column(ROW)).select_from(records).where(expression)
        return np.unique(np.array([row[0] for row in self.execute_query(query).fetchall()], dtype=np.int64))

    def again(self, parts: Parts, kept: Kept, beyond: Mapping[str, Late | str]) -> Mapping[Any, Any]:
        """Answer what was asked before, of another batch of the same columns: metric → value, for all that have one.

        Nothing may have failed before. `why` tells what failed now; QualityError: QUA-SCAN; what the parts raise.
        """
        scanner = self._scanner()
        if scanner is None or self._course is None:
            message = "nothing was asked before"
            raise ValueError(message)
        self.parts, self.kept, self.beyond = parts, kept, beyond
        late = {key: one for key, told in self._late_ones.items() if (one := self._late(key, told)) is not None}
        marks = self._streamed(self._course.again(late, kept), parts, self._conditions)
        answers = self._read(marks, self._asked)
        for metric, key in self._asked.items():
            if metric.id not in answers and key not in self._refused:
                raise _no_scan()
        return answers | {one: marks.counts.get(one, marks.total) for one in self._counting}

    def forget(self) -> None:
        """Hold nothing of the batch any more."""
        self.parts = self.kept = self._marks = None
        self.beyond = {}
        self._course = self._course.again({}, None) if self._course is not None else None

    def why(self, metric: Any) -> str | None:  # noqa: ANN401 - the id of a metric
        """Why the condition behind a metric could not be evaluated."""
        return next((self._refused.get(key) for one, key in self._asked.items() if one.id == metric), None)

    def go_through(self) -> None:
        """See all parts, when no condition made that necessary."""
        scanner = self._scanner()
        if self.parts is not None and self._marks is None and self.parts.error is None and scanner is not None:
            self._stream(scanner, self.parts, {}, {})

    def _refusal(self, left: Mapping[Any, Any]) -> Exception:
        """Why metrics cannot be answered, for those of one condition; the others are asked again."""
        metric, key = next(iter(left.items()))
        why = self._refused.get(key)
        if why is None and self.parts is not None and self.parts.error is None:
            self.parts.error = _no_scan()
        failed = [one for one, other in left.items() if other == key]
        refusal: Exception = MetricResolutionError(
            message=why or f"{metric.metric_name} has no answer", failed_metrics=failed
        )
        return refusal

    def _answer(self, jobs: Mapping[Any, Any], known: Mapping[Any, Any]) -> dict[Any, Any]:
        try:
            marks = self._scan(jobs, known)
            return self._read(marks, jobs) if marks is not None else {}
        except (duckdb.Error, sa.exc.SQLAlchemyError, NotImplementedError, LookupError, TypeError, ValueError) as error:
            if self.parts is not None:
                self.parts.error = self.parts.error or error
            return {}  # the usual way says what is wrong, rule by rule

    def _scan(self, jobs: Mapping[Any, Any], known: Mapping[Any, Any]) -> Marks | None:
        fresh: dict[Any, Condition] = {}
        late: dict[Any, Late] = {}
        for key in dict.fromkeys(jobs.values()):
            if key not in self._conditions and key not in self._refused:
                found = self._late(key, known[key]) if self.parts is not None else None
                one = asked.understood(key, known[key], self._where(known[key]), jobs)
                if found is not None:
                    late[key], self._late_ones[key] = found, known[key]
                    fresh[key] = asked.counted(key, known[key])  # its rows come later, how many are looked at now
                elif one is not None:
                    fresh[key] = one
        scanner = self._scanner()
        if not (fresh or late) or scanner is None or (self.parts is not None and self._marks is not None):
            return self._marks  # parts are gone through once
        self.scans += 1
        if self.parts is not None:
            return self._stream(scanner, self.parts, fresh, late)
        everything = {**self._conditions, **fresh}
        try:
            self._marks = scanner.scan(everything)
        except (duckdb.Error, sa.exc.SQLAlchemyError, NotImplementedError):
            self._refused |= {key: "" for key, one in everything.items() if not scanner.holds(one)}
            everything = {key: one for key, one in everything.items() if key not in self._refused}
            self._marks = scanner.scan(everything) if everything else None
        self._conditions = everything
        return self._marks

    def _stream(
        self, scanner: Scanner, parts: Parts, fresh: Mapping[Any, Condition], late: Mapping[Any, Late]
    ) -> Marks:
        """Scan part by part; a condition that cannot be evaluated on one of them is left out from there on."""
        counted = {key: where for key, where in self._counting.items() if where is not None}
        beside = {key: Condition(where, (), (), marked=False) for key, where in counted.items()}
        stream = Stream(self.duckdb, scanner.sql, scanner.selectable, {**fresh, **beside}, late, kept=self.kept)
        return self._streamed(stream, parts, fresh)

    def _streamed(self, stream: Stream, parts: Parts, fresh: Mapping[Any, Condition]) -> Marks:
        self._course = stream
        if self.kept is not None:
            self.kept.begin(parts.nothing.schema)
        found = stream.run(parts)
        self._refused |= found.failed
        self._conditions = {key: one for key, one in fresh.items() if key not in self._refused}
        self._marks = found.marks
        return self._marks

    def _late(self, key: Any, resolved: Any) -> Late | None:  # noqa: ANN401 - as GX resolved it
        """What finds the rows of a condition that no part can tell."""
        name = key.metric_name.removesuffix(".condition")
        if name in asked.REPEATED and self.parts is not None and self._where(resolved) == ():
            return Repeats(asked.columns_of({**resolved[1], **resolved[2]}), self.parts.nothing.schema)
        if name == asked.LISTED and self.kept is not None:
            rule = asked.rule_of(resolved[0])
            found = self.beyond.get(rule) if rule is not None else None
            return Query(self.kept, found) if isinstance(found, str) else found
        return None

    def _filter(self, metric: Any) -> Any:  # noqa: ANN401 - MetricConfiguration → a clause
        """Which rows a metric that counts rows counts; None: all of them."""
        where = self._where((None, metric.metric_domain_kwargs, {}))
        return sa.and_(*where) if where else None

    def _where(self, resolved: Any) -> tuple[sa.ColumnElement[bool], ...] | None:  # noqa: ANN401 - as GX resolved it
        """What the rows must satisfy to be looked at at all; None when that cannot be told row by row."""
        domain = {**resolved[1], **resolved[2]}
        said = domain.get("row_condition")
        if domain.get("filter_conditions") or domain.get("table"):
            return None
        if said is None:
            return ()
        condition = deserialize_row_condition(said) if isinstance(said, dict) else said
        if not isinstance(condition, RowCondition):
            return None
        try:
            return (self.condition_to_filter_clause(condition),)
        except (TypeError, ValueError, NotImplementedError, LookupError, GreatExpectationsError):
            return None

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
            if suffix == asked.COUNT:
                answers[metric.id] = marks.counts[key]
            elif suffix == asked.COUNTED:
                answers[metric.id] = marks.looked_at[key]
            elif marks.holds(key):
                answers[metric.id] = self._sample(marks, metric, key, suffix)
        return answers

    def _sample(self, marks: Marks, metric: Any, key: Any, suffix: str) -> Any:  # noqa: ANN401 - metric, id, metric value
        wanted = metric.metric_value_kwargs.get("result_format") or {}
        columns = self._conditions[key].columns if key in self._conditions else ()
        indexes = wanted.get("unexpected_index_column_names")
        if suffix == asked.INDEXES and indexes is None:
            return None
        complete = wanted.get("result_format") == "COMPLETE" and suffix != asked.INDEXES
        limit = _MOST if complete else min(wanted.get("partial_unexpected_count", 20), _MOST)
        rows = [int(row) for row in marks.of(key)[:limit]]
        if self.parts is not None:
            return [{ROW: row} for row in rows] if suffix == asked.INDEXES else []
        scanner = self._scanner()
        if scanner is None or not rows:
            return []
        picked = () if suffix == asked.RECORDS else tuple(dict.fromkeys((*(indexes or ()), *columns)))
        values = scanner.values(rows, picked)
        if suffix == asked.VALUES:
            return [asked.value(values[row], columns, metric.metric_name) for row in rows]
        return [values[row] for row in rows]


def _no_scan() -> QualityError:
    return QualityError(
        "QUA-SCAN",
        zh="有规则无法与其他规则一起逐块执行，批次未作判定",
        en="Some rules could not be evaluated part by part with the others; the batch was not judged",
        fix_zh="请报告此问题",
        fix_en="Report this",
    )


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
    kept: Kept | None = None,
    beyond: Mapping[str, Late | str] | None = None,
) -> tuple[Any, Any]:
    """Great Expectations' result of the suite over a table of the lent connection, and the engine that made it.

    `url` is what quality.dialect.lend gave. With `parts` the table shows one part after the other while it is scanned;
    what asks for all rows at once is answered afterwards, from the columns of every part that `kept` took, over which
    `beyond` tells how to find the rows a rule about several rows lists; samples are row numbers alone. What Great
    Expectations has no SQL for, pandas answers (not without `fused`: that is its own way alone). The context lives in
    memory; nothing is written or printed.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    add = context.data_sources.add_shutong_fused if fused else context.data_sources.add_shutong_duckdb
    source = add("live", connection_string=url)
    engine = source.get_execution_engine()
    framed = [one for one in suite.expectations if fused and rest.framed(one)]
    left = [one for one in suite.expectations if parts is not None and one not in framed and not asked.streams(one)]
    some = [one for one in suite.expectations if one not in framed and one not in left]
    if parts is not None:
        kept = kept if kept is not None else Kept(engine.duckdb, table, ())
        kept.keep({ROW} if left or framed else ())
        for one in (*left, *framed):
            kept.keep(asked.reads(one, parts.nothing.schema.names))
        engine.parts, engine.kept, engine.beyond = parts, kept, beyond or {}
    batch = _batch(source, table)
    with configurations():
        found = [batch.validate(rest.some_of(suite, some), result_format=result_format)]
    if parts is not None:
        engine.go_through()
    if kept is not None and parts is not None and (left or framed):
        kept.show(parts.nothing.schema)
    if left:
        again = _batch(context.data_sources.add_shutong_duckdb("kept", connection_string=url), table)
        found += [_rest(engine, again, rest.some_of(suite, [one]), result_format) for one in left]
    for alike in rest.groups(framed):
        frame = rest.frame(context, engine.duckdb, table, alike)
        found += [_rest(engine, frame, rest.some_of(suite, [one]), result_format) for one in alike]
    return rest.together(found), engine


def _batch(source: Any, table: str) -> Any:  # noqa: ANN401 - GX
    return source.add_table_asset("batch", table_name=table).add_batch_definition_whole_table("whole").get_batch()


def _rest(engine: FusedExecutionEngine, batch: Any, suite: Any, result_format: Any) -> Any:  # noqa: ANN401 - GX
    """What a batch beside the scan answers of one expectation, in time; the engine is told how to find the rows."""
    with limits.query(engine.duckdb, limits.RULE):
        found = rest.in_time(batch, suite, result_format)
    for one in found.results:
        metric = rest.condition(one.expectation_config)
        if metric is not None:
            engine.elsewhere[metric] = rest.violators(batch, one.expectation_config)
    return found
