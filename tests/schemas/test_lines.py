"""YAML files people write: scalars as written, and for every mistake the file, the line and what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StandardError
from schemas.lines import Node, read


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Node]:
    def write(text: str) -> Node:
        path = tmp_path / "resource.yaml"
        path.write_text(text, encoding="utf-8")
        return read(path)

    return write


Written = Callable[[str], Node]


def test_codes_dates_and_words_stay_as_written(written: Written) -> None:
    node = written("sex: 01\ncode: 0301\nanswer: no\ncountry: NO\nday: 2025-01-02\nrare: 𠮷野\nno: 1\non: 2\n")
    assert node.keys() == ["sex", "code", "answer", "country", "day", "rare", "no", "on"]
    assert list(map(node.text, node.keys())) == ["01", "0301", "no", "NO", "2025-01-02", "𠮷野", "1", "2"]


def test_numbers_and_flags_come_when_asked_for(written: Written) -> None:
    node = written("rows: 18\npercent: 5\nflag: true\nquoted: '7'\n")
    assert (node.integer("rows"), node.number("percent"), node.flag("flag"), node.integer("quoted")) == (
        18,
        5.0,
        True,
        7,
    )


def test_an_absent_key_and_a_key_without_a_value_take_the_default(written: Written) -> None:
    node = written("schedule: null\ntitle:\n")
    for key in ("schedule", "title", "absent"):
        assert node.text(key, None) is None
        assert node.integer(key, 3) == 3
        assert node.flag(key, default=True) is True
        assert (node.texts(key), node.nodes(key), node.mapping(key), node.node(key)) == ([], [], {}, None)
    assert (node.has("schedule"), node.has("absent")) == (True, False)


def test_a_single_text_is_a_list_of_one(written: Written) -> None:
    assert written("key: uscc\n").texts("key") == ["uscc"]


def test_what_lies_below_knows_its_line(written: Written) -> None:
    node = written("title: {zh: 甲}\nfields:\n  - name: a\n  - name: b\ndepartments:\n  tax: {zh: 税务}\n")
    assert [one.where.rsplit(":", 1)[1] for one in node.nodes("fields")] == ["3", "4"]
    assert node.named("departments")["tax"].text("zh") == "税务"
    assert node.at("departments").endswith("resource.yaml:5")


def test_plain_gives_json_and_keeps_codes_with_leading_zeros(written: Written) -> None:
    node = written("source: {kind: csv, rows: 20, rate: 0.5, code: 01, on: true, none: null, list: [1, '2']}\n")
    assert node.plain("source") == {
        "kind": "csv", "rows": 20, "rate": 0.5, "code": "01", "on": True, "none": None, "list": [1, "2"],
    }  # fmt: skip


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"), min_size=1))
def test_any_quoted_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    for ascii_only in (True, False):
        quoted = json.dumps(text, ensure_ascii=ascii_only)
        path.write_text(f"value: {quoted}\n", encoding="utf-8")
        assert read(path).text("value", "") == text


MISTAKES: dict[str, tuple[str, Callable[[Node], object], int, str, str]] = {
    # the file, what is asked of it, the line named, words of the fix in English, code
    "a tab": ("a: 1\n\tb: 2\n", Node.keys, 2, "Indent with spaces", "STD-YAML-SYNTAX"),
    "an unquoted colon": ("a: x\nzh: 登记: 变更\n", Node.keys, 2, "Quote a value that holds ': '", "STD-YAML-SYNTAX"),
    "an unquoted cron": ("schedule: */2 * * * *\n", Node.keys, 1, "schedule: '*/2 * * * *'", "STD-YAML-SYNTAX"),
    "an unquoted at sign": ("a: 1\nb: @x\n", Node.keys, 2, "Quote a value that starts with", "STD-YAML-SYNTAX"),
    "an open bracket": ("a: [1, 2\nb: 3\n", Node.keys, 2, "Close the bracket", "STD-YAML-SYNTAX"),
    "an open quotation mark": ("a: 'x\nb: 2\n", Node.keys, 3, "Close the quotation mark", "STD-YAML-SYNTAX"),
    "two documents": ("a: 1\n---\nb: 1\n", Node.keys, 2, "remove the line ---", "STD-YAML-SYNTAX"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", Node.keys, 3, "Keep one of the two", "STD-YAML-DUPLICATE"),
    "half a character": ('a: 1\nb: "\\ud842"\n', Node.keys, 2, "Check indentation", "STD-YAML-SYNTAX"),
    "a tag": ("a: 1\nb: !!python/object x\n", Node.keys, 2, "Write the value out", "STD-YAML-TAG"),
    "an alias": ("a: &x [1]\nb: *x\n", Node.keys, 1, "Write the value out", "STD-YAML-ANCHOR"),
    "an empty file": ("", Node.keys, 1, "Start with 'key: value'", "STD-YAML-TYPE"),
    "a list for a file": ("- a\n- b\n", Node.keys, 1, "Start with 'key: value'", "STD-YAML-TYPE"),
    "an unknown key": ("a: 1\ntitel: x\n", lambda n: n.only("a", "title"), 2, "Did you mean 'title'", "STD-YAML-KEY"),
    "a missing key": ("a: 1\n", lambda n: n.text("title"), 1, "for example title:", "STD-YAML-MISSING"),
    "a key without value": ("a: 1\ntitle:\n", lambda n: n.text("title"), 2, "for example title:", "STD-YAML-MISSING"),
    "a list for a text": ("a: 1\ntitle: [x]\n", lambda n: n.text("title"), 2, "for example, title:", "STD-YAML-TYPE"),
    "words for a number": ("a: 1\nlength: 十八\n", lambda n: n.integer("length"), 2, "length: 18", "STD-YAML-TYPE"),
    "full-width digits": ("a: 1\nlength: １８\n", lambda n: n.integer("length"), 2, "length: 18", "STD-YAML-TYPE"),
    "a fraction for a whole number": ("length: 1.5\n", lambda n: n.integer("length"), 1, "length: 18", "STD-YAML-TYPE"),
    "yes for true": ("a: 1\nneeded: yes\n", lambda n: n.flag("needed"), 2, "needed: true", "STD-YAML-TYPE"),
    "not one of the choices": ("kind: sqll\n", lambda n: n.one_of("kind", ("sql", "csv")), 1, "mean kind: sql", "STD-YAML-CHOICE"),
    "a text for a mapping": ("title: 甲\n", lambda n: n.node("title"), 1, "title: {zh:", "STD-YAML-TYPE"),
    "a mapping for a list": ("fields: {name: a}\n", lambda n: n.nodes("fields"), 1, "fields: [{id: a}", "STD-YAML-TYPE"),
    "a list below a mapping": ("map: {a: [b]}\n", lambda n: n.mapping("map"), 1, "for example, a:", "STD-YAML-TYPE"),
    "another form": ("id: A B\n", lambda n: n.pattern("id", "[a-z]+", example="tax"), 1, "id: tax", "STD-YAML-PATTERN"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_with_file_line_and_what_to_write(mistake: str, written: Written, tmp_path: Path) -> None:
    text, ask, line, fix, code = MISTAKES[mistake]
    with pytest.raises(StandardError) as caught:
        ask(written(text))
    error = caught.value
    assert error.code == code
    assert f"{tmp_path / 'resource.yaml'}:{line}" in error.en
    assert f"{tmp_path / 'resource.yaml'}:{line}" in error.zh
    assert fix in error.fix_en
    assert error.fix_zh


def test_a_file_that_is_not_utf8_is_named_with_the_line_of_the_first_wrong_byte(tmp_path: Path) -> None:
    path = tmp_path / "gbk.yaml"
    path.write_bytes("a: 1\ntitle: 企业\n".encode("gb18030"))
    with pytest.raises(StandardError, match=r"gbk\.yaml:2: the file is not UTF-8\. Save it as UTF-8"):
        read(path)


def test_a_missing_file_is_answered_with_the_file_beside_it_that_is_spelled_most_like_it(tmp_path: Path) -> None:
    (tmp_path / "enterprise_base.yaml").write_text("a: 1\n")
    with pytest.raises(StandardError, match=r"Did you mean enterprise_base\.yaml\?"):
        read(tmp_path / "enterprise_bases.yaml")


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(path).keys() == ["a"]


def test_nesting_without_end_is_refused_and_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(StandardError, match="STD-YAML-SYNTAX"):
        read(path)


def test_a_caller_may_refuse_in_its_own_words_with_the_line_in_front(written: Written) -> None:
    node = written("a: 1\nuntil: 2020-01-01\n")
    with pytest.raises(StandardError, match=r"resource\.yaml:2: the grant has ended"):
        node.fail("until", "授权已过期", "the grant has ended", "请续期", "Extend it")
