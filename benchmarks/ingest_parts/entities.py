"""The table the ingest benchmark reads: seeded made-up legal persons in 21 columns, dirty on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CHUNK = 100_000  # rows made together
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
COLUMNS = {  # column → type, the same words in PostgreSQL and MariaDB
    "pripid": "bigint",
    "uniscid": "varchar(40)",
    "entname": "varchar(200)",
    "regno": "varchar(30)",
    "enttype": "varchar(6)",
    "name": "varchar(100)",
    "certype": "varchar(20)",
    "cerno": "varchar(30)",
    "regcap": "numeric(18,2)",
    "regcapcur": "varchar(20)",
    "estdate": "varchar(30)",
    "apprdate": "date",
    "industryco": "varchar(10)",
    "regorg_code": "varchar(12)",
    "regstate": "varchar(10)",
    "dom": "varchar(300)",
    "opscope": "text",
    "tel": "varchar(30)",
    "empnum": "integer",
    "updated_at": "timestamp(0)",
    "is_deleted": "smallint",
}
SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏"
    "吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万𠮷㐂"
)
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰飞宇浩然子轩梓涵欣怡雨泽"
TRADES = [
    "科技",
    "贸易",
    "建筑工程",
    "餐饮管理",
    "物流",
    "信息技术",
    "商贸",
    "服饰",
    "电子商务",
    "医疗器械",
    "文化传媒",
]
FORMS = ["有限公司", "有限责任公司", "股份有限公司", "经营部", "商行", "（有限合伙）"]
SCOPES = ["软件开发", "技术服务", "货物进出口", "餐饮服务", "建筑材料批发", "日用百货零售", "道路货物运输", "信息咨询"]
STATES = ["1", "2", "3", "9", "存续", "在营", "注销", "吊销"]
CURRENCIES = ["156", "156", "156", "840", "344", "CNY", "人民币"]
PAPERS = ["10", "10", "10", "111", "居民身份证", "414"]
WIDE = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})


def chunks(rows: int, seed: int = 20250101) -> Iterator[pa.RecordBatch]:
    """The table's rows, the same for the same seed, as text columns; `pripid` counts from 1."""
    for first in range(1, rows + 1, CHUNK):
        yield _chunk(first, min(CHUNK, rows - first + 1), np.random.default_rng((seed, first)))


def _chance(rng: np.random.Generator, count: int, share: float) -> np.ndarray:
    return rng.random(count) < share


def _chunk(first: int, count: int, rng: np.random.Generator) -> pa.RecordBatch:
    def some(values: list[str]) -> pa.Array:
        return pa.array(values).take(pa.array(rng.integers(0, len(values), count)))

    days = np.datetime64("1985-01-01") + rng.integers(0, 14_000, count)
    numbers = pa.array(np.arange(first, first + count)).cast(pa.string())
    people = pc.binary_join_element_wise(some([*SURNAMES]), some([*GIVEN]), some([*GIVEN, ""]), "")
    towns = some([f"浙江省杭州市西湖区第{number}街道" for number in range(400)])
    scopes = some([f"许可项目：{one}；{other}。" for one in SCOPES for other in SCOPES])
    made = {
        "pripid": numbers,
        "uniscid": _some_wide(_uscc(rng, count), rng),
        "entname": pc.binary_join_element_wise("杭州", people, some(TRADES), some(FORMS), ""),
        "regno": _digits(rng, count, 15, "33"),
        "enttype": some(["1100", "1110", "1130", "1151", "2100", "4110", "9600"]),
        "name": people,
        "certype": some(PAPERS),
        "cerno": _citizen(rng, days),
        "regcap": _money(rng, count),
        "regcapcur": some(CURRENCIES),
        "estdate": _dates(days, rng),
        "apprdate": pa.array(days + rng.integers(0, 900, count)).cast(pa.string()),
        "industryco": some([f"{letter}{number:03}" for letter in "ABCDEFGHIJKLMNOPQRST" for number in range(1, 60)]),
        "regorg_code": some([f"3301{number:05}" for number in range(300)]),
        "regstate": some(STATES),
        "dom": pc.binary_join_element_wise(towns, numbers, "号", ""),
        "opscope": scopes,
        "tel": _phones(rng, count),
        "empnum": _nulls(pa.array(rng.integers(0, 500, count)).cast(pa.string()), rng, 0.1),
        "updated_at": _moments(rng, count),
        "is_deleted": some(["0"] * 30 + ["1"]),
    }
    return pa.record_batch(made)


