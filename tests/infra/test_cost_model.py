"""The cost model: lines go through what was measured, and a province's size is so many pieces of a measured one."""

from __future__ import annotations

import importlib.util
import math
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc
from unit_files import TOP


def part(name: str) -> ModuleType:
    """A file of benchmarks/cost_parts as a module."""
    spec = importlib.util.spec_from_file_location(f"cost_{name}", TOP / "benchmarks" / "cost_parts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


fit = part("fit")
SIZES = (125_000, 500_000, 1_000_000)
costs = st.floats(0.1, 1e3)


@given(costs, st.floats(1e-7, 1e-3))
def test_a_straight_line_is_found_again_and_drawn_on(fixed, slope):
    points = [(n, fixed + slope * n) for n in SIZES]
    found = fit.line("n", points)
    assert found.at(10_000_000) == pytest.approx(fixed + slope * 10_000_000, rel=1e-5)
    assert found.off < 1e-6


def test_the_shape_that_lies_nearer_gives_the_figure_and_both_the_range():
    points = [(n, 3 + 1e-6 * n * math.log2(n)) for n in SIZES]
    said = fit.extrapolated(points, 60_000_000, 60_000_000)
    assert said.shape == "n·log n"
    assert said.cost == pytest.approx(3 + 1e-6 * 6e7 * math.log2(6e7), rel=1e-6)
    assert said.low < said.cost <= said.high


@given(st.lists(costs, min_size=1, max_size=4), st.integers(1, 10**10), st.integers(10**6, 10**8))
def test_whatever_was_measured_the_figure_lies_in_its_range_and_is_never_below_nothing(measured, rows, piece):
    points = [(n, cost) for n, cost in zip((*SIZES, 10_000_000), measured, strict=False)]
    said = fit.extrapolated(points, rows, piece)
    assert said.cost >= 0
    assert said.low <= said.cost * (1 + 1e-9)
    assert said.cost <= said.high * (1 + 1e-9)


def test_twice_the_rows_are_twice_the_pieces_and_what_is_fixed_is_paid_for_each():
    points = [(n, 5 + 1e-5 * n) for n in SIZES]
    one, two = (fit.extrapolated(points, rows, 2_000_000).cost for rows in (7_000_000_000, 14_000_000_000))
    assert two == pytest.approx(2 * one)
    assert one == pytest.approx(3500 * (5 + 20), rel=1e-6)


def test_what_is_delivered_has_valid_codes_but_for_one_in_a_hundred():
    rows = part("rows")
    table = rows.batch(0, 1_000, rows.FIRMS, 0)
    wrong = [number for number, code in enumerate(table["uscc"].to_pylist()) if not uscc.is_valid(code)]
    assert wrong == list(range(7, 1_000, 100))
    assert table.column_names == list(rows.FIRMS)
    assert rows.batch(0, 1_000, rows.FIRMS, 1)["domicile"].to_pylist() != table["domicile"].to_pylist()
