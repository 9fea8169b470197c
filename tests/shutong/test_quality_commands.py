"""Scores, held batches and rows in quarantine from the command line, in both languages and as JSON."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from sharing.calls import Call
from sharing.meter import Meter
from shutong.cli import main
from tests.runs.small_deployment import add_resource, code, csv_source, drop, firm, lay_out, write_small_standard

FIRMS = "scjg.firms"
PEOPLE = "people:\n  - {id: chen, name: 陈静, roles: [data_manager]}\n  - {id: wang, name: 王伟, department: scjg}\n"


@pytest.fixture
def home(tmp_path):
    home = lay_out(tmp_path / "home")
    (home / "people.yaml").write_text(PEOPLE, encoding="utf-8")
    add_resource(home, csv_source(), standard=write_small_standard(home), percent=50)
    return home


def run(home, *arguments, lang="en", exit_code=0):
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    result = CliRunner().invoke(main, arguments, env=said)
    assert result.exit_code == exit_code, result.output
    return result.output


def told(home, *arguments, exit_code=0):
    return json.loads(run(home, *arguments, "--json", exit_code=exit_code))


def test_a_held_batch_is_listed_shown_row_by_row_and_released(home):
    drop(home, "a.csv", [firm(1), firm(2, name=""), firm(3, name=""), ["913301001111111111", "丁", "2024-01-01", "x"]])
    run(home, "ingest", FIRMS, exit_code=3)
    (one,) = told(home, "held", "list")["held"]
    assert (one["resource"], one["rows"]) == (FIRMS, 4)
    assert "75.00%" in run(home, "held", "list", lang="zh")
    (shown,) = told(home, "quality", "show", FIRMS, "--rows", "10")["resources"]
    assert [row["_row"] for row in shown["quarantine"]] == [2, 3, 4]
    assert "received" not in shown["quarantine"][0]
    assert "RUN-HELD-RIGHT" in run(home, "held", "release", FIRMS, "--by", "wang", "--why", "x", exit_code=1)
    report = told(home, "held", "release", FIRMS, "--by", "chen", "--why", "verified")
    assert (report["landed"], report["quarantined"]) == (1, 3)
    assert "Nothing waits" in run(home, "held", "list")
    (decided,) = told(home, "held", "history", FIRMS)["decisions"]
    assert (decided["decision"], decided["who"], decided["why"]) == ("release", "chen", "verified")
    assert "verified" in run(home, "held", "history")


def test_a_held_batch_is_rejected(home):
    drop(home, "a.csv", [firm(1), firm(2, name=""), firm(3, name="")])
    run(home, "ingest", FIRMS, exit_code=3)
    assert "已拒收" in run(home, "held", "reject", FIRMS, "--by", "chen", "--why", "来源有误", lang="zh")
    assert "RUN-HELD-NONE" in run(home, "held", "reject", FIRMS, "--by", "chen", "--why", "again", exit_code=1)
    assert told(home, "runs", FIRMS)["runs"][0]["status"] == "rejected"


def test_rows_come_back_from_quarantine_and_the_way_they_took_is_told(home):
    drop(home, "a.csv", [firm(1), firm(2), firm(4), firm(3, name=""), ["913301001111111111", "丁", "2024-01-01", "x"]])
    run(home, "ingest", FIRMS)
    (shown,) = told(home, "quality", "show", FIRMS, "--rows", "10")["resources"]
    batch = shown["quarantine"][0]["_batch"]
    assert told(home, "quality", "recheck", FIRMS)["passed"] == 0
    assert told(home, "quality", "recheck", FIRMS, "--buckets", "2")["looked_at"] == 2
    by = ("--batch", batch, "--by", "chen", "--why", "seen the licence")
    assert told(home, "quality", "release", FIRMS, "--row", "4", *by)["landed"] == 1
    assert "RUN-RETURN-FAILS" in run(
        home, "quality", "correct", FIRMS, "--row", "5", "--set", "uscc=1", *by, exit_code=1
    )
    assert "FIELD=VALUE" in run(home, "quality", "correct", FIRMS, "--row", "5", "--set", "uscc", *by, exit_code=2)
    assert "1 landed" in run(home, "quality", "correct", FIRMS, "--row", "5", "--set", f"uscc={code(5)}", *by)
    assert [one["kind"] for one in told(home, "quality", "returned", FIRMS)["returned"]] == ["release", "correction"]
    assert "seen the licence" in run(home, "quality", "returned", FIRMS, lang="zh")
    (shown,) = told(home, "quality", "show", FIRMS, "--rows", "10")["resources"]
    assert shown["quarantine"] == []


def test_scores_tell_numerators_denominators_and_what_is_not_measured(home):
    assert "Nothing was checked yet" in run(home, "quality", "scores")
    drop(home, "a.csv", [firm(1), firm(2), firm(3, name="")])
    run(home, "ingest", FIRMS)
    (one,) = told(home, "quality", "scores")["scores"]
    by_code = {each["code"]: each for each in one["indicators"]}
    assert one["of"] == FIRMS
    assert (by_code["0305"]["a"], by_code["0305"]["b"]) == (1, 3)
    assert by_code["0601"]["score"] is None
    assert "not measured" in run(home, "quality", "scores")
    assert "未测量" in run(home, "quality", "scores", "--profile", "db31_t_1523_2024", lang="zh")
    (trend,) = told(home, "quality", "scores", "--by", "month", "--group", "library")["scores"]
    assert (trend["of"], len(trend["period"])) == ("legal_person", 7)
    assert "Trend" in run(home, "quality", "scores", "--by", "day")
    (rule,) = told(home, "quality", "scores", "--rule", "ent_name_required")["rule"]
    assert (rule["met"], rule["base"], len(rule["version"])) == (2, 3, 16)
    assert told(home, "quality", "scores", "--field", "ent_name")["scores"][0]["total"] is not None


def test_a_library_is_scored_by_how_it_could_be_reached_and_by_departments_that_agree(home):
    add_resource(home, csv_source("tax"), department="swj", standard=write_small_standard(home))
    drop(home, "a.csv", [firm(1), firm(2)])
    drop(home, "a.csv", [firm(1, domicile="宁波市")], folder="tax")
    run(home, "ingest", FIRMS)
    run(home, "ingest", "swj.firms")
    library = ("quality", "scores", "--group", "library")
    assert reached(told(home, *library)) == {"0601": None, "0602": (2, 2)}, "nobody asked yet"
    meter = Meter(home / "meter")
    for status, name in ((200, "legal_person"), (404, "legal_person"), (503, "legal_person"), (200, "nobodys")):
        call = Call.begin()
        call.status, call.library = status, name
        asyncio.run(meter.record(call))
    meter.close()
    assert reached(told(home, *library)) == {"0601": (2, 3), "0602": (2, 2)}
    assert reached(told(home, *library), "0401") == {"0401": (3, 4)}, "all but the domicile"
    for by in ("day", "month"):
        assert reached(told(home, *library, "--by", by), ("0401", "06")) == {
            "0401": (3, 4),
            "0601": (2, 3),
            "0602": (2, 2),
        }
    assert reached(told(home, *library, "--since", "2026-01-01"), "0602") == {"0602": (2, 2)}
    assert reached(told(home, *library, "--department", "scjg")) == {"0601": None, "0602": None}
    (home / "serving" / "legal_person" / "CURRENT").unlink()
    assert reached(told(home, *library))["0602"] == (0, 2), "nothing is published"


def reached(answer, codes="06"):
    (one,) = answer["scores"]
    found = {each["code"]: each for each in one["indicators"] if each["code"].startswith(codes)}
    return {code: None if each["b"] is None else (each["a"], each["b"]) for code, each in found.items()}


def test_scores_go_on_under_the_new_name_of_a_department(home):
    drop(home, "a.csv", [firm(1), firm(2, name=""), firm(3)])
    run(home, "ingest", FIRMS)
    file = home / "resources" / "swj" / "firms.yaml"
    file.parent.mkdir()
    (home / "resources" / "scjg" / "firms.yaml").rename(file)
    file.write_text(file.read_text() + f"formerly: [{FIRMS}]\n")
    drop(home, "a.csv", [firm(1), firm(2), firm(3)])
    run(home, "ingest", "swj.firms")
    (one,) = told(home, "quality", "scores", "--rule", "ent_name_required", "--group", "department")["rule"]
    assert (one["group"], one["met"], one["base"], one["runs"]) == ("swj", 5, 6, 2)
    (by_resource,) = told(home, "quality", "scores", "--resource", "swj.firms")["scores"]
    assert by_resource["of"] == "swj.firms"
    file.write_text(file.read_text().replace(f"[{FIRMS}]", "[firms]"))
    assert "firms.yaml" in run(home, "quality", "scores", exit_code=1)


def test_ingest_tells_a_rule_that_could_not_be_evaluated_and_no_word_about_a_person(home):
    rule = (
        "rules:\n  - {id: name_is_none, kind: condition, columns: [name], zh: 姓名, en: Name, severity: warning,"
        ' indicator: "0301", fix_zh: 改, fix_en: mend, params: {sql: \'CAST("name" AS INTEGER) > 0\'}}\n'
    )
    add_resource(home, csv_source("people"), "people", "mzj", standard="population@1", percent=100, more=rule)
    header = ["公民身份号码", "姓名", "性别", "出生日期", "民族"]
    row = ["330106198001010999", "秘密", "330106198001010112", "生于一九八零", "张三"]
    drop(home, "a.csv", [row, row], header, "people")
    printed = run(home, "ingest", "mzj.people")
    assert "name_is_none" in printed
    assert "INT32" in printed
    said = run(home, "ingest", "mzj.people", "--json")
    assert json.loads(said)["unparsed"] == {"sex": {"9{18}": 2}, "birth_date": {"汉{6}": 2}, "ethnic": {"汉{2}": 2}}
    secrets = ("秘密", "张三", "一九八零", "3301061980")
    assert not [one for one in secrets if one in printed + said]
    with closing(sqlite3.connect(home / "state" / "state.db")) as state:
        assert not [one for one in secrets if one in "".join(state.iterdump())]
        assert "unparsed_told" in str(state.execute("SELECT results FROM quality_run").fetchall())
