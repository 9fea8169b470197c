"""Read a profile of indicators and work out its scores from measures, numerators and denominators kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from statistics import fmean

from quality.errors import QualityError
from quality.scores_values import Dimension, DimensionScore, Indicator, Measure, Profile, Score, Scores, Sum
from schemas.lines import Node, read

PROFILES = Path(__file__).parent / "profiles"
DEFAULT = "gb_t_36344_2018"


def profiles() -> list[str]:
    """The names of the profiles there are."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


@lru_cache
def profile(name: str = DEFAULT) -> Profile:
    """A profile by name; QUA-PROFILE when there is none, StandardError with file and line when it cannot be used."""
    if name not in profiles():
        raise QualityError(
            "QUA-PROFILE",
            zh=f"没有评价指标体系 {name}",
            en=f"there is no profile of indicators {name}",
            fix_zh=f"可选：{'、'.join(profiles())}",
            fix_en=f"Choose from {', '.join(profiles())}",
        )
    return read_profile(PROFILES / f"{name}.yaml")


def read_profile(path: Path) -> Profile:
    """The profile a file describes."""
    node = read(path).only("profile", "title", "source", "dimensions", "indicators")
    title = node.node("title")
    dimensions = tuple(
        Dimension(one.text("code"), one.text("zh"), one.text("en"), one.number("weight", 1.0))
        for one in (below.only("code", "zh", "en", "weight") for below in node.nodes("dimensions"))
    )
    indicators = tuple(
        _indicator(one, {dimension.code for dimension in dimensions}) for one in node.nodes("indicators")
    )
    return Profile(
        node.text("profile"),
        title.text("zh") if title else path.stem,
        title.text("en") if title else path.stem,
        node.text("source", ""),
        dimensions,
        indicators,
    )


def _indicator(node: Node, dimensions: set[str]) -> Indicator:
    node.only("code", "zh", "en", "measures", "mean_of", "bad")
    code = node.pattern("code", r"[0-9]{4,6}", example='"0101"')
    if code[:2] not in dimensions:
        node.fail(
            "code",
            f"指标 {code} 不属于任何维度",
            f"the indicator {code} belongs to no dimension",
            f"前两位应为维度：{'、'.join(sorted(dimensions))}",
            f"Its first two digits name a dimension: {', '.join(sorted(dimensions))}",
        )
    return Indicator(
        code,
        code[:2],
        node.text("zh"),
        node.text("en"),
        tuple(node.texts("measures")),
        tuple(node.texts("mean_of")),
        node.flag("bad", default=False),
    )


def scores(chosen: Profile, found: Iterable[Measure | Sum]) -> Scores:
    """The scores of a profile; an indicator without any element that was looked at is not measured."""
    sums: dict[str, list[int]] = {}
    for one in found:
        known = sums.setdefault(one.measure, [0, 0, 0])
        known[0], known[1], known[2] = known[0] + one.met, known[1] + one.base, known[2] + one.errors
    made: dict[str, Score] = {}
    for indicator in sorted(chosen.indicators, key=lambda one: bool(one.mean_of)):
        made[indicator.code] = _mean(indicator, made) if indicator.mean_of else _score(indicator, sums)
    below = {code for one in chosen.indicators for code in one.mean_of}
    counted = [made[one.code] for one in chosen.indicators if one.code not in below]
    dimensions = tuple(_dimension(one, counted) for one in chosen.dimensions)
    return Scores(chosen.name, _total(dimensions), dimensions, tuple(made[one.code] for one in chosen.indicators))


def _score(indicator: Indicator, sums: Mapping[str, Sequence[int]]) -> Score:
    fed = [values for name, values in sums.items() if any(fnmatchcase(name, one) for one in indicator.measures)]
    met, base, errors = (sum(one[place] for one in fed) for place in range(3))
    words = (indicator.code, indicator.dimension, indicator.zh, indicator.en)
    if not base:
        return Score(*words, None, None, None, errors)
    return Score(*words, base - met if indicator.bad else met, base, met * 100 / base, errors)


def _mean(indicator: Indicator, made: Mapping[str, Score]) -> Score:
    parts = [made[code] for code in indicator.mean_of]
    known = [one.score for one in parts if one.score is not None]
    words = (indicator.code, indicator.dimension, indicator.zh, indicator.en)
    return Score(*words, None, None, fmean(known) if known else None, sum(one.errors for one in parts))


def _dimension(dimension: Dimension, counted: Sequence[Score]) -> DimensionScore:
    mine = [one for one in counted if one.dimension == dimension.code]
    known = [one.score for one in mine if one.score is not None]
    mean = fmean(known) if known else None
    return DimensionScore(dimension.code, dimension.zh, dimension.en, dimension.weight, mean, len(known), len(mine))


def _total(dimensions: Sequence[DimensionScore]) -> float | None:
    known = [(one.score, one.weight) for one in dimensions if one.score is not None and one.weight > 0]
    weight = sum(one for _, one in known)
    return sum(score * one for score, one in known) / weight if weight else None
