"""The tables of a report in one language: what HTML, XLSX and PDF show, from the same cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from quality.reports.values import Cell, Language, Report, RuleLine, Sample, number, percent, points
from quality.reports.words import say, why

BROKEN = frozenset({"rule", "run", "batch", "also", "resource"})  # columns of long names, which may break within
Kind = Literal["text", "count", "share", "mark", "score"]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, shown as percent."""

    part: int
    whole: int


@dataclass(frozen=True, slots=True)
class Points:
    """A score from 0 to 100."""

    score: float


Value: TypeAlias = str | int | Share | Points | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key, its heading, and what its cells are; a mark is a word of few, shown as a badge."""

    key: str
    label: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns; `leads_to` is the failing rows behind it; `marks` hold the untranslated."""

    cells: tuple[Value, ...]
    leads_to: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its id, title, columns, rows, and a remark."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    remark: str = ""


def shown(value: Value) -> str:
    """A cell as text for people."""
    if isinstance(value, Share):
        return percent(value.part, value.whole)
    if isinstance(value, Points):
        return points(value.score)
    return value if isinstance(value, str) else number(value)


def anchor(resource: str, rule: str) -> str:
    """Where the failing rows of a rule stand in a page."""
    return f"rows-{resource}-{rule}"


def tables(report: Report, lang: Language) -> tuple[Table, ...]:
    """All tables of a report, in the order they are read; empty ones too."""
    makers = (
        flow, failed, repaired, unevaluated, fixed, dimensions, indicators, departments, trend, orders, checks, rules,
        failing,
    )  # fmt: skip
    return tuple(make(report, lang) for make in makers)


def flow(report: Report, lang: Language) -> Table:
    """What became of the rows."""
    parts = report.flow
    names = ("received", "landed", "quarantined", "superseded", "deleted", "held", "rejected")
    counts: list[int | None] = [getattr(parts, name) for name in names]
    cells = list(zip(names, counts, strict=True))
    cells.insert(1, ("checked", report.rows))
    whole = parts.received or 0
    rows = [
        Row((say(name, lang), count, None if count is None or name == "checked" else Share(count, whole)))
        for name, count in cells
    ]
    return _table("flow", lang, ("fate", "rows:count", "share:share"), rows)


def dimensions(report: Report, lang: Language) -> Table:
    """The dimensions of the profile, each the mean of its indicators."""
    rows = [
        Row((f"{one.code} {one.name.said(lang)}", _points(one.score, lang), one.measured, one.indicators))
        for one in report.dimensions
    ]
    remark = f"{report.profile.said(lang)} · {say('total', lang)} {points(report.score)}"
    return _table("dimensions", lang, ("dimension", "score:score", "measured:count", "of:count"), rows, remark)


def indicators(report: Report, lang: Language) -> Table:
    """The indicators with numerators and denominators."""
    rows = [
        Row(
            (
                one.code, one.name.said(lang), one.a, one.b, _points(one.score, lang), one.errors,
                one.unmeasured.said(lang) if one.unmeasured else "",
            )
        )
        for one in report.indicators
    ]  # fmt: skip
    columns = ("indicator", "name", "a:count", "b:count", "score:score", "not_evaluated:count", "remark")
    return _table("indicators", lang, columns, rows, report.profile.said(lang))


def _points(score: float | None, lang: Language) -> Value:
    return say("not_measured", lang) if score is None else Points(score)


_RULE = (
    "rule", "severity:mark", "indicator", "rows:count", "evaluated:count", "share:share", "rows_before:count",
    "change:mark", "what", "fix",
)  # fmt: skip


def failed(report: Report, lang: Language) -> Table:
    """Rules that some row violates."""
    return _rules("failed_rules", report, lang, report.failed)


def repaired(report: Report, lang: Language) -> Table:
    """What was put right."""
    return _rules("repaired_rules", report, lang, report.repaired, say("repaired_note", lang))


def fixed(report: Report, lang: Language) -> Table:
    """Rules that were violated before and are not now."""
    return _rules("fixed_rules", report, lang, report.fixed)


def rules(report: Report, lang: Language) -> Table:
    """Every rule."""
    return _rules("all_rules", report, lang, report.rules)


def _rules(name: str, report: Report, lang: Language, lines: Sequence[RuleLine], remark: str = "") -> Table:
    several = report.kind == "period"
    rows = []
    for one in lines:
        answered = one.errors < one.checks
        cells: tuple[Value, ...] = (
            one.rule,
            say(one.severity, lang),
            one.indicator,
            one.rows if answered else None,
            one.evaluated if answered else None,
            Share(one.rows, one.evaluated) if answered else None,
            one.before,
            say(one.state, lang),
            f"{one.name.said(lang)}（{say('changed_rule', lang)}）" if one.changed else one.name.said(lang),
            one.fix.said(lang),
        )
        leads = anchor(one.resource, one.rule) if report.sample(one) else ""
        place = (report.called(one.resource, lang),) if several else ()
        rows.append(Row((*place, *cells), leads, (one.severity, one.state)))
    return _table(name, lang, ("resource", *_RULE) if several else _RULE, rows, remark)


def unevaluated(report: Report, lang: Language) -> Table:
    """Rules that could not be evaluated, with why."""
    rows = [
        Row(
            (
                report.called(one.resource, lang), one.rule, say(one.severity, lang), one.errors, one.checks,
                one.name.said(lang), why(one.error, lang),
            ),
            marks=(one.severity,),
        )
        for one in report.unevaluated
    ]  # fmt: skip
    columns = ("resource", "rule", "severity:mark", "not_evaluated:count", "checks:count", "what", "why")
    return _table("error_rules", lang, columns, rows, say("error_note", lang))


