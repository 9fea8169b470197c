"""What a report counts apart: what was put right, what is not known, orders at a period's end, shares near all."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import pytest
from openpyxl import load_workbook
from orders_office import RULES, Office, at
from report_office import FIRMS, context, filled, verdict

from quality.reports import gather_period, gather_run, render
from quality.reports.document import _told, as_pdf
from quality.reports.tables import shown, tables
from quality.reports.values import Flow
from quality.reports.words import why
from quality.scores import keep
from quality.scores_values import Facts
from shutong.commands.quality_report import _flow
from warehouse.state import Run

SEPTEMBER = (date(2026, 9, 1), date(2026, 9, 30))


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The report of a run of two batches, and that of its department's month."""
    office = filled(f"sqlite:///{tmp_path_factory.mktemp('reports')}/state.db")
    yield {
        "run": gather_run(office.engine, FIRMS, context(office), "r3"),
        "period": gather_period(office.engine, "scjg", *SEPTEMBER, context(office)),
    }
    office.close()


def _table(report, name: str):
    return next(one for one in tables(report, "en") if one.id == name)


def test_what_is_put_right_stands_apart_from_what_is_violated(reports):
    report = reports["run"]
    info = [replace(one, severity="info") if one.rule == "code" else one for one in report.rules]
    report = replace(report, rules=(*info, replace(info[0], rule="a_b.c", rows=3)))
    assert [one.rule for one in report.failed] == ["name"]
    assert [row.cells[0] for row in _table(report, "repaired_rules").rows] == ["code", "a_b.c"]
    page = render(report, "html", "en").decode()
    assert "a_<wbr>b.<wbr>c" in page
    assert 'href="#repaired_rules"' in page


@pytest.mark.parametrize(
    ("error", "zh", "en"),
    [
        ("[QUA-A] 甲；乙 | A. B", "[QUA-A] 甲；乙", "[QUA-A] A. B"),
        ("[QUA-A] 甲（a | b） | A (a | b)", "[QUA-A] 甲（a | b）", "[QUA-A] A (a | b)"),
        ("no such column", "no such column", "no such column"),
        ("[1] or | two | three", "[1] or | two | three", "[1] or | two | three"),
        (None, "", ""),
    ],
)
def test_why_a_rule_was_not_evaluated_is_told_in_one_language(error, zh, en):
    assert (why(error, "zh"), why(error, "en")) == (zh, en)


def test_what_was_never_checked_before_is_not_called_new(tmp_path):
    office = Office(f"sqlite:///{tmp_path}/state.db")
    office.record("r1", at(1), code=3)
    first = gather_run(office.engine, FIRMS, context(office), "r1")
    office.record("r2", at(2), code=3, name=1)
    second = gather_run(office.engine, FIRMS, context(office), "r2")
    office.close()
    assert [(one.rule, one.state) for one in first.failed] == [("code", "first")]
    assert [(one.rule, one.state) for one in second.failed] == [("code", "still"), ("name", "new")]


@pytest.mark.parametrize(
    ("status", "fates", "flow"),
    [
        ("held", (None, None, None, None), Flow(10, 0, 0, 0, 0, 10, 0)),
        ("rejected", (None, None, None, None), Flow(10, 0, 0, 0, 0, 0, 10)),
        ("rejected", (6, 1, 0, 0), Flow(10, 6, 1, 0, 0, 0, 3)),
        ("done", (6, 1, 3, 0), Flow(10, 6, 1, 3, 0, 0, 0)),
        ("failed", (None, None, None, None), Flow(10)),
    ],
)
def test_every_row_of_a_run_has_one_fate(status, fates, flow):
    run = Run("r", "a.b", "x", "land", status, "2026-01-01", None, 10, *fates, None, None, "hand")
    assert _flow(run) == flow


def test_a_rule_that_is_no_longer_checked_is_not_passed_over(tmp_path):
    office = Office(f"sqlite:///{tmp_path}/state.db")
    office.record("r1", at(1), code=3)
    office.record("r2", at(2), code=3)
    with office.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM quality_rule WHERE run = 'r2' AND rule = 'code'")
    report = gather_run(office.engine, FIRMS, context(office), "r2")
    office.close()
    (line,) = [one for one in report.rules if one.rule == "code"]
    assert (line.state, line.rows, line.before) == ("gone", 0, 3)
    assert (line not in report.failed, line not in report.unevaluated) == (True, True)
    assert [shown(one) for one in _table(report, "all_rules").rows[-1].cells[3:6]] == ["–", "–", "–"]


