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
    return _sentinel(f"(trim({folded}, '{_BLANKS}'))")


def _identifier(column: str) -> str:
    folded = f"upper(regexp_replace(translate({column}, '{_FROM}', '{_TO}'), '[\\s\u3000-]+', '', 'g'))"
    return _sentinel(f"(CASE WHEN regexp_full_match({column}, '[0-9A-Z]*') THEN {column} ELSE {folded} END)")


def _code(column: str, codes: dict[str, str]) -> str:
    cases = " ".join(f"WHEN '{spelling}' THEN '{code}'" for spelling, code in codes.items())
    return f"CASE trim({column}) {cases} ELSE {_text(column)} END"


def _day(column: str) -> str:
    return f"try_strptime({column}, ['%Y-%m-%d', '%Y%m%d', '%Y/%m/%d', '%Y.%m.%d', '%Y年%m月%d日'])::DATE"


def _upgraded(number: str) -> str:
    check = spec.CITIZEN_ID.check
    assert check
    body = f"(substr({number}, 1, 6) || '19' || substr({number}, 7))"
    total = " + ".join(f"substr({body}, {at + 1}, 1)::INT * {weight}" for at, weight in enumerate(check.weights))
    longer = f"{body} || substr('{check.table}', ({total}) % 11 + 1, 1)"
    return f"CASE WHEN regexp_full_match({number}, '[0-9]{{15}}') THEN {longer} ELSE {number} END"


_OLD = "regexp_full_match(uscc_, '[0-9]{13}|[0-9]{15}')"
_TEXTS = ("ent_name", "legal_rep", "industry", "region", "reg_org", "address", "phone", "op_scope")
_FOLDED = f"""
    SELECT *, {_identifier("uscc")} AS uscc_, {_text("reg_no")} AS reg_no_, {_identifier("cert_no")} AS cert_no_
    FROM raw"""
_TYPED = f"""
    SELECT try_cast(id AS BIGINT) AS id,
        CASE WHEN {_OLD} THEN NULL ELSE uscc_ END AS uscc,
        coalesce(reg_no_, CASE WHEN {_OLD} THEN uscc_ END) AS reg_no,
        {", ".join(f"{_text(name)} AS {name}" for name in _TEXTS)},
        {_code("cert_type", CODES["cert"])} AS cert_type,
        {_code("currency", CODES["currency"])} AS currency,
        {_code("status", CODES["status"])} AS status,
        {_upgraded("cert_no_")} AS cert_no,
        try_cast(reg_capital AS DECIMAL(24, 6)) AS reg_capital,
        {_day("est_date")} AS est_date,
        {_day("approve_date")} AS approve_date,
        try_cast(employees AS BIGINT) AS employees,
        try_strptime(updated_at, '%Y-%m-%d %H:%M:%S') AS updated_at,
        CASE is_deleted WHEN '1' THEN TRUE WHEN '0' THEN FALSE END AS is_deleted
    FROM ({_FOLDED})"""
QUERY = f"""
    SELECT *,
        {sql.condition("uscc", "uscc", TODAY)} AS ok_uscc,
        {sql.condition("citizen_id", "cert_no", TODAY)} AS ok_id
    FROM ({_TYPED})"""
