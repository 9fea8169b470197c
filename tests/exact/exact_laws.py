"""What the standards say must follow from a value, field by field, written down apart from their rules' own code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from exact_town import ALNUM, PAIRS, code_list, id_last, id_right, org_right, uscc_right
from ruamel.yaml import YAML

STANDARDS = Path(__file__).parents[2] / "schemas" / "standards"
Record = Mapping[str, str]
Law = Callable[[str, Record], bool]  # (the number as it should be kept, the record as it was) → the rule is violated
NOTHING = frozenset({"", "\\N", "暂无", "N/A", "NULL", "-", "[]", "空值", "无数据", "Ｎ／Ａ", "\u3000"})


@dataclass(frozen=True)
class Shape:
    """What a standard's text says of a field."""

    name: str
    type: str
    length: int
    codes: str
    required: str


@cache
def shapes(standard: str) -> dict[str, Shape]:
    """The fields of a standard, as its file has them."""
    said = YAML(typ="base").load((STANDARDS / f"{standard}.yaml").read_text("utf-8"))["fields"]
    return {
        one["name"]: Shape(
            one["name"], one.get("type", "text"), int(one.get("length", 0)), one.get("codes", "").partition("@")[0],
            one.get("required", "false"),
        )
        for one in said
    }  # fmt: skip


# Beyond `<field>_required`: what an empty value violates in a record that is right otherwise.
EMPTY: Mapping[str, Mapping[str, str]] = {
    "legal_person": {"uscc": "uscc_check", "reg_capital_ccy": "reg_capital_ccy_named"},
    "population": {"id_no": "id_no_check"},
    "frk_abnormal": {"remove_date": "removed_has_reason", "remove_reason": "removed_has_reason"},
    "license": {"uscc": "uscc_required"},
    "credit_permit": {"xk_xdr_shxym": "xk_xdr_shxym_required", "xk_frdb": "xk_frdb_required"},
    "credit_penalty": {
        name: f"{name}_required" for name in ("cf_xdr_shxym", "cf_nr_fk", "cf_nr_wfff")
    },
    "rkk_household": {"relation": "one_head"},
    "case": {name: f"{name}_required" for name in ("transact_action", "transact_result", "transact_describe")},
    "catalog_resource": {"share_condition": "share_condition_required"},
}  # fmt: skip
# An empty value violates these in place of `<field>_required`.
INSTEAD = {("legal_person", "uscc"), ("population", "id_no")}
# What a value that means nothing violates beyond its length and its code list.
OTHER: Mapping[str, Mapping[str, str]] = {
    "legal_person": {
        "legal_rep_name": "legal_rep_same_name", "industry_section": "industry_section_fits",
        "industry_code": "industry_code_form", "phone": "phone_form", "domicile": "domicile_names_division",
        "domicile_division": "domicile_division_form", "prod_division": "prod_division_form",
        "postal_code": "postal_code_form", "tax_no": "tax_no_form",
    },
    "population": {
        one: f"{one}_form"
        for one in (
            "phone", "domicile_town_code", "reside_town_code", "domicile_committee_code", "reside_committee_code",
        )
    },
    "frk_abnormal": {"subject_id": "subject_in_library"},
    "frk_annual_report": {"report_year": "report_year_form"},
    "frk_change": {"alt_after": "name_change_is_current"},
    "frk_person": {"subject_id": "subject_in_library", "name": "person_same_name", "id_type": "id_type_form"},
    "credit_permit": {"xk_xdr_mc": "party_same_name", "xk_xklb": "xk_xklb_known"},
    "credit_penalty": {"cf_xdr_mc": "party_same_name", "cf_cflb": "cf_cflb_known fine_is_positive"},
    "rkk_household": {"relation": "one_head", "town_code": "town_code_form"},
    "rkk_residence_permit": {
        "sex": "sex_agrees", "sex_name": "sex_agrees", "ethnic": "ethnic_agrees", "ethnic_name": "ethnic_agrees",
        "name": "name_same",
    },
    "rkk_marriage": {"male_name": "male_same_name", "female_name": "female_same_name"},
    "rkk_death": {"name": "name_same"},
    "rkk_social_insurance": {"aac003": "aac003_same", "aae002": "aae002_form"},
    "elicense": {
        "certificate_identifier": "certificate_identifier_check",
        "certificate_type_name_code": "type_code_form identifier_has_type",
        "certificate_holder_code": "holder_uscc_check holder_in_legal_persons",
    },
    "case": {
        "projid": "projid_form", "applicant_code": "applicant_in_libraries", "result_code": "result_is_a_licence",
        "transact_result": "result_fits_action",
    },
    "catalog_resource": {"resource_code": "resource_code_form"},
    "control": {"dsc_hash_unique": "hash_form"},
}  # fmt: skip


