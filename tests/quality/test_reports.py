"""Reports on quality say the same numbers in every rendering, keep ERROR apart from FAIL, and draw every name."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import jsonschema
import pandas as pd
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from orders_office import RULES, Office, at
from report_office import CITIZEN, FIRMS, LONG, NAME, context, filled, verdict

from infra.testing import postgres
from quality.errors import QualityError
from quality.reports import frames, gather_period, gather_run, render
from quality.reports.plain import schema
from quality.reports.tables import anchor, shown, tables
from quality.reports.values import percent
from quality.reports.workbook import LONGEST_CELL, _named, writable, write_rows

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


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("reports") / "state.db"
    Office(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def office(empty, tmp_path):
    shutil.copy(empty, tmp_path / "state.db")
    made = Office(f"sqlite:///{tmp_path}/state.db", migrated=True)
    yield made
    made.close()


class Page(HTMLParser):
    """What a page shows and what it points to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.ids, self.links, self.tags, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.tags.append(tag)
        self.ids += [said["id"]] if "id" in said else []
        self.links += [said[name] for name in ("href", "src", "action", "data") if name in said]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in {"meta", "wbr"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()


def _table(report, name: str):
    return next(one for one in tables(report, "en") if one.id == name)


def squeezed(text: str) -> str:
    """The text without any space: a PDF breaks lines where it likes."""
    return re.sub(r"[\s\u200b\ufffe]+", "", text)


# what is counted


def test_the_batches_of_a_run_count_together_and_beside_the_run_before(reports):
    report = reports["run"]
    assert (report.run, report.before, report.rows, report.quarantined) == ("r3", "r2", 35_867, 1_241)
    assert {one.rule: (one.rows, one.evaluated, one.before, one.state) for one in report.rules} == {
        "code": (1_241, 35_867, 12, "still"),
        "name": (2, 1_300, 0, "new"),
        "case": (0, 35_867, 300, "fixed"),
    }
    assert [one.rule for one in report.failed] == ["code", "name"]


def test_an_error_is_no_failure(reports):
    (line,) = reports["run"].unevaluated
    assert (line.rule, line.checks, line.errors, line.error) == ("name", 2, 1, "no such column")
    indicator = next(one for one in reports["run"].indicators if one.code == "0104")
    assert (indicator.a, indicator.b, indicator.errors) == (71_791, 73_034, 1)


def test_a_rule_that_was_never_evaluated_has_no_number(office):
    office.record("r1", at(1), verdict(rows=10, errors=("code",)))
    report = gather_run(office.engine, FIRMS, context(office))
    (line,) = report.unevaluated
    assert (line.state, line.before) == ("unknown", None)
    (row,) = [row for row in _table(report, "all_rules").rows if row.cells[0] == "code"]
    assert [shown(one) for one in row.cells[3:6]] == ["–", "–", "–"]


def test_a_dimension_without_a_judgement_is_not_measured(reports):
    assert [one.score for one in reports["run"].dimensions[1:]] == [None] * 5
    assert [shown(row.cells[1]) for row in _table(reports["run"], "dimensions").rows[1:]] == ["not measured"] * 5


def test_a_period_counts_its_days_and_ranks_every_department(reports):
    report = reports["period"]
    assert (report.rows, report.before) == (38_067, "2026-08-02 – 2026-08-31")
    assert [(one.rank, one.department, one.accepted, one.rows) for one in report.departments] == [
        (1, "swj", 50, 50), (2, "scjg", 36_774, 38_067),
    ]  # fmt: skip
    assert [point.at for point in report.trend] == ["2026-09-01", "2026-09-02", "2026-09-03"]
    assert {one.rule: one.before for one in report.rules} == {"code": 0, "name": 0, "case": 1}


def test_equal_departments_share_a_rank(office):
    for number, department in enumerate(("a", "b", "c")):
        office.checks.record(
            f"{department}.x", department, "r", "b", list(RULES.values()), verdict(rows=10, code=number // 2)
        )
    report = gather_run(office.engine, "c.x", context(office))
    assert [(one.department, one.rank) for one in report.departments] == [("a", 1), ("b", 1), ("c", 3)]


def test_orders_are_counted_by_what_the_run_opened_and_closed(reports):
    run, month = reports["run"].order_counts, reports["period"].order_counts
    assert (run.opened, run.closed, run.waiting, run.overdue) == (1, 0, 2, 2)
    assert (month.opened, month.closed, month.waiting, month.overdue) == (3, 1, 2, 2)


def test_any_two_runs_can_be_compared(office):
    for number, rows in enumerate((5, 0, 3), start=1):
        office.record(f"r{number}", at(number), verdict(rows=10, code=rows))
    states = {
        before: next(one for one in gather_run(office.engine, FIRMS, context(office), "r3", before).rules).state
        for before in ("r1", "r2")
    }
    assert states == {"r1": "still", "r2": "new"}


def test_nothing_to_report_on_is_said_with_what_to_do(office):
    for ask in (
        lambda: gather_run(office.engine, FIRMS, context(office)),
        lambda: gather_run(office.engine, FIRMS, context(office), "unknown"),
        lambda: gather_period(office.engine, "scjg", *SEPTEMBER, context(office)),
    ):
        with pytest.raises(QualityError) as error:
            ask()
        assert error.value.code == "QUA-REPORT-NONE"


def test_a_run_whose_name_begins_like_anothers_is_not_that_run(office):
    office.record("r1", at(1), verdict(rows=10))
    office.record("r1#2", at(2), verdict(rows=5))
    office.record("r1x", at(3), verdict(rows=100))
    office.record("r_", at(4), verdict(rows=1000))
    assert gather_run(office.engine, FIRMS, context(office), "r1").rows == 15
    assert gather_run(office.engine, FIRMS, context(office), "r_").before == "r1x"


def test_a_report_is_the_same_over_postgresql(reports):
    with postgres.running() as server:
        office = filled(server.url())
        try:
            assert gather_run(office.engine, FIRMS, context(office), "r3") == reports["run"]
            assert gather_period(office.engine, "scjg", *SEPTEMBER, context(office)) == reports["period"]
        finally:
            office.close()


# how it is shown


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("kind", ["run", "period"])
def test_every_rendering_shows_the_same_cells(reports, kind, lang):
    report = reports[kind]
    page = Page(render(report, "html", lang).decode())
    book = load_workbook(io.BytesIO(render(report, "xlsx", lang)))
    document = pypdfium2.PdfDocument(render(report, "pdf", lang))
    text = squeezed("".join(one.get_textpage().get_text_range() for one in document))
    for table in tables(report, lang):
        if not table.rows:
            continue
        sheet = book[_named(table.title)]
        cells = [[cell.value for cell in line] for line in sheet.iter_rows(min_row=2)]
        for number, row in enumerate(table.rows):
            said = [shown(one) if one is not None else "" for one in row.cells]
            for place, (column, value) in enumerate(zip(table.columns, row.cells, strict=True)):
                if column.kind == "count" and value is not None:
                    assert cells[number][place] == value
                elif column.kind == "share" and hasattr(value, "part") and value.whole:
                    assert cells[number][place] == pytest.approx(value.part / value.whole)
                elif column.kind == "score" and hasattr(value, "score"):
                    assert cells[number][place] == pytest.approx(value.score)
                elif isinstance(value, str):
                    assert (cells[number][place] or "") == value
                assert squeezed(said[place]) in text, (table.id, said)
            if table.id != "failing":
                told = [
                    "–" if one == "" and column.kind != "text" else one
                    for one, column in zip(said, table.columns, strict=True)
                ]
                assert told in [[cell.strip() for cell in line] for line in page.rows], table.id


def test_json_and_pandas_have_the_same_numbers(reports):
    report = reports["run"]
    told, made = json.loads(render(report, "json")), frames(report, "en")
    assert [one["rows"] for one in told["rules"]] == list(made["rules"]["rows"]) == [1_241, 2, 0]
    assert told["flow"]["landed"] == made["flow"]["landed"].item() == 34_620
    assert list(made["rules"]["before"].astype(object)) == [12, 0, 300]
    assert list(made["rules"]["name"]) == [one.name.en for one in report.rules]
    assert list(made["failing"]["shown"])[:3] == [NAME, CITIZEN, LONG]
    assert list(made["indicators"]["b"].astype(object)) == [one["b"] or pd.NA for one in told["indicators"]]


@pytest.mark.parametrize("kind", ["run", "period"])
def test_json_is_as_its_schema_says(reports, kind):
    told = json.loads(render(reports[kind], "json"))
    jsonschema.Draft202012Validator(schema()).validate(told)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate({**told, "rows": "many"})


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_page_needs_nothing_from_elsewhere_and_its_links_lead_somewhere(reports, lang):
    for report in reports.values():
        text = render(report, "html", lang).decode()
        page = Page(text)
        assert "script" not in page.tags
        assert "http" not in text.replace("http-equiv", "")
        assert "url(" not in text
        assert "@import" not in text
        assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
        assert len(page.ids) == len(set(page.ids))
        assert page.links.count(f"#{anchor(FIRMS, 'code')}") >= 1
        assert f'<html lang="{"zh-CN" if lang == "zh" else "en"}">' in text


def test_what_the_data_holds_is_text_in_the_page(reports):
    text = render(reports["run"], "html").decode()
    assert "<b>&'" not in text
    assert "𠮷田㐂商店 &lt;b&gt;&amp;&#39;&#34;=1+1" in text


def test_the_same_report_is_the_same_bytes(reports):
    for form in ("html", "json", "pdf"):
        assert render(reports["run"], form) == render(reports["run"], form)


# XLSX


def test_text_stays_text_in_a_workbook(reports):
    sheet = load_workbook(io.BytesIO(render(reports["run"], "xlsx", "en")))["Failing rows"]
    cells = {cell.value: cell for line in sheet.iter_rows() for cell in line}
    assert cells[LONG].data_type == "s"
    assert cells[LONG].number_format == "@"
    assert cells[17].data_type == "n"


def test_all_rows_go_to_as_many_sheets_as_they_need(tmp_path, monkeypatch):
    monkeypatch.setattr("quality.reports.workbook.MOST_ROWS", 3)
    rows = [[LONG, "=1+1"], ["007", "𠮷"], ["", "bad\x00\ud800"], ["x" * 40_000, "-"], ["5", "6"]]
    assert write_rows(tmp_path / "rows.xlsx", "rows", ["a", "b"], rows) == 5
    book = load_workbook(tmp_path / "rows.xlsx")
    found = [[cell.value for cell in line] for sheet in book for line in sheet.iter_rows(min_row=2)]
    assert found[:2] == rows[:2]
    assert found[2] == [None, "bad\ufffd\ufffd"]
    assert len(found[3][0]) == LONGEST_CELL
    assert [sheet["B1"].value for sheet in book] == ["b"] * 3
    assert book.worksheets[0]["B2"].data_type == "s"


@given(st.text())
def test_whatever_a_text_holds_a_cell_can_hold_it(text):
    assert writable(writable(text)) == writable(text)
    assert len(writable(text)) == len(text)


# PDF


def test_rare_characters_are_drawn_and_found_in_a_pdf(reports):
    document = pypdfium2.PdfDocument(render(reports["run"], "pdf"))
    for page in document:
        text = page.get_textpage()
        found = text.get_text_range()
        if "𠮷" in found:
            break
    else:
        pytest.fail("the name is not in the text")
    image = page.render(scale=8).to_numpy()
    drawn = {}
    for place in range(text.count_chars()):
        sign = {"\ud842": "𠮷"}.get(
            sign := chr(pypdfium2.raw.FPDFText_GetUnicode(text.raw, place)), sign
        )  # a first half
        if sign in ("𠮷", "㐂", "田"):
            left, bottom, right, top = text.get_charbox(place)
            height = page.get_height()
            box = [round(one * 8) for one in (height - top, height - bottom, left, right)]
            drawn[sign] = image[box[0] : box[1], box[2] : box[3]].min(axis=2) < 128
    assert set(drawn) == {"𠮷", "㐂", "田"}
    for one, other in pairwise([*drawn.values(), drawn["𠮷"]]):  # a missing sign is the same empty box each time
        assert 0.05 < one.mean() < 0.7
        assert one.shape != other.shape or (one != other).mean() > 0.05


def test_a_missing_typst_is_told_with_what_to_install(reports, monkeypatch):
    from quality.reports import document

    document.compiler.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "noto_cjk_sans_otc", None)
    with pytest.raises(QualityError) as error:
        render(reports["run"], "pdf")
    assert error.value.code == "QUA-REPORT-DRIVER"
    assert "pip install 'shutong[pdf]'" in error.value.fix_en


# shares


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_share_is_never_rounded_to_all_or_nothing(part, more):
    whole = part + more
    text = percent(part, whole)
    assert (text == "100.00%") == (whole > 0 and more == 0)
    assert (text == "0.00%") == (whole > 0 and part == 0)
    assert (text == "–") == (whole == 0)


def test_an_unknown_fate_is_not_a_nought(reports):
    from quality.reports.values import Flow

    page = Page(render(replace(reports["run"], flow=Flow(received=10)), "html", "en").decode())
    assert ["Landed", "–", "–"] in page.rows


def test_the_schema_in_the_documentation_is_current():
    path = Path(__file__).resolve().parents[2] / "docs" / "reports.schema.json"
    made = json.dumps(schema(), ensure_ascii=False, indent=2) + "\n"
    assert path.read_text() == made, "write quality.reports.plain.schema() to docs/reports.schema.json"
