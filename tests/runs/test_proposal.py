"""A resource file is proposed from names, comments and values, each guess with how sure it is, and can be used as it is."""

from datetime import date

import pyarrow as pa
import pytest

from runs.proposal import as_yaml, propose
from runs.resources import load_resource
from schemas.load import find_standard
from schemas.values import StreamInfo

TODAY = date(2026, 1, 5)
STANDARDS = [find_standard("legal_person@1"), find_standard("population@1")]
CODES = ["91330100799655058B", "91330000720084441G", "91330000704202954L", "91440300708461136T", "91110000802100433B"]


def guesses(stream, sample=None):
    proposal = propose(stream, sample or pa.table({}), STANDARDS, TODAY)
    return proposal, {one.field.name: (one.column, one.confidence) for one in proposal.guesses}


def test_names_and_aliases_are_recognised_whatever_their_case():
    columns = dict.fromkeys(["UNISCID", "EntName", "REGNO", "x_memo"], "TEXT")
    proposal, found = guesses(StreamInfo("e_baseinfo", columns))
    assert proposal.standard.id == "legal_person@1"
    assert (found["uscc"], found["ent_name"], found["reg_no"]) == (
        ("UNISCID", 0.98),
        ("EntName", 1.0),
        ("REGNO", 1.0),
    )
    assert proposal.left == ("x_memo",)
    assert not proposal.missing


def test_the_standard_whose_key_is_there_is_chosen():
    columns = dict.fromkeys(["czrkgmsfhm", "czrkxm", "czrkxb"], "TEXT")
    assert guesses(StreamInfo("rk", columns))[0].standard.id == "population@1"


def test_comments_say_what_names_do_not():
    columns = dict.fromkeys(["c1", "c2", "c3"], "TEXT")
    comments = {"c1": "统一社会信用代码", "c2": "企业名称（必填）", "c3": ""}
    _, found = guesses(StreamInfo("t", columns, comments=comments))
    assert found["uscc"] == ("c1", 0.95)
    assert found["ent_name"] == ("c2", 0.75)


def test_values_with_right_check_characters_are_taken_for_codes():
    sample = pa.table({"a": CODES, "b": ["x"] * len(CODES)})
    _, found = guesses(StreamInfo("t", {"a": "TEXT", "b": "TEXT"}), sample)
    assert found["uscc"] == ("a", 0.8)


def test_no_column_feeds_two_fields_and_no_field_has_two_columns():
    columns = dict.fromkeys(["uscc", "uniscid", "统一社会信用代码", "ent_name", "entname"], "TEXT")
    _, found = guesses(StreamInfo("t", columns))
    assert len({column for column, _ in found.values()}) == len(found)
    assert found["uscc"] == ("uscc", 1.0)


@pytest.mark.parametrize("odd", ["no", "企业 名称", 'say "x"', "a: b", "#1"])
def test_the_text_is_a_resource_file_that_loads(tmp_path, odd):
    columns = dict.fromkeys(["uniscid", "entname", odd], "TEXT")
    proposal = propose(StreamInfo("t", columns, comments={odd: "住所"}), pa.table({}), STANDARDS, TODAY)
    path = tmp_path / "resources" / "gsj" / "base.yaml"
    path.parent.mkdir(parents=True)
    source = {"kind": "sql", "table": "e_baseinfo", "columns": ["a b", "c"], "split_rows": 5}
    path.write_text(
        as_yaml(proposal, name="base", title=("企业: 登记", "Base # 1"), connection="registry", source=source)
    )
    resource = load_resource(path, ())
    assert (resource.id, resource.zh, resource.en) == ("gsj.base", "企业: 登记", "Base # 1")
    assert resource.columns["domicile"] == odd
    assert {"kind": resource.kind, **resource.options} == source


def test_what_is_missing_is_said_in_the_file():
    proposal, _ = guesses(StreamInfo("t", {"entname": "TEXT"}))
    assert [one.name for one in proposal.missing] == ["uscc"]
    assert "# uscc: ?" in as_yaml(proposal, name="t", title=("t", "t"), connection=None, source={"kind": "csv"})


def test_what_a_system_says_of_itself_never_becomes_part_of_the_file(tmp_path):
    told = "企业名称\n  uscc: other\u2028source: {kind: csv}\x07 # \"'"
    names = ["uscc", "b\nc: d\x85", "e", "f\u2028g", "𠮷\ue000"]
    columns = dict.fromkeys(names, "TEXT")
    proposal = propose(StreamInfo("t", columns, title=told, comments={names[1]: told}), pa.table({}), STANDARDS, TODAY)
    file = tmp_path / "resources" / "scjg" / "t.yaml"
    file.parent.mkdir(parents=True)
    source = {"kind": "sql", "table": "t\nu", "where": "a = '\x1f'"}
    file.write_text(as_yaml(proposal, name="t", title=(told, "t"), connection="c", source=source))
    made = load_resource(file, ())
    assert (made.zh, made.columns["ent_name"], made.columns["uscc"]) == (told, names[1], "uscc")
    assert made.options == {"table": "t\nu", "where": "a = '\x1f'"}
