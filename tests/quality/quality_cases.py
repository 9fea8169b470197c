"""Rules, tables and the plain-Python truth about them, for the tests of checking."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st

from schemas.standard import Rule

TODAY = date(2024, 6, 30)
CODES = {"sex": frozenset({"1", "2", "'9"})}
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def uscc(body: str) -> str:
    """The 17 characters with their check character of GB 32100-2015."""
    total = sum(ALPHABET.index(one) * weight for one, weight in zip(body, WEIGHTS, strict=True))
    return body + ALPHABET[-total % 31]


GOOD = [uscc("91330000142916567"), uscc("91330100MA27XY3K4"), uscc("92330782MA2DEK000")]
WRONG = [
    GOOD[0][:-1] + ("1" if GOOD[0][-1] != "1" else "2"),
    GOOD[1].lower(),
    "９１" + GOOD[0][2:],
    "330000000012345",
    "N/A",
    "𠮷",
    GOOD[0] + " ",
]
BLANK = ["", " ", "\u3000", "\u00a0 \t"]


def rule(
    name: str, _kind: str, /, *columns: str, severity: str = "error", forgiven_by: str | None = None, **params
) -> Rule:
    """A rule with the id as its words."""
    return Rule(name, _kind, columns, name, name, severity=severity, params=params, forgiven_by=forgiven_by)


Row = dict[str, object]
Truth = Callable[[Row], bool]

# Every kind, with what violates it in plain Python.
CASES: list[tuple[Rule, Truth]] = [
    (rule("name_required", "required", "name"), lambda r: r["name"] is None),
    (rule("code_received", "required", "raw:代码"), lambda r: r["raw:代码"] is None or r["raw:代码"] in BLANK),
    (rule("name_length", "length", "name", max=3), lambda r: r["name"] is not None and len(r["name"]) > 3),
    (rule("name_short", "length", "name", min=2), lambda r: r["name"] is not None and len(r["name"]) < 2),
    (rule("born_understood", "understood", "born__bad"), lambda r: r["born__bad"] is True),
    (rule("born_by_field", "understood", "born"), lambda r: r["born__bad"] is True),
    (
        rule("name_repaired", "repaired", "name__repaired", severity="warning"),
        lambda r: r["name__repaired"] is True,
    ),
    (rule("sex_code", "code", "sex", list="sex"), lambda r: r["sex"] is not None and r["sex"] not in CODES["sex"]),
    (rule("code_valid", "check_digit", "raw:代码", kind="uscc"), lambda r: r["raw:代码"] in WRONG),
    (
        rule("code_present", "check_digit", "raw:代码", kind="uscc", empty_fails=True),
        lambda r: r["raw:代码"] not in GOOD,
    ),
    (
        rule("name_pattern", "pattern", "name", regex="^[a-z𠮷'%:?]*$"),
        lambda r: r["name"] is not None and not re.search("^[a-z𠮷'%:?]*$", r["name"]),
    ),
    (
        rule("name_has", "pattern", "name", regex="[１2]"),
        lambda r: r["name"] is not None and not re.search("[１2]", r["name"]),
    ),
    (
        rule("born_before_seen", "order", "born", "seen"),
        lambda r: None not in (r["born"], r["seen"]) and r["born"] > r["seen"],
    ),
    (
        rule("born_range", "range", "born", min="1950-01-01", max="today"),
        lambda r: r["born"] is not None and not date(1950, 1, 1) <= r["born"] <= TODAY,
    ),
    (
        rule("staff_range", "range", "staff", min=0, max=5),
        lambda r: r["staff"] is not None and not 0 <= r["staff"] <= 5,
    ),
    (rule("money_range", "range", "money", min=0.5), lambda r: r["money"] is not None and r["money"] < Decimal("0.5")),
    (
        rule("staff_or_name", "condition", "staff", "name", sql="name IS NOT NULL OR staff > 0"),
        lambda r: r["name"] is None and r["staff"] is not None and r["staff"] <= 0,
    ),
    (
        rule("not_after_today", "condition", "seen", sql="seen <= today() AND seen <= current_date"),
        lambda r: r["seen"] is not None and r["seen"] > TODAY,
    ),
    (
        rule("quotes", "condition", "name", sql="coalesce(name <> '%''?:x', true)"),
        lambda r: r["name"] == "%'?:x",
    ),
    (rule("row_shape", "reject", "_reject", reject="row_shape"), lambda r: r["_reject"] == "row_shape"),
]

_dates = st.none() | st.dates(date(1940, 1, 1), date(2030, 1, 1))
ROWS = st.fixed_dictionaries(
    {
        "_reject": st.sampled_from([None, None, "row_shape", "bad_bytes"]),
        "name": st.none() | st.text("ab𠮷１2 \u3000'%:?\\", max_size=5) | st.just("%'?:x"),
        "name__repaired": st.sampled_from([True, False, None]),
        "sex": st.sampled_from(["1", "2", "'9", "3", "１", "", None]),
        "raw:代码": st.sampled_from([*GOOD, *GOOD, *WRONG, *BLANK, None]),
        "born": _dates,
        "born__bad": st.sampled_from([True, False, None]),
        "seen": _dates,
        "staff": st.none() | st.integers(-3, 8),
        "money": st.none() | st.decimals(-2, 2, places=6, allow_nan=False),
    }
)
SCHEMA = pa.schema(
    {
        "_row": pa.int64(),
        "_reject": pa.string(),
        "name": pa.string(),
        "name__repaired": pa.bool_(),
        "sex": pa.string(),
        "raw:代码": pa.string(),
        "born": pa.date32(),
        "born__bad": pa.bool_(),
        "seen": pa.date32(),
        "staff": pa.int64(),
        "money": pa.decimal128(24, 6),
    }
)


def table(rows: list[Row]) -> pa.Table:
    """The rows as a standardised table, `_row` from 1."""
    return pa.Table.from_pylist([{"_row": place, **row} for place, row in enumerate(rows, 1)], schema=SCHEMA)


def truth(rows: list[Row], cases=CASES) -> dict[str, list[int]]:
    """For each rule the `_row`s that violate it, by plain Python."""
    return {one.id: [place for place, row in enumerate(rows, 1) if bad(row)] for one, bad in cases}