def test_a_workbook_rounds_no_share_to_all_or_nothing(reports):
    report = replace(reports["run"], score=99.99, flow=Flow(10**6, 10**6 - 1, 1))
    book = load_workbook(io.BytesIO(render(report, "xlsx", "en")))
    cells = {row[0].value: row[2] for row in book["What became of the rows"].iter_rows(min_row=2)}
    assert (cells["Landed"].value, cells["Landed"].number_format) == (pytest.approx(1 - 1e-6), '"99.99%"')
    assert cells["Quarantined"].number_format == '"<0.01%"'
    assert cells["Received"].number_format == "0.00%"


def test_a_period_shows_the_orders_that_waited_at_its_end(tmp_path):
    office = Office(f"sqlite:///{tmp_path}/state.db")
    office.check("r1", at(1), code=3)
    office.check("r2", at(3, month=10), code=0)
    office.check("r3", at(5, month=10), name=4)
    later = context(office, at(20, month=10))
    september = gather_period(office.engine, "scjg", *SEPTEMBER, later)
    october = gather_period(office.engine, "scjg", date(2026, 10, 1), date(2026, 10, 31), later)
    office.close()
    assert [(one.rule, one.opened_at[:10]) for one in september.orders] == [("code", "2026-09-01")]
    assert (september.before, october.before) == (None, "2026-08-31 – 2026-09-30")
    assert (september.order_counts.waiting, september.order_counts.overdue) == (1, 1)
    assert [one.rule for one in october.orders] == ["name"]


def test_what_is_not_known_of_every_run_is_not_known(reports):
    assert reports["period"].flow == Flow(received=38_067)


def test_a_rule_that_was_defined_otherwise_before_is_told_of(tmp_path):
    office = Office(f"sqlite:///{tmp_path}/state.db")
    rules = list(RULES.values())
    stricter = [replace(one, severity="warning" if one.severity == "error" else "error") for one in rules[:1]]
    for run, when, those in (("r1", at(1), rules), ("r2", at(2), [*stricter, *rules[1:]])):
        office.record(run, when, code=3)
        with office.engine.begin() as connection:
            keep(connection, FIRMS, "scjg", run, when.isoformat(), those, verdict(rows=1000, code=3), Facts())
    report = gather_run(office.engine, FIRMS, context(office), "r2")
    first = gather_run(office.engine, FIRMS, context(office), "r1")
    office.close()
    assert [one.rule for one in report.rules if one.changed] == [rules[0].id]
    assert not [one for one in first.rules if one.changed]
    told = [shown(cell) for row in _table(report, "all_rules").rows for cell in row.cells]
    assert len([one for one in told if one.endswith("（the rule is not defined as before）")]) == 1


def test_why_an_indicator_is_not_measured_is_told(reports):
    why_not = {one.code: one.unmeasured and one.unmeasured.en for one in reports["run"].indicators}
    assert {why_not[code] for code in ("0401", "0601", "0602")} == {
        "of libraries alone: shutong quality scores --group library"
    }
    assert "expect_within" in why_not["0502"]
    assert None in why_not.values()
    assert {one.score is None for one in reports["run"].indicators if one.unmeasured} == {True}
    remarks = [shown(row.cells[-1]) for row in _table(reports["run"], "indicators").rows]
    assert remarks == [why_not[one.code] or "" for one in reports["run"].indicators]


def test_a_document_counts_the_rules_that_nothing_violates_instead_of_listing_them(reports):
    report = reports["run"]
    clean = [replace(report.rules[0], rule=f"clean_{number}", state="clean", rows=0) for number in range(90)]
    report = replace(report, rules=(*report.rules, *clean))
    (listed,) = [one for one in _told(report, "en")["tables"] if one["title"] == "All rules"]
    assert not [row for row in listed["rows"] if row[0]["text"].startswith("clean")]
    counted = sum(one.state == "clean" for one in report.rules)
    assert listed["remark"] == f"{counted} rules were violated by no row"
    assert len(listed["rows"]) == len(report.rules) - counted
    assert len(_table(report, "all_rules").rows) == len(report.rules), "a page lists all"
    assert as_pdf(report, "zh").startswith(b"%PDF")
