"""Standards from YAML: what every field brings along, and what a wrong standard is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import code_lists
from schemas.errors import StandardError
from schemas.lines import read
from schemas.load import find_standard, load_standard, read_rules
from schemas.standard import Rule, Standard, bind

GOOD = """\
standard: permit
version: 2
title: {zh: 许可, en: Permits}
library: legal_person
key: [uscc]
order: [granted]
identifiers: [uscc]
fields:
  - {name: uscc, zh: 统一社会信用代码, en: USCC, type: uscc, length: 18, required: true, aliases: [shxydm]}
  - {name: holder, zh: 持证人, en: Holder, length: 20, required: warning, level: 3, share: C, mask: name}
  - {name: granted, zh: 发证日期, en: Granted, type: date}
  - {name: fee, zh: 费用, en: Fee, type: capital, unit: 元}
  - {name: sex, zh: 性别, en: Sex, type: code, codes: gb_t_2261_1@2003}
  - {name: area, zh: 区划, en: Area, type: code, codes: division@2026}
rules:
  - id: uscc_check
    kind: check_digit
    columns: ["raw:uscc"]
    indicator: '0301'
    zh: 代码不合法
    en: The code is not valid
    forgiven_by: uscc_repaired
    params: {kind: uscc, empty_fails: true}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "permit.yaml"


def load(path: Path, text: str) -> Standard:
    path.write_text(text, encoding="utf-8")
    return load_standard(path, code_lists.available())


def rules(standard: Standard) -> dict[str, Rule]:
    return {rule.id: rule for rule in standard.rules}


def test_a_standard_says_what_its_file_says(path: Path) -> None:
    standard = load(path, GOOD)
    assert (standard.id, standard.zh, standard.library) == ("permit@2", "许可", "legal_person")
    assert (standard.key, standard.order, standard.identifiers) == (("uscc",), ("granted",), ("uscc",))
    holder = standard.field("holder")
    assert (holder.zh, holder.length, holder.level, holder.share, holder.mask) == ("持证人", 20, 3, "C", "name")
    assert (standard.field("uscc").required, holder.required) == (True, False)


def test_every_batch_is_held_to_the_structural_rules(path: Path) -> None:
    found = rules(load(path, GOOD))
    for name in ("row_shape", "bad_bytes", "torn_row", "float_id", "field_size", "type_unreadable"):
        rule = found[name]
        assert (rule.kind, rule.columns, rule.severity, rule.params) == (
            "reject",
            ("_reject",),
            "error",
            {"reject": name},
        )
        assert rule.zh
        assert rule.en
        assert rule.fix_zh


def test_fields_bring_their_rules_along(path: Path) -> None:
    found = rules(load(path, GOOD))
    told = {
        name: (rule.kind, rule.columns, rule.severity, rule.indicator, dict(rule.params))
        for name, rule in found.items()
        if rule.kind != "reject"
    }
    assert told["holder_required"] == ("required", ("holder",), "warning", "0201", {})
    assert told["holder_length"] == ("length", ("holder",), "error", "0302", {"max": 20})
    assert told["granted_format"] == ("understood", ("granted__bad",), "error", "0302", {})
    assert told["fee_format"] == ("understood", ("fee__bad",), "warning", "0302", {})
    assert told["sex_code"] == ("code", ("sex",), "error", "0105", {"list": "gb_t_2261_1@2003"})
    assert told["holder_repaired"] == ("repaired", ("holder__repaired",), "info", "0302", {})
    assert "granted_required" not in told
    assert "uscc_length" not in told


def test_a_list_that_is_not_complete_only_warns(path: Path) -> None:
    assert rules(load(path, GOOD))["area_code"].severity == "warning"


def test_a_check_that_fails_on_empty_makes_the_required_rule_needless(path: Path) -> None:
    assert "uscc_required" not in rules(load(path, GOOD))
    assert "uscc_required" in rules(load(path, GOOD.replace("empty_fails: true", "empty_fails: false")))


