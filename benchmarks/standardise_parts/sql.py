"""The peer in SQL: the same 21 columns standardised by DuckDB, every costly function behind a cheap test."""

from __future__ import annotations

from datetime import date

from schemas.normalise import SENTINELS, forms_of
from schemas.validators import spec, sql
from schemas.widths import WIDE_ALPHANUMERIC
from standardise_parts.table import CODES

TODAY = date(2025, 6, 30)
_FROM = "".join(map(chr, WIDE_ALPHANUMERIC))
_TO = "".join(one if isinstance(one, str) else chr(one) for one in WIDE_ALPHANUMERIC.values())
_BLANKS = " \t\r\n\u00a0\u3000\ufeff"
_NOTHING = ", ".join("'" + one.replace("'", "''") + "'" for one in sorted(forms_of(SENTINELS)))


def _sentinel(expression: str) -> str:
    return f"CASE WHEN strlen({expression}) < 10 AND {expression} IN ({_NOTHING}) THEN NULL ELSE {expression} END"


def _text(column: str) -> str:
    wide = f"strlen({column}) <> length({column}) AND regexp_matches({column}, '[０-９Ａ-Ｚａ-ｚ\u3000]')"
    folded = f"CASE WHEN {wide} THEN translate({column}, '{_FROM}', '{_TO}') ELSE {column} END"
    return f"trim({folded}, '{_BLANKS}')"


def _identifier(column: str) -> str:
    folded = f"upper(regexp_replace(translate({column}, '{_FROM}', '{_TO}'), '[\\s\u3000-]+', '', 'g'))"
    return f"CASE WHEN regexp_full_match({column}, '[0-9A-Z]*') THEN {column} ELSE {folded} END"


def _code(column: str, codes: dict[str, str]) -> str:
    cases = " ".join(f"WHEN '{spelling}' THEN '{code}'" for spelling, code in codes.items())
    return f"CASE {column} {cases} ELSE {_sentinel(column)} END"


def _day(column: str) -> str:
    return f"try_strptime({column}, ['%Y-%m-%d', '%Y%m%d', '%Y/%m/%d', '%Y.%m.%d', '%Y年%m月%d日'])::DATE"


def _upgraded(number: str) -> str:
    check = spec.CITIZEN_ID.check
    assert check
    body = f"(substr({number}, 1, 6) || '19' || substr({number}, 7))"
    total = " + ".join(f"substr({body}, {at + 1}, 1)::INT * {weight}" for at, weight in enumerate(check.weights))
    longer = f"{body} || substr('{check.table}', ({total}) % 11 + 1, 1)"
    return f"CASE WHEN regexp_full_match({number}, '[0-9]{{15}}') THEN {longer} ELSE {number} END"


_TEXTS = ("reg_no", "ent_name", "legal_rep", "industry", "region", "reg_org", "address", "phone", "op_scope")
_CODED = {"cert_type": "cert", "currency": "currency", "status": "status"}
# One step a level, so that nothing is computed twice.
_FOLDED = f"""
    SELECT * REPLACE ({_identifier("uscc")} AS uscc, {_identifier("cert_no")} AS cert_no,
        {", ".join(f"{_text(name)} AS {name}" for name in (*_TEXTS, *_CODED))})
    FROM raw"""
_KEPT = f"""
    SELECT * REPLACE ({", ".join(f"{_sentinel(name)} AS {name}" for name in ("uscc", "cert_no", *_TEXTS))}),
        regexp_full_match(uscc, '[0-9]{{13}}|[0-9]{{15}}') AS old
    FROM ({_FOLDED})"""
_TYPED = f"""
    SELECT try_cast(id AS BIGINT) AS id,
        CASE WHEN old THEN NULL ELSE uscc END AS uscc,
        coalesce(reg_no, CASE WHEN old THEN uscc END) AS reg_no,
        {", ".join(_TEXTS[1:])},
        {", ".join(f"{_code(name, CODES[codes])} AS {name}" for name, codes in _CODED.items())},
        {_upgraded("cert_no")} AS cert_no,
        try_cast(reg_capital AS DECIMAL(24, 6)) AS reg_capital,
        {_day("est_date")} AS est_date,
        {_day("approve_date")} AS approve_date,
        try_cast(employees AS BIGINT) AS employees,
        try_strptime(updated_at, '%Y-%m-%d %H:%M:%S') AS updated_at,
        CASE is_deleted WHEN '1' THEN TRUE WHEN '0' THEN FALSE END AS is_deleted
    FROM ({_KEPT})"""
QUERY = f"""
    SELECT *,
        {sql.condition("uscc", "uscc", TODAY)} AS ok_uscc,
        {sql.condition("citizen_id", "cert_no", TODAY)} AS ok_id
    FROM ({_TYPED})"""
