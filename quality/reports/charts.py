"""Draw the charts of a report as SVG that needs no script, no font and no address; colours come from the page."""

from __future__ import annotations

from markupsafe import Markup

from quality.reports.values import Language, Report, number, percent, points
from quality.reports.words import say

_WIDE = 720
FATES = ("landed", "quarantined", "held", "superseded", "deleted", "rejected")


def flow(report: Report, lang: Language) -> Markup:
    """One bar: what became of the rows received; nothing where that is not known."""
    parts = [(name, getattr(report.flow, name) or 0) for name in FATES]
    whole = sum(count for _, count in parts)
    if not whole:
        return Markup()
    told = ", ".join(f"{say(name, lang)} {number(count)}" for name, count in parts if count)
    drawn: list[Markup] = []
    legend: list[Markup] = []
    at = 0.0
    for name, count in parts:
        if not count:
            continue
        wide = max(1.0, count / whole * _WIDE)
        drawn.append(_svg('<rect x="{:.1f}" y="0" width="{:.1f}" height="22" class="f-{}"/>', at, wide, name))
        at += wide
        place = 150 * len(legend)
        legend.append(
            _svg(
                '<rect x="{}" y="32" width="10" height="10" class="f-{}"/><text x="{}" y="41">{} {}</text>',
                place,
                name,
                place + 14,
                say(name, lang),
                number(count),
            )
        )
    return _chart(_WIDE, 48, told, [*drawn, *legend])


def dimensions(report: Report, lang: Language) -> Markup:
    """A bar for each dimension, full at a hundred; not measured is said, not drawn."""
    lines, told = [], []
    for place, one in enumerate(report.dimensions):
        y, name = place * 26, one.name.said(lang)
        score = say("not_measured", lang) if one.score is None else points(one.score)
        told.append(f"{name} {score}")
        lines.append(_svg('<text x="0" y="{}">{} {}</text>', y + 15, one.code, name))
        lines.append(_svg('<rect x="150" y="{}" width="460" height="16" rx="3" class="bar-back"/>', y + 3))
        if one.score is not None:
            wide = 4.6 * one.score
            lines.append(_svg('<rect x="150" y="{}" width="{:.1f}" height="16" rx="3" class="bar"/>', y + 3, wide))
        lines.append(_svg('<text x="620" y="{}">{}</text>', y + 15, score))
    return _chart(_WIDE, 26 * len(report.dimensions), ", ".join(told), lines)


def trend(report: Report, lang: Language) -> Markup:
    """The share of rows for quarantine over time; nothing with fewer than two points."""
    points = [one for one in report.trend if one.rows]
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return Markup()
    shares = [one.quarantined / one.rows for one in points]
    top = max(*shares, 0.0001)
    step = (_WIDE - 60) / (len(points) - 1)
    places = [(50 + step * place, 110 - 100 * share / top) for place, share in enumerate(shares)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [
        _svg(
            '<circle cx="{:.1f}" cy="{:.1f}" r="3" class="dot"><title>{} {}: {}</title></circle>',
            x,
            y,
            one.at[:16].replace("T", " "),
            one.label,
            percent(one.quarantined, one.rows),
        )
        for (x, y), one in zip(places, points, strict=True)
    ]
    frame = [
        _svg('<line x1="50" y1="110" x2="{0}" y2="110" class="axis"/>', _WIDE),
        _svg('<text x="44" y="16" class="right">{}</text>', percent(round(top * 10**6), 10**6)),
        _svg('<text x="44" y="114" class="right">0%</text>'),
        _svg('<text x="50" y="130">{}</text>', points[0].at[:10]),
        _svg('<text x="{}" y="130" class="right">{}</text>', _WIDE, points[-1].at[:10]),
        _svg('<polyline points="{}" class="line"/>', line),
    ]
    newest = percent(points[-1].quarantined, points[-1].rows)
    return _chart(_WIDE, 136, f"{say('trend', lang)}: {newest}", [*frame, *dots])


def _svg(form: str, *values: object) -> Markup:
    """A piece of SVG with its values escaped."""
    return Markup(form).format(*values)  # noqa: S704 - `form` is ours, what it is filled with is escaped


def _chart(wide: int, high: int, told: str, parts: list[Markup]) -> Markup:
    return _svg('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>', wide, high, told, Markup().join(parts))
