"""What a score is made of: measures with numerator and denominator, the facts beside a verdict, profiles, scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from schemas.standard import Field, Rule

About = Literal["all", "field", "rule"]
Group = Literal["resource", "department", "library", "name"]
Period = Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class Measure:
    """How many elements of one check were looked at, and how many of them were as they should be.

    `about` says whether it speaks of the whole batch, of a field or of a rule, and `name` of which; `measure` is the
    indicator of GB/T 36344-2018 and how it was found (`0402/order`); `version` the rule's definition in short.
    `errors` are the rules that could not be evaluated: they count in neither `met` nor `base`.
    """

    about: About
    name: str
    measure: str
    version: str
    met: int
    base: int
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a check besides its verdict.

    `fields` are those of the standard that were delivered, `columns` the source column that feeds each, `missing` the
    required and key fields that were not; `records` the delivered records that are no deletions, None where nobody
    counted them; `deliveries` how many deliveries came in time, and how many were due, since the last good run.
    """

    library: str = ""
    fields: tuple[Field, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    records: int | None = None
    deliveries: tuple[int, int] | None = None


class Sum(NamedTuple):
    """Measures of one kind added up: over a day or a month (empty: all of it), for one of a group.

    `last` is the newest such period in it, `runs` how many checks it is made of. A tuple, because a trend has tens of
    thousands of them and each is made six times as fast.
    """

    group: str
    period: str
    name: str
    measure: str
    version: str
    met: int
    base: int
    errors: int
    runs: int
    last: str


@dataclass(frozen=True, slots=True)
class Dimension:
    """One of the dimensions 维度 of a profile; `weight` against the others in the total."""

    code: str
    zh: str
    en: str
    weight: float


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator of a profile: the measures that feed it (`0402/*`: all of 0402), or the indicators it is mean of.

    `bad`: the standard counts in its numerator what is wrong.
    """

    code: str
    dimension: str
    zh: str
    en: str
    measures: tuple[str, ...] = ()
    mean_of: tuple[str, ...] = ()
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A standard of indicators 评价指标体系, as its YAML file says."""

    name: str
    zh: str
    en: str
    source: str
    dimensions: tuple[Dimension, ...]
    indicators: tuple[Indicator, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """How an indicator came out: A and B as its standard defines them, and 0–100, the higher the better.

    None: not measured. An indicator that is the mean of others has no A and B of its own.
    """

    code: str
    dimension: str
    zh: str
    en: str
    a: int | None
    b: int | None
    score: float | None
    errors: int = 0


@dataclass(frozen=True, slots=True)
class DimensionScore:
    """A dimension's score: the mean of its indicators that were measured; None when none was."""

    code: str
    zh: str
    en: str
    weight: float
    score: float | None
    measured: int
    of: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Every indicator and dimension of a profile, and the weighted mean of the dimensions that were measured."""

    profile: str
    total: float | None
    dimensions: tuple[DimensionScore, ...]
    indicators: tuple[Score, ...]


def version_of(rule: Rule) -> str:
    """The definition of a rule in short: what it judges and how much it weighs, but not its words."""
    defined = [rule.kind, list(rule.columns), dict(rule.params), rule.severity, rule.indicator, rule.forgiven_by]
    return hashlib.sha256(json.dumps(defined, sort_keys=True, default=str).encode()).hexdigest()[:16]
