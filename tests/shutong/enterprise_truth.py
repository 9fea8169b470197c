"""What must become of an enterprise file, worked out with the csv module and plain Python alone.

Nothing here imports Shutong: it is the independent truth that tests compare with.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

HEADER = [
    "企业名称",
    "统一社会信用代码",
    "注册日期",
    "企业类型",
    "法人代表",
    "注册资金",
    "经营范围",
    "所在省份",
    "地区",
    "注册地址",
]
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
EMPTY = {
    "",
    "N/A",
    "#N/A",
    "-",
    "--",
    "---",
    "—",
    "——",
    "/",
    "\\",
    "\\N",
    "NULL",
    "NONE",
    "NAN",
    "NIL",
    "[]",
    "[]号",
} | {
    "无",
    "暂无",
    "空",
    "无数据",
    "空值",
}  # what stands for nothing known, in upper case
PROVINCES = {
    "北京",
    "天津",
    "河北",
    "山西",
    "内蒙古",
    "辽宁",
    "吉林",
    "黑龙江",
    "上海",
    "江苏",
    "浙江",
    "安徽",
    "福建",
    "江西",
    "山东",
    "河南",
    "湖北",
    "湖南",
    "广东",
    "广西",
    "海南",
    "重庆",
    "四川",
    "贵州",
    "云南",
    "西藏",
    "陕西",
    "甘肃",
    "青海",
    "宁夏",
    "新疆",
    "台湾",
    "香港",
    "澳门",
}

# Every spelling of registered capital, digits written 9 and brackets narrow, read by a person: unit in 元, currency.
WAN, YUAN = 10_000, 1
SPELLINGS: dict[str, tuple[int, str | None]] = {
    "9(万人民币)": (WAN, "CNY"),
    "9(万元人民币)": (WAN, "CNY"),
    "9万人民币": (WAN, "CNY"),
    "9万元人民币": (WAN, "CNY"),
    "9万人民币元": (WAN, "CNY"),
    "9(万人民币元)": (WAN, "CNY"),
    "9( 万人民币元)": (WAN, "CNY"),
    "9(万元(人民币))": (WAN, "CNY"),
    "9(人民币元)": (YUAN, "CNY"),
    "9人民币元": (YUAN, "CNY"),
    "9(万)": (WAN, None),
    "9(万元)": (WAN, None),
    "9万": (WAN, None),
    "9万元": (WAN, None),
    "9(万美元)": (WAN, "USD"),
    "9万美元": (WAN, "USD"),
    "9(万元美元)": (WAN, "USD"),
    "9万元美元": (WAN, "USD"),
    "9(万香港元)": (WAN, "HKD"),
    "9(万港元)": (WAN, "HKD"),
    "9(万元(港币))": (WAN, "HKD"),
    "9(万日元)": (WAN, "JPY"),
    "9(万欧元)": (WAN, "EUR"),
    "9(万英镑)": (WAN, "GBP"),
    "9(万法国法郎)": (WAN, "FRF"),
    "9(万澳大利亚元)": (WAN, "AUD"),
    "9(万新加坡元)": (WAN, "SGD"),
    "9万新加坡元": (WAN, "SGD"),
}
NARROW = str.maketrans("０１２３４５６７８９（），．　", "0123456789(),. ")


def valid_uscc(code: str) -> bool:
    """GB 32100-2015: 18 characters of the alphabet, check character by mod 31; as it stands, nothing folded."""
    if len(code) != 18 or any(char not in ALPHABET for char in code):
        return False
    total = sum(ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(code[:17]))
    return ALPHABET[(31 - total % 31) % 31] == code[17]


def normal(code: str) -> str:
    """A code with full-width characters narrowed, spaces and hyphens gone, upper case."""
    narrow = "".join(chr(ord(char) - 0xFEE0) if 0xFF01 <= ord(char) <= 0xFF5E else char for char in code)
    return re.sub(r"[\s\-\u3000]", "", narrow).upper()


def capital(text: str) -> tuple[Decimal, int, str | None] | None:
    """(amount, unit, currency) by the reviewed table; None for a spelling that is not in it."""
    narrow = text.translate(NARROW).strip()
    found = re.match(r"(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(.*)$", narrow)
    if not found or f"9{found[2]}" not in SPELLINGS:
        return None
    return (Decimal(found[1].replace(",", "")), *SPELLINGS[f"9{found[2]}"])


@dataclass
class Truth:
    """Each row's fate by its number (1-based), and what the rules must count."""

    rows: list[list[str]]
    landed: dict[str, int] = field(default_factory=dict)  # key → row
    quarantined: set[int] = field(default_factory=set)
    superseded: set[int] = field(default_factory=set)
    wrong_codes: dict[int, str] = field(default_factory=dict)
    repaired: set[int] = field(default_factory=set)
    misshapen: set[int] = field(default_factory=set)
    shifted: set[int] = field(default_factory=set)
    capitals: dict[int, tuple[Decimal, int, str | None]] = field(default_factory=dict)
    strange_capitals: Counter[str] = field(default_factory=Counter)
    hold_a_number: int = 0


def read(path: Path) -> list[list[str]]:
    """The records after the header as the csv module takes them apart."""
    open_it = gzip.open if path.suffix == ".gz" else open
    with open_it(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == HEADER
    return rows[1:]


def work_out(rows: list[list[str]]) -> Truth:
    """The truth about those records."""
    truth = Truth(rows)
    rivals: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        code = row[1] if len(row) > 1 else ""
        if not valid_uscc(code):
            truth.wrong_codes[number] = code
            if valid_uscc(normal(code)):
                truth.repaired.add(number)
        if len(row) != len(HEADER):
            truth.misshapen.add(number)
        _capital(truth, number, row)
        province = row[7].strip() if len(row) > 7 else ""
        money = row[5].strip() if len(row) > 5 else ""
        no_province = province.upper() not in EMPTY and province.removesuffix("省").removesuffix("市") not in PROVINCES
        if no_province or (money.upper() not in EMPTY and not re.search(r"[0-9０-９]", money)):
            truth.shifted.add(number)
        if number in truth.misshapen | truth.shifted or (number in truth.wrong_codes and number not in truth.repaired):
            truth.quarantined.add(number)
        else:
            rivals.setdefault(normal(code), []).append(number)
    for key, numbers in rivals.items():
        winner = max(numbers, key=lambda number: (rows[number - 1][2], number))
        truth.landed[key] = winner
        truth.superseded |= set(numbers) - {winner}
    return truth


def _capital(truth: Truth, number: int, row: list[str]) -> None:
    text = row[5] if len(row) > 5 else ""
    if text.strip().upper() in EMPTY:
        return
    has_number = re.search(r"[0-9０-９]", text) is not None
    truth.hold_a_number += has_number
    understood = capital(text)
    if understood is None:
        truth.strange_capitals[text] += 1
    else:
        truth.capitals[number] = understood
