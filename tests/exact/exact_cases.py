"""Messes between the fields of a record, standard by standard, with the rules they violate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from exact_town import HOME, Firm, Person, Town, citizen, id_last, organisation

Record = Mapping[str, str]
Changes = Mapping[str, str]
Placed = Changes | Callable[[Town, Record], Changes]  # what is changed in a right record


def another_code(town: Town, pair: str, **more: str) -> Changes:
    code = organisation(town.number(), pair, town.rng.choice([HOME, "330103", "330113"]))
    return {"uscc": code, "org_code": code[8:17], "tax_no": code, **more}


def _stale(town: Town, _record: Record) -> Changes:
    return {"parent_uscc": town.firm("4").uscc}


def _parent(town: Town, *, wrong: bool) -> Changes:
    code = organisation(town.number())
    return {"parent_uscc": code[:-1] + ("0" if code[-1] != "0" else "1") if wrong else code}


def _dishonest(town: Town, _record: Record) -> Changes:
    one = town.person()
    town.dishonest.append(one)
    return {"legal_rep_id_no": one.id_no, "legal_rep_name": one.name}


def _someone(town: Town, prefix: str, **more: str) -> Changes:
    one = Person(citizen(town.number(), man=True, division=prefix), "", "1")
    return {"id_no": one.id_no, "sex": "1", "birth_date": one.born.isoformat(), **more}


def _foreigner(town: Town, _record: Record) -> Changes:
    body = f"9156{town.number():013d}"
    return {"id_no": body + id_last(body), "id_type": "553"}


def _dead(town: Town, **more: str) -> Changes:
    one = town.person(dead=True)
    return {"id_no": one.id_no, "sex": one.sex, "birth_date": one.born.isoformat(), **more}


def _other_capital(_town: Town, record: Record) -> Changes:
    return {"sub_amount": str(int(record["sub_amount"]) * 2)}


LONG = ("9999-09-09", "9999-12-31", "2099-12-31 00:00;00", "99991231", "2099-12-31", "长期", "９９９９－１２－３１")
FUTURE = "2025-07-01"
TOO_LATE = date(2024, 1, 1)

PLACED: Mapping[str, Sequence[tuple[Placed, str]]] = {
    "legal_person": [
        *(({"op_to": day}, "") for day in LONG),
        # Dates that a system writes where it knows none are days like others, and judged like them.
        ({"op_from": "1900-01-01"}, "est_before_op_from"),
        ({"op_from": "1899-12-31 12:00:00"}, "est_before_op_from"),
        ({"appr_date": "1900-01-01"}, "est_before_appr"),
        ({"op_to": "1900-01-01"}, "op_from_before_op_to"),
        ({"est_date": FUTURE}, "est_not_future est_before_appr est_before_op_from"),
        ({"appr_date": FUTURE}, "appr_not_future"),
        ({"appr_date": "2025-06-30"}, ""),
        ({"reg_state": "4"}, "cancelled_has_date"),
        ({"cancel_date": "2020-01-01"}, "cancelled_has_date"),
        ({"reg_state": "2"}, "revoked_has_date"),
        ({"revoke_date": "2020-01-01"}, "revoked_has_date"),
        ({"reg_state": "3", "cancel_date": "2020-01-01"}, "revoked_has_date"),
        ({"reg_state": "4", "cancel_date": "2020-01-01"}, ""),
        ({"reg_state": "3", "cancel_date": "2020-01-01", "revoke_date": "2019-01-01"}, ""),
        ({"reg_state": "吊销，未注销", "revoke_date": "2019-01-01"}, "reg_state_repaired"),
        ({"reg_capital": "-5"}, "reg_capital_not_negative"),
        ({"reg_capital": "10000001万元"}, "reg_capital_plausible"),
        ({"reg_capital": "5000", "reg_capital_ccy": ""}, "reg_capital_ccy_named"),
        ({"reg_capital": "", "reg_capital_ccy": ""}, ""),
        ({"reg_capital_ccy": "人民币元"}, "reg_capital_ccy_repaired"),
        ({"industry_code": "3260"}, ""),  # GB/T 4754-2011: a class of the same section, which nobody can tell
        ({"industry_code": "6513"}, "industry_section_fits"),
        ({"industry_section": "制造业"}, "industry_section_repaired"),
        ({"industry_code": "31"}, "industry_code_form"),
        *(({"domicile_division": code}, "") for code in (HOME + "001", HOME + "001001", HOME + "001001001")),
        ({"domicile_division": "33010"}, "domicile_division_form"),
        ({"domicile_division": "330113"}, "domicile_names_division"),
        ({"domicile_division": "330113001"}, "domicile_names_division"),
        ({"postal_code": "31001"}, "postal_code_form"),
        ({"legal_rep_id_no": "E12345678"}, "legal_rep_id_check legal_rep_id_form legal_rep_in_library"),
        (_dishonest, "legal_rep_not_dishonest"),
        ({"ent_name": "杭州**科技有限公司"}, "ent_name_whole"),
        ({"ent_name": "杭州??有限公司"}, "ent_name_whole"),
        ({"phone": "13800000000139000000001"}, "phone_form"),
        ({"phone": "13800000000、13900000000"}, "phone_form"),
        ({"phone": "138000000001"}, "phone_form"),
        ({"phone": "11111111111"}, "phone_form"),
        ({"phone": "小李13800000000"}, "phone_form"),
        *(({"phone": phone}, "") for phone in ("13800000000", "88888888", "0571-88888888-801", "400-888-8888")),
        (lambda _town, record: {"ent_name": record["domicile"], "domicile": record["ent_name"]},
         "domicile_names_division"),
        ({"legal_rep_id_type": "414", "legal_rep_id_no": "E12345678"}, ""),
        ({"legal_rep_id_type": "身份证"}, "legal_rep_id_type_repaired"),
        (lambda town, _record: {"legal_rep_id_no": town.stranger().id_no}, "legal_rep_in_library"),
        (lambda town, record: {"legal_rep_id_no": (one := town.person(dead=True)).id_no, "legal_rep_name": one.name},
         "legal_rep_alive"),
        (lambda town, _record: {"parent_uscc": town.firm().uscc}, ""),
        (_stale, "parent_not_cancelled"),
        (lambda town, _record: {**_stale(town, _record), "reg_state": "9"}, ""),
        (lambda town, _record: _parent(town, wrong=False), "parent_in_library"),
        (lambda town, _record: _parent(town, wrong=True), "parent_uscc_check parent_in_library"),
        *((lambda town, _record, pair=pair, more=more: another_code(town, pair, **more), "") for pair, more in (
            ("92", {"org_type": "", "ent_type_name": "个体工商户"}), ("93", {"org_type": ""}),
            ("N1", {"org_type": "132"}), ("N2", {"org_type": "132"}), ("N3", {"org_type": "132"}),
            ("Y1", {"org_type": ""}), ("A1", {"org_type": ""}), ("12", {"org_type": "121"}),
            ("52", {"org_type": "124"}), ("31", {"org_type": ""}),
        )),
        (lambda town, _record: another_code(town, "99", org_type=""), "uscc_pair_known"),
        (lambda town, _record: another_code(town, "12"), "uscc_pair_fits_org_type"),
        ({"ent_type_name": "个体工商户"}, "uscc_pair_fits_ent_type"),
    ],
    "population": [
        ({"sex": "9"}, ""),
        (lambda _town, record: {"sex": "2" if record["sex"] == "1" else "1"}, "id_no_sex"),
        ({"birth_date": "1949-12-31"}, "id_no_birth"),
        ({"birth_date": "1904-12-31"}, "id_no_birth age_plausible"),
        ({"birth_date": "1900-01-01"}, "id_no_birth age_plausible"),
        ({"birth_date": FUTURE}, "id_no_birth birth_not_future"),
        ({"birth_date": "2010-01-01", "marital": "20"}, "id_no_birth married_of_age"),
        ({"marital": "已婚"}, "marital_repaired"),
        ({"id_type": "414", "id_no": "E12345678"}, "id_no_check"),
        ({"phone": "1380000000013900000000"}, "phone_length phone_form"),
        ({"phone": "138小李00000"}, "phone_form"),
        ({"phone": "138000000001"}, "phone_length phone_form"),
        ({"domicile_town_code": "330106"}, "domicile_town_code_form"),
        ({"domicile_committee_code": "330106001"}, "domicile_committee_code_form"),
        ({"domicile_committee_code": "330106001001001"}, ""),
        ({"birth_division": "330113"}, "birth_division_in_force"),
        *((lambda town, _record, prefix=prefix: _someone(town, prefix), "") for prefix in ("330103", "330184", "330113")),
        *((lambda town, _record, prefix=prefix: _someone(town, prefix, id_type="990"), "")
          for prefix in ("810000", "820000", "830000")),
        (lambda town, _record: _someone(town, "000000"), "id_no_division_known id_no_fits_type"),
        (_foreigner, ""),
        (lambda town, _record: _dead(town), "deceased_is_marked"),
        (lambda town, _record: _dead(town, death_flag="是"), ""),
        ({"ethnic": "汉"}, "ethnic_repaired"),
        (lambda _town, record: {"sex": {"1": "男", "2": "女"}[record["sex"]], "ethnic": "汉族"},
         "sex_repaired ethnic_repaired"),
    ],
    "frk_abnormal": [
        ({"put_date": FUTURE}, "put_date_not_future put_before_remove"),
        ({"remove_date": FUTURE}, "remove_date_not_future"),
        ({"remove_date": "2020-07-07"}, "put_before_remove"),
        ({"remove_date": "", "remove_reason": "", "remove_org": ""}, ""),
    ],
    "frk_annual_report": [
        ({"report_year": "2000"}, "report_year_form not_before_established"),
        ({"report_year": "2025"}, "report_after_year"),
        ({"report_date": "2025-07-01 00:00:00"}, "report_date_not_future"),
        ({"equity": "201"}, "balance"),
        ({"assets": "3000000元"}, ""),
        ({"assets": "3000000"}, "balance"),  # 元 in a column of 万元
        ({"assets": "-1", "equity": "-101.5"}, "assets_not_negative"),
        ({"main_revenue": "501"}, "main_within_revenue"),
        ({"employees": "-1"}, "employees_not_negative"),
        (lambda town, _record: {"uscc": _younger(town).uscc}, "not_before_established"),
    ],
    "frk_branch": [
        (lambda _town, record: {"branch_uscc": record["parent_uscc"]}, "branch_is_not_parent"),
        (lambda town, _record: {"parent_uscc": town.firm("4").uscc}, "parent_not_cancelled"),
        ({"branch_uscc": ""}, ""),
    ],
    "frk_change": [
        (lambda _town, record: {"alt_before": record["alt_after"]}, "change_changes"),
        ({"alt_date": "2020-05-08"}, "alt_before_entry"),
        ({"alt_date": FUTURE}, "alt_date_not_future alt_before_entry"),
        ({"alt_item": "住所变更", "alt_after": "西湖区"}, ""),
    ],
    "frk_person": [
        ({"id_type": "20", "id_no": "E12345678"}, ""),
        ({"id_type": "A1"}, "id_type_form"),
        (lambda town, _record: {"id_no": town.stranger().id_no}, "person_in_library"),
    ],
    "frk_shareholder": [
        ({"paid_amount": "-1"}, "paid_amount_not_negative"),
        ({"paid_amount": "9001"}, "paid_within_subscribed"),
        ({"sub_amount": "-1"}, "sub_amount_not_negative paid_within_subscribed subscribed_is_capital"),
        ({"ratio_before": "100.01"}, "ratio_before_percent"),
        ({"ratio_after": "100.01"}, "ratio_after_percent ratios_within_100"),
        ({"ratio_after": "-0.5"}, "ratio_after_percent"),
        ({"paid_date": FUTURE}, "paid_date_not_future"),
        ({"public_date": FUTURE}, "public_date_not_future"),
        (_other_capital, "subscribed_is_capital"),
        (lambda _town, record: {"sub_amount": record["sub_amount"] + "0000元"}, ""),
        (lambda _town, record: {"sub_amount": record["sub_amount"] + "0000"}, "subscribed_is_capital"),
    ],
    "license": [
        *(({"valid_to": day}, "") for day in LONG),
        ({"valid_to": "2021-03-03"}, "valid_from_before_to issued_before_end"),
        ({"valid_to": "1900-01-01"}, "valid_from_before_to issued_before_end"),
        ({"valid_from": "2026-03-04"}, "valid_from_before_to"),
        ({"issue_date": FUTURE}, "issue_date_not_future"),
        ({"issue_date": "2026-03-04"}, "issue_date_not_future issued_before_end"),
        ({"holder_type": "111", "uscc": ""}, ""),
        (lambda town, _record: {"uscc": town.firm("4").uscc}, "holder_not_cancelled"),
        (lambda town, _record: {"uscc": town.firm("4").uscc, "status": "注销"}, ""),
        (lambda town, _record: {"uscc": organisation(town.number())}, "uscc_in_library"),
        (lambda town, _record: {"issue_code": organisation(town.number())}, "issue_code_is_government"),
    ],
    "credit_permit": [
        ({"xk_jdrq": FUTURE}, "xk_jdrq_not_future decided_before_valid"),
        ({"xk_yxqz": "2021-03-03"}, "decided_before_valid"),
        ({"xk_yxqzi": "2021-03-03"}, "xk_valid_period"),
        ({"xk_yxqzi": "2099-12-31"}, ""),
        ({"xk_xklb": "其他-备案"}, ""),
        (lambda town, _record: _natural(town, "xk", card=True), ""),
        (lambda town, _record: {**_natural(town, "xk", card=True), "xk_xdr_zjhm": town.stranger().id_no},
         "person_in_library"),
        (lambda town, _record: {**_natural(town, "xk", card=False)}, ""),
        (lambda town, _record: {**_natural(town, "xk", card=True), "xk_xdr_zjhm": ""}, "xk_xdr_zjhm_required"),
        (lambda town, _record: {**_natural(town, "xk", card=True), "xk_xdr_zjlx": "暂无"}, "xk_xdr_zjlx_required"),
        (lambda town, _record: {**_natural(town, "xk", card=True), "xk_xdr_zjhm": "330106198001013012"},
         "xk_xdr_zjhm_check person_in_library"),
    ],
    "credit_penalty": [
        ({"cf_jdrq": FUTURE}, "cf_jdrq_not_future public_after_decision in_force_after_decision"),
        ({"cf_gsjzq": "2021-03-03"}, "public_after_decision"),
        ({"cf_yxq": "2021-03-03"}, "in_force_after_decision"),
        ({"cf_nr_fk": "0"}, "fine_is_positive"),
        ({"cf_nr_fk": "-2"}, "fine_is_positive"),
        ({"cf_nr_fk": "20000元"}, ""),
        ({"cf_nr_fk": "200000"}, "fine_plausible"),  # 元 in a column of 万元
        ({"cf_nr_wfff": "-1"}, "cf_nr_wfff_not_negative"),
        ({"cf_cflb": "警告"}, "fine_is_positive"),
        ({"cf_cflb": "警告", "cf_nr_fk": "", "cf_nr_wfff": ""}, ""),
        ({"cf_cflb": "罚款;没收违法所得;吊销许可证"}, "cf_nr_zkdx_required"),
        ({"cf_yxq": "无处罚期限"}, "cf_yxq_format"),
        (lambda town, _record: _natural(town, "cf", card=True), ""),
        (lambda town, _record: {**_natural(town, "cf", card=True), "cf_xdr_zjhm": "330106198001013012"},
         "cf_xdr_zjhm_check person_in_library"),
        (lambda town, _record: {**_natural(town, "cf", card=True), "cf_xdr_zjhm": ""}, "cf_xdr_zjhm_required"),
        (lambda town, _record: {**_natural(town, "cf", card=True), "cf_xdr_zjlx": "暂无"}, "cf_xdr_zjlx_required"),
    ],
    "rkk_household": [
        ({"death_date": "2024-01-01"}, "death_is_cancelled deceased_in_library"),
        ({"death_date": FUTURE}, "death_date_not_future death_is_cancelled deceased_in_library"),
        ({"death_date": "1950-01-01"}, "death_after_birth death_is_cancelled deceased_in_library"),
        ({"moveout_date": "2024-01-01"}, "moveout_is_cancelled"),
        ({"moveout_date": FUTURE}, "moveout_date_not_future moveout_is_cancelled"),
        ({"cancel_date": "2024-01-01"}, "cancelled_has_date"),
        ({"cancel_flag": "1"}, "cancelled_has_date one_head"),
        ({"relation": "10"}, "one_head"),
        ({"relation": "户主"}, "relation_repaired"),
        (lambda town, _record: {"id_no": town.stranger().id_no}, "id_no_in_library"),
    ],
    "rkk_residence_permit": [
        ({"reg_date": FUTURE}, "reg_date_not_future"),
        ({"reg_date": "2021-04-08"}, "county_valid_at_registration"),
        ({"county_code": "330104"}, "county_valid_at_registration"),
        ({"cancel_date": "2024-05-05", "status": "失效"}, "registered_before_cancelled"),
        ({"cancel_date": "2024-05-07"}, "cancelled_not_valid"),
        (lambda _town, record: {"lessor_id": record["id_no"]}, "lessor_is_not_tenant"),
        # 性别 and 民族 by name in the columns of codes, and codes in those of names.
        (lambda _town, record: {"sex": {"1": "男", "2": "女"}[record["sex"]], "ethnic": "汉族"},
         "sex_repaired ethnic_repaired"),
        ({"status": "有效 "}, "status_repaired"),
    ],
    "rkk_marriage": [
        ({"reg_date": FUTURE}, "reg_date_not_future"),
        (lambda _town, record: {"female_id_no": record["male_id_no"], "female_name": record["male_name"]},
         "not_the_same_person female_is_female"),
        (lambda _town, record: {
            "male_id_no": record["female_id_no"], "male_name": record["female_name"],
            "female_id_no": record["male_id_no"], "female_name": record["male_name"]},
         "male_is_male female_is_female"),
        ({"reg_date": "1970-01-01", "biz_type": "2"}, ""),
        ({"male_id_type": "414", "male_id_no": "E12345678"}, ""),
    ],
    "rkk_death": [
        ({"death_time": "2025-07-02 00:00:00"}, "death_time_not_future death_before_cremation"),
        ({"cremation_time": "2024-01-02 03:04:04"}, "death_before_cremation"),
        ({"death_time": "1899-12-31 12:00:00"}, "death_after_birth"),
        (lambda _town, record: {"sex": "2" if record["sex"] == "1" else "1"}, "id_no_sex"),
        (lambda town, _record: {"id_no": (one := town.person()).id_no, "name": one.name, "sex": one.sex},
         "marked_in_library"),
    ],
    "rkk_social_insurance": [
        ({"aae031": "99991231"}, ""),
        ({"aae031": "2019-12-31"}, "begins_before_ends"),
        ({"aae002": "202013"}, "aae002_form"),
        ({"aae180": "-1"}, "aae180_not_negative"),
        ({"aac058": "08", "aac147": "E12345678"}, ""),
        ({"aae140": "工伤保险"}, "aae140_repaired"),
        (lambda town, _record: {"aac002": (one := town.person(dead=True)).id_no, "aac003": one.name},
         "alive_when_insured"),
    ],
    "elicense": [
        (lambda _town, record: {"certificate_identifier": record["certificate_identifier"][:-1] + "@"},
         "certificate_identifier_check"),
        ({"certificate_issuing_authority_date": FUTURE}, "certificate_issuing_authority_date_not_future"),
        ({"certificate_validate_end": "2024-03-03"}, "valid_period"),
        ({"certificate_area_code": "330104"}, "area_valid_at_issue"),
        (lambda _town, record: {"certificate_holder_code": record["certificate_holder_code"].lower()},
         "holder_uscc_check holder_in_legal_persons"),
        (lambda town, _record: {"certificate_holder_code": organisation(town.number())}, "holder_in_legal_persons"),
        (lambda town, _record: {"certificate_holder_type": "111", "certificate_holder_code": town.person().id_no}, ""),
        (lambda town, _record: {"certificate_holder_type": "111", "certificate_holder_code": town.stranger().id_no},
         "holder_in_population"),
        ({"certificate_holder_type": "111", "certificate_holder_code": "330106198001013012"},
         "holder_id_check holder_in_population"),
        *(({"status": word}, "status_repaired") for word in ("insert", "update", "DELETE", "d")),
    ],
    "case": [
        ({"promisevalue": "-1"}, "promise_not_negative"),
        ({"accept_time": "2025-07-01 00:00:00"},
         "accept_time_not_future accepted_before_closed accepted_before_step accepted_before_promise"),
        ({"transact_time": "2024-03-04 08:59:59"}, "accepted_before_closed"),
        ({"node_end": "2024-03-04 09:59:59"}, "step_period"),
        ({"node_start": "2024-03-04 08:00:00"}, "accepted_before_step"),
        ({"promise_time": "2024-03-03 09:00:00"}, "accepted_before_promise"),
        ({"accept_action": "1"}, "refused_is_not_closed"),
        ({"transact_action": "3"}, "result_fits_action"),
        ({"transact_time": "", "transact_action": "", "transact_result": "", "transact_describe": ""}, ""),
        (lambda town, _record: {"applicant_code": town.person().id_no}, ""),
    ],
    "catalog_resource": [
        ({"publish_date": FUTURE}, "publish_date_not_future"),
        ({"share_type": "3", "is_open": "1"}, "refused_is_not_open"),
        ({"secret_flag": "1", "is_open": "1"}, "secret_is_not_open"),
        ({"item_length": "0"}, "item_length_positive"),
        ({"share_type": "1", "share_condition": ""}, ""),
        (lambda _town, record: {"related_code": record["resource_code"]}, "related_is_another"),
    ],
    "control": [
        ({"dsc_biz_timestamp": "2025-07-02 00:00:00"},
         "dsc_biz_timestamp_not_future changed_before_cleaned changed_before_arrival"),
        ({"dsc_clean_timestamp": "2024-01-02 03:04:04"}, "changed_before_cleaned"),
        ({"dsc_dw_rksj": "2024-01-02 03:04:04"}, "changed_before_arrival"),
        *(({"dsc_biz_operation": word}, "dsc_biz_operation_repaired") for word in ("insert", "update", "delete", "d")),
    ],
}  # fmt: skip


def _younger(town: Town) -> Firm:
    """A firm founded after the year of the report."""
    old = town.firms.pop()
    made = Firm(old.uscc, old.subject, old.name, TOO_LATE, old.capital)
    town.firms.append(made)
    return made


def _natural(town: Town, prefix: str, *, card: bool) -> Changes:
    """A natural person as the party of a permit or a penalty."""
    one = town.person()
    party = {f"{prefix}_xdr_lb": "自然人", f"{prefix}_xdr_mc": one.name}
    party |= {f"{prefix}_xdr_shxym": "", f"{prefix}_xdr_zzjg": ""}
    number = {"zjlx": "身份证", "zjhm": one.id_no} if card else {"zjlx": "护照号", "zjhm": "E12345678"}
    return party | {f"{prefix}_xdr_{name}": value for name, value in number.items()}
