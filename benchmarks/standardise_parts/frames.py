"""The peer in pandas: the same 21 columns, as a careful analyst would write it."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pandas as pd

from schemas.normalise import SENTINELS, forms_of
from schemas.validators import scalar, spec
from schemas.widths import WIDE_ALPHANUMERIC
from standardise_parts.table import CODES

TODAY = date(2025, 6, 30)
_NOTHING = forms_of(SENTINELS)
_INNER = re.compile(r"[\s-]+")
_FORMS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")


def standardise(raw: pd.DataFrame) -> dict[str, Any]:
    """Every column typed, both identifiers checked; the counts that the sides compare."""
    made = pd.DataFrame(index=raw.index)
    for name in ("id", "employees", "is_deleted"):
        made[name] = pd.to_numeric(raw[name], errors="coerce")
    for name in ("reg_no", "ent_name", "legal_rep", "industry", "region", "reg_org", "address", "phone", "op_scope"):
        made[name] = _text(raw[name])
    for name, codes in (("cert_type", "cert"), ("currency", "currency"), ("status", "status")):
        stripped = raw[name].str.strip()
        made[name] = stripped.map(CODES[codes]).fillna(stripped)
    uscc = raw["uscc"].map(_identifier, na_action="ignore")
    old = uscc.str.fullmatch("[0-9]{13}|[0-9]{15}").fillna(value=False).astype(bool)
    made["uscc"], made["reg_no"] = uscc.mask(old), made["reg_no"].fillna(uscc.where(old))
    made["cert_no"] = raw["cert_no"].map(_identifier, na_action="ignore").map(_upgraded, na_action="ignore")
    made["reg_capital"] = pd.to_numeric(raw["reg_capital"], errors="coerce")
    made["est_date"], made["approve_date"] = _days(raw["est_date"]), _days(raw["approve_date"])
    made["updated_at"] = pd.to_datetime(raw["updated_at"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    good = {
        kind: made[name].map(lambda one, kind=kind: scalar.valid(kind, one, TODAY), na_action="ignore")
        for kind, name in (("uscc", "uscc"), ("citizen_id", "cert_no"))
    }
    return {
        "rows": len(made),
        "good_uscc": int((good["uscc"] == True).sum()),  # noqa: E712 - a column
        "good_id": int((good["citizen_id"] == True).sum()),  # noqa: E712 - a column
        "dates": int(made["est_date"].notna().sum()),
        "phones": int(made["phone"].notna().sum()),
        "yuan": int((made["currency"] == "156").sum()),
        "wan": float(made["reg_capital"].sum()),
    }


def _text(column: pd.Series) -> pd.Series:
    folded = column.str.translate(WIDE_ALPHANUMERIC).str.strip()
    return folded.mask(folded.isin(_NOTHING))


def _identifier(text: str) -> str:
    return text if text.isascii() and text.isalnum() and text.isupper() else _folded(text)


def _folded(text: str) -> str:
    return _INNER.sub("", text.translate(WIDE_ALPHANUMERIC)).upper()


def _upgraded(number: str) -> str:
    check = spec.CITIZEN_ID.check
    if len(number) != 15 or not number.isdigit() or not check:  # noqa: PLR2004 - the old length
        return number
    body = f"{number[:6]}19{number[6:]}"
    return body + scalar.check_character(check, body)


def _days(column: pd.Series) -> pd.Series:
    days = pd.to_datetime(column, format=_FORMS[0], errors="coerce")
    for form in _FORMS[1:]:
        missing = days.isna()
        if not missing.any():
            break
        days = days.mask(missing, pd.to_datetime(column.where(missing), format=form, errors="coerce"))
    return days
