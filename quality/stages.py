"""Keep what it took to ask a suite of one batch, so that the next batch with the same columns is asked at once.

Great Expectations takes tenths of a second to find out which metrics a suite needs and what their conditions are. That
depends on the rules and on the columns, not on the rows. What a stage was asked once without an error it is asked again
by going through the parts and having Great Expectations judge the metrics: its own results, as the first time.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa

from quality import asked, expectations, rest, rowsets
from quality.dialect import lend, quote
from quality.engine import FusedExecutionEngine, validate
from quality.kept import KEPT, Kept
from quality.parts import Parts
from quality.remembered import configurations
from quality.streamed import Late
from quality.suite import usable
from schemas.standard import Rule
from schemas.values import ROW

from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult  # isort: skip
from great_expectations.util import convert_to_json_serializable  # isort: skip

TABLE = "checked"
MOST = 16  # stages kept, of the resources that a process checks in turn: at 5 MB each
LARGE = 1_000_000  # rows of a batch after which a stage is not kept: DuckDB gives its memory back when it is closed
_FORMAT = MappingProxyType({"result_format": "BASIC", "exclude_unexpected_values": True, "partial_unexpected_count": 0})
_CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",  # a part is one piece: others would only wait for work
}
_KEPT: OrderedDict[Any, Stage] = OrderedDict()
_GUARD = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Question:
    """An expectation as it was asked: its result's rule, the metrics it needs, and what its result is in JSON."""

    rule: str
    expectation: Any
    needs: tuple[Any, ...]
    told: Mapping[str, Any]


class Stage:
    """A DuckDB connection that is closed to the world and sees what rules look into, and a suite to be asked there.

    `suite` holds the rules that can be asked at all, `refused` why others cannot. One batch at a time.
    """

    def __init__(self, rules: Sequence[Rule], codes: Mapping[str, frozenset[str]], today: date) -> None:
        self.suite, self.refused = usable(rules, codes, today)
        self.rules = [rule for rule in rules if rule.id not in self.refused]
        self._open = ExitStack()
        self.connection = self._open.enter_context(duckdb.connect(":memory:", config=_CLOSED))
        self._url = self._open.enter_context(lend(self.connection))
        set_up(self.connection, codes, self.rules, today)
        self._streams = all(asked.streams(one) and not rest.framed(one) for one in self.suite.expectations)
        self._first: tuple[FusedExecutionEngine, Any] | None = None
        self._questions: tuple[_Question, ...] | None = None
        self._told: Mapping[str, Any] = {}

    @contextmanager
    def relations(self, references: Mapping[str, pa.Table]) -> Iterator[None]:
        """Let the suite look into these relations."""
        for name, relation in references.items():
            self.connection.register(rowsets.reference_table(name), relation)
        yield
        for name in references:
            self.connection.unregister(rowsets.reference_table(name))

    def ask(self, parts: Parts, kept: Kept, beyond: Mapping[str, Late | str]) -> tuple[Any, FusedExecutionEngine]:
        """Great Expectations' result, and the engine that knows the rows; what the parts raise, and as `validate`."""
        if self._first is None:
            result, engine = validate(
                self._url, TABLE, self.suite, dict(_FORMAT), parts=parts, kept=kept, beyond=beyond
            )
            failed = any(_failed(one.exception_info) for one in result.results)
            self._first = (engine, result) if self._streams and not failed else None
            return result, engine
        engine, first = self._first
        with configurations():
            if self._questions is None:
                self._told = first.to_json_dict()
                self._questions = _questions(engine, first, self._told)
            metrics = engine.again(parts, kept, beyond)
            results = [_answer(one, metrics, engine) for one in self._questions]
        if any(_failed(one.exception_info) for one in results):
            self._first = None  # its conditions are no longer all there
        return _whole(first, results), engine

    def told(self, result: Any) -> dict[str, Any]:  # noqa: ANN401 - a GX result
        """The result as plain values, as Great Expectations has them."""
        if self._questions is None:
            plain: dict[str, Any] = result.to_json_dict()
            return plain
        known = {one.rule: one.told for one in self._questions}
        results = [
            {
                **known[one.expectation_config.meta["rule"]],
                "success": one.success,
                "result": convert_to_json_serializable(one.result),
                "exception_info": convert_to_json_serializable(one.exception_info),
            }
            for one in result.results
        ]
        figures = {"success": result.success, "statistics": result.statistics, "meta": result.meta}
        return {**self._told, **convert_to_json_serializable(figures), "results": results}

    def again(self, rows: int) -> bool:
        """Whether another batch can be asked, after one of so many rows; nothing of that one is left."""
        if self._first is None or rows > LARGE:
            return False
        self.connection.execute(f"DROP TABLE IF EXISTS {KEPT}")
        self._first[0].forget()
        return True

    def close(self) -> None:
        """Give everything back."""
        self._first = self._questions = None
        self._open.close()


