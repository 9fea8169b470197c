"""How a script without Shutong standardises and checks the table: pandas, a column at a time, ids by apply."""

from __future__ import annotations

import pandas as pd

from ingest_parts.entities import ALPHABET

NARROW = {code + 0xFEE0: chr(code) for code in range(0x21, 0x7F)} | {0x3000: " "}
TEXTS = ("uniscid", "entname", "regno", "name", "certype", "cerno", "regcapcur", "regstate", "dom", "opscope", "tel")
STATES = {"存续": "1", "在营": "1", "吊销": "2", "注销": "3"}
CURRENCIES = {"CNY": "156", "人民币": "156"}
PAPERS = {"居民身份证": "111", "10": "111"}


def checked(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame trimmed, folded to half width, dated and coded, with a column that counts what is wrong."""
    for name in TEXTS:
        frame[name] = frame[name].str.strip().str.translate(NARROW)
    for name, codes in (("regstate", STATES), ("regcapcur", CURRENCIES), ("certype", PAPERS)):
        frame[name] = frame[name].replace(codes)
    plain = frame["estdate"].str.replace(r"[年月/.]", "-", regex=True).str.replace("日", "")
    frame["estdate"] = pd.to_datetime(plain, format="mixed", errors="coerce")
    frame["apprdate"] = pd.to_datetime(frame["apprdate"], errors="coerce")
    wrong = (~frame["uniscid"].map(uscc_right, na_action=None)).astype(int)
    wrong += ~frame["cerno"].map(citizen_right, na_action=None)
    wrong += frame["entname"].isna() | ~frame["entname"].str.len().between(2, 200)
    wrong += ~frame["regno"].str.fullmatch(r"\d{15}", na=False)
    wrong += ~frame["certype"].isin(["111", "414"]) + (~frame["regcapcur"].isin(["156", "840", "344"])).astype(int)
    wrong += frame["estdate"].isna() | (frame["estdate"] > pd.Timestamp.today())
    wrong += frame["apprdate"] < frame["estdate"]
    wrong += ~frame["industryco"].str.fullmatch(r"[A-T]\d{3}", na=False)
    wrong += ~frame["regstate"].isin(["1", "2", "3", "9"])
    wrong += ~frame["tel"].str.len().between(7, 20)
    frame["wrong"] = wrong
    return frame


def uscc_right(code: object) -> bool:
    """Whether the check character of a unified social credit code fits (GB 32100-2015)."""
    if not isinstance(code, str) or len(code) != 18 or any(sign not in ALPHABET for sign in code):  # noqa: PLR2004
        return False
    total = sum(ALPHABET.index(sign) * pow(3, place, 31) for place, sign in enumerate(code[:17]))
    return ALPHABET[-total % 31] == code[17]


def citizen_right(number: object) -> bool:
    """Whether the check character of a citizen id number fits (GB 11643-1999)."""
    if not isinstance(number, str) or len(number) != 18 or not number[:17].isdigit():  # noqa: PLR2004
        return False
    total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]
