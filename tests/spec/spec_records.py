"""One right record of each standard, and for each written rule an example that keeps it and one that breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pyarrow as pa

from quality.check import check
from quality.gate import Gate
from schemas.code_lists import load, spellings
from schemas.mapping import resolve, standardise
from schemas.standard import Field, Rule, Standard, bind

TODAY = date(2025, 6, 30)
Record = Mapping[str, str | None]
Example = tuple[Record, Record]  # what to change in the right record: to keep the rule, to break it

FIRM: Record = {
    "uscc": "91330106589876549K",
    "org_code": "589876549",
    "reg_no": "330106000123456",
    "subject_id": "S-1",
    "tax_no": "91330106589876549K",
    "ent_name": "杭州某某科技有限公司",
    "org_type": "111",
    "ent_type_code": "1130",
    "ent_type_name": "有限责任公司",
    "econ_type": "150",
    "reg_state": "1",
    "legal_rep_name": "张某",
    "legal_rep_id_type": "111",
    "legal_rep_id_no": "11010519491231002X",
    "reg_capital": "5000万元人民币",
    "reg_capital_ccy": "CNY",
    "est_date": "2012-03-01",
    "appr_date": "2019-04-30",
    "op_from": "2012-03-01",
    "op_to": "2032-02-29",
    "cancel_date": "",
    "revoke_date": "",
    "reg_org_code": "330106",
    "reg_org_name": "杭州市西湖区市场监督管理局",
    "admin_unit_code": "330106",
    "industry_section": "I",
    "industry_code": "6513",
    "domicile": "浙江省杭州市西湖区文一西路1号",
    "domicile_division": "330106",
    "prod_loc": "浙江省杭州市西湖区文一西路1号",
    "prod_division": "330106001",
    "op_loc": "浙江省杭州市西湖区文一西路1号",
    "op_scope": "软件开发",
    "postal_code": "310012",
    "phone": "0571-88888888",
    "indiv_form": "",
    "is_indiv_to_ent": "0",
    "parent_subject_id": "",
    "parent_uscc": "",
    "nationality": "CHN",
}
PERSON: Record = {
    "id_no": "11010519491231002X",
    "id_type": "111",
    "name": "李某",
    "used_name": "",
    "sex": "2",
    "ethnic": "01",
    "birth_date": "1949-12-31",
    "birth_country": "CHN",
    "birth_division": "330106",
    "native_division": "330103",  # 下城区, which is no more: right for a place of origin
    "education": "20",
    "marital": "20",
    "military": "",
    "nationality": "CHN",
    "phone": "13800000000",
    "photo_url": "",
    "domicile_county_code": "330106",
    "domicile_town_code": "330106001",
    "domicile_committee_code": "330106001001",
    "domicile_addr": "浙江省杭州市西湖区文一西路1号",
    "reside_county_code": "330113",
    "reside_town_code": "330113001",
    "reside_street": "文一西路",
    "reside_committee_code": "330113001001",
    "reside_police_station": "某派出所",
    "reside_addr": "浙江省杭州市临平区某路1号",
    "death_flag": "0",
}
FIRM_EXAMPLES: Mapping[str, Example] = {
    "uscc_check": ({}, {"uscc": "91330106589876549A"}),
    "uscc_org_code_check": ({}, {"uscc": "91330106589876540P", "org_code": None}),
    "uscc_pair_known": ({}, {"uscc": "99330106589876549T"}),
    "parent_uscc_check": ({"parent_uscc": "91330106589876549K"}, {"parent_uscc": "91330106589876549A"}),
    "org_code_check": ({}, {"org_code": "589876541"}),
    "org_code_in_uscc": ({"org_code": "58987654-9"}, {"org_code": "748621835"}),
    "uscc_pair_fits_org_type": ({"org_type": "112"}, {"org_type": "121"}),
    "uscc_pair_fits_ent_type": ({"ent_type_name": "股份有限公司"}, {"ent_type_name": "个体工商户"}),
    "est_before_appr": ({"appr_date": "2012-03-01"}, {"appr_date": "2012-02-29"}),
    "est_not_future": ({"est_date": "2025-06-30"}, {"est_date": "2025-07-01"}),
    "appr_not_future": ({"appr_date": "2025-06-30"}, {"appr_date": "2025-07-01"}),
    "op_from_before_op_to": ({"op_to": "9999-09-09"}, {"op_to": "2011-01-01"}),
    "est_before_op_from": ({"op_from": "2012-03-02"}, {"op_from": "2012-02-29"}),
    "cancelled_has_date": ({"reg_state": "4", "cancel_date": "2019-04-30"}, {"reg_state": "4", "cancel_date": ""}),
    "revoked_has_date": ({"reg_state": "2", "revoke_date": "2019-04-30"}, {"reg_state": "1", "revoke_date": "2019-04-30"}),
    "reg_capital_not_negative": ({"reg_capital": "0万元人民币"}, {"reg_capital": "-1万元人民币"}),
    "reg_capital_plausible": ({"reg_capital": "10000000万元"}, {"reg_capital": "10000001万元"}),
    "reg_capital_ccy_named": ({"reg_capital": "", "reg_capital_ccy": ""}, {"reg_capital": "5万元", "reg_capital_ccy": ""}),
    "industry_code_form": ({"industry_code": ""}, {"industry_code": "65"}),
    "industry_section_fits": ({"industry_section": "C", "industry_code": "1311"}, {"industry_section": "C"}),
    "domicile_division_form": ({"domicile_division": "330106001001"}, {"domicile_division": "西湖区"}),
    "prod_division_form": ({"prod_division": "330106"}, {"prod_division": "3301"}),
    "postal_code_form": ({"postal_code": ""}, {"postal_code": "31001"}),
    "tax_no_form": ({"tax_no": "330106589876543"}, {"tax_no": "3301065898"}),
    "legal_rep_id_form": ({"legal_rep_id_type": "414", "legal_rep_id_no": "E12345678"}, {"legal_rep_id_no": "E12345678"}),
}  # fmt: skip
PERSON_EXAMPLES: Mapping[str, Example] = {
    "id_no_check": ({"id_no": "110105491231002"}, {"id_no": "110105194912310020"}),  # 15 digits are upgraded
    "id_no_birth": ({"birth_date": "1949年12月31日"}, {"birth_date": "1949-12-30"}),
    "id_no_sex": ({"sex": "女"}, {"sex": "1"}),
    "id_no_fits_type": ({"id_type": "414", "id_no": "E12345678"}, {"id_no": "E12345678"}),
    "birth_not_future": ({"birth_date": "2025-06-30"}, {"birth_date": "2025-07-01"}),
    "age_plausible": ({"birth_date": "1905-01-01"}, {"birth_date": "1904-12-31"}),
    "married_of_age": ({"birth_date": "2005-01-01"}, {"birth_date": "2006-01-01"}),
    "phone_form": ({"phone": ""}, {"phone": "12800000000"}),
    "domicile_town_code_form": ({"domicile_town_code": ""}, {"domicile_town_code": "330106"}),
    "reside_town_code_form": ({"reside_town_code": ""}, {"reside_town_code": "330106"}),
    "domicile_committee_code_form": ({"domicile_committee_code": "330106001001001"}, {"domicile_committee_code": "33"}),
    "reside_committee_code_form": ({"reside_committee_code": "330106001001001"}, {"reside_committee_code": "33"}),
}


def implied_example(rule: Rule, field: Field) -> Example:
    """What keeps and breaks a rule that a field's type, length or codes imply."""
    name = field.name
    kind = rule.kind
    if kind == "required":
        return {}, {name: "暂无"}
    if kind == "length":
        assert field.length
        return {name: "字" * field.length}, {name: "字" * (field.length + 1)}
    if kind == "understood":
        return {}, {name: "不详"}
    if kind == "code":
        assert field.codes
        return {name: next(iter(load(field.codes).codes.values()))[0] if load(field.codes).complete else None}, {
            name: "@@"
        }
    assert kind == "repaired", kind
    return {}, {name: _repaired(field)}


