"""Check a standardised batch against its rules: what is wrong, row by row, and whether it may land."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from quality import expectations, rowsets
from quality.engine import FusedExecutionEngine
from quality.errors import QualityError
from quality.gate import Gate, Judgement, judge
from quality.kept import KEPT, Kept
from quality.parts import Parts
from quality.remembered import configurations
from quality.repeats import Repeats
from quality.stages import TABLE, stage
from quality.streamed import Late
from quality.unanswered import unanswered
from quality.violations import Rows, by_row, for_quarantine
from schemas.standard import Rule
from schemas.values import ROW, Json, RuleCount, Verdict

from great_expectations.expectations.registry import get_metric_kwargs  # isort: skip
from great_expectations.validator.metric_configuration import MetricConfiguration  # isort: skip

SAMPLE = 20  # row numbers kept in the results, per rule
_NONE: Mapping[str, pa.Table] = MappingProxyType({})
_USUAL = pa.default_memory_pool()


def check(
    table: pa.Table, rules: Sequence[Rule], codes: Mapping[str, frozenset[str]], gate: Gate, today: date
) -> Verdict:
    """Evaluate every rule on every row of a table in memory; all else as `check_parts`."""
    return check_parts([table], table.schema, rules, codes, gate, today)


def check_parts(  # noqa: PLR0917 - what, by what, in the order they are said
    parts: Iterable[pa.Table],
    schema: pa.Schema,
    rules: Sequence[Rule],
    codes: Mapping[str, frozenset[str]],
    gate: Gate,
    today: date,
    references: Mapping[str, pa.Table] = _NONE,
) -> Verdict:
    """Evaluate every rule on every row, going through the parts once, so that memory grows only with what is wrong.

    `parts` are a standardised batch with `_row` (each once), all of one `schema`; `codes` the code lists by name;
    `today` the day of the check; `references` the relations that rules look at (quality.rowsets.references says which
    columns). Rules about several rows keep the columns they read, and uniqueness 16 bytes a row. A rule that cannot be
    evaluated carries its error in its count and violates no row; if it is an error rule the batch is held. `results` is
    Great Expectations' own result, with row numbers in place of values: it is kept where personal data has no place.
    Rows that say only that the source deleted their record are not judged; they count in `rows`. QualityError:
    QUA-TABLE, and QUA-RULE-ID as quality.suite; what `parts` raise.
    """
    with (
        _memory(),
        stage(rules, codes, today, schema) as (asked, gone_through),
        asked.relations(references),
        configurations(),
    ):
        failed = {rule: str(error) for rule, error in asked.refused.items()}
        shown = Parts(asked.connection, TABLE, parts, schema, lambda part: _with_marks(part, asked.rules, today))
        several = [rule for rule in asked.rules if rule.beyond]
        beyond = {rule.id: _several(rule, shown.nothing.schema) for rule in several}
        columns = {one for rule in several if isinstance(beyond[rule.id], str) for one in rowsets.needed(rule)}
        kept = Kept(asked.connection, TABLE, columns)
        result, engine = asked.ask(shown, kept, beyond)
        if shown.error is not None:
            raise shown.error
        gone_through.append(shown.rows)
        by_rule = {one.expectation_config.meta["rule"]: one for one in result.results}
        for rule, one in by_rule.items():
            if (why := _error(one.exception_info)) is not None:
                failed[rule] = str(unanswered(rule, why))
        violators = {rule: _violators(engine, one) for rule, one in by_rule.items() if rule not in failed}
        told = asked.told(result)
    counts = tuple(_count(rule, by_rule.get(rule.id), violators, failed) for rule in rules)
    quarantine = for_quarantine(rules, violators)
    decided = judge(gate, shown.records, len(quarantine), counts, shown.empty(gate.keys))
    if shown.rows and not shown.records:
        decided = Judgement(
            "pass", f"{shown.rows:,} 行都是来源的删除", f"All {shown.rows:,} rows are deletions at the source"
        )
    return Verdict(
        rows=shown.rows,
        counts=counts,
        violations=by_row(rules, violators),
        quarantine=quarantine,
        decision=decided.decision,
        reason_zh=decided.zh,
        reason_en=decided.en,
        results=_results(told, rules, violators, failed),
    )


@contextmanager
def _memory() -> Iterator[None]:
    """Arrow's own allocator gives memory back at once, for which all threads wait: a fifth of a check's time."""
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(_USUAL)


def _with_marks(table: pa.Table, rules: Sequence[Rule], today: date) -> pa.Table:
    """The table with a boolean column for each identifier check: column kernels are several times faster than SQL."""
    for rule in rules:
        if rule.kind != "check_digit" or rule.columns[0] not in table.column_names:
            continue
        kind, required = str(rule.params["kind"]), bool(rule.params.get("empty_fails", False))
        name = expectations.mark(kind, rule.columns[0], required=required)
        if name not in table.column_names:
            values = expectations.marked(table, kind, rule.columns[0], today, required=required)
            table = table.append_column(name, values)
    return table


def _several(rule: Rule, schema: pa.Schema) -> Late | str:
    """How the rows that violate a rule about several rows are found: by their keys, or by a query."""
    if rule.kind == "unique" and "where" not in rule.params:
        by = rule.params.get("by")
        return Repeats([str(one) for one in by] if isinstance(by, list) else rule.columns, schema)
    return rowsets.violators(rule, KEPT)


def _violators(engine: FusedExecutionEngine, result: Any) -> Rows:  # noqa: ANN401 - a GX result
    """The rows that violate one rule, by the very condition that Great Expectations counted."""
    config = result.expectation_config
    name = f"{config.to_domain_obj().map_metric}.condition"
    kwargs = get_metric_kwargs(name, config)
    metric = MetricConfiguration(name, kwargs["metric_domain_kwargs"], kwargs["metric_value_kwargs"])
    rows = engine.violating(metric)
    counted = result.result["unexpected_count"] or 0
    if len(rows) != counted:
        rule = config.meta["rule"]
        raise QualityError(
            "QUA-COUNT",
            zh=f"规则 {rule} 统计为 {counted} 行，但找到 {len(rows)} 行",
            en=f"Rule {rule} was counted for {counted} rows, but {len(rows)} were found",
            fix_zh="请报告此问题，批次未作判定",
            fix_en="Report this; the batch was not judged",
        )
    return rows


def _count(rule: Rule, result: Any, violators: Mapping[str, Rows], failed: Mapping[str, str]) -> RuleCount:  # noqa: ANN401
    if rule.id in failed:
        return RuleCount(rule.id, rule.severity, 0, 0, failed[rule.id])
    looked_at = result.result["element_count"]
    if rule.kind != "reject":  # there it is the rows without a defect that have no value, and they were read too
        looked_at -= result.result.get("missing_count") or 0
    return RuleCount(rule.id, rule.severity, len(violators[rule.id]), looked_at)


def _error(info: Mapping[str, Any] | None) -> str | None:
    """Why a rule could not be evaluated, in one line without values; None when it could."""
    found = [info, *info.values()] if info else []
    messages = [one["exception_message"] for one in found if isinstance(one, dict) and one.get("raised_exception")]
    if not messages:
        return None
    first = str(messages[0]).strip().splitlines() or [""]
    bare = re.sub(r"^\(_duckdb\.\w+\) ", "", first[0])  # SQLAlchemy's name for it says nothing to anybody
    return re.sub(r"'.*'", "'…'", bare)[:300]  # quoted text may be somebody's number, and have quotes itself


def _results(
    told: Mapping[str, Any],
    rules: Sequence[Rule],
    violators: Mapping[str, Rows],
    failed: Mapping[str, str],
) -> Mapping[str, Json]:
    order = {rule.id: place for place, rule in enumerate(rules)}
    plain: dict[str, Any] = json.loads(json.dumps(told, default=str))
    plain["success"] = plain["success"] and not failed
    plain["results"].sort(key=lambda one: order[one["expectation_config"]["meta"]["rule"]])
    for one in plain["results"]:
        rule = one["expectation_config"]["meta"]["rule"]
        one["exception_info"] = {"raised_exception": rule in failed, "exception_message": failed.get(rule)}
        rows = violators.get(rule, np.empty(0, np.int64))
        one["result"].pop("partial_unexpected_list", None)
        one["result"]["partial_unexpected_index_list"] = [{ROW: int(row)} for row in rows[:SAMPLE]]
    return plain
