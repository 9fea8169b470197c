"""Amounts of capital in the spellings of real registers, and none that has to be guessed."""

from __future__ import annotations

import csv
import gzip
import os
import re
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import capital

REAL = Path(os.environ.get("SHUTONG_SHARED", "../shared")) / "data" / "zhejiang-enterprises.csv.gz"
WAN, YI = 10_000, 100_000_000


@pytest.mark.parametrize(
    ("text", "amount", "unit", "currency"),
    [
        ("5,000(万元人民币)", "5000", WAN, "CNY"),
        ("800万人民币", "800", WAN, "CNY"),
        ("168万元人民币", "168", WAN, "CNY"),
        ("41.5万人民币元", "41.5", WAN, "CNY"),
        ("6,000,000(人民币元)", "6000000", 1, "CNY"),
        ("84(万美元)", "84", WAN, "USD"),
        ("70万美元", "70", WAN, "USD"),
        ("765(万元(港币))", "765", WAN, "HKD"),
        ("13.8300(万元美元)", "13.8300", WAN, "USD"),
        ("9(万)", "9", WAN, None),
        ("5万", "5", WAN, None),
        ("3(万元)", "3", WAN, None),
        ("9(万香港元)", "9", WAN, "HKD"),
        ("500(万港元)", "500", WAN, "HKD"),
        ("5,700(万日元)", "5700", WAN, "JPY"),
        ("1,707(万欧元)", "1707", WAN, "EUR"),
        ("1.1000(万英镑)", "1.1000", WAN, "GBP"),
        ("300(万法国法郎)", "300", WAN, "FRF"),
        ("10(万澳大利亚元)", "10", WAN, "AUD"),
        ("21万新加坡元", "21", WAN, "SGD"),
        ("24,013.5000( 万人民币元)", "24013.5000", WAN, "CNY"),
        ("100(万元(人民币))", "100", WAN, "CNY"),
        ("100万元(人民币)", "100", WAN, "CNY"),
        ("５，０００（万元人民币）", "5000", WAN, "CNY"),
        ("765（万元（港币））", "765", WAN, "HKD"),
        (" 1\u3000000 万 元 ", "1000", WAN, None),
        ("5000万CNY", "5000", WAN, "CNY"),
        ("5000万rmb", "5000", WAN, "CNY"),
        ("100(万USD)", "100", WAN, "USD"),
        ("USD 100", "100", 1, "USD"),
        ("人民币5000万元", "5000", WAN, "CNY"),
        ("人民币5000元", "5000", 1, "CNY"),
        ("20(人民币万元)", "20", WAN, "CNY"),
        ("9元", "9", 1, None),
        ("100美元", "100", 1, "USD"),
        ("1.5亿元", "1.5", YI, None),
        ("2亿人民币", "2", YI, "CNY"),
        ("-5万元", "-5", WAN, None),
        ("0(万元人民币)", "0", WAN, "CNY"),
    ],
)
def test_the_spellings_of_registers(text, amount, unit, currency):
    assert capital.parse(text) == capital.Capital(Decimal(amount), unit, currency)


@pytest.mark.parametrize(
    "text",
    [
        "", "N/A", "-", "万元", "人民币", "五百万元", "壹佰万元", "HENRI PERROT", "凭相关有效证件经营)**",
        "5,000000(万元)", "50,00万元", ",500万元", "1.2.3万元", "1.万元", ".5万元", "-1e-05", "1e6元", "0x10万元", "--5万元",
        "100万美元人民币", "人民币100万美元", "100(万)(元)", "100(万元", "100万元)", "100((万元)", "(100)万元", "100(((万元)))港币(",
        "100法郎", "100万法郎", "100$", "¥100", "100万股", "100 万元 左右", "100万万元", "100千元", "𠮷万元", "٣万元",
        "9" * 60 + "万元", "5000",
    ],
)  # fmt: skip
def test_what_would_have_to_be_guessed_is_not_understood(text):
    assert capital.parse(text) is None


def test_a_bare_number_takes_the_unit_of_its_field():
    assert capital.parse("1,200.5", WAN) == capital.Capital(Decimal("1200.5"), WAN, None)
    assert capital.parse("1200", 1) == capital.Capital(Decimal(1200), 1, None)
    assert capital.parse("12元", WAN) == capital.Capital(Decimal(12), 1, None)


