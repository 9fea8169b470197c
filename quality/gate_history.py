"""Hold a run against the runs before it: how new it is, whether rows are missing, whether values are as usual."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.gate import Act, Drop, Freshness, Gate, Shift
from schemas.standard import Field
from schemas.values import DELETED, OP

NULL, REST, GIVEN = "", "…", "·"  # buckets: no value; values that are not among the usual ones; any value
USUAL = 30  # codes that are told apart
CERTAIN = 3.3  # standard deviations from which a difference is none of chance (1 in 2,000)
_NUMBERS = ("integer", "decimal", "capital")
_DATES = ("date", "datetime")
Reason = tuple[Act, str, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a run on its way through the check: how often each bucket of a field came, the newest dates."""

    buckets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    newest: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: Observed) -> Observed:
        buckets = {
            name: dict(Counter(self.buckets.get(name, {})) + Counter(other.buckets.get(name, {})))
            for name in {**self.buckets, **other.buckets}
        }
        newest = {
            name: max(self.newest.get(name, ""), other.newest.get(name, "")) for name in {**self.newest, **other.newest}
        }
        return Observed(buckets, newest)


class Observer:
    """Looks at the parts of a batch as they come to the check; costs nothing where the gate asks for nothing."""

    def __init__(self, gate: Gate, fields: Sequence[Field], today: date) -> None:
        wanted = gate.shift
        self._fields = [one for one in fields if wanted and (not wanted.fields or one.name in wanted.fields)]
        self._dated = gate.freshness.field if gate.freshness else None
        self._today = today
        self._buckets: dict[str, Counter[str]] = {}
        self._newest: dict[str, str] = {}

    def add(self, table: pa.Table) -> None:
        """Count what a part has; rows that delete are no records."""
        if not self._fields and self._dated is None:
            return
        if OP in table.column_names:
            table = table.filter(pc.fill_null(pc.not_equal(table[OP], DELETED), True))  # noqa: FBT003
        for one in self._fields:
            if one.name in table.column_names:
                self._buckets.setdefault(one.name, Counter()).update(_buckets(table[one.name], one))
        if self._dated is not None and self._dated in table.column_names and table.num_rows:
            days = table[self._dated].cast(pa.date32())
            past = days.filter(pc.less_equal(days, pa.scalar(self._today)))  # a day to come says nothing about news
            newest = pc.max(past).as_py()
            if newest is not None:
                self._newest[self._dated] = max(self._newest.get(self._dated, ""), newest.isoformat())

    def observed(self) -> Observed:
        """What was seen so far."""
        return Observed({name: dict(one) for name, one in self._buckets.items()}, dict(self._newest))


def _buckets(column: pa.ChunkedArray, one: Field) -> Counter[str]:
    found = Counter({NULL: column.null_count}) if column.null_count else Counter()
    given = column.drop_null()
    if not len(given):
        return found
    if one.codes or one.type in ("code", "boolean"):
        counted = given.cast(pa.string()).value_counts()
    elif one.type in _DATES:
        counted = pc.multiply(pc.divide(pc.year(given), 10), 10).cast(pa.string()).value_counts()
    elif one.type in _NUMBERS and not pa.types.is_string(given.type):
        counted = pa.array(_magnitudes(given)).value_counts()
    else:
        return found + Counter({GIVEN: len(given)})
    return found + Counter(dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)))


