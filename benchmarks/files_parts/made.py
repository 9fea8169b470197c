"""The input of the benchmark: 21 columns of made-up firms, as GB18030 CSV, clean or with odd records, and as xlsx."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import openpyxl

HEADER = [
    "统一社会信用代码", "企业名称", "法定代表人", "身份证号", "登记状态", "企业类型", "注册资本",
    "币种", "成立日期", "核准日期", "登记机关", "省", "市", "区县",
    "住所", "行业", "经营范围", "电话", "邮箱", "从业人数", "更新时间",
]  # fmt: skip
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英𠮷㛃龦"
CITIES = ("杭州市", "宁波市", "温州市", "嘉兴市", "湖州市", "绍兴市", "金华市", "衢州市")
DISTRICTS = ("西湖区", "鹿城区", "海曙区", "柯桥区", "婺城区")
TRADES = ("批发业", "零售业", "软件和信息技术服务业", "房屋建筑业", "餐饮业", "道路运输业")
SCOPES = (
    "许可项目：食品经营；一般项目：技术服务、技术开发",
    "一般项目：五金产品零售；货物进出口",
    "建设工程施工；住宅室内装饰装修",
)
ODD_EVERY = 997  # records between two odd ones


def rows(count: int) -> Iterator[list[str]]:
    """`count` firms, the same ones each time."""
    chance = random.Random(20261122)
    pick = chance.choice
    for at in range(count):
        city = pick(CITIES)
        name = f"{city}{pick(GIVEN)}{pick(GIVEN)}{pick(GIVEN)}{pick(('科技', '贸易', '建筑', '食品'))}有限公司"
        day = f"20{chance.randrange(24):02d}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
        address = (
            f"{city}{pick(DISTRICTS)}文三路{chance.randrange(999)}号{chance.randrange(30)}幢{chance.randrange(2000)}室"
        )
        yield [
            f"91330{at:013d}", name, pick(SURNAMES) + pick(GIVEN) + pick(GIVEN),
            f"330102{chance.randrange(1950, 2005)}0101{chance.randrange(1000, 9999)}", "存续", "有限责任公司",
            f"{chance.randrange(99999)}.{chance.randrange(100):02d}", "人民币", day, day, f"{city}市场监督管理局",
            "浙江省", city, pick(DISTRICTS), address, pick(TRADES), pick(SCOPES),
            f"1{chance.randrange(3_000_000_000, 9_999_999_999)}", f"u{at}@example.cn", str(chance.randrange(999)),
            f"{day} 10:00:00",
        ]  # fmt: skip


def write_csv(path: Path, count: int, *, odd: bool = False) -> list[tuple[int, str]]:
    """Write GB18030 CSV; with `odd`, every 997th record has a bad byte or a field too few: (line, rule) of each."""
    wrong: list[tuple[int, str]] = []
    with path.open("wb") as file:
        file.write((",".join(HEADER) + "\n").encode("gb18030"))
        for at, row in enumerate(rows(count)):
            line = ",".join(row).encode("gb18030")
            if odd and at % ODD_EVERY == ODD_EVERY - 1:
                bad = at % 2
                line = b"\xff" + line if bad else line.rpartition(b",")[0]
                wrong.append((at + 2, "bad_bytes" if bad else "row_shape"))
            file.write(line + b"\n")
    return wrong


def write_workbook(path: Path, count: int) -> None:
    """Write one sheet, every value a text."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("firms")
    sheet.append(HEADER)
    for row in rows(count):
        sheet.append(row)
    book.save(path)