def test_a_currency_without_unit_in_a_field_of_wan_could_mean_either():
    assert capital.parse("100 USD", 1) == capital.Capital(Decimal(100), 1, "USD")
    assert capital.parse("100 USD", WAN) is None
    assert capital.parse("800人民币", WAN) is None
    assert capital.parse("100美元", WAN) == capital.Capital(Decimal(100), 1, "USD")


def test_no_currency_named_is_never_cny():
    _, currencies, understood = capital.columns(pa.array(["9(万)", "3(万元)", "1亿元", "5"]), WAN)
    assert currencies.to_pylist() == [None] * 4
    assert understood.to_pylist() == [True] * 4


def test_columns_come_in_wan_exactly():
    texts = ["6,000,000(人民币元)", "1.5亿元", "0.01元", "0.001元", "13.830000万", "0.0000001万元", "无", None, "12"]
    amounts, currencies, understood = capital.columns(pa.array(texts), WAN)
    assert amounts.type == pa.decimal128(24, 6)
    assert amounts.to_pylist() == [
        Decimal("600.000000"), Decimal("15000.000000"), Decimal("0.000001"), None, Decimal("13.830000"), None, None, None,
        Decimal("12.000000"),
    ]  # fmt: skip
    assert currencies.to_pylist() == ["CNY"] + [None] * 8
    assert understood.to_pylist() == [True, True, True, False, True, False, False, None, True]


def test_what_is_not_understood_has_no_currency_either():
    _, currencies, understood = capital.columns(pa.array(["0.001人民币元", "1" * 30 + "万美元"]), None)
    assert understood.to_pylist() == [False, False]
    assert currencies.to_pylist() == [None, None]


def test_the_largest_amount_fits_and_the_next_does_not():
    amounts, _, understood = capital.columns(pa.array(["9" * 18 + ".999999万", "1" + "0" * 18 + "万"]), None)
    assert amounts.to_pylist() == [Decimal("9" * 18 + ".999999"), None]
    assert understood.to_pylist() == [True, False]


def test_an_amount_with_a_very_long_tail_is_not_quietly_cut():
    amounts, _, understood = capital.columns(pa.array(["1." + "0" * 35 + "1万", "1." + "0" * 36 + "万"]), None)
    assert amounts.to_pylist() == [None, Decimal("1.000000")]
    assert understood.to_pylist() == [False, True]


@given(
    st.decimals(min_value=0, max_value=10**14, places=2),
    st.sampled_from([("万", WAN), ("亿", YI), ("", 1)]),
    st.sampled_from([("人民币", "CNY"), ("美元", "USD"), ("香港元", "HKD"), ("", None)]),
    st.booleans(),
    st.sampled_from(["{}{}", "{}({})", "{} （{}）", "{}(({}))"]),
)
def test_an_amount_is_read_back_from_every_way_of_writing_it(amount, unit, currency, thousands, shape):
    words = unit[0] + "元" + (f"({currency[0]})" if currency[0] else "")
    if shape == "{}(({}))" and currency[0]:
        shape = "{}({})"
    written = shape.format(f"{amount:,}" if thousands else f"{amount}", words)
    assert capital.parse(written) == capital.Capital(amount, unit[1], currency[1])
    wide = re.sub(r"[!-~]", lambda one: chr(ord(one[0]) + 0xFEE0), written)
    assert capital.parse(wide) == capital.parse(written)


@given(st.text(max_size=30))
def test_no_text_makes_it_fail(text):
    found = capital.parse(text)
    assert found is None or found.unit in (1, WAN, YI)


def test_every_amount_of_the_real_file_that_holds_a_number_is_understood():
    if not REAL.exists():
        assert os.environ.get("CI") != "true", f"{REAL} must be there in CI"
        pytest.skip("the real file is not beside the repository")
    with gzip.open(REAL, "rt", encoding="utf-8", newline="") as file:
        received = [row["注册资金"] for row in csv.DictReader(file)]
    _, _, understood = capital.columns(pa.array(received), WAN)
    numbers = [bool(re.match(r"\s*\d", text)) for text in received]
    missed = {
        text for text, number, ok in zip(received, numbers, understood.to_pylist(), strict=True) if number and not ok
    }
    assert sum(numbers) > 130_000
    assert missed == set()