def departments(report: Report, lang: Language) -> Table:
    """The ranking."""
    rows = [
        Row(
            (
                one.rank, one.name.said(lang), _points(one.score, lang), Share(one.accepted, one.rows),
                one.accepted, one.rows, Share(one.good, one.judged), one.good, one.judged,
            ),
            marks=("own",) if one.department in {report.subject, report.subject.partition(".")[0]} else (),
        )
        for one in report.departments
    ]  # fmt: skip
    columns = ("rank:count", "department", "score:score", "accepted_share:share", "accepted:count", "checked:count")
    remark = f"{say('ranked_since', lang)} {report.ranked_since}"
    return _table("departments", lang, (*columns, "judged_share:share", "good:count", "judged:count"), rows, remark)


def trend(report: Report, lang: Language) -> Table:
    """Rows and rows for quarantine, run by run or day by day."""
    rows = [
        Row((moment(one.at), one.label, one.rows, one.quarantined, Share(one.quarantined, one.rows)))
        for one in report.trend
    ]
    name = "run" if report.kind == "run" else "period"
    return _table("trend", lang, ("at", name, "checked:count", "for_quarantine:count", "share:share"), rows)


def orders(report: Report, lang: Language) -> Table:
    """Work orders that wait."""
    rows = [
        Row(
            (
                one.number, report.called(one.resource, lang), one.rule, say(one.severity, lang),
                say(one.state, lang), one.rows, moment(one.opened_at), one.due,
                say("yes", lang) if one.overdue else "", one.assignee, one.name.said(lang),
            ),
            marks=(one.severity, "overdue" if one.overdue else one.state),
        )
        for one in report.orders
    ]  # fmt: skip
    columns = ("number:count", "resource", "rule", "severity:mark", "state:mark", "rows:count", "opened_at", "due")
    counts = report.order_counts
    told = (("opened", counts.opened), ("closed", counts.closed), ("waiting", counts.waiting))
    remark = " · ".join(f"{say(name, lang)} {number(count)}" for name, count in (*told, ("overdue", counts.overdue)))
    return _table("orders", lang, (*columns, "overdue", "assignee", "what"), rows, remark)


def checks(report: Report, lang: Language) -> Table:
    """Every check that counts here."""
    rows = [
        Row(
            (
                moment(one.checked_at), report.called(one.resource, lang), one.run, one.batch, one.rows,
                one.quarantined, say(one.decision, lang), one.reason.said(lang),
            ),
            marks=(one.decision,),
        )
        for one in report.checks
    ]  # fmt: skip
    columns = ("checked_at", "resource", "run", "batch", "checked:count", "for_quarantine:count", "decision:mark")
    return _table("checks", lang, (*columns, "reason"), rows)


def failing(report: Report, lang: Language) -> Table:
    """The sample of failing rows, rule by rule."""
    rows = [
        Row((one.resource, one.rule, row.run, row.row, row.key, ", ".join(row.rules), values(row.cells, lang)))
        for one in report.samples
        for row in one.rows
    ]
    columns = ("resource", "rule", "run", "row:count", "key", "also", "values")
    return _table("failing", lang, columns, rows, say("masked_note", lang))


def of_sample(report: Report, sample: Sample, lang: Language) -> Table:
    """The failing rows of one rule; their run where it is another than the report's."""
    several = any(row.run != report.run for row in sample.rows)
    rows = [
        Row((*((row.run,) if several else ()), row.row, row.key, ", ".join(row.rules), values(row.cells, lang)))
        for row in sample.rows
    ]
    columns = ("row:count", "key", "also", "values")
    return _table("failing", lang, ("run", *columns) if several else columns, rows)


def figures(report: Report, lang: Language) -> tuple[tuple[str, str, str], ...]:
    """What is read first: a word, its number, and what stands beside the number."""
    parts = report.flow
    kept = [(name, getattr(parts, name)) for name in ("held", "rejected") if getattr(parts, name)]
    return (
        (say("received", lang), shown(parts.received), ""),
        (say("landed", lang), shown(parts.landed), ""),
        (say("for_quarantine", lang), shown(report.quarantined), percent(report.quarantined, report.rows)),
        *((say(name, lang), shown(count), "") for name, count in kept),
        (say("total", lang), points(report.score), ""),
        (say("failed_rules", lang), str(len(report.failed)), f"/ {len(report.rules)}"),
        (say("error_rules", lang), str(len(report.unevaluated)), ""),
        (say("fixed_rules", lang), str(len(report.fixed)), ""),
        (
            say("orders_waiting", lang),
            number(report.order_counts.waiting),
            f"{say('overdue', lang)} {number(report.order_counts.overdue)}",
        ),
    )


def values(cells: Iterable[Cell], lang: Language) -> str:
    """The values concerned on one line: field = value."""
    return "; ".join(f"{one.name.said(lang)} = {one.shown or '∅'}" for one in cells)


def moment(at: str) -> str:
    """An instant to the minute."""
    return at[:16].replace("T", " ")


def _table(name: str, lang: Language, columns: Sequence[str], rows: Sequence[Row], remark: str = "") -> Table:
    """Columns are written `key` or `key:kind`."""
    made = []
    for one in columns:
        key, _, kind = one.partition(":")
        made.append(Column(key, say(key, lang), _KINDS[kind]))
    return Table(name, say(name, lang), tuple(made), tuple(rows), remark)


_KINDS: dict[str, Kind] = {"": "text", "count": "count", "share": "share", "mark": "mark", "score": "score"}
