"""Standardising a batch: every field typed and marked, everything received kept, nothing guessed."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from schemas.mapping import MissingColumn, UnknownField, resolve, schema, standardise
from schemas.standard import TYPES, Field, Standard
from schemas.values import RAW_COLUMNS

TODAY = date(2026, 3, 1)
RIGHT = "91350100M000100Y43"  # the example of GB 32100-2015
CODES = {
    "sex": {"1": "1", "2": "2", "男": "1", "男性": "1", "女": "2", "M": "1"},
    "ccy": {"CNY": "CNY", "人民币": "CNY", "人民币元": "CNY", "156": "CNY", "USD": "USD", "美元": "USD"},
    "belief": {"00": "00", "无": "00", "佛教": "10"},
}


def field(name: str, type_: str = "text", *aliases: str, **more: object) -> Field:
    return Field(name=name, zh=f"中文{name}", en=name, type=type_, aliases=aliases, **more)


FIELDS = (
    field("uscc", "uscc", "统一社会信用代码", "uniscid"),
    field("reg_no", "text", "注册号", "regno"),
    field("org_code", "org_code", "zzjgdm"),
    field("ent_name", "text", "企业名称", "entname"),
    field("legal_rep_id_no", "citizen_id", "cerno"),
    field("legal_rep_sex", "code", "xb", codes="sex"),
    field("belief", "code", codes="belief"),
    field("reg_capital", "capital", "注册资金", unit="万元"),
    field("reg_capital_ccy", "code", "regcapcur", codes="ccy"),
    field("est_date", "date", "注册日期"),
    field("op_to", "date", sentinels=("9999-09-09",)),
    field("updated", "datetime"),
    field("staff", "integer"),
    field("ratio", "decimal"),
    field("listed", "boolean"),
)
STANDARD = Standard("firm", 1, "企业", "Firms", FIELDS, (), key=("uscc",), sentinels=("不详",))


def raw(**columns: list[str | None]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table(
        {
            "_row": pa.array(range(1, rows + 1), pa.int64()),
            **{name: pa.nulls(rows, pa.string()) for name in RAW_COLUMNS[1:]},
            **{name: pa.array(values, pa.string()) for name, values in columns.items()},
        }
    )


def only(name: str, values: list[str | None], standard: Standard = STANDARD) -> dict[str, list[object]]:
    """One source column standardised: value, bad and repaired of the field, and what was not understood."""
    done = standardise(raw(x=values), standard, {name: "x"}, CODES, TODAY)
    columns = {mark or "value": done.table[name + mark].to_pylist() for mark in ("", "__bad", "__repaired")}
    return columns | {"unparsed": done.unparsed.get(name, {})}


# --- the shape of the table --------------------------------------------------------------------------------------------
def test_the_table_has_the_record_columns_the_typed_fields_with_marks_and_everything_received():
    table = raw(代码=[RIGHT], 名称=["甲"], 别的=["x"])
    done = standardise(table, STANDARD, {"ent_name": "名称", "uscc": "代码"}, CODES, TODAY).table
    assert done.column_names == [
        *RAW_COLUMNS,
        *("uscc", "uscc__bad", "uscc__repaired", "reg_no", "reg_no__bad", "reg_no__repaired"),
        *("ent_name", "ent_name__bad", "ent_name__repaired"),
        *("raw:代码", "raw:名称", "raw:别的"),
    ]


def test_every_type_has_its_arrow_type_with_rows_and_without():
    mapping = {one.name: one.name for one in FIELDS}
    full = raw(**{one.name: ["1", None] for one in FIELDS})
    for table in (full, full.slice(0, 0)):
        assert standardise(table, STANDARD, mapping, CODES, TODAY).table.schema == schema(
            STANDARD, mapping, list(mapping)
        )
    types = {one.type: schema(STANDARD, mapping, []).field(one.name).type for one in FIELDS}
    assert types["uscc"] == types["org_code"] == types["citizen_id"] == types["code"] == types["text"] == pa.string()
    assert types["date"] == pa.date32()
    assert types["datetime"] == pa.timestamp("us", "Asia/Shanghai")
    assert (types["integer"], types["boolean"]) == (pa.int64(), pa.bool_())
    assert types["decimal"] == types["capital"] == pa.decimal128(24, 6)
    assert set(types) == set(TYPES)


def test_what_was_received_stays_as_it_was_received():
    received = ["", None, " ａ ", "\\N", "𠮷"]
    done = standardise(raw(名称=received), STANDARD, {"ent_name": "名称"}, CODES, TODAY).table
    assert done["raw:名称"].to_pylist() == received
    assert done["ent_name"].to_pylist() == [None, None, "a", None, "𠮷"]
    assert done["ent_name__repaired"].to_pylist() == [False, False, True, False, False]


def test_a_row_that_could_not_be_taken_apart_is_carried_along():
    table = raw(代码=[RIGHT, None], 注册日期=["2019-04-04", None])
    table = table.set_column(1, "_reject", pa.array([None, "row_shape"]))
    done = standardise(table, STANDARD, {"uscc": "代码", "est_date": "注册日期"}, CODES, TODAY).table
    assert done["_reject"].to_pylist() == [None, "row_shape"]
    assert done["_row"].to_pylist() == [1, 2]
    assert done.select(["uscc", "est_date"]).to_pylist()[1] == {"uscc": None, "est_date": None}
    assert done.select(["uscc__bad", "est_date__bad"]).to_pylist()[1] == {"uscc__bad": False, "est_date__bad": False}


def test_the_marks_are_never_null():
    done = standardise(
        raw(**{one.name: [None, "?", ""] for one in FIELDS}),
        STANDARD,
        {one.name: one.name for one in FIELDS},
        CODES,
        TODAY,
    )
    for one in FIELDS:
        assert done.table[f"{one.name}__bad"].null_count == done.table[f"{one.name}__repaired"].null_count == 0


def test_a_table_of_several_chunks_is_read_like_one():
    table = raw(名称=[" 甲", "乙", "不详"])
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1)])
    mapping = {"ent_name": "名称"}
    assert standardise(chunked, STANDARD, mapping, CODES, TODAY).table.equals(
        standardise(table, STANDARD, mapping, CODES, TODAY).table
    )


# --- identifiers -------------------------------------------------------------------------------------------------------
def test_a_code_that_normalising_makes_right_is_repaired_and_one_that_stays_wrong_is_kept():
    wide = "".join(chr(ord(one) + 0xFEE0) for one in RIGHT)
    wrong = RIGHT[:-1] + "4"
    done = only("uscc", [RIGHT, RIGHT.lower(), f" {RIGHT}\u3000", wide, wrong, wrong.lower(), "N/A", "", None])
    assert done["value"] == [RIGHT] * 4 + [wrong, wrong, None, None, None]
    assert done["__repaired"] == [False, True, True, True, False, False, False, False, False]
    assert done["__bad"] == [False] * 9


def test_letters_that_look_like_digits_are_not_repaired():
    done = only("uscc", [RIGHT.replace("0", "O", 1)])
    assert done["value"] == [RIGHT.replace("0", "O", 1)]
    assert done["__repaired"] == [False]


def test_a_registration_number_in_the_code_column_moves_to_its_field():
    received = ["330106000012345", "3301060001234", "33010600012345", "３３０１０６００００１２３４５ ", RIGHT, None]
    done = standardise(raw(x=received), STANDARD, {"uscc": "x"}, CODES, TODAY).table
    assert done["reg_no"].to_pylist() == [
        "330106000012345",
        "3301060001234",
        None,
        "330106000012345",
        None,
        None,
    ]
    assert done["uscc"].to_pylist() == [None, None, "33010600012345", None, RIGHT, None]
    assert done["uscc__bad"].to_pylist() == [True, True, False, True, False, False]
    assert done["raw:x"].to_pylist() == received


def test_a_registration_number_of_its_own_column_is_not_overwritten():
    table = raw(code=["330106000012345", "330106000012345", RIGHT], regno=["111", "-", "222"])
    done = standardise(table, STANDARD, resolve(STANDARD, ["code", "regno"], {"uscc": "code"}), CODES, TODAY).table
    assert done["reg_no"].to_pylist() == ["111", "330106000012345", "222"]
    assert done["uscc__bad"].to_pylist() == [True, True, False]


def test_a_standard_without_registration_numbers_keeps_what_is_there():
    without = replace(STANDARD, fields=tuple(one for one in FIELDS if one.name != "reg_no"))
    done = standardise(raw(x=["330106000012345"]), without, {"uscc": "x"}, CODES, TODAY).table
    assert done["uscc"].to_pylist() == ["330106000012345"]
    assert "reg_no" not in done.column_names


def test_another_firms_code_never_becomes_this_firms_registration_number():
    parent = replace(STANDARD, fields=(*FIELDS, field("parent_uscc", "uscc")))
    done = standardise(
        raw(x=[RIGHT], y=["330106000012345"]), parent, {"uscc": "x", "parent_uscc": "y"}, CODES, TODAY
    ).table
    assert done["reg_no"].to_pylist() == [None]
    assert done["parent_uscc"].to_pylist() == ["330106000012345"]


def test_an_old_citizen_number_gets_its_century_and_check_character():
    body = "33010619900101001"
    new = body + ric.calc_check_digit(body + "0")
    old = new[:6] + new[8:17]
    no_such_day = old[:6] + "900231" + old[12:]
    done = only("legal_rep_id_no", [old, new, no_such_day, "11010519491231002x", "E12345678", None])
    assert done["value"] == [new, new, no_such_day, "11010519491231002X", "E12345678", None]
    assert done["__repaired"] == [True, False, False, True, False, False]
    assert not any(done["__bad"])


# --- codes -------------------------------------------------------------------------------------------------------------
def test_names_become_codes_and_unknown_ones_stay_for_the_rule_to_find():
    done = only("legal_rep_sex", ["1", "男", " 男性", "ｍ", "男人", "男人", "男男", "", None])
    assert done["value"] == ["1", "1", "1", "1", "男人", "男人", "男男", None, None]
    assert done["__repaired"] == [False, True, True, True, False, False, False, False, False]
    assert not any(done["__bad"])
    assert list(done["unparsed"].items()) == [("男人", 2), ("男男", 1)]


def test_a_code_whose_name_is_a_word_for_nothing_is_still_a_code():
    assert only("belief", ["无", "暂无"])["value"] == ["00", None]


def test_a_field_without_its_list_is_read_as_text():
    done = standardise(raw(x=[" 男"]), STANDARD, {"legal_rep_sex": "x"}, {}, TODAY).table
    assert done["legal_rep_sex"].to_pylist() == ["男"]


# --- amounts -----------------------------------------------------------------------------------------------------------
def test_an_amount_fills_its_currency_and_what_is_not_understood_is_counted():
    received = [
        "5,000(万元人民币)",
        "84(万美元)",
        "9(万)",
        "12.5",
        "N/A",
        "五百万",
        "五百万",
        "不小",
        None,
        "5000(万日元)",
    ]
    done = standardise(raw(x=received), STANDARD, {"reg_capital": "x"}, CODES, TODAY)
    assert done.table["reg_capital"].to_pylist() == [
        *map(Decimal, ("5000", "84", "9", "12.5")),
        *[None] * 5,
        Decimal(5000),
    ]
    assert done.table["reg_capital_ccy"].to_pylist() == ["CNY", "USD", *[None] * 7, "JPY"]
    assert done.table["reg_capital__bad"].to_pylist() == [False] * 5 + [True] * 3 + [False] * 2
    assert list(done.unparsed["reg_capital"].items()) == [("五百万", 2), ("不小", 1)]


def test_a_currency_of_its_own_column_wins():
    table = raw(regcap=["100", "100万美元"], regcapcur=["人民币元", None])
    done = standardise(table, STANDARD, {"reg_capital": "regcap", "reg_capital_ccy": "regcapcur"}, CODES, TODAY).table
    assert done["reg_capital_ccy"].to_pylist() == ["CNY", None]
    assert done["reg_capital_ccy__repaired"].to_pylist() == [True, False]


def test_a_field_in_yuan_comes_in_wan():
    yuan = replace(STANDARD, fields=(field("reg_capital", "capital", unit="元"),))
    assert only("reg_capital", ["50000", "5万", "100人民币"], yuan)["value"] == [
        Decimal(5),
        Decimal(5),
        Decimal("0.01"),
    ]


# --- days, numbers, truth ----------------------------------------------------------------------------------------------
def test_without_end_is_nothing_and_not_bad():
    received = ["9999-09-09", "99991231", "9999-12-31", "2099-12-31 00:00;00", "长期", "2030/1/1", "永远", None]
    done = only("op_to", received)
    assert done["value"] == [None] * 5 + [date(2030, 1, 1), None, None]
    assert done["__bad"] == [False] * 6 + [True, False]
    assert done["unparsed"] == {"永远": 1}


def test_a_field_that_does_not_list_it_keeps_a_far_day():
    assert only("est_date", ["9999-12-31"])["value"] == [date(9999, 12, 31)]


def test_a_day_in_another_spelling_is_repaired():
    done = only(
        "est_date",
        ["2019-04-04", "20190404", "2019-04-04 00:00:00", "2019/4/4", "2019年4月4日", " 2019-04-04", "43559"],
    )
    assert done["value"] == [date(2019, 4, 4)] * 6 + [None]
    assert done["__repaired"] == [False, False, False, True, True, True, False]
    assert done["__bad"] == [False] * 6 + [True]


def test_an_instant_is_in_china():
    done = only("updated", ["2019-04-04 14:21:54", "yesterday"])
    assert done["value"] == [datetime(2019, 4, 4, 6, 21, 54, tzinfo=UTC), None]
    assert done["__bad"] == [False, True]


def test_whole_numbers():
    done = only(
        "staff",
        ["18", "1,200", "12.0", "-3", "１２", "12.5", "many", "9223372036854775807", "9223372036854775808", "无"],
    )
    assert done["value"] == [18, 1200, 12, -3, 12, None, None, 9223372036854775807, None, None]
    assert done["__bad"] == [False, False, False, False, False, True, True, False, True, False]
    assert done["__repaired"] == [False] * 4 + [True] + [False] * 5


def test_exact_numbers():
    done = only("ratio", ["0.5", "1,000.25", "-1", "0.1234567", "1e3", "12,34", "5,000000", "不详"])
    assert done["value"] == [Decimal("0.5"), Decimal("1000.25"), Decimal(-1), None, None, None, None, None]
    assert done["__bad"] == [False, False, False, True, True, True, True, False]


def test_truth():
    done = only("listed", ["1", "0", "是", "否", "true", "F", "Ｙ", "2", "无", None])
    assert done["value"] == [True, False, True, False, True, False, True, None, None, None]
    assert done["__bad"] == [False] * 7 + [True, False, False]


@given(
    st.lists(
        st.text(max_size=12)
        | st.none()
        | st.sampled_from([RIGHT, "1", "2019-04-04", "5万元", "男", "是", "330106000012345"]),
        max_size=30,
    )
)
def test_any_received_text_gives_a_value_or_a_mark_and_stays(received):
    mapping = {one.name: "x" for one in FIELDS}
    done = standardise(raw(x=received), STANDARD, mapping, CODES, TODAY)
    rows = done.table.to_pylist()
    assert [row["raw:x"] for row in rows] == received
    for row in rows:
        for one in FIELDS:
            assert not (row[f"{one.name}__bad"] and row[one.name] is not None)
            assert not (row[f"{one.name}__repaired"] and row[one.name] is None)
            assert row["raw:x"] is not None or (row[one.name] is None and not row[f"{one.name}__bad"])
    for name in ("est_date", "op_to", "updated", "staff", "ratio", "listed", "reg_capital"):
        assert sum(done.unparsed.get(name, {}).values()) == sum(row[f"{name}__bad"] for row in rows)


# --- which column feeds which field ------------------------------------------------------------------------------------
def test_declared_columns_come_before_names_chinese_names_and_aliases():
    found = resolve(STANDARD, ["code", "ENTNAME", "中文staff", "est_date", "REGNO"], {"uscc": "code"})
    assert found == {
        "uscc": "code",
        "reg_no": "REGNO",
        "ent_name": "ENTNAME",
        "est_date": "est_date",
        "staff": "中文staff",
    }
    assert list(found) == ["uscc", "reg_no", "ent_name", "est_date", "staff"]


def test_derived_fields_are_resolved_to_the_column_they_come_out_of():
    found = resolve(STANDARD, ["统一社会信用代码", "注册资金"], {})
    assert found == {
        "uscc": "统一社会信用代码",
        "reg_no": "统一社会信用代码",
        "reg_capital": "注册资金",
        "reg_capital_ccy": "注册资金",
    }
    done = standardise(
        raw(统一社会信用代码=["330106000012345"], 注册资金=["5万美元"]), STANDARD, found, CODES, TODAY
    ).table
    assert done.select(["uscc", "reg_no", "reg_capital", "reg_capital_ccy"]).to_pylist() == [
        {"uscc": None, "reg_no": "330106000012345", "reg_capital": Decimal(5), "reg_capital_ccy": "USD"}
    ]
    assert not any(done["reg_capital_ccy__bad"].to_pylist())


def test_a_declared_column_does_not_feed_a_second_field_by_its_alias():
    assert resolve(STANDARD, ["uniscid", "entname"], {"uscc": "entname"}) == {"uscc": "entname", "reg_no": "entname"}


def test_a_renamed_column_is_named_with_its_field_and_its_likely_new_name():
    with pytest.raises(MissingColumn) as caught:
        resolve(STANDARD, ["uniscid", "ent_name2", "estdate"], {"ent_name": "entname"})
    assert caught.value.code == "STD-COLUMN-MISSING"
    for words in (caught.value.zh, caught.value.en):
        assert "entname" in words
        assert "ent_name" in words
    assert "ent_name2" in caught.value.fix_zh
    assert "Renamed to 'ent_name2'?" in caught.value.fix_en
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_column_known_by_an_alias_is_the_likely_new_name():
    with pytest.raises(MissingColumn, match="Renamed to '企业名称'"):
        resolve(STANDARD, ["uniscid", "企业名称"], {"ent_name": "qymc"})


def test_a_key_that_is_not_delivered_is_refused():
    with pytest.raises(MissingColumn, match="uscc"):
        resolve(STANDARD, ["企业名称"], {})


def test_a_key_with_nothing_like_it_says_what_to_write():
    with pytest.raises(MissingColumn, match=r"map: \{uscc: its column\}"):
        resolve(STANDARD, ["甲", "乙"], {})


def test_a_field_the_standard_does_not_have_is_refused_with_the_nearest():
    with pytest.raises(UnknownField, match="ent_name"):
        resolve(STANDARD, ["uscc", "x"], {"ent_nam": "x"})
    assert UnknownField.retryable is False
