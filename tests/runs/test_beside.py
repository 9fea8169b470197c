"""Rules of further standards answer beside a resource's own: control columns, and a library's rules about parents."""

from __future__ import annotations

import csv

import pytest
from small_deployment import LIBRARY, add_resource, code, csv_source, lay_out, opened

from schemas.errors import StandardError
from warehouse.merge import base_table

FIRMS = "scjg.firms"
DSC = ("dsc_biz_record_id", "dsc_biz_operation", "dsc_biz_timestamp", "dsc_hash_unique", "dsc_clean_timestamp")
OWN = ("统一社会信用代码", "企业名称", "登记状态", "注销日期", "成立日期", "隶属法人统一社会信用代码")
MD5 = "9e107d9d372bb6826bd81d3542a419d6"


def firm(number: int, **cells: str) -> dict[str, str]:
    """A row of a shared table: the firm, and what the platform says of the row."""
    usual = dict.fromkeys(OWN, "") | {
        "统一社会信用代码": code(number), "企业名称": f"第{number}公司", "登记状态": "存续", "成立日期": "2010-01-01",
        "dsc_biz_record_id": str(number), "dsc_biz_operation": "insert", "dsc_biz_timestamp": "2024-01-02 03:04:05",
        "dsc_hash_unique": MD5, "dsc_clean_timestamp": "2024-01-02 04:00:00",
    }  # fmt: skip
    return usual | cells


def deliver(home, name, rows):
    """Put a file where the resource looks for it."""
    (home / "drops").mkdir(exist_ok=True)
    with (home / "drops" / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*OWN, *DSC])
        writer.writeheader()
        writer.writerows(rows)


def broken(report, rules):
    return {rule: rows for rule, rows in report.rules.items() if rows and rule in rules}


def test_control_columns_are_checked_beside_the_standard_of_the_resource(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), percent=99, more="beside: [control@1]\nseverity: {record_id_once: warning}\n")
    deliver(home, "one.csv", [
        *(firm(number) for number in range(1, 7)),
        firm(7, dsc_biz_record_id="6"),
        firm(8, dsc_hash_unique="abc"),
        firm(9, dsc_clean_timestamp="2024-01-02 03:04:04"),
        firm(10, dsc_biz_timestamp="2099-01-01 00:00:00", dsc_clean_timestamp=""),
        firm(11, dsc_biz_record_id=""),
        firm(12, dsc_biz_operation="D"),
    ])  # fmt: skip
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "r1")
        resource = wired.deployment.resource(FIRMS)
        control = {rule.id for rule in resource.checked.rules} - {rule.id for rule in resource.standard.rules}
        found = broken(report, control)
        assert found.pop("dsc_biz_operation_repaired") == 11
        assert found == {
            "record_id_once": 2,
            "hash_form": 1,
            "changed_before_cleaned": 1,
            "dsc_biz_timestamp_not_future": 1,
            "dsc_biz_record_id_required": 1,
        }
        assert (report.pulled, report.landed, report.quarantined, report.errors) == (12, 9, 2, {})
        wired.steps.merge(LIBRARY, "r1-merge")
        base = base_table(LIBRARY)
        assert wired.tables.row_count(base, wired.state.released(base)) == 9
        assert not [name for name in wired.tables.columns(base) if name.startswith("dsc_")]


def test_a_standard_beside_that_does_not_exist_is_refused_where_it_stands(tmp_path):
    home = lay_out(tmp_path / "home")
    path = add_resource(home, csv_source(), more="beside: [contrl@1]\n")
    with pytest.raises(StandardError, match=r"control@1") as caught, opened(home):
        pass
    assert path.name in caught.value.en


def test_rules_about_parents_answer_once_the_library_they_look_at_is_released(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), percent=99, more="references: [legal_person]\n")
    rules = {"parent_in_library", "parent_not_cancelled", "parent_uscc_check"}
    parent = "隶属法人统一社会信用代码"
    gone = {"登记状态": "注销", "注销日期": "2020-01-01"}
    deliver(home, "one.csv", [firm(1), firm(2, **gone), firm(3, **{parent: code(99)})])
    with opened(home) as wired:
        first = wired.steps.ingest(FIRMS, "r1")
        assert "parent_in_library" not in first.rules  # no library yet: the rule does not apply, and is not passed
        wired.steps.merge(LIBRARY, "r1-merge")
        deliver(home, "two.csv", [
            firm(11, **{parent: code(1)}),
            firm(12, **{parent: code(2)}),
            firm(13, **{parent: code(2)}, **gone),
            firm(14, **{parent: code(99)}),
            firm(15, **{parent: code(1)[:-1] + "I"}),
            firm(16),
        ])  # fmt: skip
        second = wired.steps.ingest(FIRMS, "r2")
        assert broken(second, rules) == {"parent_in_library": 2, "parent_not_cancelled": 1, "parent_uscc_check": 1}
        assert (second.pulled, second.quarantined, second.errors) == (6, 1, {})
