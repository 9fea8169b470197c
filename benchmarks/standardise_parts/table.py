"""The table that is standardised: 21 legal-person columns as departments write them, made from a seed by the column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.standard import Field, Standard
from schemas.validators.spec import CITIZEN_ID, USCC, Weighted
from schemas.values import RAW_COLUMNS

BATCH = 131_072
DISTINCT = 8 * BATCH
TYPED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("id", "integer", {}),
    ("uscc", "uscc", {}),
    ("reg_no", "text", {}),
    ("ent_name", "text", {}),
    ("legal_rep", "text", {}),
    ("cert_type", "code", {"codes": "cert"}),
    ("cert_no", "citizen_id", {}),
    ("reg_capital", "capital", {"unit": "万元"}),
    ("currency", "code", {"codes": "currency"}),
    ("est_date", "date", {}),
    ("approve_date", "date", {}),
    ("industry", "text", {}),
    ("region", "text", {}),
    ("reg_org", "text", {}),
    ("address", "text", {}),
    ("phone", "text", {}),
    ("op_scope", "text", {}),
    ("employees", "integer", {}),
    ("status", "code", {"codes": "status"}),
    ("updated_at", "datetime", {}),
    ("is_deleted", "boolean", {}),
)
STANDARD = Standard(
    name="ent",
    version=1,
    zh="企业",
    en="Firms",
    fields=tuple(Field(name=name, zh=name, en=name, type=kind, **more) for name, kind, more in TYPED),
    rules=(),
    key=("uscc",),
)
COLUMNS = tuple(name for name, _, _ in TYPED)
MAPPING = {name: name for name in COLUMNS}
CODES = {
    "cert": {"10": "10", "11": "11", "40": "40", "身份证": "10", "居民身份证": "10", "1": "10"},
    "currency": {"156": "156", "人民币": "156", "RMB": "156", "CNY": "156", "840": "840", "USD": "840", "美元": "840"},
    "status": {"1": "1", "2": "2", "3": "3", "存续": "1", "在业": "1", "吊销": "2", "注销": "3"},
}
Change = Callable[[str], str]
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_SURNAMES, _GIVEN = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英𠮷㐂"
_PLACES = ["杭州", "宁波", "温州", "嘉兴", "湖州", "绍兴", "金华", "衢州", "舟山", "台州", "丽水"]
_TRADES = [
    "软件开发",
    "货物进出口",
    "餐饮服务",
    "建筑材料批发",
    "服装制造",
    "物业管理",
    "道路货物运输",
    "技术咨询",
    "广告设计",
    "机电设备安装",
]


def batches(rows: int, seed: int = 20_250_101) -> Iterator[pa.RecordBatch]:
    """`rows` rows in batches of BATCH, RAW_COLUMNS first, the same for the same seed; after DISTINCT they repeat."""
    firsts = range(0, min(rows, DISTINCT), BATCH)
    made = [_batch(first, BATCH, np.random.default_rng([seed, first])) for first in firsts]
    for number in range(-(-rows // BATCH)):
        yield made[number % len(made)].slice(0, min(BATCH, rows - number * BATCH))


def write(target: Path, rows: int) -> None:
    """The table as an Arrow file that every side maps into memory."""
    with pa.OSFile(str(target), "wb") as file:
        pieces = batches(rows)
        first = next(pieces)
        with pa.ipc.new_file(file, first.schema) as writer:
            writer.write_batch(first)
            for piece in pieces:
                writer.write_batch(piece)


def _batch(first: int, rows: int, chance: np.random.Generator) -> pa.RecordBatch:
    numbers = pa.array(np.arange(first + 1, first + rows + 1))
    out: dict[str, pa.Array] = {RAW_COLUMNS[0]: numbers}
    out |= {name: pa.nulls(rows, pa.string()) for name in RAW_COLUMNS[1:]}
    out["id"] = numbers.cast(pa.string())
    out["uscc"] = _usccs(rows, chance)
    out["reg_no"] = _some(_digits(rows, 15, chance), 0.05, lambda one: f"{one}  ", chance)
    out["ent_name"] = _names(first, rows, chance)
    out["legal_rep"] = _some(_people(rows, chance), 0.02, lambda one: f"{one} ", chance)
    out["cert_type"] = _pick(
        rows, ("10", "身份证", "1", "11", "40", "其他"), (0.7, 0.2, 0.06, 0.02, 0.015, 0.005), chance
    )
    out["cert_no"] = _citizens(rows, chance)
    cents = chance.integers(10_000, 500_000_000, rows)
    out["reg_capital"] = _absent(_joined(cents // 100, ".", cents % 100, 2), 0.02, chance)
    out["currency"] = _pick(
        rows, ("156", "人民币", "RMB", "CNY", "840", "USD"), (0.6, 0.2, 0.1, 0.07, 0.02, 0.01), chance
    )
    out["est_date"] = _days(rows, chance)
    out["approve_date"] = _day(chance.integers(5_500, 20_000, rows), "%Y-%m-%d")
    out["industry"] = _pick(
        rows, tuple(f"{one}{code}" for one in "CFILMO" for code in range(6_501, 6_560)), None, chance
    )
    out["region"] = _pick(rows, tuple(str(code) for code in range(330_101, 330_199)), None, chance)
    out["reg_org"] = _pick(rows, tuple(str(code) for code in range(330_101_000, 330_101_200)), None, chance)
    streets = _joined(chance.integers(1, 2000, rows), "号", chance.integers(101, 3000, rows), 0)
    places = _pick(rows, tuple(f"浙江省{one}市经济技术开发区文三路" for one in _PLACES), None, chance)
    out["address"] = _some(_glued(places, streets, "室"), 0.03, lambda one: one.translate(_WIDE), chance)
    phones = _some(_glued("13", _digits(rows, 9, chance)), 0.03, lambda one: f"{one[:3]}-{one[3:]} ", chance)
    out["phone"] = _absent(_some(phones, 0.01, lambda _: "无", chance), 0.05, chance)
    scopes = tuple("、".join(chance.permutation(_TRADES)[:5].tolist()) + "。" for _ in range(5_000))
    out["op_scope"] = _pick(rows, scopes, None, chance)
    out["employees"] = pa.array(chance.integers(1, 2_000, rows)).cast(pa.string())
    out["status"] = _pick(rows, ("1", "存续", "在业", "吊销", "注销", "3"), (0.5, 0.2, 0.1, 0.1, 0.08, 0.02), chance)
    times = pa.array(np.arange(86_400), pa.int64()).cast(pa.timestamp("s"))
    clocks = pc.strftime(times, " %H:%M:%S").take(pa.array(chance.integers(0, 86_400, rows)))
    out["updated_at"] = _glued(_day(chance.integers(18_300, 20_100, rows), "%Y-%m-%d"), clocks)
    out["is_deleted"] = _pick(rows, ("0", "1"), (0.98, 0.02), chance)
    return pa.RecordBatch.from_arrays(list(out.values()), names=list(out))


def _usccs(rows: int, chance: np.random.Generator) -> pa.Array:
    assert USCC.check
    alphabet = np.frombuffer(USCC.check.alphabet.encode(), np.uint8)
    body = np.tile(np.frombuffer(b"91330100MA00000000", np.uint8), (rows, 1))
    body[:, 10:17] = alphabet[chance.integers(0, 31, (rows, 7))]
    codes = _some(_checked(body, USCC.check), 0.0098, lambda one: one[:-1] + ("0" if one[-1] != "0" else "1"), chance)
    codes = _some(codes, 0.02, str.lower, chance)
    codes = _some(codes, 0.01, lambda one: f" {one}", chance)
    codes = _some(codes, 0.01, lambda one: one.translate(_WIDE), chance)
    return _some(codes, 0.003, lambda _: "330106000012345", chance)


def _citizens(rows: int, chance: np.random.Generator) -> pa.Array:
    assert CITIZEN_ID.check
    days = _flat(_day(chance.integers(-7_000, 11_000, rows), "%Y%m%d"), 8)
    body = np.hstack(
        [_flat(_pick(rows, ("330106", "330203", "330304"), None, chance), 6), days, np.zeros((rows, 4), np.uint8)]
    )
    body[:, 14:17] = chance.integers(0, 10, (rows, 3)) + ord("0")
    right = _checked(body, CITIZEN_ID.check)
    right = _some(right, 0.009, lambda one: one[:-1] + ("0" if one[-1] != "0" else "1"), chance)
    right = _some(right, 0.03, str.lower, chance)
    return _some(right, 0.02, lambda one: one[:6] + one[8:17] if one[6:8] == "19" else one, chance)


def _checked(body: np.ndarray, check: Weighted) -> pa.Array:
    """`body` (texts × 18 bytes) with the check character that belongs there."""
    value = np.zeros(256, np.int64)
    value[np.frombuffer(check.alphabet.encode(), np.uint8)] = np.arange(len(check.alphabet))
    total = value[body[:, :17]] @ np.array(check.weights)
    body = body.copy()
    body[:, 17] = np.frombuffer(check.table.encode(), np.uint8)[total % len(check.table)]
    offsets = np.arange(len(body) + 1, dtype=np.int32) * 18
    return pa.StringArray.from_buffers(len(body), pa.py_buffer(offsets), pa.py_buffer(body.tobytes()))


def _flat(texts: pa.Array, width: int) -> np.ndarray:
    return np.frombuffer("".join(texts.to_pylist()).encode(), np.uint8).reshape(-1, width)


def _names(first: int, rows: int, chance: np.random.Generator) -> pa.Array:
    numbers = pa.array(np.arange(first, first + rows)).cast(pa.string())
    trades = _pick(rows, tuple(f"某{one}（浙江）有限公司" for one in _TRADES), None, chance)
    names = _glued(_pick(rows, tuple(_PLACES), None, chance), numbers, trades)
    names = _some(names, 0.03, lambda one: one.translate({ord(d): ord(d) + 0xFEE0 for d in "0123456789"}), chance)
    return _some(names, 0.01, lambda one: f"\u3000{one}", chance)


def _people(rows: int, chance: np.random.Generator) -> pa.Array:
    given = _pick(rows, tuple(one + two for one in _GIVEN for two in ("", *_GIVEN)), None, chance)
    return _glued(_pick(rows, tuple(_SURNAMES), None, chance), given)


def _days(rows: int, chance: np.random.Generator) -> pa.Array:
    days = chance.integers(5_500, 20_000, rows)
    which = chance.integers(0, 5, rows)
    forms = [_day(days, form) for form in ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")]
    return pc.choose(pa.array(which), *forms)


def _day(days: np.ndarray, form: str) -> pa.Array:
    least = int(days.min())
    every = pa.array(range(least, int(days.max()) + 1), pa.int32()).cast(pa.date32())
    return pc.strftime(every, form).take(pa.array(days - least))


def _digits(rows: int, width: int, chance: np.random.Generator) -> pa.Array:
    return pa.array(chance.integers(10 ** (width - 1), 10**width, rows)).cast(pa.string())


def _joined(left: np.ndarray, between: str, right: np.ndarray, width: int) -> pa.Array:
    return _glued(
        pa.array(left).cast(pa.string()), between, pc.utf8_lpad(pa.array(right).cast(pa.string()), width, "0")
    )


def _glued(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _pick(
    rows: int, words: tuple[str, ...], weights: tuple[float, ...] | None, chance: np.random.Generator
) -> pa.Array:
    return pa.array(words, pa.string()).take(pa.array(chance.choice(len(words), rows, p=weights)))


def _some(texts: pa.Array, share: float, change: Change, chance: np.random.Generator) -> pa.Array:
    chosen = pa.array(chance.random(len(texts)) < share)
    changed = [change(one) for one in texts.filter(chosen).to_pylist()]
    return pc.replace_with_mask(texts, chosen, pa.array(changed, pa.string()))


def _absent(texts: pa.Array, share: float, chance: np.random.Generator) -> pa.Array:
    return pc.if_else(pa.array(chance.random(len(texts)) < share), pa.scalar(None, pa.string()), texts)
