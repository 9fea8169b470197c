"""The directory: metadata with line numbers, codes, search, what is measured, exports, and how it is asked over HTTP."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import pytest
from directory_town import MARKET, made, served
from sharing_town import FIRMS

from schemas.errors import StandardError
from schemas.load import BUILT_IN, find_standard
from schemas.standard import Field, Standard
from schemas.validators import scalar
from sharing import pinyin
from sharing.directory import Directory, directory_of
from sharing.directory_export import export
from sharing.directory_file import core_of, read_classes
from sharing.directory_sample import sample
from sharing.directory_search import Only
from sharing.directory_values import Listed, Words
from sharing.errors import NotFoundError

STANDARDS = sorted(path.stem for path in BUILT_IN.glob("*.yaml"))
typed = pytest.mark.skipif(not pinyin.available(), reason="pypinyin is not installed")


@cache
def shipped() -> Directory:
    """Every standard that ships, as a resource of one department."""
    every = [find_standard(f"{name}@1") for name in STANDARDS]
    listed = [
        Listed(f"market.{one.name}", "resource", Words(one.zh.removesuffix("数据标准"), one.en), "market", one)
        for one in every
    ]
    return directory_of(listed, {"market": MARKET}, Path("/nowhere"))


@pytest.mark.parametrize("name", STANDARDS)
def test_every_standard_that_ships_has_all_the_guide_asks_for(name):
    entry = shipped().entry(f"market.{name}")
    assert entry.missing == ()
    assert len(entry.core.classes) == 3
    assert entry.core.abstract.en
    assert len(entry.items) == len(find_standard(f"{name}@1").fields)
    freest = min(entry.items, key=lambda one: one.share).share
    strictest = max(entry.items, key=lambda one: one.share).share
    assert freest <= entry.core.share <= strictest
    assert entry.core.share == "1" or entry.core.share_condition.zh


def test_codes_are_of_their_class_and_given_once_and_kept():
    codes = [one.code for one in shipped().entries.values()]
    assert len(set(codes)) == len(STANDARDS)
    assert shipped().entry("market.legal_person").code == "102000/000001"
    assert shipped().entry("102000/000001").id == "market.legal_person"
    rule = next(one for one in find_standard("catalog_resource@1").rules if one.id == "resource_code_form")
    import re

    assert all(re.search(str(rule.params["regex"]), code) for code in codes)
    assert shipped().entry("market.frk_person").related == ("102000/000001",)


def test_a_newcomer_takes_no_code_that_another_had(tmp_path):
    listed = [Listed(one, "resource", Words(one), "market", FIRMS) for one in ("market.a", "market.b", "market.c")]
    kept = {"market.b": "102000/000001", "market.gone": "102000/000002", "market.c": "999999/000001"}
    found = directory_of(listed, {}, tmp_path, kept=kept)
    assert {one.id: one.code for one in found.entries.values()} == {
        "market.a": "102000/000003", "market.b": "102000/000001", "market.c": "102000/000004",
    }  # fmt: skip


def test_a_deployments_file_goes_before_what_ships_key_by_key(tmp_path):
    said = "number: 7\nabstract: {zh: 在册企业, en: Firms on the register}\nupdate: 1\nrelated: [population]\n"
    entry = made(tmp_path, firms=said).entry("market.firms")
    assert (entry.code, entry.core.abstract.zh, entry.core.update) == ("102000/000007", "在册企业", "1")
    assert entry.core.classes[1].zh == "法人单位"
    assert entry.related == ("101000/000001",)
    assert [(one.name, one.type, one.length, one.share) for one in entry.items] == [
        ("uscc", "字符型C", 18, "1"), ("ent_name", "字符型C", None, "1"), ("capital", "数值型N", None, "2"),
    ]  # fmt: skip


def test_what_nobody_wrote_down_is_said_to_be_missing(tmp_path):
    own = Standard("ours", 1, "自有", "Ours", (Field("a", "甲", "A"),), (), ("a",))
    entry = directory_of([Listed("x.y", "resource", Words("自有"), "x", own)], {}, tmp_path).entry("x.y")
    assert entry.code == ""
    assert {"classification", "abstract", "provider_code", "update_cycle"} <= set(entry.missing)
    assert entry.core.share == "1"


@pytest.mark.parametrize(
    ("said", "code", "line"),
    [
        ('update: 2\nclass: "9/99/999"\n', "STD-DIRECTORY-CLASS", 2),
        ("class: 102000\n", "STD-YAML-PATTERN", 1),
        ("update: 2\n\nshare: {type: 1, way: {class: 共享平台方式}}\n", "STD-DIRECTORY-SHARE", 3),
        ("share:\n  type: 2\n", "STD-DIRECTORY-SHARE", 2),
        ("published: 2026-02-30\n", "STD-DIRECTORY-DATE", 1),
        ("update: 每天\n", "STD-YAML-CHOICE", 1),
        ("number: 0\n", "STD-YAML-VALUE", 1),
        ("abstracts: {zh: 甲}\n", "STD-YAML-KEY", 1),
        ("format: {class: 数据裤}\n", "STD-YAML-CHOICE", 1),
        ("open: {public: maybe}\n", "STD-YAML-TYPE", 1),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path, said, code, line):
    with pytest.raises(StandardError) as caught:
        made(tmp_path, firms=said)
    assert caught.value.code == code
    assert f"market/firms.yaml:{line}" in caught.value.en
    assert f"market/firms.yaml:{line}" in caught.value.zh


def test_what_is_not_shared_is_not_open(tmp_path):
    never = Standard("never", 1, "不予", "Never", (Field("a", "甲", "A", share="N"),), (), ("a",))
    (tmp_path / "x").mkdir()
    (tmp_path / "x/y.yaml").write_text("open: {public: true}\n", encoding="utf-8")
    with pytest.raises(StandardError, match="STD-DIRECTORY-SHARE"):
        core_of(Listed("x.y", "resource", Words("不予"), "x", never), tmp_path, read_classes(tmp_path))


def test_one_number_cannot_be_two_resources(tmp_path):
    with pytest.raises(StandardError) as caught:
        made(tmp_path, firms="number: 3\n", shops="update: 2\nnumber: 3\n")
    assert caught.value.code == "STD-DIRECTORY-TWICE"
    assert "shops.yaml:2" in caught.value.en
    assert "firms.yaml:1" in caught.value.en


def test_a_deployment_names_classes_of_its_own(tmp_path):
    (tmp_path / "classes.csv").write_text("code,zh,en\n3/02,市场监管,Market\n3/02/001,登记,Registers\n", "utf-8-sig")
    entry = made(tmp_path, firms='class: "3/02/001"\n').entry("market.firms")
    assert [one.zh for one in entry.core.classes] == ["部门信息资源", "市场监管", "登记"]
    assert entry.code == "302001/000001"


def ids(query: str, only: Only | None = None) -> list[str]:
    return [hit.entry.id.removeprefix("market.") for hit in shipped().index.find(query, only)]


def test_words_are_found_in_titles_before_fields_and_all_must_be_there():
    assert ids("婚姻")[0] == "rkk_marriage"
    assert "population" in ids("婚姻")
    assert ids("婚姻 配偶死亡年月日") == []
    assert ids("法人 股东")[0] == "frk_shareholder"
    assert len(ids("")) == len(STANDARDS)
    (hit,) = [one for one in shipped().index.find("uscc") if one.entry.id == "market.legal_person"]
    assert "uscc" in hit.items


def test_codes_are_found_from_their_beginning_only():
    assert ids("102000") == ["legal_person"]
    assert set(ids("102")) == {"legal_person", *(one for one in STANDARDS if one.startswith("frk_"))}
    assert ids("02000") == []
    assert ids("102000/000001") == ["legal_person"]


def test_a_rare_character_is_itself_and_no_other(tmp_path):
    index = made(tmp_path).index
    assert [hit.entry.id for hit in index.find("𠮷林")] == ["market.shops"]
    assert [hit.entry.id for hit in index.find("𠮷")] == ["market.shops"]
    assert index.find("吉") == []
    assert index.find("ｆｉｒｍｓ")[0].entry.id == "market.firms"


def test_filters_leave_a_department_a_share_type_and_a_theme():
    assert ids("", Only(theme="1/04")) == ["credit_penalty", "credit_permit"]
    assert ids("", Only(theme="社会信用")) == ids("", Only(theme="1/04"))
    assert ids("", Only(theme="1/0")) == []
    assert ids("", Only(department="nobody")) == []
    assert len(ids("", Only(department=MARKET.code))) == len(STANDARDS)
    free = ids("", Only(share="1"))
    assert set(free).isdisjoint(ids("", Only(share="2")))


@typed
@pytest.mark.parametrize(
    ("query", "first"),
    [("hunyin", "rkk_marriage"), ("hydj", "rkk_marriage"), ("frk", "legal_person"), ("gudong", "frk_shareholder"),
     ("FENZHI jigou", "frk_branch"), ("dzzz", "elicense")],
)  # fmt: skip
def test_pinyin_and_initials_find_what_is_typed_without_chinese(query, first):
    assert ids(query)[0] == first


@typed
def test_pinyin_begins_with_a_syllable_and_knows_other_readings():
    assert ids("unyin") == []
    assert ("hang",) in pinyin.readings("行")
    assert ("xing",) in pinyin.readings("行")
    assert {("nv",), ("nu",)} <= set(pinyin.readings("女"))
    assert pinyin.readings("gb法人") == [("gb", "fa", "ren")]


def test_exports_have_every_item_and_nothing_a_spreadsheet_would_run():
    every = shipped()
    rows = list(csv.DictReader(io.StringIO(export(every, "csv").decode("utf-8-sig"))))
    assert len(rows) == sum(len(one.items) for one in every.entries.values())
    first = next(row for row in rows if row["信息资源代码"] == "102000/000001")
    assert (first["类"], first["信息资源提供方"], first["数据类型"]) == ("基础信息资源", MARKET.name.zh, "字符型C")
    told = json.loads(export(every, "json"))
    assert [one["code"] for one in told["entries"]] == sorted(one["code"] for one in told["entries"])
    evil = next(iter(every.entries.values()))
    listed = replace(evil.listed, title=Words("=cmd()|'x'", "=x"))
    assert b"'=cmd" in export(Directory([replace(evil, listed=listed)]), "csv")


def test_a_workbook_holds_the_same(tmp_path):
    from openpyxl import load_workbook

    sheet = load_workbook(io.BytesIO(export(made(tmp_path), "xlsx")), read_only=True).active
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0][0] == "信息资源代码"
    assert [row[1] for row in rows[1:4]] == ["户籍", "户籍", "户籍"]
    assert "𠮷林个体户" in {row[1] for row in rows}


@pytest.fixture
def town(tmp_path):
    with served(tmp_path) as opened:
        yield opened


def test_the_directory_is_asked_over_http_by_every_department_and_by_nobody_else(town):
    for path in ("/v1/directory", "/v1/directory/market.firms", "/v1/directory:export"):
        assert town.ask(path, None).status_code == 401
        assert town.ask(path, "stranger").status_code == 200
    found = town.ask("/v1/directory?q=企业&share=2").json()
    assert [one["id"] for one in found["entries"]] == ["market.firms"]
    assert found["total"] == 1
    one = town.ask("/v1/directory/102000/000001").json()
    assert one["id"] == "market.firms"
    assert one["measured"]["score"] == 97.5
    assert one["measured"]["usage_30_days"] == {"calls": 3, "units": 0}
    refused = town.ask("/v1/directory/nothing").json()
    assert refused["code"] == "SHR-NO-RESOURCE"
    assert town.ask("/v1/directory?share=9").status_code == 422
    made_up = town.ask("/v1/directory:sample?name=market.firms&rows=2").json()
    assert made_up["synthetic"] is True
    assert [set(row) for row in made_up["records"]] == [{"uscc", "ent_name", "capital"}] * 2
    assert town.ask("/v1/directory?limit=1&offset=1").json()["entries"][0]["id"] == "market.shops"
    assert [call.operation for call in town.calls()][-1] == "directory"


@pytest.mark.parametrize(
    "path", ["/v1/directory?q=企业", "/v1/directory/market.firms", "/v1/directory:export?format=csv"]
)
def test_who_has_it_already_is_told_so(town, path):
    first = town.ask(path)
    again = town.ask(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert town.ask(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", STANDARDS)
def test_a_sample_is_made_up_the_same_each_time_and_reads_as_the_standard_says(name):
    entry = shipped().entry(f"market.{name}")
    rows = sample(entry, 20)
    assert rows == sample(entry, 20)
    assert len(rows) == 20
    today = date(2026, 11, 1)
    for one in entry.listed.standard.fields:
        values = [row[one.name] for row in rows] if one.share != "N" else []
        assert one.share != "N" or one.name not in rows[0]
        if one.type in {"uscc", "org_code", "citizen_id"}:
            assert all(scalar.valid(one.type, value, today) for value in values)
            assert all("000000" in value or value.startswith("EX") for value in values)
        elif one.length is not None and one.type == "text":
            assert all(len(value) <= one.length for value in values)


def test_an_id_that_does_not_exist_is_an_error():
    with pytest.raises(NotFoundError):
        shipped().entry("market.nothing")
