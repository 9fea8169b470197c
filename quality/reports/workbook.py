"""A report, or any rows, as an XLSX workbook in which text stays text: 18-digit numbers, leading zeros, formulas."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from quality.reports.tables import Points, Share, Table, Value, shown, tables
from quality.reports.values import Language, Report
from quality.reports.words import say

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped, import-not-found, unused-ignore]

LONGEST_CELL = 32_767  # characters
MOST_ROWS = 1_048_576  # rows of a sheet, its heading included
_OPTIONS = {
    "constant_memory": True,
    "strings_to_numbers": False,
    "strings_to_formulas": False,
    "strings_to_urls": False,
}
_WIDE = {"count": 12, "share": 10, "mark": 12, "score": 10, "text": 24}
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # XML 1.0 has no way to say them


def as_xlsx(report: Report, lang: Language) -> bytes:
    """One sheet per table, the summary first."""
    out = io.BytesIO()
    with opened(out) as book:
        looks = {
            "head": book.add_format({"bold": True, "bg_color": "#E8EDF5", "bottom": 1, "text_wrap": True}),
            "text": book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"}),
            "count": book.add_format({"num_format": "#,##0", "valign": "top"}),
            "score": book.add_format({"num_format": "0.0", "valign": "top"}),
            "share": book.add_format({"num_format": "0.00%", "valign": "top"}),
            # What would be rounded to nothing or to everything is shown as elsewhere; the cell holds the exact value.
            "<0.01%": book.add_format({"num_format": '"<0.01%"', "valign": "top"}),
            "99.99%": book.add_format({"num_format": '"99.99%"', "valign": "top"}),
            "99.9": book.add_format({"num_format": '"99.9"', "valign": "top"}),
        }
        _summary(book.add_worksheet(say("summary", lang)), report, lang, looks)
        for table in tables(report, lang):
            if table.rows or table.id not in {"fixed_rules", "repaired_rules"}:
                _sheet(book.add_worksheet(_named(table.title)), table, looks)
    return out.getvalue()


def _summary(sheet: Worksheet, report: Report, lang: Language, looks: dict[str, object]) -> None:
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 60)
    lines: list[tuple[str, Value]] = [
        (say(f"title_{report.kind}", lang), report.name.said(lang)),
        (say("resource" if report.kind == "run" else "department", lang), report.subject),
        (say("run", lang), report.run),
        (say("period", lang), f"{report.first} – {report.last}"),
        (say("before", lang), report.before or say("nothing_before", lang)),
        (say("made_at", lang), report.made_at),
        (say("decision", lang), say(report.decision, lang)),
        (say("checked", lang), report.rows),
        (say("for_quarantine", lang), report.quarantined),
        (say("total", lang), None if report.score is None else Points(report.score)),
        (say("failed_rules", lang), len(report.failed)),
        (say("error_rules", lang), len(report.unevaluated)),
        (say("fixed_rules", lang), len(report.fixed)),
        *((say(name, lang), getattr(report.order_counts, name)) for name in ("opened", "closed", "waiting", "overdue")),
    ]
    for place, (label, value) in enumerate(lines):
        sheet.write_string(place, 0, label, looks["head"])
        _write(sheet, place, 1, value, looks)


def _sheet(sheet: Worksheet, table: Table, looks: dict[str, object]) -> None:
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(table.columns):
        sheet.set_column(place, place, _WIDE[column.kind])
        sheet.write_string(0, place, column.label, looks["head"])
    for line, row in enumerate(table.rows, start=1):
        for place, value in enumerate(row.cells):
            _write(sheet, line, place, value, looks)
    if table.rows:
        sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)


def _write(sheet: Worksheet, line: int, place: int, value: Value, looks: dict[str, object]) -> None:
    if isinstance(value, Share):
        if value.whole:
            sheet.write_number(line, place, value.part / value.whole, looks.get(shown(value), looks["share"]))
    elif isinstance(value, Points):
        sheet.write_number(line, place, value.score, looks.get(shown(value), looks["score"]))
    elif isinstance(value, int):
        sheet.write_number(line, place, value, looks["count"])
    elif value:
        sheet.write_string(line, place, writable(value), looks["text"])


def write_rows(path: Path, name: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write rows of texts, on as many sheets as they need, keeping one row in memory; returns how many there were."""
    written = 0
    with path.open("wb") as out, opened(out) as book:
        text = book.add_format({"num_format": "@"})
        sheet = None
        for row in rows:
            line = written % (MOST_ROWS - 1) + 1
            if sheet is None or line == 1:
                sheet = _begun(book, name, written // (MOST_ROWS - 1), heads)
            for place, value in enumerate(row):
                if value:
                    sheet.write_string(line, place, writable(value), text)
            written += 1
        if sheet is None:
            _begun(book, name, 0, heads)
    return written


def _begun(book: Workbook, name: str, place: int, heads: Sequence[str]) -> Worksheet:
    sheet = book.add_worksheet(_named(name if not place else f"{name} {place + 1}"))
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True})
    for column, head in enumerate(heads):
        sheet.write_string(0, column, head, bold)
    return sheet


@contextmanager
def opened(out: BinaryIO) -> Iterator[Workbook]:
    """A new workbook that is whole once the block ends."""
    from xlsxwriter import Workbook  # type: ignore[import-untyped, import-not-found, unused-ignore]

    book = Workbook(out, _OPTIONS)
    try:
        yield book
    finally:
        book.close()


def writable(text: str) -> str:
    """A text as a cell can hold it: what XML cannot say is replaced, what is too long is cut and says so."""
    plain = _UNWRITABLE.sub("\ufffd", text)
    return plain if len(plain) <= LONGEST_CELL else f"{plain[: LONGEST_CELL - 1]}…"


def _named(title: str) -> str:
    return re.sub(r"[\[\]:*?/\\]", " ", title)[:31].strip()
