"""Keep what each check found, in the state database: one row per run, one per run and rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import sqlalchemy as sa

from quality import scores
from quality.scores_values import Facts
from schemas.standard import Rule
from schemas.values import Verdict

METADATA = sa.MetaData()
_SHANGHAI = timezone(timedelta(hours=8))

# migrations/versions/0002_quality.py makes these two.
QUALITY_RUN = sa.Table(
    "quality_run",
    METADATA,
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("run", sa.String(200), primary_key=True),
    sa.Column("department", sa.String(200), nullable=False),
    sa.Column("batch", sa.String(200), nullable=False),
    sa.Column("checked_at", sa.String(40), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
    sa.Column("decision", sa.String(10), nullable=False),
    sa.Column("reason_zh", sa.Text, nullable=False),
    sa.Column("reason_en", sa.Text, nullable=False),
    sa.Column("results", sa.Text, nullable=False),
    sa.Index("quality_run_checked_at", "resource", "checked_at"),
)

QUALITY_RULE = sa.Table(
    "quality_rule",
    METADATA,
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("run", sa.String(200), primary_key=True),
    sa.Column("rule", sa.String(200), primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    sa.Column("indicator", sa.String(20), nullable=False),
    sa.Column("zh", sa.Text, nullable=False),
    sa.Column("en", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("evaluated", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text),
)

_NO_FACTS = Facts()
_SUMMARY = [column for column in QUALITY_RUN.columns if column.name != "results"]


@dataclass(frozen=True, slots=True)
class QualityRun:
    """How one check of one resource came out; `checked_at` is ISO 8601 with offset, Asia/Shanghai."""

    resource: str
    run: str
    department: str
    batch: str
    checked_at: str
    rows: int
    quarantined: int
    decision: str
    reason_zh: str
    reason_en: str


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """How one rule came out in one run: rows violating it, rows it looked at, or why it could not be evaluated."""

    rule: str
    severity: str
    indicator: str
    zh: str
    en: str
    rows: int
    evaluated: int
    error: str | None


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule in the latest run and the one before; None: not evaluated, or not a rule, at that time.

    new 新增: violated now, not before; still 持续: violated in both; fixed 已解决: violated before, not now;
    clean 正常: violated in neither; unknown 未知: not evaluated now.
    """

    rule: str
    severity: str
    zh: str
    en: str
    before: int | None
    now: int | None
    state: Literal["new", "still", "fixed", "clean", "unknown"]


