"""The input of the benchmark: the real enterprise file, its first rows, or generated rows of the same shape."""

from __future__ import annotations

import csv
import gzip
import itertools
import random
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


def first_rows(real: Path, target: Path, rows: int) -> str:
    """Write the first `rows` of the real file, or generated ones when there is none; says which."""
    if not real.exists():
        _write(target, generated(rows))
        return f"{rows:,} generated rows (no {real})"
    with gzip.open(real, "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        _write(target, list(itertools.islice(reader, rows)))
    return f"the first {rows:,} rows of {real.name}"


def generated(rows: int) -> list[list[str]]:
    """Made-up firms with valid codes; every 200th code is wrong and every 300th row comes twice."""
    chance = random.Random(20250101)
    made: list[list[str]] = []
    for number in range(rows):
        code = usable_code("91330100MA" + "".join(chance.choices(ALPHABET, k=7)))
        if number % 200 == 0:
            code = code[:-1] + ALPHABET[(ALPHABET.index(code[-1]) + 1) % 31]
        day = f"{chance.randrange(1985, 2020)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        capital = f"{chance.randrange(1, 5000)}(万元人民币)"
        scope = "、".join(chance.choices(("软件开发", "技术服务", "货物进出口", "餐饮", "建筑材料批发"), k=12))
        address = f"杭州市西湖区文三路{number}号"
        made.append([f"浙江试验{number}有限公司", code, day, "N/A", "张某", capital, scope, "浙江", "杭州", address])
        if number % 300 == 0:
            made.append(made[-1])
    return made[:rows]


def usable_code(first: str) -> str:
    """The first 17 characters of a USCC with its check character (GB 32100-2015)."""
    total = sum(ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(first))
    return first + ALPHABET[-total % 31]


def _write(target: Path, rows: list[list[str]]) -> None:
    with gzip.open(target, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
