"""Made-up deliveries of two departments about the same firms, with valid codes but for one in a hundred."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

Numbers, Letters = NDArray[np.int64], NDArray[np.str_]

CHUNK = 100_000  # rows made together
LETTERS = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRTUWXY", np.uint8)
ORG, USCC = (3, 7, 9, 10, 5, 8, 4, 2), (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
FIRMS = ("uscc", "reg_no", "ent_name", "est_date", "appr_date", "legal_rep_name", "reg_capital", "domicile", "op_scope")
TAXED = ("uscc", "tax_no", "ent_name", "appr_date", "domicile", "phone")
WORDS = tuple("恒通新华永兴祥和金鼎东方瑞丰盛达科技贸易建筑餐饮物流信息服饰电器文化医药")
SURNAMES = np.array(list("王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"))


def codes(numbers: Numbers) -> Letters:
    """Unified social credit codes of 18 characters; that of every hundredth number has a wrong check character."""
    text = np.zeros((len(numbers), 18), np.uint8)
    text[:, :8] = np.frombuffer(b"91330300", np.uint8)
    digits = (10_000_000 + numbers)[:, None] // 10 ** np.arange(7, -1, -1)[None, :] % 10
    text[:, 8:16] = digits + 48
    check = 11 - (digits * ORG).sum(axis=1) % 11
    text[:, 16] = np.frombuffer(b"0123456789X0", np.uint8)[check]
    place = np.zeros(256, np.int64)
    place[LETTERS] = np.arange(31)
    last = (31 - (place[text[:, :17]] * USCC).sum(axis=1) % 31) % 31
    text[:, 17] = LETTERS[(last + (numbers % 100 == 7)) % 31]  # noqa: PLR2004 - any remainder would do
    return text.view("S18").ravel().astype(str)


def batch(first: int, count: int, columns: tuple[str, ...], salt: int) -> pa.Table:
    """Firms `first` and following; another salt tells other things about the same ones."""
    n = np.arange(first, first + count)
    mixed = (n * 2_654_435_761 + salt * 40_503) % 4_294_967_291
    code, year = codes(n), 1990 + mixed % 30

    def some(step: int) -> Letters:
        return np.array(WORDS)[(mixed // step) % len(WORDS)]

    def join(*parts: Letters | str) -> pa.Array:
        told = np.asarray(parts[0], dtype=str)
        for part in parts[1:]:
            told = np.char.add(told, np.asarray(part, dtype=str))
        return pa.array(told)

    made = {
        "uscc": lambda: pa.array(code),
        "tax_no": lambda: pa.array(code),
        "reg_no": lambda: join(np.char.add("3303", np.char.zfill(n.astype(str), 11))),
        "ent_name": lambda: join("浙江", some(7), some(131), n.astype(str), some(17), "有限公司"),
        "est_date": lambda: join(year.astype(str), "-0", (1 + mixed % 9).astype(str), "-1", (mixed % 9).astype(str)),
        "appr_date": lambda: join(
            str(2021 + salt), "-0", (1 + mixed % 9).astype(str), "-1", ((mixed // 9) % 9).astype(str)
        ),
        "legal_rep_name": lambda: join(SURNAMES[mixed % len(SURNAMES)], some(31)),
        "reg_capital": lambda: join((10 + mixed % 5000).astype(str), "万元人民币"),
        "domicile": lambda: join("浙江省温州市", some(97), "路", (mixed % 997).astype(str), "号", some(5), "室"),
        "op_scope": lambda: join(some(3), "、", some(11), "、", some(13), "的研发、生产、销售与技术服务。"),
        "phone": lambda: join("0577-8", (1_000_000 + mixed % 8_999_999).astype(str)),
    }
    return pa.table({name: made[name]() for name in columns})


def chunks(count: int, columns: tuple[str, ...], salt: int) -> Iterator[pa.Table]:
    """All rows of a delivery, some at a time."""
    for first in range(0, count, CHUNK):
        yield batch(first, min(CHUNK, count - first), columns, salt)


def deliver(path: Path, count: int, columns: tuple[str, ...], salt: int = 0) -> None:
    """Write a delivery of that many rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    schema = pa.schema([(name, pa.string()) for name in columns])
    with csv.CSVWriter(str(draft), schema) as out:
        for table in chunks(count, columns, salt):
            out.write_table(table)
    draft.rename(path)
