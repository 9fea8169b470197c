"""Which rows of an enterprise file violate which rule, worked out in plain Python from what the standard says.

Nothing here imports Shutong; divisions are read from the code list's own file.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from enterprise_truth import EMPTY, Truth, normal

DIVISIONS = Path(__file__).parents[2] / "schemas" / "codes" / "division.csv"
# Rules that apply to the real file and that no row of it violates.
UNBROKEN = frozenset(
    """
    bad_bytes torn_row float_id field_size type_unreadable reg_no_length reg_no_repaired ent_name_required
    ent_name_length ent_type_name_length ent_type_name_repaired legal_rep_name_length legal_rep_name_repaired
    reg_capital_repaired reg_capital_ccy_code reg_capital_ccy_repaired est_date_required est_date_format
    est_date_repaired domicile_length op_scope_length uscc_org_code_check uscc_pair_known est_not_future
    reg_capital_not_negative reg_capital_plausible uscc_excel_tail
    """.split()  # noqa: SIM905 - reads better than a list of quotes
)
BROKEN = frozenset(
    """
    row_shape columns_shifted uscc_check uscc_repaired ent_name_repaired ent_name_whole legal_rep_name_required
    reg_capital_format reg_capital_ccy_named domicile_required domicile_repaired op_scope_repaired
    uscc_pair_fits_ent_type uscc_division_known
    """.split()  # noqa: SIM905 - dto.
)
TEXTS = {  # field → column, most characters, whether it must be there
    "ent_name": (0, 200, True),
    "ent_type_name": (3, 100, False),
    "legal_rep_name": (4, 100, True),
    "op_scope": (6, 4000, False),
    "domicile": (9, 300, True),
}
PAIRS = re.compile("1[1239]|2[19]|3[1-59]|4[19]|5[1239]|6[129]|7[129]|8[19]|9[123]|A[19]|N[1239]|Y1")
WIDE = [*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B)]  # digits, capitals, small letters
NARROW = {0x3000: " ", **{one: one - 0xFEE0 for one in WIDE}}
ODD = re.compile("[０-９Ａ-Ｚａ-ｚ\u3000]")
BLANKS = " \t\r\n\v\f\u00a0\u2003\u200b\u3000\ufeff"
LONGEST = max(map(len, EMPTY))
ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def violating(truth: Truth, today: date) -> dict[str, set[int]]:
    """Rule → the rows (1-based) that violate it; a rule that no row violates has an empty set."""
    found: defaultdict[str, set[int]] = defaultdict(set, {rule: set() for rule in UNBROKEN | BROKEN})
    found |= {"row_shape": set(truth.misshapen), "columns_shifted": set(truth.shifted)}
    found |= {"uscc_check": set(truth.wrong_codes), "uscc_repaired": set(truth.repaired)}
    with DIVISIONS.open(encoding="utf-8", newline="") as file:
        divisions = {row["code"] for row in csv.DictReader(file)}
    tails, codes = set(), 0
    for number, row in enumerate(truth.rows, 1):
        cells = [*row, *[""] * 10][:10]
        code = _code(cells[1])
        _texts(found, number, cells)
        _day(found, number, cells[2], today)
        _money(found, number, cells[5], truth)
        if code:
            codes += 1
            _parts(found, number, code, divisions)
            if "个体工商户" in _text(cells[3]) and not code.startswith("92"):
                found["uscc_pair_fits_ent_type"].add(number)
            if re.fullmatch("[0-9]{15}000", code):
                tails.add(number)
    if codes >= 100 and len(tails) > codes / 100:
        found["uscc_excel_tail"] |= tails
    return dict(found)


def _code(cell: str) -> str:
    """The code as it should be kept; a registration number or a word for nothing is none."""
    code = normal(cell)
    return "" if code in EMPTY or code in {"11111111", "1" * 18} or re.fullmatch(r"\d{13}|\d{15}", code) else code


def _text(cell: str) -> str:
    """Full-width digits, letters and spaces narrowed, no blanks around it; empty for a word that stands for nothing."""
    said = (cell.translate(NARROW) if ODD.search(cell) else cell).strip(BLANKS)
    short = len(said) <= LONGEST and (said.upper() in EMPTY or unicodedata.normalize("NFKC", said).upper() in EMPTY)
    return "" if short else said


def _texts(found: Mapping[str, set[int]], number: int, cells: list[str]) -> None:
    for field, (place, most, needed) in TEXTS.items():
        said = _text(cells[place])
        if not said and needed:
            found[f"{field}_required"].add(number)
        if len(said) > most:
            found[f"{field}_length"].add(number)
        if said and said != cells[place]:
            found[f"{field}_repaired"].add(number)
    if "*" in cells[0] or "?" in cells[0]:
        found["ent_name_whole"].add(number)


def _day(found: Mapping[str, set[int]], number: int, cell: str, today: date) -> None:
    if cell.upper() in EMPTY:
        found["est_date_required"].add(number)
        return
    try:
        day = date.fromisoformat(cell)
    except ValueError:
        found["est_date_format"].add(number)
        return
    if day > today:
        found["est_not_future"].add(number)


def _money(found: Mapping[str, set[int]], number: int, cell: str, truth: Truth) -> None:
    if cell in truth.strange_capitals:
        found["reg_capital_format"].add(number)
    if number not in truth.capitals:
        return
    amount, unit, currency = truth.capitals[number]
    if currency is None:
        found["reg_capital_ccy_named"].add(number)
    if amount < 0:
        found["reg_capital_not_negative"].add(number)
    if amount * unit > 10_000_000 * 10_000:
        found["reg_capital_plausible"].add(number)
    if cell.translate(NARROW).strip(BLANKS) != cell or set(cell) & {*"（），．"}:
        found["reg_capital_repaired"].add(number)


def _parts(found: Mapping[str, set[int]], number: int, code: str, divisions: set[str]) -> None:
    if len(code) != 18 or not PAIRS.match(code):
        found["uscc_pair_known"].add(number)
    body = code[8:16]
    total = sum(int(one, 36) * weight for one, weight in zip(body, ORG_WEIGHTS, strict=False) if one.isalnum())
    if len(code) != 18 or "0123456789X"[-total % 11] != code[16]:
        found["uscc_org_code_check"].add(number)
    if len(code) == 18 and code[2:8] != "100000" and code[2:8] not in divisions:
        found["uscc_division_known"].add(number)
