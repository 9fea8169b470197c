"""The 41 rules of the benchmark as polars expressions that are true of a row that violates them."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from schemas.standard import Rule
from schemas.validators.spec import CALENDAR_DATE, FIRST_YEAR, SPECS, Fixed, Weighted

from quality_parts.rules import CODES, TODAY, rules  # isort: skip

BYTES = 256


def violated(*, by_sign: bool = False) -> dict[str, pl.Expr]:
    """Rule → expression; null counts as not violated."""
    return {rule.id: expression(rule, by_sign=by_sign).fill_null(value=False) for rule in rules()}


def expression(rule: Rule, *, by_sign: bool = False) -> pl.Expr:
    """One rule: true of a row that violates it, null where there is nothing to judge.

    Check digits are added up from the bytes of all rows at once, or sign by sign as one would first write it.
    """
    column, params = pl.col(rule.columns[0]), rule.params
    if rule.kind == "range":
        return _outside(column, params)
    if rule.kind == "check_digit":
        return ~_valid(rule.columns[0], str(params["kind"]), by_sign=by_sign) & (column.str.strip_chars() != "")
    if rule.kind == "condition":
        return ~CONDITIONS[rule.columns]
    if rule.kind == "unique":
        given = pl.all_horizontal(pl.col(one).is_not_null() for one in rule.columns)
        return given & (pl.struct(rule.columns) if len(rule.columns) > 1 else column).is_duplicated()
    simple = {
        "required": column.is_null,
        "length": lambda: column.str.len_chars() > params["max"],
        "code": lambda: ~column.is_in(pl.lit(pl.Series(sorted(CODES[str(params["list"])]))).implode()),
        "pattern": lambda: ~column.str.contains(str(params["regex"])),
        "order": lambda: column > pl.col(rule.columns[-1]),
        "repaired": lambda: column,
    }
    return simple[rule.kind]()


CONDITIONS = {
    ("status", "cancel_date"): (pl.col("status") == "2") == pl.col("cancel_date").is_not_null(),
    ("paid", "capital"): (pl.col("paid") <= pl.col("capital")) | (pl.col("capital") < 0),
    ("uscc", "org_code"): pl.col("uscc").str.slice(8, 9) == pl.col("org_code"),
}


def bound(value: object) -> date | float:
    """A limit of a range: a number, or a date that is written, or today."""
    if isinstance(value, str):
        return TODAY if value == "today" else date.fromisoformat(value)
    return float(value)  # type: ignore[arg-type]


def _outside(column: pl.Expr, params: Any) -> pl.Expr:  # noqa: ANN401 - of a rule
    tests = [column < bound(params["min"])] if "min" in params else []
    tests += [column > bound(params["max"])] if "max" in params else []
    return pl.any_horizontal(tests)


def _valid(name: str, kind: str, *, by_sign: bool) -> pl.Expr:
    """Whether an identifier is valid."""
    spec, column = SPECS[kind], pl.col(name)
    if not isinstance(spec, Fixed):
        raise TypeError(kind)
    shape = column.str.contains(f"^(?:{spec.pattern})$")
    tests = [shape]
    if spec.beginnings:
        width = len(spec.beginnings[0])
        tests.append(column.str.slice(0, width).is_in(pl.lit(pl.Series(spec.beginnings)).implode()))
    if spec.check:
        zeros = pl.lit("0" * spec.length)  # stands in for what has not the shape
        weighted = _by_sign if by_sign else _by_bytes
        tests.append(weighted(spec.check, pl.when(shape).then(column).otherwise(zeros)))
    if spec.birth:
        born = column.str.slice(spec.birth.start, 8)
        within = born.is_between(pl.lit(f"{FIRST_YEAR}0101"), pl.lit(f"{TODAY:%Y%m%d}"))
        exempt = column.str.starts_with(spec.birth.exempt)
        tests.append(exempt | (within & born.str.contains(f"^{CALENDAR_DATE}$")))
    return pl.all_horizontal(tests)


def _by_sign(check: Weighted, texts: pl.Expr) -> pl.Expr:
    signs = {sign: value for value, sign in enumerate(check.alphabet)}
    total = pl.sum_horizontal(
        texts.str.slice(check.start + place, 1).replace_strict(signs, return_dtype=pl.Int32) * weight
        for place, weight in enumerate(check.weights)
    )
    expected = (total % len(check.table)).replace_strict(dict(enumerate(check.table)), return_dtype=pl.String)
    return expected == texts.str.slice(check.at, 1)


def _by_bytes(check: Weighted, texts: pl.Expr) -> pl.Expr:
    width = len(check.weights)

    def values(alphabet: str) -> pl.Expr:
        return pl.lit(pl.Series([max(alphabet.find(chr(byte)), 0) for byte in range(BYTES)], dtype=pl.Int32))

    taken = texts.str.slice(check.start, width).cast(pl.Binary).bin.reinterpret(dtype=pl.Array(pl.UInt8, width))
    numbers = values(check.alphabet).gather(taken.explode().cast(pl.UInt32)).reshape((-1, width))
    weights = pl.lit(pl.Series([check.weights], dtype=pl.Array(pl.Int32, width)))
    expected = pl.lit(pl.Series(list(check.table))).gather((numbers * weights).arr.sum() % len(check.table))
    return expected == texts.str.slice(check.at, 1)
