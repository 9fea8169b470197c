"""Right records of every resource, written from the standards' fields for people and organisations of a town."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from exact_town import HOME, Person, Town, mod_37_36, organisation

Record = dict[str, str]
OFFICE, WINDOW = "113300000024820150", "123301064700012356"  # a bureau and an institution, both public codes
ADDRESS = "浙江省杭州市西湖区文一西路1号"


def legal_person(town: Town) -> Record:
    firm, rep = town.firm(), town.person()
    founded = firm.founded.isoformat()
    return {
        "uscc": firm.uscc, "org_code": firm.uscc[8:17], "reg_no": f"330106{town.number():09d}",
        "subject_id": firm.subject, "tax_no": firm.uscc, "ent_name": firm.name, "org_type": "111",
        "ent_type_code": "1130", "ent_type_name": "有限责任公司", "econ_type": town.rng.choice(["150", "159", "173"]),
        "reg_state": "1", "legal_rep_name": rep.name, "legal_rep_id_type": "111", "legal_rep_id_no": rep.id_no,
        "reg_capital": f"{firm.capital}万元人民币", "reg_capital_ccy": "CNY", "est_date": founded,
        "appr_date": (firm.founded + timedelta(days=town.rng.randrange(3000))).isoformat(), "op_from": founded,
        "op_to": (firm.founded + timedelta(days=7305)).isoformat(), "cancel_date": "", "revoke_date": "",
        "reg_org_code": HOME, "reg_org_name": "杭州市西湖区市场监督管理局", "admin_unit_code": HOME,
        "industry_section": "C", "industry_code": "3140", "domicile": ADDRESS,
        "domicile_division": HOME,
        "prod_loc": ADDRESS, "prod_division": HOME, "op_loc": ADDRESS, "op_scope": "软件开发", "postal_code": "310012",
        "phone": "0571-88888888", "indiv_form": "", "is_indiv_to_ent": town.rng.choice("01"), "parent_subject_id": "",
        "parent_uscc": "", "nationality": "CHN",
    }  # fmt: skip


def population(town: Town) -> Record:
    return resident(town.person(man=town.rng.random() < 0.5))


def resident(one: Person) -> Record:
    """A person as the register of the population has them."""
    return {
        "id_no": one.id_no, "id_type": "111", "name": one.name, "used_name": "", "sex": one.sex, "ethnic": "01",
        "birth_date": one.born.isoformat(), "birth_country": "CHN", "birth_division": HOME, "native_division": HOME,
        "education": "20", "marital": "10", "military": "", "nationality": "CHN", "phone": "13800000000",
        "photo_url": "", "domicile_county_code": HOME, "domicile_town_code": HOME + "001",
        "domicile_committee_code": HOME + "001001", "domicile_addr": ADDRESS, "reside_county_code": "330113",
        "reside_town_code": "330113001", "reside_street": "文一西路", "reside_committee_code": "330113001001001",
        "reside_police_station": "某派出所", "reside_addr": ADDRESS, "death_flag": "0",
    }  # fmt: skip


def frk_abnormal(town: Town) -> Record:
    return {
        "abn_id": f"A-{town.number()}", "subject_id": town.firm().subject, "put_date": "2020-07-08",
        "put_reason": "未按规定公示年度报告", "put_org": "杭州市西湖区市场监督管理局", "remove_date": "2021-01-02",
        "remove_reason": "补报年度报告", "remove_org": "杭州市西湖区市场监督管理局",
    }  # fmt: skip


def frk_annual_report(town: Town) -> Record:
    amounts = {"assets": "300", "liabilities": "100.5", "equity": "199.5", "revenue": "500", "main_revenue": "450"}
    amounts |= {"profit": "-10", "net_profit": "-12", "tax_total": "5", "employees": "12"}
    return {
        "report_id": f"R-{town.number()}", "uscc": town.firm().uscc, "report_year": "2023",
        "report_date": "2024-03-01 09:00:00", "op_status": "开业",
        **amounts, **{f"{name}_public": town.rng.choice("12") for name in amounts},
    }  # fmt: skip


def frk_branch(town: Town) -> Record:
    number = town.number()
    return {
        "parent_uscc": town.firm().uscc, "branch_uscc": organisation(number, division="330113"),
        "branch_reg_no": f"330113{number:09d}", "branch_name": f"临平第{number}分公司",
        "reg_org_name": "杭州市临平区市场监督管理局",
    }  # fmt: skip


def frk_change(town: Town) -> Record:
    firm = town.firm()
    return {
        "change_id": f"C-{town.number()}", "uscc": firm.uscc, "alt_item": "名称变更", "alt_before": "旧名称",
        "alt_after": firm.name, "alt_date": "2020-05-06", "entry_date": "2020-05-07 10:11:12",
    }  # fmt: skip


def frk_person(town: Town) -> Record:
    one = town.person()
    return {
        "subject_id": town.firm().subject, "person_id": f"P-{town.number()}", "role_flag": "1", "name": one.name,
        "position": "执行董事", "position_code": "431A", "id_type": "10", "id_type_name": "居民身份证",
        "id_no": one.id_no, "country": "CHN", "country_name": "中国",
    }  # fmt: skip


def frk_shareholder(town: Town) -> Record:
    firm = town.firm()
    return {
        "inv_id": f"I-{town.number()}", "uscc": firm.uscc, "inv_name": town.person().name,
        "sub_amount": str(firm.capital), "sub_form": "1", "sub_date": "2020-01-01", "paid_amount": "4",
        "paid_form": "1", "paid_date": "2020-02-01", "ratio_before": "50", "ratio_after": "100",
        "public_date": "2020-03-01",
    }  # fmt: skip


def license_(town: Town) -> Record:
    return {
        "lic_no": f"JY{town.number()}", "lic_name": "食品经营许可证", "uscc": town.firm().uscc,
        "lic_item": "热食类食品制售", "issue_org": "杭州市西湖区市场监督管理局", "issue_date": "2021-03-04",
        "valid_from": "2021-03-04", "valid_to": "2026-03-03", "status": "正常", "issue_code": OFFICE,
        "holder_type": "001", "area_code": HOME, "sign_value": "MEUC", "sign_cert": "MIIB", "sign_time": "MIIC",
        "sign_hash": "9f86",
    }  # fmt: skip


def credit_permit(town: Town) -> Record:
    firm, rep, number = town.firm(), town.person(), town.number()
    return {
        "xk_id": f"X-{number}", "xk_xdr_mc": firm.name, "xk_xdr_lb": "法人及非法人组织", "xk_xdr_shxym": firm.uscc,
        "xk_xdr_gszc": "330106000123456", "xk_xdr_zzjg": firm.uscc[8:17], "xk_xdr_swdj": firm.uscc, "xk_xdr_sydw": "",
        "xk_xdr_shzz": "", "xk_frdb": rep.name, "xk_fr_zjlx": "身份证", "xk_fr_sfzh": rep.id_no, "xk_xdr_zjlx": "",
        "xk_xdr_zjhm": "", "xk_xkws": "准予行政许可决定书", "xk_wsh": f"杭西市监许〔2021〕{number}号",
        "xk_xklb": "普通", "xk_xkzs": "食品经营许可证", "xk_xkbh": "JY1330", "xk_nr": "食品经营",
        "xk_jdrq": "2021-03-04", "xk_yxqz": "2021-03-04", "xk_yxqzi": "2031-12-31", "xk_xkjg": "西湖区市场监督管理局",
        "xk_xkjgdm": OFFICE, "xk_zt": "1", "xk_lydw": "西湖区市场监督管理局", "xk_lydwdm": WINDOW, "bz": "补办",
    }  # fmt: skip


def credit_penalty(town: Town) -> Record:
    firm, rep, number = town.firm(), town.person(), town.number()
    return {
        "cf_xdr_mc": firm.name, "cf_xdr_lb": "法人及非法人组织", "cf_xdr_shxym": firm.uscc,
        "cf_xdr_gszc": "330106000123456", "cf_xdr_zzjg": firm.uscc[8:17], "cf_xdr_swdj": firm.uscc, "cf_xdr_sydw": "",
        "cf_xdr_shzz": "", "cf_xdr_zjlx": "", "cf_xdr_zjhm": "", "cf_frdb": rep.name, "cf_fr_zjlx": "身份证",
        "cf_fr_zjhm": rep.id_no, "cf_wsh": f"杭西市监罚〔2021〕{number}号", "cf_wfxw": "虚假宣传",
        "cf_sy": "宣传与实际不符", "cf_yj": "反不正当竞争法第二十条", "cf_cflb": "罚款;没收违法所得",
        "cf_nr": "罚款二万元", "cf_nr_fk": "2", "cf_nr_wfff": "0.5", "cf_nr_zkdx": "", "cf_jdrq": "2021-03-04",
        "cf_yxq": "2022-03-04", "cf_gsjzq": "2024-03-04", "cf_cfjg": "西湖区市场监督管理局", "cf_cfjgdm": OFFICE,
        "cf_sjly": "西湖区市场监督管理局", "cf_sjlydm": WINDOW, "bz": "已缴清",
    }  # fmt: skip


def rkk_household(town: Town) -> Record:
    number = town.number()
    return {
        "person_id": f"K-{number}", "id_no": town.person().id_no, "household_id": f"H-{number}",
        "household_no": "330106001", "household_type": "10", "relation": "02", "address": ADDRESS,
        "police_station": "文新派出所", "police_station_code": "330106001", "street_code": "330106001001001",
        "committee_code": "330106001001", "town_code": "330106001", "death_date": "", "death_cancel_type": "",
        "moveout_date": "", "moveout_cancel_type": "", "cancel_date": "", "cancel_flag": "0",
        "update_time": "20240102030405",
    }  # fmt: skip


def rkk_residence_permit(town: Town) -> Record:
    one = town.person(man=town.rng.random() < 0.5)
    return {
        "permit_no": f"Z-{town.number()}", "id_no": one.id_no, "name": one.name, "sex": one.sex, "sex_name": one.sex,
        "ethnic": "01", "ethnic_name": "01", "county_code": "330113", "police_station_code": "330113001",
        "street_code": "世纪大道", "address": ADDRESS, "reg_date": "2024-05-06", "cancel_date": "",
        "domicile_county": HOME, "domicile_addr": ADDRESS, "lessor_name": "李四", "lessor_id": town.stranger().id_no,
        "house_file_no": "F-1", "status": "有效",
    }  # fmt: skip


def rkk_marriage(town: Town) -> Record:
    man, woman = town.person(), town.person(man=False)
    return {
        "cert_no": f"J330106-2020-{town.number()}", "biz_type": "1", "reg_date": "2020-05-20",
        "reg_org": "杭州市西湖区民政局", "male_name": man.name, "male_id_no": man.id_no, "male_id_type": "111",
        "male_nation": "CHN", "female_name": woman.name, "female_id_no": woman.id_no, "female_id_type": "111",
        "female_nation": "CHN",
    }  # fmt: skip


def rkk_death(town: Town) -> Record:
    one = town.person(dead=True)
    return {
        "id_no": one.id_no, "name": one.name, "sex": one.sex, "death_time": "2024-01-02 03:04:05",
        "cremation_time": "2024-01-04 09:00:00", "address": ADDRESS,
    }  # fmt: skip


def rkk_social_insurance(town: Town) -> Record:
    one, firm = town.person(), town.firm()
    return {
        "baz159": f"B-{town.number()}", "aac001": f"{town.number()}", "aac002": one.id_no, "aac003": one.name,
        "aac058": "01", "aac147": one.id_no, "aab001": "2001", "bab010": firm.uscc, "aab004": firm.name,
        "aae140": "110", "aac008": "1", "aac031": "1", "aae030": "2020-01-01", "aae031": "2020-12-31",
        "aae002": "202006", "aae180": "8000.00", "aae100": "1", "aab301": HOME,
    }  # fmt: skip


def elicense(town: Town) -> Record:
    firm, number = town.firm(), town.number()
    parts = [OFFICE + "001", WINDOW, f"{number:010d}", "001"]
    return {
        "certificate_identifier": ".".join(["1.2.156.3005.2", *parts, mod_37_36("".join(parts))]),
        "certificate_number": f"JY{number}", "certificate_name": "食品经营许可证", "certificate_version": "1",
        "certificate_type_name": "食品经营许可证", "certificate_type_name_code": OFFICE + "001",
        "certificate_issuing_authority_date": "20240304", "certificate_issuing_authority_name": "西湖区市场监督管理局",
        "certificate_issuing_authority_code": WINDOW, "certificate_define_authority_name": "浙江省市场监督管理局",
        "certificate_define_authority_code": OFFICE, "certificate_validate_start": "20240304",
        "certificate_validate_end": "20290303", "certificate_validity_range": "五年", "certificate_area_code": HOME,
        "certificate_holder_name": firm.name, "certificate_holder_code": firm.uscc, "certificate_holder_type": "001",
        "certificate_holder_type_name": "统一社会信用代码", "related_item_name": "食品经营许可",
        "related_item_code": "3300001", "certificate_copy_time": "20240401", "certificate_copy_maker": "窗口",
        "certificate_copy_reason": "办事", "certificate_copy_valid_to": "20240501", "extend_info": "{}",
        "file_url": "https://example.test/1.ofd", "status": "I",
    }  # fmt: skip


def case(town: Town) -> Record:
    firm = town.firm()
    return {
        "projid": f"330106{town.number():015d}", "servicecode": "许可-00001-000", "service_deptid": "001003",
        "areacode": HOME, "belongsystem": "0001", "outsystemid": "O-1", "applicant_name": firm.name,
        "applicant_code": firm.uscc, "accept_man": "王五", "accept_time": "2024-03-04 09:00:00", "accept_action": "0",
        "promisevalue": "5", "promise_time": "2024-03-11 17:00:00", "node_name": "审查",
        "node_start": "2024-03-04 10:00:00", "node_end": "2024-03-05 10:00:00", "node_action": "0", "opinion": "同意",
        "special_type": "", "transact_user": "赵六", "transact_time": "2024-03-06 10:00:00", "transact_action": "0",
        "transact_result": "办结", "transact_describe": "准予许可", "result_code": "JY1", "dataversion": "1",
        "create_time": "2024-03-06 10:00:01", "attach_stage": "",
    }  # fmt: skip


def catalog_resource(town: Town) -> Record:
    number = town.number()
    firm = town.firm()
    return {
        "resource_code": f"100301/{number:06d}", "resource_name": f"第{number}号资源", "classification": "基础/法人单位",
        "provider_name": firm.name, "provider_code": firm.uscc, "abstract": "登记的基本信息", "format": "数据库",
        "format_type": "关系表", "item_name": "统一社会信用代码", "item_type": "字符型", "item_length": "18",
        "share_type": "2", "share_condition": "用于行政审批", "share_method": "共享平台", "share_method_type": "接口",
        "is_open": "0", "open_condition": "", "update_cycle": "2", "publish_date": "2024-01-01",
        "related_code": "100302/000001", "secret_flag": "0",
    }  # fmt: skip


def control(town: Town) -> Record:
    number = town.number()
    return {
        "dsc_city": "杭州市", "dsc_adm_region": "西湖区", "dsc_sydep_code": "001003",
        "dsc_sydep_name": "浙江省市场监督管理局", "dsc_sydep_sys": "登记系统", "dsc_sydep_tblname": "t_enterprise",
        "dsc_biz_record_id": str(number), "dsc_biz_operation": town.rng.choice("IU"),
        "dsc_biz_timestamp": "2024-01-02 03:04:05", "dsc_datasr_tblname": "ods_enterprise",
        "dsc_hash_unique": f"{number:032x}", "dsc_clean_timestamp": "2024-01-02 04:00:00",
        "dsc_dw_rksj": "2024-01-02 05:00:00",
    }  # fmt: skip


RECORDS: Mapping[str, Callable[[Town], Record]] = {
    "license": license_,
    **{
        one.__name__: one
        for one in (
            legal_person, population, frk_abnormal, frk_annual_report, frk_branch, frk_change, frk_person,
            frk_shareholder, credit_permit, credit_penalty, rkk_household, rkk_residence_permit, rkk_marriage,
            rkk_death, rkk_social_insurance, elicense, case, catalog_resource, control,
        )
    },
}  # fmt: skip
