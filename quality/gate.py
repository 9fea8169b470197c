"""Decide whether a checked batch may land, and say why with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.values import Decision, RuleCount

Act = Literal["hold", "warn"]


@dataclass(frozen=True, slots=True)
class Freshness:
    """The newest value of a date field may be `days` old."""

    field: str
    days: int
    act: Act = "hold"


@dataclass(frozen=True, slots=True)
class Drop:
    """The rows of a run may be fewer than the median of the last `runs` good runs by `percent` percent."""

    percent: float
    runs: int = 5
    act: Act = "hold"


@dataclass(frozen=True, slots=True)
class Shift:
    """The distribution of each field may differ from that of the last `runs` good runs together.

    By `psi` (population stability index 群体稳定性指数) over its codes, decades or magnitudes, and by `nulls`
    percentage points in its share of empty values; `fields` empty: all that were delivered.
    """

    psi: float = 0.25
    nulls: float = 10.0
    runs: int = 5
    fields: tuple[str, ...] = ()
    act: Act = "warn"


@dataclass(frozen=True, slots=True)
class Gate:
    """When a batch is held 拦截.

    More than `max_percent` percent, or more than `max_rows`, of its rows in quarantine (None: no limit); a rule of
    `must_pass` violated or not evaluated; a column of `keys` without a single value. What is known only of a whole run
    and of runs before it (`freshness`, `drop`, `shift`) is judged by quality.gate_history.
    """

    max_percent: float | None = 5.0
    max_rows: int | None = None
    must_pass: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    freshness: Freshness | None = None
    drop: Drop | None = None
    shift: Shift | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was decided, and the reason in both languages."""

    decision: Decision
    zh: str
    en: str


def judge(
    gate: Gate, rows: int, quarantined: int, counts: Sequence[RuleCount], empty_keys: Sequence[str] = ()
) -> Judgement:
    """Hold, warn or pass.

    `empty_keys` are the key columns in which every value is null. An empty batch passes. Warn: something is to be
    looked at, be it rows in quarantine below the limits, violated warnings, or a warning that could not be evaluated.
    """
    if not rows:
        return Judgement("pass", "批次为空，没有可检查的记录", "The batch is empty, there was nothing to check")
    reasons = [*_limits(gate, rows, quarantined), *_rules(gate, counts), *_keys(empty_keys, rows)]
    if reasons:
        return _because("hold", reasons)
    remarks = _remarks(rows, quarantined, counts)
    if remarks:
        return _because("warn", remarks)
    return Judgement("pass", f"{rows:,} 行全部通过", f"All {rows:,} rows passed")


def _because(decision: Decision, reasons: Sequence[tuple[str, str]]) -> Judgement:
    return Judgement(decision, "；".join(zh for zh, _ in reasons), "; ".join(en for _, en in reasons))


def _limits(gate: Gate, rows: int, quarantined: int) -> list[tuple[str, str]]:
    share = quarantined * 100 / rows
    reasons = []
    if gate.max_percent is not None and share > gate.max_percent:
        limit = f"{gate.max_percent:g}%"
        reasons.append(
            (
                f"{rows:,} 行中有 {quarantined:,} 行（{share:.2f}%）应隔离，超过上限 {limit}",
                f"{quarantined:,} of {rows:,} rows ({share:.2f}%) belong in quarantine, more than the limit of {limit}",
            )
        )
    if gate.max_rows is not None and quarantined > gate.max_rows:
        reasons.append(
            (
                f"应隔离 {quarantined:,} 行，超过上限 {gate.max_rows:,} 行",
                f"{quarantined:,} rows belong in quarantine, more than the limit of {gate.max_rows:,}",
            )
        )
    return reasons


def _rules(gate: Gate, counts: Sequence[RuleCount]) -> list[tuple[str, str]]:
    by_rule = {count.rule: count for count in counts}
    reasons = []
    for count in counts:
        if count.error is not None and (count.severity == "error" or count.rule in gate.must_pass):
            reasons.append((f"规则 {count.rule} 无法执行", f"rule {count.rule} could not be evaluated"))
        elif count.rows and count.rule in gate.must_pass:
            reasons.append(
                (
                    f"规则 {count.rule} 必须全部通过，但有 {count.rows:,} 行违反",
                    f"rule {count.rule} must pass, but {count.rows:,} rows violate it",
                )
            )
    reasons += [
        (f"规则 {rule} 必须通过，但不适用于本资源", f"rule {rule} must pass, but does not apply to this resource")
        for rule in gate.must_pass
        if rule not in by_rule
    ]
    return reasons


def _keys(empty_keys: Sequence[str], rows: int) -> list[tuple[str, str]]:
    return [
        (f"关键列 {key} 在全部 {rows:,} 行中均为空", f"key column {key} is empty in all {rows:,} rows")
        for key in empty_keys
    ]


def _remarks(rows: int, quarantined: int, counts: Sequence[RuleCount]) -> list[tuple[str, str]]:
    remarks = []
    if quarantined:
        share = quarantined * 100 / rows
        remarks.append(
            (
                f"{rows:,} 行中隔离 {quarantined:,} 行（{share:.2f}%），未超过上限",
                f"{quarantined:,} of {rows:,} rows ({share:.2f}%) go to quarantine, within the limits",
            )
        )
    warned = [count for count in counts if count.severity == "warning" and count.rows]
    if warned:
        most = max(warned, key=lambda count: count.rows)
        remarks.append(
            (
                f"{len(warned)} 条警告规则被违反，最多的是 {most.rule}（{most.rows:,} 行）",
                f"{len(warned)} warning rules are violated, most often {most.rule} ({most.rows:,} rows)",
            )
        )
    remarks += [
        (f"规则 {count.rule} 无法执行", f"rule {count.rule} could not be evaluated")
        for count in counts
        if count.error is not None and count.severity != "error"
    ]
    return remarks
