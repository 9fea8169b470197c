"""Choose how a report is rendered, by the name of the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from quality.reports.document import as_pdf
from quality.reports.page import as_html
from quality.reports.plain import as_json
from quality.reports.values import Language, Report
from quality.reports.workbook import as_xlsx

FORMATS: Final[Mapping[str, Callable[[Report, Language], bytes]]] = {
    "html": as_html,
    "xlsx": as_xlsx,
    "pdf": as_pdf,
    "json": as_json,
}


def render(report: Report, form: str, lang: Language = "zh") -> bytes:
    """The report in that format; KeyError for one that is not in FORMATS."""
    return FORMATS[form](report, lang)