def test_a_written_rule_replaces_the_implied_one_of_its_name_in_its_place(path: Path) -> None:
    extra = "  - {id: holder_length, kind: length, field: holder, zh: 太长, en: Too long, severity: info, params: {max: 9}}\n"
    before, after = load(path, GOOD), load(path, GOOD + extra)
    assert rules(after)["holder_length"].params == {"max": 9}
    assert rules(after)["holder_length"].severity == "info"
    assert [rule.id for rule in after.rules] == [rule.id for rule in before.rules]


def test_rules_over_fields_a_resource_does_not_deliver_do_not_apply(path: Path) -> None:
    bound = {rule.id: rule for rule in bind(load(path, GOOD), {"uscc": "shxydm", "granted": "fzrq"})}
    assert bound["uscc_check"].columns == ("raw:shxydm",)
    assert "granted_format" in bound
    assert "row_shape" in bound
    assert not [name for name in bound if name.startswith(("holder", "fee", "sex"))]


MISTAKES = {
    # what is written wrong, the line named, words of the fix, code
    "a misspelled key of the standard": (("library:", "libary:"), 4, "Did you mean 'library'", "STD-YAML-KEY"),
    "a misspelled key of a field": (("unit: 元", "units: 元"), 12, "Did you mean 'unit'", "STD-YAML-KEY"),
    "an unknown type": (("type: date", "type: dates"), 11, "Did you mean type: date", "STD-YAML-CHOICE"),
    "an unknown code list": (("gb_t_2261_1@2003", "gb_t_2261_1@2013"), 13, "gb_t_2261_1@2003", "STD-YAML-CHOICE"),
    "a code list without type code": (("type: code, codes: gb", "codes: gb"), 13, "Write type: code", "STD-YAML-VALUE"),
    "an unknown mask": (("mask: name", "mask: names"), 10, "Did you mean mask: name", "STD-YAML-CHOICE"),
    "a level out of range": (("level: 3", "level: 5"), 10, "for example, level: 2", "STD-YAML-VALUE"),
    "an unknown sharing attribute": (("share: C", "share: X"), 10, "Choose from U, C, N", "STD-YAML-CHOICE"),
    "a length of nothing": (("length: 20", "length: 0"), 10, "Write length: 18", "STD-YAML-VALUE"),
    "a length in words": (("length: 20", "length: twenty"), 10, "length: 18", "STD-YAML-TYPE"),
    "required in other words": (("required: warning", "required: yes"), 10, "Choose from true, false", "STD-YAML-CHOICE"),
    "a key that is no field": (("key: [uscc]", "key: [usc]"), 5, "Did you mean 'uscc'", "STD-YAML-VALUE"),
    "no key": (("key: [uscc]\n", ""), 1, "for example key: [uscc]", "STD-YAML-MISSING"),
    "no title": (("title: {zh: 许可, en: Permits}\n", ""), 1, "for example title:", "STD-YAML-MISSING"),
    "a field name in Chinese": (("name: holder", "name: 持证人"), 10, "Write it like name:", "STD-YAML-PATTERN"),
    "a field named like the place of a row": (("name: fee", "name: filename"), 12, "filename_value", "STD-YAML-VALUE"),
    "a field named like a mark of another": (("name: fee", "name: holder__bad"), 12, "holder__bad_value", "STD-YAML-VALUE"),
    "a field twice": (("name: granted", "name: holder"), 11, "Remove it from one of the two", "STD-YAML-VALUE"),
    "an alias of two fields": (("share: C,", "share: C, aliases: [SHXYDM],"), 10, "Remove it from one", "STD-YAML-VALUE"),
    "an error on an incomplete list": (("division@2026}", "division@2026, code_severity: error}"), 14, "code_severity: warning", "STD-YAML-VALUE"),
    "an unknown kind of rule": (("kind: check_digit", "kind: checkdigit"), 17, "kind: check_digit", "STD-YAML-CHOICE"),
    "an unknown check digit": (("{kind: uscc,", "{kind: usc,"), 23, "Did you mean kind: uscc", "STD-YAML-CHOICE"),
    "a rule without parameters": (("    params: {kind: uscc, empty_fails: true}\n", ""), 17, "params: {kind: uscc}", "STD-YAML-VALUE"),
    "an unknown indicator": (("'0301'", "'0399'"), 19, "0301", "STD-YAML-CHOICE"),
    "a rule over no field": (("raw:uscc", "raw:uscd"), 18, "Did you mean 'uscc'", "STD-YAML-VALUE"),
    "a rule without text": (("    en: The code is not valid\n", ""), 16, "for example en:", "STD-YAML-MISSING"),
    "forgiven by no rule": (("forgiven_by: uscc_repaired", "forgiven_by: uscc_mended"), None, "rule", "STD-RULE"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_standard_is_answered_with_file_line_and_what_to_write(mistake: str, path: Path) -> None:
    (right, wrong), line, fix, code = MISTAKES[mistake]
    assert right in GOOD
    with pytest.raises(StandardError) as caught:
        load(path, GOOD.replace(right, wrong, 1))
    error = caught.value
    assert error.code == code
    assert (f"{path}:{line}" if line else str(path)) in error.en
    assert (f"{path}:{line}" if line else str(path)) in error.zh
    assert fix in error.fix_en or fix in error.en
    assert error.fix_zh


RULES = {
    "an order of one column": ("kind: order, columns: [granted]", "columns: [op_from, op_to]"),
    "a range without bounds": ("kind: range, field: fee, params: {max: }", "params: {min: 0}"),
    "a range upside down": ("kind: range, field: fee, params: {min: 5, max: 1}", "params: {min: 0}"),
    "a bound that is a word": ("kind: range, field: granted, params: {max: heute}", "max: today"),
    "a pattern that is none": ("kind: pattern, field: holder, params: {regex: '(['}", "regex: '[0-9]{6}'"),
    "a pattern that looks ahead": ("kind: pattern, field: holder, params: {regex: 'a(?=b)'}", "regex: '[0-9]{6}'"),
    "a condition over another column": ("kind: condition, field: fee, params: {sql: '\"granted\" > 1'}", "columns: [est_date]"),
    "no column": ("kind: required", "columns: [est_date, appr_date]"),
    "both columns and field": ("kind: required, field: fee, columns: [fee]", "columns: [est_date, appr_date]"),
    "an unknown code list": ("kind: code, field: sex, params: {list: sexes}", "Choose from"),
    "a parameter of another kind": ("kind: length, field: fee, params: {maximum: 3}", "Did you mean 'max'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", RULES)
def test_a_rule_that_could_not_be_evaluated_is_refused(mistake: str, path: Path) -> None:
    written, fix = RULES[mistake]
    with pytest.raises(StandardError) as caught:
        load(path, f"{GOOD}  - {{id: extra, zh: 甲, en: A, {written}}}\n")
    assert f"{path}:24" in caught.value.en
    assert fix in caught.value.fix_en


def test_a_repeated_rule_is_refused(path: Path) -> None:
    rule = "  - {id: extra, kind: required, field: fee, zh: 甲, en: A}\n"
    with pytest.raises(StandardError, match=r"permit\.yaml:25: the rule 'extra' is repeated"):
        load(path, GOOD + rule + rule)


def test_a_resource_cannot_give_a_rule_the_id_of_one_of_the_standard(path: Path, tmp_path: Path) -> None:
    standard, resource = load(path, GOOD), tmp_path / "resource.yaml"
    taken = standard.rules[-1].id
    resource.write_text(f"rules:\n  - {{id: {taken}, kind: required, field: fee, zh: 甲, en: A}}\n", encoding="utf-8")
    with pytest.raises(
        StandardError, match=rf"resource\.yaml:2: the rule '{taken}' is repeated \(permit@2\)"
    ) as caught:
        read_rules(read(resource), standard)
    assert f"severity: {{{taken}: warning}}" in caught.value.fix_en


def test_an_id_of_a_rule_that_is_too_long_to_be_kept_is_refused(path: Path) -> None:
    rule = "  - {id: %s, kind: required, field: fee, zh: 甲, en: A}\n"
    assert load(path, GOOD + rule % ("a" * 100)).rules
    with pytest.raises(StandardError, match="has 101 characters, at most 100"):
        load(path, GOOD + rule % ("a" * 101))


def test_a_resource_may_add_rules_over_fields_and_received_columns(path: Path, tmp_path: Path) -> None:
    resource = tmp_path / "resource.yaml"
    resource.write_text(
        "map: {uscc: SHXYDM}\n"
        "rules:\n"
        "  - {id: shifted, kind: pattern, columns: ['raw:所在省份'], zh: 错位, en: Shifted, params: {regex: 省}}\n"
        "  - {id: long_code, kind: length, columns: ['raw:SHXYDM'], zh: 过长, en: Long, params: {max: 18}}\n",
        encoding="utf-8",
    )
    standard = load(path, GOOD)
    extra = read_rules(read(resource), standard)
    assert [rule.columns for rule in extra] == [("raw:所在省份",), ("raw:SHXYDM",)]
    assert {"shifted", "long_code"} <= {rule.id for rule in bind(standard, {"uscc": "SHXYDM"}, None, extra)}


def test_a_condition_may_name_a_received_column_with_a_double_quote_and_hold_a_text_with_some(path, tmp_path) -> None:
    resource = tmp_path / "resource.yaml"
    resource.write_text(
        "rules:\n"
        "  - id: area\n"
        "    kind: condition\n"
        "    columns: ['raw:面积\"m2\"']\n"
        "    zh: 面积\n"
        "    en: Area\n"
        "    params:\n"
        "      sql: |-\n"
        '        "raw:面积""m2""" <> \'a "word", it\'\'s "said"\'\n',
        encoding="utf-8",
    )
    (rule,) = read_rules(read(resource), load(path, GOOD))
    assert rule.columns == ('raw:面积"m2"',)


def test_a_standard_is_found_by_name_and_version_in_local_folders_first(path: Path) -> None:
    path.write_text(GOOD, encoding="utf-8")
    assert find_standard("permit@2", [path.parent]).zh == "许可"
    path.with_name("legal.yaml").write_text(
        GOOD.replace("standard: permit\nversion: 2", "standard: legal_person\nversion: 1")
    )
    assert find_standard("legal_person@1", [path.parent]).zh == "许可"
    assert find_standard("legal_person@1").zh == "法人库数据标准"


def test_a_changed_file_is_read_again(path: Path) -> None:
    path.write_text(GOOD, encoding="utf-8")
    assert find_standard("permit@2", [path.parent]).zh == "许可"
    path.write_text(GOOD.replace("zh: 许可", "zh: 行政许可"), encoding="utf-8")
    assert find_standard("permit@2", [path.parent]).zh == "行政许可"


def test_a_broken_local_standard_stands_in_the_way_of_itself_alone(path: Path) -> None:
    path.write_text("standard: [", encoding="utf-8")
    assert find_standard("population@1", [path.parent]).id == "population@1"
    with pytest.raises(StandardError, match=r"permit\.yaml:1"):
        find_standard("permit@1", [path.parent])


def test_an_unknown_standard_is_answered_with_those_there_are() -> None:
    with pytest.raises(StandardError) as caught:
        find_standard("legal_persons@1")
    assert caught.value.code == "STD-UNKNOWN"
    assert "Did you mean standard: legal_person@1?" in caught.value.fix_en
    assert "population@1" in caught.value.fix_en


@pytest.mark.parametrize("name", ["legal_person@1", "population@1"])
def test_the_built_in_standards_are_bilingual_throughout(name: str) -> None:
    standard = find_standard(name)
    for one in (*standard.fields, *standard.rules):
        assert any("\u4e00" <= char <= "\u9fff" for char in one.zh), one
        assert one.en.isascii() or "万元" in one.en, one
    assert all(rule.fix_zh and rule.fix_en for rule in standard.rules)


def test_only_what_identifies_a_firm_keeps_it_from_landing_when_empty() -> None:
    found = rules(find_standard("legal_person@1"))
    required = {name: rule.severity for name, rule in found.items() if rule.kind == "required"}
    assert [name for name, severity in required.items() if severity == "error"] == ["ent_name_required"]
    assert found["uscc_check"].severity == "error"
    assert found["uscc_check"].forgiven_by == "uscc_repaired"


def test_what_identifies_a_person_is_masked() -> None:
    masks = {field.name: field.mask for field in find_standard("population@1").fields}
    assert (masks["id_no"], masks["name"], masks["phone"]) == ("id_number", "name", "phone")
    assert (masks["domicile_addr"], masks["reside_addr"]) == ("address", "address")
