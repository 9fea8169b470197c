"""What a report on quality says: every number once, so that each rendering shows the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Language = Literal["zh", "en"]
Kind = Literal["run", "period"]
State = Literal["first", "new", "still", "fixed", "clean", "unknown", "gone"]
VERSION = 1  # of the JSON form; a field that is added leaves it as it is, one that goes or changes raises it


@dataclass(frozen=True, slots=True)
class Words:
    """A text in both languages."""

    zh: str
    en: str

    def said(self, lang: Language) -> str:
        """The text in that language."""
        return self.en if lang == "en" else self.zh


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of the rows; None: not known, since the run is older than its records or still going on.

    received = landed + quarantined + superseded + deleted + held + rejected, once a run has ended.
    """

    received: int | None = None
    landed: int | None = None
    quarantined: int | None = None
    superseded: int | None = None
    deleted: int | None = None
    held: int | None = None
    rejected: int | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of the profile of indicators: the mean of its `measured` indicators of all `indicators`, 0 to 100.

    None where nothing was measured, which is not the same as good.
    """

    code: str
    name: Words
    score: float | None
    measured: int
    indicators: int


@dataclass(frozen=True, slots=True)
class IndicatorLine:
    """An indicator with A and B as its standard defines them, and 0 to 100; None: not measured, `unmeasured` says why.

    `errors` rules that feed it could not be evaluated.
    """

    code: str
    name: Words
    a: int | None
    b: int | None
    score: float | None
    errors: int
    unmeasured: Words | None = None


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule of one resource: rows violating it of the rows it looked at, and the same before.

    `checks` were made, in `errors` of them it could not be evaluated (`error` says why, the last time): an error is
    not a failure. `before` is None where it was not evaluated before. `state` as in quality.store.RuleChange, but for
    `first`: violated in the first check there was of it, so that nobody knows whether that is new; and
    `gone`: checked before, and no rule of now. `changed`: it did not judge by the same definition before.
    """

    resource: str
    rule: str
    severity: str
    indicator: str
    name: Words
    fix: Words
    rows: int
    evaluated: int
    before: int | None
    before_evaluated: int | None
    state: State
    checks: int
    errors: int
    error: str | None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class DepartmentLine:
    """A department's place: its score, rows that may land of the rows checked, good judgements of all made.

    A judgement is one error or warning rule over one row. Rank 1 is best: by score, then by rows, then by judgements.
    """

    rank: int
    department: str
    name: Words
    score: float | None
    accepted: int
    rows: int
    good: int
    judged: int


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check: a batch of a run, what was decided about it and why; `checked_at` is ISO 8601 with offset."""

    resource: str
    run: str
    batch: str
    checked_at: str
    rows: int
    quarantined: int
    decision: str
    reason: Words


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """Rows checked and rows for quarantine, of one run or one day."""

    at: str
    label: str
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One work order 质量工单 as it stands; `due` is the last day of its term."""

    number: int
    resource: str
    rule: str
    severity: str
    state: str
    rows: int
    opened_at: str
    due: str
    overdue: bool
    assignee: str
    name: Words


@dataclass(frozen=True, slots=True)
class OrderCounts:
    """Orders opened and closed within the report's span, and at its end waiting, of those overdue."""

    opened: int = 0
    closed: int = 0
    waiting: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a failing row as its reader may see it; `how` is clear, masked, or shape where only that is shown."""

    field: str
    name: Words
    shown: str
    how: Literal["clear", "masked", "shape"]


@dataclass(frozen=True, slots=True)
class FailingRow:
    """A row that violates a rule: where it stands in its batch, its key, all rules it violates, values concerned."""

    run: str
    batch: str
    row: int
    key: str
    rules: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of the rows that violate a rule, and the command that gives all of them."""

    resource: str
    rule: str
    rows: tuple[FailingRow, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report says.

    Of a run: `subject` is the resource and `run` its id. Of a period: `subject` is the department, `first` and `last`
    its days. `before` names what is compared with. `profile` is what scores come from, `score` the total of all
    dimensions. `ranked_since` is the first day the ranking counts.
    """

    kind: Kind
    subject: str
    name: Words
    run: str | None
    before: str | None
    first: str
    last: str
    made_at: str
    ranked_since: str
    flow: Flow
    rows: int
    quarantined: int
    decision: str
    profile: Words
    score: float | None
    dimensions: tuple[Dimension, ...]
    indicators: tuple[IndicatorLine, ...]
    rules: tuple[RuleLine, ...]
    departments: tuple[DepartmentLine, ...]
    checks: tuple[CheckLine, ...]
    trend: tuple[TrendPoint, ...]
    orders: tuple[OrderLine, ...]
    order_counts: OrderCounts
    samples: tuple[Sample, ...] = ()
    names: tuple[tuple[str, Words], ...] = field(default=())

    @property
    def failed(self) -> tuple[RuleLine, ...]:
        """Rules of severity error and warning that some row violates, errors first, the most rows first."""
        found = [one for one in self.rules if one.rows and one.severity != "info"]
        return tuple(sorted(found, key=lambda one: (SEVERITIES.index(one.severity), -one.rows, one.resource, one.rule)))

    @property
    def repaired(self) -> tuple[RuleLine, ...]:
        """Rules of severity info with rows: what was put right, or is worth knowing, and keeps no row from landing."""
        found = [one for one in self.rules if one.rows and one.severity == "info"]
        return tuple(sorted(found, key=lambda one: (-one.rows, one.resource, one.rule)))

    @property
    def unevaluated(self) -> tuple[RuleLine, ...]:
        """Rules that could not be evaluated in some check."""
        return tuple(one for one in self.rules if one.errors)

    @property
    def fixed(self) -> tuple[RuleLine, ...]:
        """Rules of severity error and warning that were violated before and are not now."""
        return tuple(one for one in self.rules if one.state == "fixed" and one.severity != "info")

    def called(self, name: str, lang: Language) -> str:
        """What a resource or department is called; its id where nobody says."""
        return next((words.said(lang) for one, words in self.names if one == name), name)

    def sample(self, line: RuleLine) -> Sample | None:
        """The failing rows of a rule, where there are any."""
        return next((one for one in self.samples if (one.resource, one.rule) == (line.resource, line.rule)), None)


SEVERITIES = ("error", "warning", "info")


def percent(part: int, whole: int) -> str:
    """A share with two decimals, `–` of nothing; never rounded up to 100 % nor down to 0 %."""
    if not whole:
        return "–"
    hundredths = (part * 20_000 + whole) // (2 * whole)
    if part and not hundredths:
        return "<0.01%"
    if part < whole:
        hundredths = min(hundredths, 9_999)
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def number(count: int | None) -> str:
    """A count with thousands apart; `–` where it is not known."""
    return "–" if count is None else f"{count:,}"


def points(score: float | None) -> str:
    """A score with one decimal; never rounded up to 100, `–` where nothing was measured."""
    return "–" if score is None else f"{score if score >= 100 else min(score, 99.9):.1f}"  # noqa: PLR2004 - full marks
