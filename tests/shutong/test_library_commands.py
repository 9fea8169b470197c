"""Commands on a library over time: what they show, what they mask, and how a change of key is told."""

from __future__ import annotations

import csv

import pytest
from test_cli import HEADER, code, firm, run, told

LIBRARY = "legal_person"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two days: the first firm gets another name, the second becomes the fourth by a change of its code."""
    folder = tmp_path_factory.mktemp("library")
    home, file = folder / "home", folder / "firms.csv"
    assert told(home, "init", "--example", "enterprises")["example"] == "enterprises"
    resource = home / "resources" / "scjg" / "enterprises.yaml"
    text = resource.read_text(encoding="utf-8")
    resource.write_text(text.replace("{shared}/data/zhejiang-enterprises.csv.gz", str(file)), encoding="utf-8")
    for rows in (
        [firm(code(1), "旧名𠮷"), firm(code(2), "二号"), firm(code(3), "三号")],
        [firm(code(1), "新名𠮷", "2011-01-01"), firm(code(3), "三号"), firm(code(4), "二号", "2011-01-01")],
    ):
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([HEADER, *rows])
        told(home, "ingest", "enterprises")
    return home


def test_a_record_is_shown_masked_unless_asked_for_in_the_clear(home):
    masked = told(home, "library", "show", LIBRARY, code(1))["record"]
    clear = told(home, "library", "show", LIBRARY, code(1), "--clear")["record"]
    assert (masked["ent_name"], clear["ent_name"]) == ("新名𠮷", "新名𠮷")
    assert clear["legal_rep_name"] == "欧阳娜娜"
    assert masked["legal_rep_name"] != "欧阳娜娜"
    assert "欧阳娜娜" not in run(home, "library", "show", LIBRARY, code(1)).stdout
    assert told(home, "library", "show", LIBRARY, code(9), code=1)["record"] is None


def test_what_changed_and_how_a_record_stood_are_told(home):
    told_ = told(home, "library", "changes", LIBRARY, "--from", "2020-01-01", "--to", "2099-01-01")
    changed = {(one["key"], one["event"], one["field"]): one for one in told_["changes"]}
    assert changed[code(1), "changed", "ent_name"]["after"] == "新名𠮷"
    assert {key for key, event, _ in changed if event == "added"} == {code(4)}
    assert "欧阳娜娜" not in str(told_)
    then = told(home, "library", "show", LIBRARY, code(1), "--as-of", told_["from"])["record"]
    assert then["ent_name"] == "旧名𠮷"
    wrong = told(home, "library", "show", LIBRARY, code(1), "--as-of", "昨天", code=1)
    assert wrong["error"]["code"] == "WH-TIME"


def test_a_change_of_code_is_recorded_withdrawn_and_one_in_a_circle_waits_for_a_decision(home):
    (home / "people.yaml").write_text(
        "people:\n  - {id: wang, name: 王伟, roles: [data_manager]}\n  - {id: li, name: 李, department: scjg}\n",
        "utf-8",
    )
    nobody = told(home, "library", "became", LIBRARY, code(2), code(4), "--by", "li", "--why", "-", code=1)
    assert nobody["error"]["code"] == "RUN-HELD-RIGHT"
    words = ("--by", "wang", "--why", "换照")
    assert told(home, "library", "became", LIBRARY, code(2), code(4), *words)["held"] is False
    told(home, "library", "merge", LIBRARY)
    assert told(home, "library", "show", LIBRARY, code(2))["record"]["uscc"] == code(4)
    assert told(home, "library", "became", LIBRARY, code(4), code(2), *words, code=1)["held"] is True
    (waiting,) = told(home, "library", "held", LIBRARY)["held"]
    assert waiting["reason"] == "cycle"
    assert run(home, "library", "held", LIBRARY, lang="zh").stdout.count("换码成环") == 1
    refused = told(home, "library", "decide", LIBRARY, waiting["id"], "--key", code(3), *words, code=1)["error"]
    assert refused["code"] == "WH-HELD-KEY"
    assert code(2) not in str(refused)
    told(home, "library", "decide", LIBRARY, waiting["id"], "--apart", *words)
    assert told(home, "library", "held", LIBRARY)["held"] == []


def test_departments_that_disagree_are_counted_and_exported(home, tmp_path):
    assert told(home, "library", "conflicts", LIBRARY)["conflicts"] == []  # one department alone
    file = tmp_path / "conflicts.csv"
    run(home, "library", "conflicts", LIBRARY, "--export", str(file), lang="zh")
    assert file.read_text("utf-8-sig").startswith("字段,部门,另一部门")


def test_who_said_what_is_masked_too(home):
    for command in (("explain", code(1)), ("library", "explain", LIBRARY, code(1))):
        assert "欧阳娜娜" not in run(home, *command).stdout
        assert "欧阳娜娜" not in run(home, *command, "--json").stdout
        assert "欧阳娜娜" in run(home, *command, "--clear").stdout
    assert told(home, "explain", code(1))["libraries"][LIBRARY][0]["key"] == code(1)
    assert told(home, "explain", code(9), code=1)["libraries"] == {}


def test_a_library_is_rebuilt_in_buckets_and_its_newest_merge_is_told_as_sql(home):
    records = told(home, "library", "merge", LIBRARY)["records"]
    assert told(home, "library", "merge", LIBRARY, "--whole", "--buckets", "3")["records"] == records
    wrong = told(home, "library", "merge", LIBRARY, "--whole", "--on", "nobody", code=1)
    assert wrong["error"]["code"] == "WH-SPREAD-WHERE"
    asked = told(home, "library", "sql", LIBRARY)
    assert set(asked["queries"]) == {"records", "links", "compared"}
    assert asked["inputs"]["input_0"] in asked["queries"]["records"]
    assert "-- records" in run(home, "library", "sql", LIBRARY, "--dialect", "duckdb").stdout