def _magnitudes(given: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """-1e3, 0, 1e5: the sign and the power of ten of each number."""
    numbers = given.cast(pa.float64()).to_numpy()
    sizes = np.zeros(len(numbers))
    there = numbers != 0
    sizes[there] = np.floor(np.log10(np.abs(numbers[there])))
    kinds, places = np.unique(np.stack([np.sign(numbers), sizes]), axis=1, return_inverse=True)
    names = ["0" if not sign else f"{'-' if sign < 0 else ''}1e{int(size)}" for sign, size in kinds.T]
    return np.asarray(names, dtype=object)[places.ravel()]


def reasons(  # noqa: PLR0917 - what, and what it is held against, in the order they are said
    gate: Gate, rows: int, before: Sequence[int], seen: Observed, usual: Observed, today: date
) -> list[Reason]:
    """Why a run of so many `rows` is held or remarked on: `before` are the rows of earlier good runs, newest first,
    `usual` what was seen of them together. Without earlier good runs nothing is held against them.
    """
    found: list[Reason] = []
    if gate.freshness and rows:
        found += _old(gate.freshness, seen.newest.get(gate.freshness.field), today)
    if gate.drop:
        found += _fewer(gate.drop, rows, before[: gate.drop.runs])
    if gate.shift and rows:
        for name in sorted(seen.buckets):
            found += _shifted(gate.shift, name, seen.buckets[name], usual.buckets.get(name, {}))
    return found


def drifting(wanted: Shift, seen: Observed, usual: Observed) -> tuple[str, ...]:
    """The fields that are not spread as in earlier good runs together."""
    names = sorted(seen.buckets)
    return tuple(one for one in names if any(_shifted(wanted, one, seen.buckets[one], usual.buckets.get(one, {}))))


def _old(wanted: Freshness, newest: str | None, today: date) -> Iterator[Reason]:
    if newest is None:
        yield (
            wanted.act,
            f"{wanted.field} 没有一个不晚于今天的日期，无法判断数据新旧（要求 {wanted.days} 天以内）",
            f"{wanted.field} has no date up to today, so nobody knows how new the data are (within {wanted.days} days)",
        )
        return
    age = (today - date.fromisoformat(newest)).days
    if age > wanted.days:
        yield (
            wanted.act,
            f"最新的 {wanted.field} 为 {newest}，距今 {age} 天，超过 {wanted.days} 天",
            f"the newest {wanted.field} is {newest}, {age} days ago, more than {wanted.days}",
        )


def _fewer(wanted: Drop, rows: int, before: Sequence[int]) -> Iterator[Reason]:
    usual = median(before) if before else 0
    lost = (usual - rows) * 100 / usual if usual else 0.0
    if lost > wanted.percent:
        runs, limit = len(before), f"{wanted.percent:g}%"
        yield (
            wanted.act,
            f"本次 {rows:,} 行，比此前 {runs} 次合格运行的中位数 {usual:,.0f} 行少 {lost:.1f}%，超过 {limit}",
            f"{rows:,} rows, {lost:.1f}% fewer than the median of {runs} good runs, {usual:,.0f}, more than {limit}",
        )


def _shifted(wanted: Shift, name: str, now: Mapping[str, int], usual: Mapping[str, int]) -> Iterator[Reason]:
    if not sum(now.values()) or not sum(usual.values()):
        return
    both = _alike(now, usual)
    shares = [(key, here / sum(now.values()), there / sum(usual.values())) for key, (here, there) in both.items()]
    empty = next(((here, there) for key, here, there in shares if key == NULL), (0.0, 0.0))
    moved, certain = (empty[0] - empty[1]) * 100, _certain([_pair(both, NULL), _others(both, NULL)])
    if abs(moved) > wanted.nulls and certain:
        yield (
            wanted.act,
            f"{name} 的空值由 {empty[1]:.1%} 变为 {empty[0]:.1%}，变动超过 {wanted.nulls:g} 个百分点",
            f"empty values of {name} went from {empty[1]:.1%} to {empty[0]:.1%}, more than {wanted.nulls:g} points",
        )
    index = psi([here for here, _ in both.values()], [there for _, there in both.values()])
    if index > wanted.psi and _certain(list(both.values())):
        most, here, there = max(shares, key=lambda one: abs(one[1] - one[2]))
        zh, en = {NULL: ("空值", "no value"), REST: ("其他", "others")}.get(most, (f"“{most}”", f"'{most}'"))
        yield (
            wanted.act,
            f"{name} 的分布与此前不同（PSI {index:.2f}，超过 {wanted.psi:g}）：{zh}由 {there:.1%} 变为 {here:.1%}",
            f"{name} is not spread as before (PSI {index:.2f} > {wanted.psi:g}): {en} from {there:.1%} to {here:.1%}",
        )


def _alike(now: Mapping[str, int], usual: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Both over the same buckets: those that were usual, and one for all others."""
    known = {key for key, _ in Counter(usual).most_common(USUAL)} | {NULL}
    both = {key: (now.get(key, 0), usual.get(key, 0)) for key in known}
    rest = (
        sum(n for key, n in now.items() if key not in known),
        sum(n for key, n in usual.items() if key not in known),
    )
    return {key: pair for key, pair in {**both, REST: rest}.items() if any(pair)}


def _pair(both: Mapping[str, tuple[int, int]], key: str) -> tuple[int, int]:
    return both.get(key, (0, 0))


def _others(both: Mapping[str, tuple[int, int]], key: str) -> tuple[int, int]:
    rest = [pair for name, pair in both.items() if name != key]
    return sum(here for here, _ in rest), sum(there for _, there in rest)


def psi(now: Sequence[int], usual: Sequence[int]) -> float:
    """The population stability index of two counts over the same buckets; half a row is added to each bucket."""
    buckets, first, second = len(now), sum(now), sum(usual)
    total = 0.0
    for here, there in zip(now, usual, strict=True):
        p, q = (here + 0.5) / (first + 0.5 * buckets), (there + 0.5) / (second + 0.5 * buckets)
        total += (p - q) * math.log(p / q)
    return total


def _certain(pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether two counts differ by more than chance: chi-square, its distribution after Wilson and Hilferty."""
    pairs = [one for one in pairs if any(one)]
    first, second, freedom = sum(here for here, _ in pairs), sum(there for _, there in pairs), len(pairs) - 1
    if freedom < 1 or not first or not second:
        return False
    one, other = math.sqrt(second / first), math.sqrt(first / second)
    square = sum((one * here - other * there) ** 2 / (here + there) for here, there in pairs)
    spread = 2 / (9 * freedom)
    return bool(((square / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread) > CERTAIN)
