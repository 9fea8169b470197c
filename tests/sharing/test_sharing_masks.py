"""Masks hide what they promise to hide, whatever they are given."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharing.masks import MASKS

NAMES = st.text(st.characters(codec="utf-8"), min_size=0, max_size=20) | st.sampled_from(
    ["𠮷野家", "欧阳娜娜", "张三", "㐀𠀀"]
)


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        ("name", "张三", "张*"),
        ("name", "欧阳娜娜", "欧阳**"),
        ("name", "欧阳", "欧*"),
        ("name", "𠮷田", "𠮷*"),
        ("name", "司马光", "司马*"),
        ("name", "李", "*"),
        ("name", "", "*"),
        ("id_number", "330102199001011234", "330***********1234"),
        ("id_number", "110105491231002", "110********1002"),
        ("id_number", "E1234567", "********"),
        ("phone", "13812345678", "138****5678"),
        ("phone", "87654321", "******21"),
        ("phone", "0571-87654321", "057******4321"),
        ("address", "浙江省杭州市西湖区文三路1号", "浙江省杭州市西湖区***"),
        ("address", "浙江省丽水市景宁畲族自治县红星街道", "浙江省丽水市景宁畲族自治县***"),
        ("address", "浙江省嘉兴市海宁市硖石街道", "浙江省***"),
        ("address", "文三路1号", "***"),
        ("address", "杭州市文三路翠苑小区3幢501室", "杭州***"),
        ("address", "浙江省义乌市北苑街道柳青社区12号", "浙江省***"),
        ("address", "浙江省温岭市工业园区3号", "浙江省***"),
        ("address", "浙江省义乌市红旗路3号", "浙江省***"),
        ("address", "解放路菜市场3号", "***"),
        ("address", "浙江省台州市路桥区路南街道", "浙江省台州市路桥区***"),
        ("address", "宁波市镇海区招宝山街道", "宁波市镇海区***"),
        ("amount", "1500000", "[1000000, 5000000)"),
        ("amount", Decimal("123456789012345678.5"), ">=1000000000"),
        ("amount", 0, "[0, 10000)"),
        ("amount", "-3", "<0"),
        ("amount", "１２，０００", "[10000, 100000)"),
        ("amount", "not a number", "***"),
        ("amount", "NaN", "***"),
        ("hide", 18, "***"),
    ],
)
def test_a_value_is_shown_as(mask: str, value: object, shown: str) -> None:
    assert MASKS[mask](value) == shown


@given(st.sampled_from(sorted(MASKS)))
def test_null_stays_null(mask: str) -> None:
    assert MASKS[mask](None) is None


@given(NAMES)
def test_a_name_keeps_at_most_its_surname(name: str) -> None:
    shown = str(MASKS["name"](name))
    kept = shown.rstrip("*")
    assert "*" in shown
    assert len(kept) <= 2
    if len(kept) == 2:
        assert len(name) > 2


@given(st.sampled_from(["id_number", "phone"]), st.text(max_size=30))
def test_at_least_half_of_a_number_is_hidden_or_four_characters(mask: str, value: str) -> None:
    shown = str(MASKS[mask](value))
    hidden = shown.count("*") - value.count("*")
    assert "*" in shown
    assert len(shown) - shown.count("*") <= 7
    if value.isdigit() and len(value) >= 11:
        assert hidden >= 4


@given(st.text(st.characters(categories=["Lo"]), max_size=30))
def test_what_follows_the_county_is_gone(street: str) -> None:
    shown = str(MASKS["address"]("浙江省杭州市西湖区" + street + "单元号"))
    assert shown == "浙江省杭州市西湖区***"


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers() | st.floats(allow_nan=False) | st.text())
def test_amounts_that_share_a_band_cannot_be_told_apart(value: object) -> None:
    assert MASKS["amount"](value) in {
        "<0", "***", ">=1000000000", "[0, 10000)", "[10000, 100000)", "[100000, 500000)", "[500000, 1000000)",
        "[1000000, 5000000)", "[5000000, 10000000)", "[10000000, 50000000)", "[50000000, 100000000)",
        "[100000000, 1000000000)",
    }  # fmt: skip