def _uscc(rng: np.random.Generator, count: int) -> pa.Array:
    """Valid 18-character codes (GB 32100-2015), one in a hundred with a wrong check character."""
    places = rng.integers(0, 31, (count, 17))
    places[:, :8] = [9, 1, 3, 3, 0, 1, 0, 0]
    weights = np.array([pow(3, place, 31) for place in range(17)])
    check = -(places @ weights) % 31
    check = np.where(_chance(rng, count, 0.01), (check + 1) % 31, check)
    signs = np.frombuffer(ALPHABET.encode(), np.uint8)
    return _fixed(signs[np.column_stack([places, check])])


def _citizen(rng: np.random.Generator, days: np.ndarray) -> pa.Array:
    """Citizen id numbers of 18 digits, one in ten of the old 15, one in a hundred wrong; one in fifty is absent."""
    count = len(days)
    area = np.array([f"330{number:03}" for number in range(100, 190)])[rng.integers(0, 90, count)]
    born = np.char.replace((days - 9000).astype("datetime64[D]").astype(str), "-", "")
    serial = np.char.zfill(rng.integers(0, 1000, count).astype(str), 3)
    digits = np.char.add(np.char.add(area, born), serial)
    values = digits.astype("S17").view(np.uint8).reshape(count, 17) - 48
    weights = np.array([2**place % 11 for place in range(17, 0, -1)])
    check = (12 - values @ weights % 11) % 11
    check = np.where(_chance(rng, count, 0.01), (check + 1) % 11, check)
    full = np.char.add(digits, np.array([*"0123456789X"])[check])
    old = np.char.add(np.char.add(area, np.array([day[2:] for day in born])), serial)
    return _nulls(pa.array(np.where(_chance(rng, count, 0.1), old, full).astype(object), pa.string()), rng, 0.02)


def _fixed(signs: np.ndarray) -> pa.Array:
    count, width = signs.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(signs))]
    )


def _digits(rng: np.random.Generator, count: int, width: int, prefix: str) -> pa.Array:
    signs = rng.integers(48, 58, (count, width), dtype=np.uint8)
    signs[:, : len(prefix)] = np.frombuffer(prefix.encode(), np.uint8)
    return _fixed(signs)


def _money(rng: np.random.Generator, count: int) -> pa.Array:
    whole = pa.array((rng.lognormal(5, 1.5, count)).astype(np.int64)).cast(pa.string())
    return _nulls(pc.binary_join_element_wise(whole, ".00", ""), rng, 0.03)


def _phones(rng: np.random.Generator, count: int) -> pa.Array:
    mobile, desk = _digits(rng, count, 11, "13"), pc.binary_join_element_wise("0571", _digits(rng, count, 8, "8"), "-")
    return _nulls(pc.if_else(pa.array(_chance(rng, count, 0.7)), mobile, desk), rng, 0.05)


def _moments(rng: np.random.Generator, count: int) -> pa.Array:
    moments = np.datetime64("2020-01-01T00:00:00") + rng.integers(0, 150_000_000, count)
    return pa.array(moments.astype("datetime64[s]")).cast(pa.string())


def _dates(days: np.ndarray, rng: np.random.Generator) -> pa.Array:
    """One day in five spellings, and some that are no date."""
    known, places = np.unique(days, return_inverse=True)
    year, month, day = (np.array([str(one).split("-")[part] for one in known]) for part in range(3))
    spelt = [
        np.char.add(np.char.add(np.char.add(np.char.add(year, mark[0]), month), mark[1]), np.char.add(day, mark[2]))
        for mark in (("-", "-", ""), ("/", "/", ""), ("", "", ""), ("年", "月", "日"), (".", ".", ""))
    ]
    every = np.concatenate([*spelt, np.array(["0000-00-00", "不详", ""])])
    at = places + rng.choice(5, len(days), p=[0.8, 0.08, 0.06, 0.04, 0.02]) * len(known)
    odd = _chance(rng, len(days), 0.002)
    at = np.where(odd, 5 * len(known) + rng.integers(0, 3, len(days)), at)
    return pa.array(every.astype(object), pa.string()).take(pa.array(at))


def _some_wide(column: pa.Array, rng: np.random.Generator) -> pa.Array:
    """One value in fifty in full-width characters, one in a hundred absent."""
    chosen = _chance(rng, len(column), 0.02)
    wide = [value.translate(WIDE) for value in column.filter(pa.array(chosen)).to_pylist()]
    return _nulls(pc.replace_with_mask(column, pa.array(chosen), pa.array(wide, pa.string())), rng, 0.01)


def _nulls(column: pa.Array, rng: np.random.Generator, share: float) -> pa.Array:
    return pc.if_else(pa.array(_chance(rng, len(column), share)), pa.scalar(None, pa.string()), column)
