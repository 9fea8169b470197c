"""A report as PDF: set by Typst, with the Noto CJK fonts that come as a package, so that every name is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from quality.errors import QualityError
from quality.reports.charts import FATES
from quality.reports.tables import BROKEN, Row, Table, figures, moment, shown, tables
from quality.reports.values import Language, Report, number, points
from quality.reports.words import say

if TYPE_CHECKING:
    import typst  # type: ignore[import-not-found, unused-ignore]

# The regional forms of characters differ; rarer ones come from whatever fonts the machine has.
FONTS = ["Noto Sans CJK SC", "Hanazono Mincho B", "HanaMinB", "BabelStone Han", "Jigmo2"]
_ALWAYS = frozenset({"failed_rules", "orders", "all_rules"})  # tables that say something without rows too
_WIDE = {"resource": 2, "what": 3, "fix": 4, "why": 3, "reason": 4, "values": 4, "also": 2}


def as_pdf(report: Report, lang: Language) -> bytes:
    """The document, tagged, text extractable; the same report gives the same bytes.

    Raises QualityError: QUA-REPORT-DRIVER when Typst or its fonts are not installed.
    """
    source = files("quality.reports").joinpath("document.typ").read_bytes()
    told = orjson.dumps(_told(report, lang)).decode()
    compiled, fonts = compiler()
    made: bytes = compiled(
        source,
        font_paths=fonts,
        sys_inputs={"report": told},
        timestamp=datetime.fromisoformat(report.made_at).replace(microsecond=0),
    )
    return made


@cache
def compiler() -> tuple[Callable[..., bytes], typst.Fonts]:
    """What sets a Typst source as PDF, and the fonts. Raises QualityError: QUA-REPORT-DRIVER."""
    try:
        import noto_cjk_sans_otc  # type: ignore[import-untyped, import-not-found, unused-ignore]
        import typst  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise QualityError(
            "QUA-REPORT-DRIVER",
            zh=f"生成 PDF 需要 {error.name}，未安装",
            en=f"{error.name}, which makes the PDF, is not installed",
            fix_zh="执行 pip install 'shutong[pdf]'；或改用 --format html 后打印",
            fix_en="Run pip install 'shutong[pdf]'; or choose --format html and print it",
        ) from error
    folder = Path(str(files(noto_cjk_sans_otc)))
    return typst.compile, typst.Fonts(include_system_fonts=True, font_paths=[folder])


def _told(report: Report, lang: Language) -> dict[str, object]:
    title = f"{say(f'title_{report.kind}', lang)}{say('colon', lang)}{report.name.said(lang)}"
    span = f"{say('run', lang)} {report.run}" if report.run else f"{say('period', lang)} {report.first} – {report.last}"
    before = f"{say('before', lang)} {report.before or say('nothing_before', lang)}"
    made = f"{say('made_at', lang)} {moment(report.made_at)}"
    return {
        "lang": lang,
        "region": "CN",
        "fonts": FONTS,
        "title": title,
        "line": f"{report.subject} · {span} · {before} · {made}",
        "decision": {"text": say(report.decision, lang), "mark": report.decision},
        "reason": report.checks[0].reason.said(lang) if report.run and report.checks else "",
        "figures": [{"word": word, "count": count, "beside": beside} for word, count, beside in figures(report, lang)],
        "fates": _fates(report, lang),
        "none": say("none", lang),
        "tables": [
            _table(report, one, lang)
            for one in (_shortened(report, each, lang) for each in tables(report, lang))
            if one.rows or one.id in _ALWAYS
        ],
    }


def _shortened(report: Report, table: Table, lang: Language) -> Table:
    """The table of all rules without those that nothing violated, which are counted in one line; others as they are."""
    if table.id != "all_rules":
        return table
    rows = tuple(row for row, line in zip(table.rows, report.rules, strict=True) if line.state != "clean")
    clean = len(table.rows) - len(rows)
    return replace(table, rows=rows, remark=f"{number(clean)} {say('all_good', lang)}" if clean else "")


def _table(report: Report, table: Table, lang: Language) -> dict[str, object]:
    return {
        "title": table.title,
        "remark": table.remark,
        "quiet": table.id == "all_rules" and bool(table.remark),
        "columns": [{"label": one.label, "kind": one.kind, "wide": _WIDE.get(one.key, 1)} for one in table.columns],
        "rows": [[{"text": text, "mark": mark} for text, mark in _cells(table, row)] for row in table.rows],
        "wide": any(one.key in _WIDE for one in table.columns),
        "bars": _bars(report, lang) if table.id == "dimensions" else [],
    }


def _cells(table: Table, row: Row) -> list[tuple[str, str]]:
    """Each cell as text, broken where long names may break, with the mark that colours it."""
    marks = iter(row.marks)
    made = []
    for column, value in zip(table.columns, row.cells, strict=True):
        mark = next(marks, "") if column.kind == "mark" else ""
        empty = value is None and column.kind == "text"
        text = "" if empty else shown(value)
        if column.key in BROKEN:
            text = text.replace("_", "_\u200b").replace(".", ".\u200b")
        made.append((text, mark))
    return made


def _fates(report: Report, lang: Language) -> list[dict[str, object]]:
    """The parts of the bar that shows what became of the rows; none where that is not known."""
    counts = [(name, getattr(report.flow, name) or 0) for name in FATES]
    whole = sum(count for _, count in counts)
    return [
        {"mark": name, "share": count / whole, "text": f"{say(name, lang)} {shown(count)}"}
        for name, count in counts
        if count
    ]


def _bars(report: Report, lang: Language) -> list[dict[str, object]]:
    return [
        {
            "label": f"{one.code} {one.name.said(lang)}",
            "share": (one.score or 0) / 100,
            "text": say("not_measured", lang) if one.score is None else points(one.score),
        }
        for one in report.dimensions
    ]
