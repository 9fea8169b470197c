"""The line through what a step cost at several sizes, and what it says of sizes nobody measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SHAPES: dict[str, Callable[[float], float]] = {"n": lambda n: n, "n·log n": lambda n: n * math.log2(max(n, 2.0))}


@dataclass(frozen=True, slots=True)
class Line:
    """cost = `fixed` + `slope` · shape(rows); `off`: how far the worst measured point lies from it, as a share."""

    shape: str
    fixed: float
    slope: float
    off: float

    def at(self, rows: float) -> float:
        """What it says of that many rows."""
        return self.fixed + self.slope * SHAPES[self.shape](rows)


def line(shape: str, points: Sequence[tuple[float, float]]) -> Line:
    """The line of least squares of relative errors through (rows, cost): never below nothing, never falling."""
    of = SHAPES[shape]
    told = [(of(rows), cost) for rows, cost in points if cost > 0]
    if len(told) < 2:  # noqa: PLR2004 - one point says nothing of what is fixed
        slope = told[0][1] / told[0][0] if told else 0.0
        return Line(shape, 0.0, slope, 0.0)
    w = [1 / cost**2 for _, cost in told]
    sx, sy, s = (
        sum(k * v for k, v in zip(w, one, strict=True)) for one in (*zip(*told, strict=True), [1.0] * len(told))
    )
    sxx = sum(k * x * x for k, (x, _) in zip(w, told, strict=True))
    sxy = sum(k * x * y for k, (x, y) in zip(w, told, strict=True))
    slope = (s * sxy - sx * sy) / (s * sxx - sx * sx)
    fixed = (sy - slope * sx) / s
    if fixed < 0:
        fixed, slope = 0.0, sxy / sxx
    if slope < 0:  # noise: what grows was too little to be seen
        fixed, slope = sy / s, 0.0
    off = max(abs(fixed + slope * x - y) / y for x, y in told)
    return Line(shape, fixed, slope, off)


@dataclass(frozen=True, slots=True)
class Said:
    """What a size would cost: the better line's word, and how low and how high it may be."""

    cost: float
    low: float
    high: float
    shape: str


def extrapolated(points: Sequence[tuple[float, float]], rows: float, piece: float) -> Said:
    """The cost of so many rows, worked in pieces of at most `piece`: a table, or a hash bucket of one.

    Both shapes are drawn through the points; the one that lies nearer gives the figure, the other and the error of the
    worse the range. Beyond a piece cost grows with the number of pieces, whatever its shape within one.
    """
    lines = [line(shape, points) for shape in SHAPES]
    best = min(lines, key=lambda one: one.off)
    pieces = max(1.0, rows / piece)
    told = [one.at(rows / pieces) * pieces for one in lines]
    off = max(one.off for one in lines)
    return Said(best.at(rows / pieces) * pieces, min(told) * (1 - off), max(told) * (1 + off), best.shape)
