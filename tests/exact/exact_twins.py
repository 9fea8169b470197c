"""Messes between two records of a resource, standard by standard, with the rules that both of them violate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exact_cases import Changes, Record, another_code
from exact_town import Town, organisation

Twins = Callable[[Town, Record], tuple[Changes, Changes]]  # what both records have, and the second besides


def _same(**changes: str) -> Twins:
    """Both records alike but for the second's changes."""
    return lambda _town, _record: ({}, changes)


def _as(**makers: Callable[[Town], str]) -> Twins:
    """Both alike but for what is made for the second."""
    return lambda town, _record: ({}, {name: make(town) for name, make in makers.items()})


def _number(town: Town) -> str:
    return f"T-{town.number()}"


def _another_code(town: Town, _record: Record) -> tuple[Changes, Changes]:
    return {}, another_code(town, "91")


def _another_person(town: Town, _record: Record) -> tuple[Changes, Changes]:
    one = town.person()
    return {}, {"aac002": one.id_no, "aac003": one.name, "aac147": one.id_no, "aae140": "210", "baz159": _number(town)}


def _child(town: Town, _record: Record) -> tuple[Changes, Changes]:
    return {}, {"person_id": _number(town), "id_no": town.person().id_no, "relation": "20"}


def _half(_town: Town, record: Record) -> tuple[Changes, Changes]:
    """Two shareholders with half of the capital each."""
    half = str(int(record["sub_amount"]) / 2)
    return {"ratio_after": "50", "sub_amount": half}, {"inv_id": record["inv_id"] + "b"}


WHOLE = {"node_name": "", "node_start": ""}

TWINS: Mapping[str, Sequence[tuple[Twins, str]]] = {
    "legal_person": [
        (_same(), ""),
        (lambda _town, record: ({}, {"appr_date": record["est_date"], "phone": "0571-66666666"}), ""),
        (_same(ent_name="另一名称有限公司"), "one_active_name_per_uscc"),
        (_same(ent_name="旧名称", reg_state="9"), ""),
        (_another_code, "one_uscc_per_subject"),
    ],
    "population": [(_same(), ""), (_same(phone="13900000000"), "")],
    "frk_abnormal": [
        (_same(), "entry_once"), (_as(abn_id=_number), "entry_once"), (_same(put_date="2019-07-08"), ""),
    ],
    "frk_annual_report": [
        (_same(), "one_report_a_year"), (_as(report_id=_number), "one_report_a_year"), (_same(report_year="2022"), ""),
    ],
    "frk_branch": [
        (_same(), "branch_uscc_once"),
        (_as(parent_uscc=lambda town: town.firm().uscc), "branch_uscc_once branch_has_one_parent"),
        (_as(branch_uscc=lambda town: organisation(town.number())), ""),
    ],
    "frk_change": [(_same(), "change_once"), (_as(change_id=_number), "change_once"), (_same(alt_date="2019-05-06"), "")],
    "frk_person": [
        (_same(), "legal_rep_is_one"), (_as(person_id=_number), "legal_rep_is_one"), (_same(role_flag="2"), ""),
    ],
    "frk_shareholder": [(_same(), "ratios_within_100 subscribed_is_capital"), (_half, "")],
    "license": [
        (_same(), "licence_period_once"),
        (_same(valid_from="2026-03-02", valid_to="2099-12-31"), "licence_period_once"),
        (_same(valid_from="2026-03-03", valid_to="2099-12-31"), ""),
        (_same(lic_name="药品经营许可证"), ""),
    ],
    "credit_permit": [(_same(), "decision_once"), (_as(xk_id=_number), "decision_once"), (_as(xk_wsh=_number), "")],
    "credit_penalty": [(_same(), "decision_once"), (_same(bz="重报"), "decision_once"), (_as(cf_wsh=_number), "")],
    "rkk_household": [
        (_same(), "one_head one_household"),
        (_as(person_id=_number, id_no=lambda town: town.person().id_no), "one_head"),
        (_child, ""),
        (_same(cancel_flag="1", cancel_date="2024-01-02"), ""),
        (_as(household_id=_number), "one_household"),
    ],
    "rkk_residence_permit": [
        (_same(), "one_valid_permit"), (_as(permit_no=_number), "one_valid_permit"), (_same(status="失效"), ""),
    ],
    "rkk_marriage": [(_same(), "")],
    "rkk_death": [(_same(), "one_death"), (_same(death_time="2024-01-03 03:04:05"), "one_death")],
    "rkk_social_insurance": [
        (_same(), "one_relation_at_a_time"),
        (_as(baz159=_number), "one_relation_at_a_time"),
        (_same(aae030="2020-12-31", aae031="99991231"), ""),
        (_same(aae100="0"), ""),
        (_another_person, "person_has_one_number"),
    ],
    "elicense": [(_same(), "one_licence"), (_same(certificate_version="2"), "")],
    "case": [
        (_same(), ""),
        (lambda _town, _record: (WHOLE, {}), "one_version"),
        (lambda _town, _record: (WHOLE, {"dataversion": "2"}), ""),
    ],
    "catalog_resource": [
        (_same(), "item_once"),
        (_same(item_name="企业名称"), ""),
        (_same(item_name="企业名称", resource_name="另一资源"), "resource_says_one_thing"),
    ],
    "control": [(_same(), "record_id_once"), (_as(dsc_biz_record_id=_number), "")],
}  # fmt: skip