class QualityStore:
    """The quality tables of one state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(  # noqa: PLR0917 - where, what and how, in the order they are said
        self,
        resource: str,
        department: str,
        run: str,
        batch: str,
        rules: Sequence[Rule],
        verdict: Verdict,
        facts: Facts = _NO_FACTS,
    ) -> None:
        """Keep a verdict and its measures; the same run of the same resource again replaces them and keeps its time."""
        words = {rule.id: rule for rule in rules}
        with self._engine.begin() as connection:
            before = connection.execute(_of(sa.select(QUALITY_RUN.c.checked_at), QUALITY_RUN, resource, run)).scalar()
            for table in (QUALITY_RULE, QUALITY_RUN):
                connection.execute(_of(sa.delete(table), table, resource, run))
            at = before or datetime.now(_SHANGHAI).isoformat(timespec="microseconds")
            connection.execute(
                sa.insert(QUALITY_RUN).values(
                    resource=resource,
                    run=run,
                    department=department,
                    batch=batch,
                    checked_at=at,
                    rows=verdict.rows,
                    quarantined=len(verdict.quarantine),
                    decision=verdict.decision,
                    reason_zh=verdict.reason_zh,
                    reason_en=verdict.reason_en,
                    results=json.dumps(verdict.results, ensure_ascii=False),
                )
            )
            outcomes = [
                {
                    "resource": resource,
                    "run": run,
                    "rule": count.rule,
                    "place": place,
                    "severity": count.severity,
                    "indicator": words[count.rule].indicator,
                    "zh": words[count.rule].zh,
                    "en": words[count.rule].en,
                    "rows": count.rows,
                    "evaluated": count.evaluated,
                    "error": count.error,
                }
                for place, count in enumerate(verdict.counts)
            ]
            if outcomes:
                connection.execute(sa.insert(QUALITY_RULE), outcomes)
            scores.keep(connection, resource, department, run, at, rules, verdict, facts)

    def amend(self, resource: str, run: str, decision: str, zh: str, en: str) -> None:
        """Record what a check was decided in the end, once the whole of its run was known."""
        values = {"decision": decision, "reason_zh": zh, "reason_en": en}
        with self._engine.begin() as connection:
            connection.execute(_of(sa.update(QUALITY_RUN), QUALITY_RUN, resource, run).values(**values))

    def latest(self, resource: str) -> QualityRun | None:
        """The last check of a resource; None when it was never checked."""
        runs = self.history(resource, 1)
        return runs[0] if runs else None

    def history(self, resource: str | None = None, limit: int = 50) -> list[QualityRun]:
        """Checks of one resource, or of all, newest first, at most `limit`."""
        query = sa.select(*_SUMMARY).order_by(QUALITY_RUN.c.checked_at.desc(), QUALITY_RUN.c.run.desc()).limit(limit)
        if resource is not None:
            query = query.where(QUALITY_RUN.c.resource == resource)
        with self._reading() as connection:
            return [QualityRun(**row) for row in connection.execute(query).mappings()]

    def rules(self, resource: str, run: str) -> list[RuleOutcome]:
        """How each rule came out in one run, in the order of the standard; empty for an unknown run."""
        names = [field for field in RuleOutcome.__slots__]  # noqa: C416 - __slots__ is typed as a string or an iterable
        query = sa.select(*(QUALITY_RULE.c[name] for name in names)).order_by(QUALITY_RULE.c.place)
        with self._reading() as connection:
            rows = connection.execute(_of(query, QUALITY_RULE, resource, run)).mappings()
            return [RuleOutcome(**row) for row in rows]

    def results(self, resource: str, run: str) -> dict[str, Any] | None:
        """The Great Expectations result of one run as it was recorded; None for an unknown run."""
        with self._reading() as connection:
            text = connection.execute(_of(sa.select(QUALITY_RUN.c.results), QUALITY_RUN, resource, run)).scalar()
        found: dict[str, Any] | None = None if text is None else json.loads(text)
        return found

    def compare(self, resource: str) -> list[RuleChange]:
        """The latest run beside the one before, rule by rule; empty when the resource was never checked."""
        runs = self.history(resource, 2)
        if not runs:
            return []
        now = {one.rule: one for one in self.rules(resource, runs[0].run)}
        earlier = self.rules(resource, runs[1].run) if len(runs) > 1 else []
        before = {one.rule: one for one in earlier}
        return [_change(rule, before.get(rule), now.get(rule)) for rule in dict.fromkeys((*now, *before))]

    def _reading(self) -> sa.Connection:
        # The state database's SQLite engine locks for writing at BEGIN unless it is told.
        return self._engine.execution_options(reading=True).connect()


def _of(query: Any, table: sa.Table, resource: str, run: str) -> Any:  # noqa: ANN401 - any statement with where
    return query.where(table.c.resource == resource, table.c.run == run)


def _change(rule: str, before: RuleOutcome | None, now: RuleOutcome | None) -> RuleChange:
    words = now or before
    assert words is not None  # noqa: S101 - the rule comes from one of them
    then, today = _rows(before), _rows(now)
    state: Literal["new", "still", "fixed", "clean", "unknown"]
    if today is None:
        state = "unknown"
    elif today:
        state = "still" if then else "new"
    else:
        state = "fixed" if then else "clean"
    return RuleChange(rule, words.severity, words.zh, words.en, then, today, state)


def _rows(outcome: RuleOutcome | None) -> int | None:
    return None if outcome is None or outcome.error is not None else outcome.rows