def empty(standard: str, field: str) -> set[str]:
    """The rules that an empty value of the field violates."""
    needed = shapes(standard)[field].required in ("true", "warning") and (standard, field) not in INSTEAD
    return {*EMPTY.get(standard, {}).get(field, "").split()} | ({f"{field}_required"} if needed else set())


def other(standard: str, field: str) -> set[str]:
    """The rules that a value without meaning violates, in a field of text or of codes."""
    coded = {f"{field}_code"} if shapes(standard)[field].codes else set()
    return {*OTHER.get(standard, {}).get(field, "").split()} | coded


# --- numbers -----------------------------------------------------------------------------------------------------------
def kept(kind: str, received: str) -> str:
    """A number as it should be kept: ASCII, upper case, no blanks or hyphens, 18 digits; "" when it is none."""
    narrow = "".join(chr(ord(one) - 0xFEE0) if "！" <= one <= "～" else one for one in received)
    text = re.sub(r"[\s\-\u3000]", "", narrow).upper()
    if text in NOTHING or (text == "11111111" and kind == "uscc"):
        return ""
    if kind == "citizen_id" and re.fullmatch("[0-9]{15}", text):
        longer = f"{text[:6]}19{text[6:]}"
        return longer + id_last(longer) if id_right(longer + id_last(longer)) else text
    return text


RIGHT = {"uscc": uscc_right, "org_code": org_right, "citizen_id": id_right}


def _not(right: Callable[[str], bool]) -> Law:
    return lambda number, _record: not right(number)


def _strange(field: str) -> Law:
    """No library knows another number than the right record's."""
    return lambda number, record: number != record[field]


def _born_otherwise(number: str, record: Record) -> bool:
    return len(number) == 18 and number[0] != "9" and number[6:14] != record["birth_date"].replace("-", "")


def _other_sex(number: str, record: Record) -> bool:
    odd = number[16:17] in {*"13579"}
    return len(number) == 18 and number[0] != "9" and number[16].isdigit() and odd != (record["sex"] == "1")


def _no_card(number: str, _record: Record) -> bool:
    return re.fullmatch("[1-8][0-9]{16}[0-9X]", number) is None


def _nowhere(number: str, _record: Record) -> bool:
    return len(number) == 18 and number[0] not in "89" and number[:6] not in code_list("division")


def _pair(number: str, _record: Record) -> bool:
    return len(number) != 18 or any(one not in ALNUM for one in number) or number[:2] not in PAIRS


def _org_inside(number: str, _record: Record) -> bool:
    return len(number) != 18 or any(one not in ALNUM for one in number) or not org_right(number[8:17])


def _differs(field: str) -> Law:
    return lambda number, record: len(number) == 18 and number[8:17] != record[field]


def _registered_nowhere(number: str, _record: Record) -> bool:
    return len(number) == 18 and number[2:8] != "100000" and number[2:8] not in code_list("division")


def _no_office(number: str, _record: Record) -> bool:
    return len(number) == 18 and number[:2] not in ("11", "12", "13")


def _before(field: str, day: str, years: int) -> Law:
    """Not of age on the day: born later than so many years before it."""

    def law(number: str, record: Record) -> bool:
        if len(number) != 18 or number[0] == "9" or not number[6:14].isdigit():
            return False
        return int(record[day].replace("-", "")) - int(number[6:14]) < years * 10_000

    return law


def _not_sex(odd: bool) -> Law:
    return lambda number, _record: len(number) == 18 and number[16].isdigit() and (number[16] in "13579") != odd


def _person(field: str, check: str, library: str = "", **more: Law) -> Mapping[str, Law]:
    return {check: _not(id_right), **({library: _strange(field)} if library else {}), **more}


def _firm(field: str, check: str, library: str = "", **more: Law) -> Mapping[str, Law]:
    return {check: _not(uscc_right), **({library: _strange(field)} if library else {}), **more}


def _org(uscc: str) -> Mapping[str, Law]:
    def inside(number: str, record: Record) -> bool:
        return number != record[uscc][8:17]

    return {"org_code_check": _not(org_right), "org_code_in_uscc": inside}


