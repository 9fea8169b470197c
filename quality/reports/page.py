"""A report as one HTML file: no script, no font, no address, light and dark, ready for printing."""

from __future__ import annotations

from collections import defaultdict
from functools import cache, partial
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from quality.reports import charts
from quality.reports.tables import BROKEN, anchor, figures, moment, of_sample, shown, tables
from quality.reports.values import Language, Report
from quality.reports.words import say

if TYPE_CHECKING:
    from jinja2 import Template


def as_html(report: Report, lang: Language) -> bytes:
    """The page, UTF-8; whatever the data holds is text in it."""
    drawings: defaultdict[str, Markup] = defaultdict(Markup)
    for name, draw in (("flow", charts.flow), ("dimensions", charts.dimensions), ("trend", charts.trend)):
        drawings[name] = draw(report, lang)
    page = _template().render(
        report=report,
        lang=lang,
        title=say(f"title_{report.kind}", lang),
        tables=tables(report, lang),
        drawings=drawings,
        figures=figures(report, lang),
        broken=BROKEN,
        breakable=breakable,
        say=partial(say, lang=lang),
        shown=shown,
        moment=moment,
        anchor=anchor,
        of_sample=of_sample,
    )
    return page.encode("utf-8", "replace")


def breakable(text: str) -> Markup:
    """A long name that may go on in the next line after a full stop or a low line."""
    return escape(text).replace("_", Markup("_<wbr>")).replace(".", Markup(".<wbr>"))


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("quality.reports", "")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.get_template("page.html.j2")
