"""The input of the benchmark: 27 columns of made-up firms as Parquet, a known share of them bad, the same each time."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MISTAKES = 24
TEN, FIFTH, THIRD, HUNDREDTH = 10, 5, 3, 100
GROUP = 122_880  # rows in a row group, as DuckDB writes them
ALPHABET = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRTUWXY", np.uint8)
ORG_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2])
USCC_WEIGHTS = np.array([3**place % 31 for place in range(17)])
ID_WEIGHTS = np.array([2 ** (17 - place) % 11 for place in range(17)])
DIVISIONS = [f"33{city:02d}{district:02d}" for city in range(1, 12) for district in range(1, 15)]
INDUSTRIES = [f"{letter}{number:04d}" for letter in "ABCDEFGHIJ" for number in range(100, 9000, 127)]
STATUSES, CURRENCIES = ["1", "2", "3", "4"], ["156", "840", "978"]
TYPES = [f"{number}" for number in range(1000, 9999, 130)]
SCOPES = [
    "许可项目：食品经营；一般项目：技术服务、技术开发",
    "一般项目：五金产品零售；货物进出口",
    "建设工程施工；住宅室内装饰装修",
]
SURNAMES, GIVEN = list("王李张刘陈杨赵黄周吴徐孙胡朱高林"), list("伟芳娜敏静丽强磊军洋勇艳杰娟涛明")


def _joined(*columns: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*columns, "")


def _digits(numbers: np.ndarray, width: int) -> np.ndarray:
    return (numbers[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10).astype(np.uint8)


def _texts(characters: np.ndarray) -> pa.Array:
    rows, width = characters.shape
    edges = np.arange(rows + 1, dtype=np.int32) * width
    data = np.ascontiguousarray(characters, np.uint8)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(edges), pa.py_buffer(data))


def _with(values: pa.Array, chosen: np.ndarray, value: object) -> pa.Array:
    return pc.if_else(pa.array(chosen), pa.scalar(value, values.type), values)


def _amounts(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.decimal128(25, 6)).cast(pa.decimal128(24, 6))


class _Made:
    """What the columns of one part are made from; of each kind of mistake `bad` says which rows have it."""

    def __init__(self, first: int, rows: int, share: float) -> None:
        self.chance = np.random.default_rng(20261123 + first)
        self.serial, self.rows = np.arange(first, first + rows), rows
        every = int(MISTAKES / share)  # each mistake in one row of so many
        self.bad = [self.serial % every == place for place in range(MISTAKES)]
        self.division = self.chance.integers(0, len(DIVISIONS), rows)

    def picked(self, values: list[str]) -> pa.Array:
        return pa.array(values).take(pa.array(self.chance.integers(0, len(values), self.rows)))

    def same(self, value: str) -> pa.Array:
        return pa.array([value] * self.rows)

    def number(self, low: int, high: int) -> pa.Array:
        return pa.array(self.chance.integers(low, high, self.rows)).cast(pa.string())

    def identifiers(self) -> dict[str, pa.Array]:
        bad, serial, rows = self.bad, self.serial, self.rows
        org = _digits(serial, 8)
        check = (11 - (org * ORG_WEIGHTS).sum(1) % 11) % 11
        org = np.c_[org + 48, np.where(check == TEN, ord("X"), check + 48)].astype(np.uint8)
        prefix = np.frombuffer("".join(DIVISIONS).encode(), np.uint8).reshape(-1, 6)[self.division]
        body = np.c_[np.tile(np.frombuffer(b"91", np.uint8), (rows, 1)), prefix, org]
        values = np.searchsorted(ALPHABET, body)
        uscc = np.c_[body, ALPHABET[(31 - (values * USCC_WEIGHTS).sum(1) % 31) % 31]]
        uscc[bad[0], 17] = ord("I")
        uscc[bad[1], 12] ^= 1
        shared = np.flatnonzero(bad[2])
        uscc[shared[1::2]] = uscc[shared[: len(shared) // 2 * 2 : 2]]
        month, year = self.chance.integers(1, 13, rows), self.chance.integers(1950, 2004, rows)
        day = self.chance.integers(1, 29, rows) + month * 100 + year * 10_000
        citizen = np.c_[prefix - 48, _digits(day, 8), _digits(serial % 1000, 3)]
        citizen = np.c_[citizen + 48, np.frombuffer(b"10X98765432", np.uint8)[(citizen * ID_WEIGHTS).sum(1) % 11]]
        citizen[bad[3], 17] = ord("A")
        return {
            "uscc": _with(_texts(uscc), bad[4], None),
            "org_code": _with(_texts(org), bad[5], "12345678-9"),
            "regno": _with(_texts(np.c_[prefix, _digits(serial, 9) + 48]), bad[6], "3301O0000000001"),
            "cert_no": _texts(citizen),
        }

    def words(self) -> dict[str, pa.Array]:
        bad, picked, same = self.bad, self.picked, self.same
        serial = pa.array(self.serial % 99_991).cast(pa.string())
        name = _joined(
            picked(["杭州市", "宁波市", "温州市"]), picked(GIVEN), picked(GIVEN), serial, same("科技有限公司")
        )
        streets = ["杭州市西湖区文三路", "宁波市海曙区中山西路"]
        email = _with(_joined(same("u"), serial, same("@example.cn")), bad[16], "无")
        return {
            "name": _with(_with(name, bad[7], None), bad[8], "名" * 201),
            "type": _with(picked(TYPES), bad[10], "9999"),
            "industry": _with(picked(INDUSTRIES), bad[11], "Z9999"),
            "division": _with(pa.array(DIVISIONS).take(pa.array(self.division)), bad[12], "330199"),
            "currency": _with(picked(CURRENCIES), bad[13], "人民币"),
            "legal_rep": _with(_joined(picked(SURNAMES), picked(GIVEN)), bad[14], None),
            "phone": _with(_joined(same("1"), self.number(3 * 10**9, 10**10)), bad[15], "0571-8888888"),
            "email": _with(email, self.serial % FIFTH == 0, None),
            "address": _joined(picked(streets), self.number(1, 9999), same("号")),
            "scope": picked(SCOPES),
            "postcode": _with(self.number(310_000, 320_000), bad[17], "31000"),
        }

    def figures(self) -> dict[str, pa.Array]:
        bad, rows, chance = self.bad, self.rows, self.chance
        capital, est = chance.integers(1, 10**9, rows), chance.integers(9_000, 19_000, rows)
        status = _with(self.picked(STATUSES[:3]), bad[9], "存续")
        gone = bad[22] | pc.equal(status, "2").to_numpy(zero_copy_only=False)
        return {
            "status": status,
            "capital": _with(_amounts(capital), bad[18], Decimal(-1)),
            "paid": _amounts(capital // 2),
            "staff": _with(pa.array(chance.integers(0, 5_000, rows)), bad[19], -5),
            "ratio": pa.array(np.where(bad[20], 120.5, chance.random(rows) * 100)),
            "est_date": _dates(est),
            "appr_date": _dates(est + np.where(bad[21], -1, 90)),
            "op_from": _dates(est + 1),
            "op_to": _dates(est + np.where(bad[23], 0, 9_000), self.serial % THIRD == 0),
            "cancel_date": _dates(est + 100, ~gone),
            "name__repaired": pa.array(self.serial % HUNDREDTH == 0),
        }


def _dates(days: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    return pa.array(days.astype(np.int32), pa.date32(), mask=missing)


def part(first: int, rows: int, share: float) -> pa.Table:
    """Rows `first` + 1 to `first` + `rows`; in all `share` of them have a mistake, each kind as often as any other."""
    made = _Made(first, rows, share)
    numbers = {"_row": pa.array(made.serial + 1)}
    return pa.table({**numbers, **made.identifiers(), **made.words(), **made.figures()})


def write(file: Path, rows: int, share: float = 0.01) -> None:
    """The table as one Parquet file."""
    with pq.ParquetWriter(file, part(0, 1, share).schema, compression="zstd") as writer:
        for first in range(0, rows, GROUP):
            writer.write_table(part(first, min(GROUP, rows - first), share))


def write_numbers(file: Path, first: int, rows: int) -> None:
    """Row numbers and identifiers alone, of `rows` rows after the first `first`: no other row has the same."""
    with pq.ParquetWriter(file, _numbers(0, 1).schema, compression="zstd") as writer:
        for begun in range(0, rows, GROUP):
            writer.write_table(_numbers(first + begun, min(GROUP, rows - begun)))


def _numbers(first: int, rows: int) -> pa.Table:
    made = _Made(first, rows, 0.01)
    return pa.table({"_row": pa.array(made.serial + 1), **made.identifiers()})