@contextmanager
def stage(
    rules: Sequence[Rule], codes: Mapping[str, frozenset[str]], today: date, schema: pa.Schema
) -> Iterator[tuple[Stage, list[int]]]:
    """A stage for batches of these columns, and a list for the number of rows that were gone through.

    It is kept for the next such batch of this process when all went well. QualityError: QUA-RULE-ID.
    """
    lists = {name: codes.get(name) for rule in rules if isinstance(name := rule.params.get("list"), str)}
    key = (os.getpid(), repr(tuple(rules)), frozenset(lists.items()), today, schema.remove_metadata())
    with _GUARD:
        found = _KEPT.pop(key, None)
    one = found or Stage(rules, codes, today)
    rows: list[int] = []
    try:
        yield one, rows
        keep = bool(rows) and one.again(rows[0])
    except BaseException:
        one.close()
        raise
    if not keep:
        one.close()
        return
    with _GUARD:
        others = [_KEPT.pop(key)] if key in _KEPT else []  # another thread's, of the same columns
        _KEPT[key] = one
        while len(_KEPT) > MOST:
            others.append(_KEPT.popitem(last=False)[1])
    for other in others:
        other.close()


def set_up(
    connection: duckdb.DuckDBPyConnection, codes: Mapping[str, frozenset[str]], rules: Sequence[Rule], today: date
) -> None:
    """Let a connection see what rules look into, and the day of the check; it can be configured no more."""
    connection.execute("SET TimeZone = 'Asia/Shanghai'")
    for macro in ("today", "current_date"):
        connection.execute(f"CREATE MACRO {quote(macro)}() AS DATE '{today.isoformat()}'")
    for name in {str(rule.params["list"]) for rule in rules if rule.kind == "code"}:
        listed = pa.table({"code": pa.array(sorted(codes[name]), pa.string())})
        connection.register(expectations.code_table(name), listed)
    for rule in rules:
        if rule.beyond:
            connection.register(expectations.violators_table(rule.id), pa.table({ROW: pa.array([], pa.int64())}))
    connection.execute("SET lock_configuration = true")


def _questions(engine: FusedExecutionEngine, first: Any, told: Mapping[str, Any]) -> tuple[_Question, ...]:  # noqa: ANN401 - a GX result
    plain = {one["expectation_config"]["meta"]["rule"]: one for one in told["results"]}
    made = []
    for one in first.results:
        rule, expectation = one.expectation_config.meta["rule"], one.expectation_config.to_domain_obj()
        needed = expectation.get_validation_dependencies(engine, {"result_format": dict(_FORMAT)})
        needs = tuple(each.id for each in needed.get_metric_configurations())
        made.append(_Question(rule, expectation, needs, plain[rule]))
    return tuple(made)


def _answer(one: _Question, metrics: Mapping[Any, Any], engine: FusedExecutionEngine) -> Any:  # noqa: ANN401 - a GX result
    absent = next((each for each in one.needs if each not in metrics), None)
    why = None if absent is None else engine.why(absent)
    if why is None:
        return one.expectation.metrics_validate(
            metrics=metrics, runtime_configuration={"result_format": dict(_FORMAT)}, execution_engine=engine
        )
    return ExpectationValidationResult(
        success=False,
        expectation_config=one.expectation.configuration,
        exception_info={"raised_exception": True, "exception_message": why, "exception_traceback": ""},
    )


def _whole(first: Any, results: list[Any]) -> Any:  # noqa: ANN401 - GX results
    figures = rest.statistics(results)
    began = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return ExpectationSuiteValidationResult(
        success=figures["unsuccessful_expectations"] == 0,
        results=results,
        suite_name=first.suite_name,
        statistics=figures,
        meta={**first.meta, "batch_markers": {**first.meta["batch_markers"], "ge_load_time": began}},
        batch_id=first.batch_id,
    )


def _failed(info: Mapping[str, Any] | None) -> bool:
    found = [info, *info.values()] if info else []
    return any(isinstance(one, dict) and bool(one.get("raised_exception")) for one in found)