def _repaired(field: Field) -> str:
    """A spelling that means something, but not as it should be written."""
    if field.codes:
        codes = load(field.codes)
        return next(spelling for spelling, code in codes.spellings.items() if spelling != code)
    return {
        "uscc": "91330106589876549k",
        "org_code": "58987654-9",
        "citizen_id": "11010519491231002x",
        "date": "2012年3月1日",
        "boolean": "１",
        "capital": "５０００万元人民币",
    }.get(field.type, "\u3000Ａ１")


def violated(standard: Standard, rows: list[Record], rejects: list[str | None]) -> list[set[str]]:
    """The rules each record violates: the records taken through standardising and the real check, all at once."""
    columns = [field.name for field in standard.fields]
    raw = pa.table(
        {
            "_row": pa.array(range(1, len(rows) + 1), pa.int64()),
            "_reject": pa.array(rejects, pa.string()),
            "_detail": pa.nulls(len(rows), pa.string()),
            "_line": pa.nulls(len(rows), pa.string()),
            **{name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns},
        }
    )
    mapping = resolve(standard, columns, {})
    codes = spellings(standard)
    table = standardise(raw, standard, mapping, codes, TODAY).table
    rules = bind(standard, mapping)
    listed = {name: frozenset(said.values()) for name, said in codes.items()}
    verdict = check(table, rules, listed, Gate(), TODAY)
    assert not [count for count in verdict.counts if count.error], [c for c in verdict.counts if c.error]
    found = dict(zip(verdict.violations["_row"].to_pylist(), verdict.violations["rules"].to_pylist(), strict=True))
    return [set(found.get(row, ())) for row in range(1, len(rows) + 1)]
