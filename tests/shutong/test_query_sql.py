"""`shutong query` with SQL: tables, answers in every form, masks, the record of queries; in both languages."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest
from test_cli import code, run, told, write_rows

BASE = "base.legal_person"
PEOPLE = """
people:
  - {id: li, name: 李, department: scjg, roles: [data_manager]}
  - {id: wang, name: 王, department: scjg}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The example with fifty rows ingested."""
    folder = tmp_path_factory.mktemp("sql")
    file, home = write_rows(folder / "firms.csv"), folder / "home"
    told(home, "init", "--example", "enterprises")
    resource = home / "resources" / "scjg" / "enterprises.yaml"
    text = resource.read_text(encoding="utf-8")
    resource.write_text(text.replace("{shared}/data/zhejiang-enterprises.csv.gz", str(file)), encoding="utf-8")
    (home / "people.yaml").write_text(PEOPLE, encoding="utf-8")
    told(home, "ingest", "enterprises")
    return home


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    """SQL runs in this process: that it has one of its own is tested where that is made."""
    from warehouse import sql_query
    from warehouse.sql_worker import answer

    monkeypatch.setattr(sql_query, "in_process", answer)


def test_the_tables_are_listed_with_their_fields_in_both_languages(home):
    listed = told(home, "query", "--tables")["tables"]
    assert [one["table"] for one in listed] == [BASE, "scjg.enterprises"]
    fields = {one["name"]: one for one in listed[0]["fields"]}
    assert (fields["legal_rep_name"]["zh"], fields["legal_rep_name"]["masked"]) == ("法定代表人姓名", True)
    assert (fields["ent_name"]["en"], fields["ent_name"]["masked"]) == ("Name of the organisation", False)
    (granted,) = told(home, "query", "--tables", "--as", "swj")["tables"]
    assert len(granted["fields"]) == 9
    assert granted["grant"]
    assert "统一社会信用代码" in run(home, "query", "--tables", BASE, lang="zh").stdout
    assert "Tables you may read" in run(home, "query", "--tables").stdout
    assert "SYS-SQL-TABLE" in run(home, "query", "--tables", "base.population").stderr


def test_an_answer_is_a_table_that_says_where_it_comes_from(home):
    said = run(home, "query", f"SELECT uscc, ent_name, legal_rep_name FROM {BASE} ORDER BY 1", "--rows", "2", lang="zh")
    assert said.exit_code == 0
    lines = said.stdout.splitlines()
    # A Chinese character is two columns wide: what follows stands under its heading all the same.
    assert lines[3].index("欧阳**") + len("企业𠮷") == lines[2].index("legal_rep_name")
    assert "还有更多行" in said.stdout
    assert f"{BASE}.legal_rep_name" in lines[-1]
    english = run(home, "query", f"SELECT 1 FROM {BASE}").stdout
    assert "release" in english
    assert "masked: -" in english


def test_an_answer_as_json_has_its_rows_in_order_and_its_origin(home):
    said = told(
        home, "query", f"SELECT ent_name, est_date, reg_capital, 1 = 1, [1], ent_name FROM {BASE} ORDER BY uscc"
    )
    assert said["data"][0] == ["企业1𠮷", "2010-01-01", "500.000000", True, [1], "企业1𠮷"]
    assert (said["rows"], said["more"], said["masked"]) == (47, False, [])
    assert said["tables"] == {BASE: ["uscc", "ent_name", "reg_capital", "est_date"]}
    assert said["release"] == told(home, "query", "--tables")["release"]


def test_an_answer_is_written_as_csv_xlsx_and_parquet_for_its_owner_alone(home, tmp_path):
    files = [tmp_path / f"a.{kind}" for kind in ("csv", "xlsx", "parquet")]
    sql = f"SELECT uscc, '=1+1' AS formula, INTERVAL 1 DAY AS span, -5 AS n FROM {BASE} ORDER BY 1 LIMIT 3"
    options = [word for path in files for word in (f"--{path.suffix[1:]}", str(path))]
    assert told(home, "query", sql, *options)["files"] == [str(path) for path in files]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 3
    with files[0].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[:2] == [["uscc", "formula", "span", "n"], [code(1), "'=1+1", rows[1][2], "-5"]]
    sheet = openpyxl.load_workbook(files[1]).active
    assert [cell.value for cell in sheet[2]][:2] == [code(1), "=1+1"]
    assert [cell.data_type for cell in sheet[2]][:2] == ["s", "s"]
    assert pq.read_table(files[2]).column("uscc").to_pylist() == [code(1), code(2), code(3)]


def test_a_department_is_held_to_its_grant(home):
    said = told(home, "query", f"SELECT * FROM {BASE}", "--as", "swj")
    assert len(said["columns"]) == 9
    assert said["grants"]
    assert told(home, "query", f"SELECT phone FROM {BASE}", "--as", "swj", code=1)["error"]["code"] == "WH-SQL-FAILED"
    assert (
        told(home, "query", "SELECT 1 FROM scjg.enterprises", "--as", "swj", code=1)["error"]["code"] == "SHR-NO-GRANT"
    )


def test_what_is_not_masked_is_for_a_data_manager_who_says_why(home):
    sql = f"SELECT legal_rep_name FROM {BASE} LIMIT 1"
    assert told(home, "query", sql)["data"] == [["欧阳**"]]
    for options in ([], ["--by", "wang", "--why", "核对"], ["--by", "li", "--why", "x", "--as", "swj"]):
        assert told(home, "query", sql, "--clear", *options, code=1)["error"]["code"] == "SYS-SQL-CLEAR"
    assert told(home, "query", sql, "--clear", "--by", "li", code=1)["error"]["code"] == "SHR-SQL-WHY"
    named = ("--clear", "--by", "li", "--why", "核对")
    assert told(home, "query", sql, *named)["data"] == [["欧阳娜娜"]]
    failed = told(home, "query", "SELECT received, rules FROM quarantine.scjg__enterprises", *named)["data"]
    assert sorted(json.loads(received)["企业名称"] for received, _ in failed) == ["=错码", "无码"]
    (recorded, *_) = told(home, "query", "--recorded", "--rows", "1")["queries"]
    assert (recorded["who"], recorded["purpose"], recorded["clear"]) == ("li", "核对", True)
    assert "=错码" not in json.dumps(recorded)


def test_a_plan_is_shown_without_running_anything(home):
    said = run(home, "query", f"SELECT count(*) FROM {BASE} WHERE est_date > DATE '2000-01-01'", "--explain")
    assert "ARROW_SCAN" in said.stdout


def test_errors_say_where_and_what_to_do_in_both_languages(home):
    english, chinese = (
        run(home, "query", f"SELECT uscc,\n getenv('HOME') FROM {BASE}", lang=one) for one in ("en", "zh")
    )
    assert english.exit_code == chinese.exit_code == 1
    assert "line 2, column 2" in english.stderr
    assert "第 2 行第 2 列" in chinese.stderr
    assert "scjg.enterprises" in run(home, "query", "SELECT * FROM scjg.enterprise").stderr
    assert run(home, "query").exit_code == 2
    assert run(home, "query", "legal_person", code(1)).exit_code == 2


def test_the_record_of_queries_is_shown_in_both_languages(home):
    told(home, "query", f"SELECT 1 FROM {BASE}", "--as", "swj", "--why", "风险分析")
    chinese, english = run(home, "query", "--recorded", lang="zh").stdout, run(home, "query", "--recorded").stdout
    assert "风险分析" in chinese
    assert "Queries by SQL" in english
