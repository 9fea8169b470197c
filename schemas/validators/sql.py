"""Identifiers in SQL: the validators' back end for a query that DuckDB runs where the rows are."""

from __future__ import annotations

from datetime import date

from schemas.validators.spec import CALENDAR_DATE, FIRST_YEAR, SPECS, Birth, Fixed, Joined, Weighted


def condition(kind: str, column_sql: str, today: date) -> str:
    """SQL that is true where `column_sql` holds a valid identifier of `kind`, false where it does not, null for null.

    `column_sql` is a quoted column or any text expression (it is repeated, so let it be cheap). The text needs
    `regexp_full_match`, `instr` and `substr`; `elicense_id` also `list_reduce` with a lambda: DuckDB 1.3 or newer.
    KeyError for an unknown kind.
    """
    spec = SPECS[kind]
    column = f"({column_sql})"
    tests = [f"regexp_full_match({column}, {_text(spec.pattern)})"]
    if isinstance(spec, Joined):
        tests.append(_hybrid(spec, column))
    else:
        tests += _fixed(spec, column, today)
    # CASE keeps the arithmetic away from texts that do not have the shape.
    steps = " ".join(f"WHEN NOT coalesce({test}, FALSE) THEN FALSE" for test in tests)
    return f"CASE WHEN {column} IS NULL THEN NULL {steps} ELSE TRUE END"


def _fixed(spec: Fixed, column: str, today: date) -> list[str]:
    tests = []
    if spec.beginnings:
        width = len(spec.beginnings[0])
        tests.append(f"substr({column}, 1, {width}) IN ({', '.join(map(_text, spec.beginnings))})")
    if spec.check:
        tests.append(_weighted(spec.check, column))
    if spec.birth:
        tests.append(_born(spec.birth, column, today))
    return tests


def _weighted(check: Weighted, column: str) -> str:
    alphabet = _text(check.alphabet)
    total = " + ".join(
        f"(instr({alphabet}, substr({column}, {check.start + i + 1}, 1)) - 1) * {weight}"
        for i, weight in enumerate(check.weights)
    )
    expected = f"substr({_text(check.table)}, CAST(({total}) % {len(check.table)} AS INTEGER) + 1, 1)"
    return f"{expected} = substr({column}, {check.at + 1}, 1)"


def _born(birth: Birth, column: str, today: date) -> str:
    born = f"substr({column}, {birth.start + 1}, 8)"
    within = f"{born} BETWEEN '{FIRST_YEAR}0101' AND '{today:%Y%m%d}'"
    exempt = f"substr({column}, 1, {len(birth.exempt)}) = {_text(birth.exempt)}"
    return f"({exempt} OR ({within} AND regexp_full_match({born}, {_text(CALENDAR_DATE)})))"


def _hybrid(spec: Joined, column: str) -> str:
    modulus = len(spec.alphabet)
    parts = f"replace(substr({column}, {len(spec.beginning) + 1}), '.', '')"
    value = f"CAST(instr({_text(spec.alphabet)}, one) - 1 AS INTEGER)"
    values = f"list_transform(string_split({parts}, ''), lambda one: {value})"
    step = f"((CASE state WHEN 0 THEN {modulus} ELSE state END) * 2 % {modulus + 1} + value) % {modulus}"
    return f"list_reduce({values}, lambda state, value: {step}, {modulus // 2}) = 1"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