# Of each number: the rules about it, and when a record that is right otherwise violates them. A number that is empty
# violates none of them. `uscc_check` of legal_person is about the code as received: see `violated`.
NUMBERS: Mapping[str, Mapping[str, Mapping[str, Law]]] = {
    "legal_person": {
        "uscc": {
            "uscc_pair_known": _pair, "uscc_org_code_check": _org_inside, "org_code_in_uscc": _differs("org_code"),
            "uscc_pair_fits_org_type": lambda number, _record: number[:2] != "91",
            "uscc_division_known": _registered_nowhere,
        },
        "org_code": _org("uscc"),
        "legal_rep_id_no": {
            "legal_rep_id_check": _not(id_right), "legal_rep_id_form": _no_card,
            "legal_rep_in_library": _strange("legal_rep_id_no"),
        },
    },
    "population": {
        "id_no": _person(
            "id_no", "id_no_check", id_no_birth=_born_otherwise, id_no_sex=_other_sex, id_no_fits_type=_no_card,
            id_no_division_known=_nowhere,
        )
    },
    "frk_annual_report": {"uscc": _firm("uscc", "uscc_check", "uscc_in_library")},
    "frk_branch": {
        "parent_uscc": _firm("parent_uscc", "parent_uscc_check", "parent_in_library"),
        "branch_uscc": _firm("branch_uscc", "branch_uscc_check"),
    },
    "frk_change": {"uscc": _firm("uscc", "uscc_check", "uscc_in_library")},
    "frk_person": {"id_no": _person("id_no", "id_no_check", "person_in_library")},
    "frk_shareholder": {"uscc": _firm("uscc", "uscc_check", "uscc_in_library")},
    "license": {
        "uscc": _firm("uscc", "uscc_check", "uscc_in_library"),
        "issue_code": _firm("issue_code", "issue_code_check", issue_code_is_government=_no_office),
    },
    "credit_permit": {
        "xk_xdr_shxym": _firm(
            "xk_xdr_shxym", "xk_xdr_shxym_check", "party_in_library", org_code_in_uscc=_differs("xk_xdr_zzjg")
        ),
        "xk_xdr_zzjg": _org("xk_xdr_shxym"),
        "xk_fr_sfzh": _person("xk_fr_sfzh", "xk_fr_sfzh_check"),
        "xk_xkjgdm": _firm("xk_xkjgdm", "xk_xkjgdm_check", xk_xkjgdm_is_government=_no_office),
        "xk_lydwdm": _firm("xk_lydwdm", "xk_lydwdm_check"),
    },
    "credit_penalty": {
        "cf_xdr_shxym": _firm(
            "cf_xdr_shxym", "cf_xdr_shxym_check", "party_in_library", org_code_in_uscc=_differs("cf_xdr_zzjg")
        ),
        "cf_xdr_zzjg": _org("cf_xdr_shxym"),
        "cf_fr_zjhm": _person("cf_fr_zjhm", "cf_fr_zjhm_check"),
        "cf_cfjgdm": _firm("cf_cfjgdm", "cf_cfjgdm_check", cf_cfjgdm_is_government=_no_office),
        "cf_sjlydm": _firm("cf_sjlydm", "cf_sjlydm_check"),
    },
    "rkk_household": {"id_no": _person("id_no", "id_no_check", "id_no_in_library")},
    "rkk_residence_permit": {
        "id_no": _person("id_no", "id_no_check", "id_no_in_library", id_no_sex=_other_sex),
        "lessor_id": _person("lessor_id", "lessor_id_check"),
    },
    "rkk_marriage": {
        "male_id_no": _person(
            "male_id_no", "male_id_no_check", "male_in_library", male_is_male=_not_sex(odd=True),
            male_of_age=_before("male_id_no", "reg_date", 22),
        ),
        "female_id_no": _person(
            "female_id_no", "female_id_no_check", "female_in_library", female_is_female=_not_sex(odd=False),
            female_of_age=_before("female_id_no", "reg_date", 20),
        ),
    },
    "rkk_death": {
        "id_no": _person(
            "id_no", "id_no_check", "id_no_in_library", id_no_sex=_other_sex,
            death_after_birth=lambda number, record: len(number) == 18 and number[0] != "9"
            and number[6:14].isdigit() and number[6:14] > record["death_time"][:10].replace("-", ""),
        )
    },
    "rkk_social_insurance": {
        "aac002": _person("aac002", "aac002_check", "aac002_in_library"),
        "aac147": _person("aac147", "aac147_check"),
        "bab010": _firm("bab010", "bab010_check", "unit_in_library"),
    },
    "elicense": {
        one: _firm(one, f"{one}_check")
        for one in ("certificate_issuing_authority_code", "certificate_define_authority_code")
    },
    "catalog_resource": {"provider_code": _firm("provider_code", "provider_code_check", "provider_in_library")},
}  # fmt: skip


def violated(standard: str, field: str, received: str, record: Record) -> set[str]:
    """The rules that the record violates once this was received in place of its number."""
    kind = shapes(standard)[field].type
    number = kept(kind, received)
    if (standard, field) == ("legal_person", "uscc") and re.fullmatch("[0-9]{13}|[0-9]{15}", number):
        return {"uscc_check"}  # a registration number: it moves to its own field
    if not number:
        return empty(standard, field)
    rules = {rule for rule, law in NUMBERS[standard].get(field, {}).items() if law(number, record)}
    if (standard, field) == ("legal_person", "uscc") and not uscc_right(received):
        rules.add("uscc_check")
    right = RIGHT[kind]
    return rules | ({f"{field}_repaired"} if right(number) and not right(received) else set())
