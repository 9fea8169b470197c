"""The 41 rules of the benchmark, and each of them as SQL that is true of a row that violates it."""

from __future__ import annotations

from datetime import date

import duckdb
import pyarrow as pa

from schemas.standard import Rule
from schemas.validators import sql

from quality_parts.table import CURRENCIES, DIVISIONS, INDUSTRIES, STATUSES, TYPES  # isort: skip

TODAY = date(2026, 11, 23)
THREADS = 2
CODES = {
    "status": frozenset(STATUSES),
    "type": frozenset(TYPES),
    "industry": frozenset(INDUSTRIES),
    "division": frozenset(DIVISIONS),
    "currency": frozenset(CURRENCIES),
}
REQUIRED = ("uscc", "name", "status", "division", "legal_rep", "est_date")
LENGTHS = {"name": 200, "address": 300, "scope": 3_000, "legal_rep": 50}
IDENTIFIERS = (
    ("uscc", "uscc"),
    ("uscc", "uscc_pair"),
    ("uscc", "uscc_org_code"),
    ("org_code", "org_code"),
    ("cert_no", "citizen_id"),
)
PATTERNS = {
    "phone": "^1[3-9][0-9]{9}$",
    "email": "^[^@ ]+@[^@ ]+\\.[a-z]{2,}$",
    "regno": "^[0-9]{15}$",
    "postcode": "^[0-9]{6}$",
    "name": "^[^*?]+$",
}
ORDERS = (("est_date", "appr_date"), ("op_from", "op_to"), ("est_date", "op_from"), ("est_date", "cancel_date"))
RANGES: dict[str, tuple[float | str | None, float | str | None]] = {
    "capital": (0.0, 1e10),
    "paid": (0.0, None),
    "staff": (0.0, 1e6),
    "ratio": (0.0, 100.0),
    "est_date": ("1949-10-01", "today"),
    "appr_date": (None, "today"),
}
CONDITIONS = {
    ("status", "cancel_date"): '("status" = \'2\') = ("cancel_date" IS NOT NULL)',
    ("paid", "capital"): '"paid" <= "capital" OR "capital" < 0',
    ("uscc", "org_code"): 'substr("uscc", 9, 9) = "org_code"',
}
UNIQUE = (("uscc",), ("regno", "name"))


def _rule(_kind: str, /, *columns: str, **params: object) -> Rule:
    name = "_".join((_kind, *columns, *(str(one) for one in params.values() if _kind == "check_digit")))
    return Rule(name, _kind, columns, name, name, params=params)  # type: ignore[arg-type]


def rules() -> list[Rule]:
    """The 41 rules."""
    made = [_rule("required", column) for column in REQUIRED]
    made += [_rule("length", column, max=most) for column, most in LENGTHS.items()]
    made += [_rule("code", column, list=column) for column in CODES]
    made += [_rule("check_digit", column, kind=kind) for column, kind in IDENTIFIERS]
    made += [_rule("pattern", column, regex=regex) for column, regex in PATTERNS.items()]
    made += [_rule("order", *pair) for pair in ORDERS]
    for column, (low, high) in RANGES.items():
        given = {"min": low, "max": high}
        made.append(_rule("range", column, **{key: one for key, one in given.items() if one is not None}))
    made += [_rule("condition", *columns, sql=text) for columns, text in CONDITIONS.items()]
    made.append(_rule("repaired", "name__repaired"))
    made += [_rule("unique", *columns) for columns in UNIQUE]
    return made


def connected(file: str) -> duckdb.DuckDBPyConnection:
    """DuckDB on two threads with the table as `t` and the code lists beside it."""
    connection = duckdb.connect(":memory:", config={"threads": THREADS})
    connection.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet('{file}')")
    for name, codes in CODES.items():
        connection.register(f"{name}_codes", pa.table({"code": sorted(codes)}))
    return connection


def violated() -> dict[str, str]:
    """Rule → SQL that is true of the rows that violate it; uniqueness as a look-up among repeated keys."""
    return {rule.id: f"coalesce({_violated(rule)}, false)" for rule in rules()}


def _violated(rule: Rule) -> str:
    column, params = f'"{rule.columns[0]}"', rule.params
    if rule.kind == "range":
        return " OR ".join(
            _bound(params[key], sign, column) for key, sign in (("min", "<"), ("max", ">")) if key in params
        )
    if rule.kind == "check_digit":
        return f"NOT {sql.condition(str(params['kind']), column, TODAY)} AND trim({column}) <> ''"
    if rule.kind == "unique":
        return _repeated(rule.columns)
    simple = {
        "required": f"{column} IS NULL",
        "length": f"length({column}) > {params.get('max')}",
        "code": f"{column} NOT IN (SELECT code FROM {params.get('list')}_codes)",
        "pattern": f"NOT regexp_matches({column}, '{params.get('regex')}')",
        "order": f'{column} > "{rule.columns[-1]}"',
        "condition": f"NOT ({params.get('sql')})",
        "repaired": column,
    }
    return simple[rule.kind]


def _bound(value: object, sign: str, column: str) -> str:
    return f"{column} {sign} " + (
        f"DATE '{TODAY if value == 'today' else value}'" if isinstance(value, str) else str(value)
    )


def _repeated(columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{one}"' for one in columns)
    given = " AND ".join(f'"{one}" IS NOT NULL' for one in columns)
    return f"({given} AND ({names}) IN (SELECT ({names}) FROM t GROUP BY ALL HAVING count(*) > 1))"
