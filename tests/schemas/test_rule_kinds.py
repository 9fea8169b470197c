"""Rules about several rows and other relations, and expectations by name: how they are written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.code_lists import available, lists, load, relation
from schemas.errors import StandardError
from schemas.expected import EXPECTATIONS
from schemas.lines import read
from schemas.load import find_standard, load_standard, read_rules
from schemas.standard import Rule, Standard, bind

HEAD = """\
standard: permit
version: 1
title: {zh: 许可, en: Permits}
key: [uscc]
fields:
  - {name: uscc, zh: 统一社会信用代码, en: USCC, type: uscc}
  - {name: kind, zh: 类别, en: Kind}
  - {name: since, zh: 起, en: Since, type: date}
  - {name: until, zh: 止, en: Until, type: date}
  - {name: fee, zh: 费用, en: Fee, type: decimal}
  - {name: note, zh: 备注, en: Note, required: conditional, when: '"kind" = ''其他''', when_zh: 类别为其他时, when_en: for other kinds}
rules:
  - {id: one, kind: KIND, columns: COLUMNS, zh: 一, en: one, params: PARAMS}
"""


def standard(path: Path, kind: str, columns: str, params: str) -> Standard:
    path.write_text(HEAD.replace("KIND", kind).replace("COLUMNS", columns).replace("PARAMS", params), "utf-8")
    return load_standard(path, available())


def one(made: Standard) -> Rule:
    return next(rule for rule in made.rules if rule.id == "one")


@pytest.mark.parametrize(
    ("kind", "columns", "params", "read_as"),
    [
        ("unique", "[uscc, kind]", "{}", {}),
        (
            "unique",
            "[uscc, kind]",
            "{by: uscc, where: '\"kind\" = ''甲'''}",
            {"by": ["uscc"], "where": "\"kind\" = '甲'"},
        ),
        ("single", "[uscc, kind]", "{by: uscc}", {"by": ["uscc"]}),
        (
            "count",
            "[uscc, kind]",
            "{by: [uscc], where: '\"kind\" IS NULL', max: 1}",
            {"by": ["uscc"], "where": '"kind" IS NULL', "max": 1.0},
        ),
        ("sum", "[uscc, fee]", "{by: uscc, max: 100}", {"by": ["uscc"], "max": 100.0}),
        ("no_overlap", "[uscc, since, until]", "{by: uscc}", {"by": ["uscc"]}),
        (
            "share",
            "[uscc]",
            "{where: '\"uscc\" LIKE ''%0''', max: 0.01}",
            {"where": "\"uscc\" LIKE '%0'", "max": 0.01, "rows": 100},
        ),
        (
            "reference",
            "[uscc]",
            "{to: legal_person, match: {uscc: uscc}}",
            {"to": ["legal_person"], "match": {"uscc": ["uscc"]}, "expect": "exists"},
        ),
        (
            "reference",
            "[uscc, kind]",
            '{to: division@2026, match: {uscc: code}, part: [3, 6], expect: absent, where: \'"division@2026.zh" = "kind"\'}',
            {
                "to": ["division@2026"],
                "match": {"uscc": ["code"]},
                "expect": "absent",
                "where": '"division@2026.zh" = "kind"',
                "part": [3, 6],
            },
        ),
        (
            "expectation",
            "[kind]",
            "{name: expect_column_values_to_be_in_set, value_set: [甲, 乙]}",
            {"name": "expect_column_values_to_be_in_set", "value_set": ["甲", "乙"]},
        ),
        (
            "expectation",
            "[since, until]",
            "{name: expect_column_pair_values_a_to_be_greater_than_b, or_equal: true}",
            {"name": "expect_column_pair_values_a_to_be_greater_than_b", "or_equal": True},
        ),
        (
            "check_digit",
            "[uscc, kind]",
            "{kind: uscc, when: '\"kind\" = ''甲'''}",
            {"kind": "uscc", "empty_fails": False, "when": "\"kind\" = '甲'"},
        ),
    ],
)
def test_a_rule_says_what_its_file_says(tmp_path, kind, columns, params, read_as) -> None:
    assert one(standard(tmp_path / "permit.yaml", kind, columns, params)).params == read_as


@pytest.mark.parametrize(
    ("kind", "columns", "params", "hint"),
    [
        ("single", "[uscc]", "{by: uscc}", "columns: [subject_id, uscc]"),
        ("single", "[uscc, kind]", "{}", "by: subject_id"),
        ("count", "[uscc]", "{by: uscc, where: '\"uscc\" = ''x'''}", "min: 1"),
        ("count", "[uscc]", "{by: uscc, max: 1}", "where"),
        ("sum", "[uscc, fee]", "{by: uscc}", "max: 100"),
        ("sum", "[uscc]", "{by: uscc, max: 1}", "columns: [uscc, ratio]"),
        ("no_overlap", "[uscc, since]", "{by: uscc}", "valid_from"),
        ("unique", "[uscc]", "{by: kind}", "columns: [uscc, kind]"),
        ("unique", "[uscc]", "{where: '\"kind\" = 1'}", "columns: [uscc, kind]"),
        ("reference", "[uscc]", "{match: {uscc: uscc}}", "to: legal_person"),
        ("reference", "[uscc]", "{to: 'a b', match: {uscc: uscc}}", "to: legal_person"),
        ("reference", "[uscc]", "{to: legal_person}", "match"),
        ("reference", "[uscc]", "{to: legal_person, match: {kind: uscc}}", "columns: [uscc, kind]"),
        ("reference", "[uscc, kind]", "{to: legal_person, match: {uscc: uscc}}", "match: {uscc: uscc}"),
        ("reference", "[uscc]", "{to: [license, elicense], match: {uscc: lic_no}}", "uscc: uscc"),
        ("reference", "[uscc]", "{to: t, match: {uscc: a}, expect: exist}", "exists"),
        ("reference", "[uscc]", "{to: t, match: {uscc: a}, part: [0, 6]}", "part: [1, 6]"),
        ("check_digit", "[uscc]", "{kind: uscc, when: '\"kind\" = ''x'''}", "columns"),
        ("expectation", "[uscc]", "{name: expect_column_values_to_be_unique}", "'unique'"),
        ("expectation", "[uscc]", "{name: expect_column_value_to_be_in_set}", "expect_column_values_to_be_in_set"),
        ("expectation", "[uscc]", "{name: expect_column_values_to_be_in_set}", "value_set"),
        ("expectation", "[uscc]", "{name: expect_column_values_to_be_in_set, value_set: []}", "[a, b]"),
        ("expectation", "[uscc]", "{name: expect_column_pair_values_to_be_equal}", "columns"),
        ("expectation", "[uscc]", "{name: expect_column_values_to_be_null, mostly: 0.9}", "mostly"),
        ("expectation", "[uscc]", "{name: expect_column_values_to_match_regex, regex: '['}", "regex"),
    ],
)
def test_a_rule_that_could_not_be_evaluated_is_refused_with_its_line(tmp_path, kind, columns, params, hint) -> None:
    path = tmp_path / "permit.yaml"
    with pytest.raises(StandardError) as refusal:
        standard(path, kind, columns, params)
    assert f"{path}:13" in refusal.value.en
    assert f"{path}:13" in refusal.value.zh
    assert hint in refusal.value.fix_en + refusal.value.en


def test_a_field_may_be_required_at_times(tmp_path) -> None:
    rule = next(
        one for one in standard(tmp_path / "p.yaml", "unique", "[uscc]", "{}").rules if one.id == "note_required"
    )
    assert (rule.kind, rule.columns, rule.severity, rule.indicator) == ("condition", ("note", "kind"), "error", "0201")
    assert rule.params == {"sql": 'coalesce(NOT ("kind" = \'其他\'), true) OR "note" IS NOT NULL'}
    assert (rule.zh, rule.en) == ("类别为其他时，备注不能为空", "Note must not be empty for other kinds")


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (("\"kind\" = ''其他''", "\"kinds\" = ''其他''"), "Did you mean 'kind'"),
        ((", when_zh: 类别为其他时", ""), "when_zh"),
        (("required: conditional", "required: true"), "required: conditional"),
    ],
)
def test_a_condition_for_a_required_field_is_whole(tmp_path, change, hint) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        HEAD.replace(*change).replace("KIND", "unique").replace("COLUMNS", "[uscc]").replace("PARAMS", "{}"), "utf-8"
    )
    with pytest.raises(StandardError) as refusal:
        load_standard(path, available())
    assert f"{path}:11" in refusal.value.en
    assert hint in refusal.value.fix_en + refusal.value.en


def test_rules_that_look_further_apply_where_there_is_something_to_look_at() -> None:
    known = find_standard("frk_branch@1")
    mapping = {field.name: field.name for field in known.fields}

    def beyond(references) -> set[str]:
        return {rule.id for rule in bind(known, mapping, references=references) if rule.beyond}

    assert beyond(None) == set()
    assert beyond(()) == {"branch_uscc_once", "branch_has_one_parent"}
    assert beyond({"legal_person"}) == beyond(()) | {"parent_in_library", "parent_not_cancelled"}


INDEX = "lists:\n  - {id: street@1, file: street.csv, title: {zh: 街道, en: Streets}, standard: 本市, complete: true}\n"


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """A deployment with a code list and a standard of its own."""
    (tmp_path / "codes").mkdir()
    (tmp_path / "standards").mkdir()
    (tmp_path / "codes" / "index.yaml").write_text(INDEX, "utf-8")
    rows = "code,zh,en,aliases,valid_from,valid_to\n1,文新,Wenxin,文新街道,2001-01-01,\n"
    (tmp_path / "codes" / "street.csv").write_text(rows, "utf-8")
    fields = "fields:\n  - {name: street, zh: 街道, en: Street, type: code, codes: street@1}\n"
    text = f"standard: local\nversion: 1\ntitle: {{zh: 本地, en: Local}}\nkey: [street]\n{fields}"
    (tmp_path / "standards" / "local.yaml").write_text(text, "utf-8")
    return tmp_path


def test_a_deployment_has_code_lists_of_its_own(deployment: Path) -> None:
    known = find_standard("local@1", (deployment / "standards",))
    assert known.folders == (deployment / "codes",)
    assert lists(known)["street@1"].spellings["文新街道"] == "1"
    assert "street@1" not in available()
    assert "reg_state@1" in available(known.folders)


def test_a_resource_s_rule_may_cite_the_deployment_s_code_list(deployment: Path) -> None:
    known = find_standard("local@1", (deployment / "standards",))
    file = deployment / "resource.yaml"
    file.write_text(
        "rules:\n  - {id: known_street, kind: code, columns: ['raw:街'], zh: 一, en: one, params: {list: street@1}}\n",
        "utf-8",
    )
    rules = read_rules(read(file), known)
    assert set(lists(known, rules)) == {"street@1"}


def test_a_code_list_that_changed_is_read_again(deployment: Path) -> None:
    folders = (deployment / "codes",)
    assert set(load("street@1", folders).codes) == {"1"}
    with (deployment / "codes" / "street.csv").open("a", encoding="utf-8") as file:
        file.write("2,古荡,Gudang,,,\n")
    assert set(load("street@1", folders).codes) == {"1", "2"}


def test_a_deployment_cannot_take_the_name_of_a_list_that_ships(deployment: Path) -> None:
    (deployment / "codes" / "index.yaml").write_text(INDEX.replace("street@1", "reg_state@1"), "utf-8")
    with pytest.raises(StandardError) as refusal:
        available((deployment / "codes",))
    assert refusal.value.code == "STD-CODES"


def test_a_code_list_is_a_relation_with_the_days_its_codes_were_in_force(deployment: Path) -> None:
    table = relation(load("street@1", (deployment / "codes",)))
    assert table.column_names == ["code", "zh", "en", "valid_from", "valid_to"]
    assert [str(value) for value in table.to_pylist()[0].values()] == ["1", "文新", "Wenxin", "2001-01-01", "None"]


def test_every_expectation_says_what_it_takes() -> None:
    assert all(set(one.needed) <= set(one.params) for one in EXPECTATIONS.values())
