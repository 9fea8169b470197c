"""The command line over one small deployment: every command in both languages and as JSON, every mistake explained."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from enterprise_truth import ALPHABET, HEADER

import shutong
from shutong.asking import QueryRefusedError
from shutong.cli import main
from shutong.commands.quality import _inert
from shutong.layout import init

FATES = ("pulled", "landed", "quarantined", "superseded")
CHINESE = re.compile("[\u4e00-\u9fff]")
COMMANDS = (
    ("doctor",),
    ("resource", "list"),
    ("resource", "check"),
    ("runs",),
    ("runs", "enterprises"),
    ("runs", "--late"),
    ("quality", "show"),
    ("usage", "--as", "swj"),
    ("key", "list"),
)


def code(number: int) -> str:
    """A valid unified social credit code made for these tests."""
    body = f"91330100MA{number:07d}"
    total = sum(ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(body))
    return body + ALPHABET[(31 - total % 31) % 31]


def firm(uscc: str, name: str, day: str = "2010-01-01") -> list[str]:
    return [name, uscc, day, "有限责任公司", "欧阳娜娜", "500万人民币", "零售", "浙江", "杭州", "浙江省杭州市某路1号"]


def write_rows(path: Path) -> Path:
    """Fifty rows: 47 firms, an older version of the first, a wrong code and none at all."""
    good = [firm(code(number), f"企业{number}𠮷") for number in range(1, 48)]
    wrong = code(60)[:-1] + ("0" if code(60)[-1] != "0" else "1")
    rows = [*good, firm(code(1), "旧名", "2001-01-01"), firm(wrong, "=错码"), firm("", "无码")]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def run(home: Path, *arguments: str, lang: str = "en", stdin: str | None = None) -> Result:
    """One command in this process, as a terminal would run it."""
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": "", "SHUTONG_SHARED": str(home)}
    result = CliRunner().invoke(main, arguments, env=said, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0):
    """A command's answer as JSON, which stands alone on standard output."""
    result = run(home, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Town:
    home: Path
    ingested: dict[str, object]
    file: Path


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Town:
    """The example with one file ingested by the command itself."""
    folder = tmp_path_factory.mktemp("cli")
    file = write_rows(folder / "firms.csv")
    home = folder / "home"
    assert told(home, "init", "--example", "enterprises")["example"] == "enterprises"
    resource = home / "resources" / "scjg" / "enterprises.yaml"
    text = resource.read_text(encoding="utf-8")
    assert "{shared}/data/zhejiang-enterprises.csv.gz" in text
    resource.write_text(text.replace("{shared}/data/zhejiang-enterprises.csv.gz", str(file)), encoding="utf-8")
    return Town(home, told(home, "ingest", "enterprises"), file)


@pytest.fixture
def fresh(tmp_path) -> Path:
    """A deployment that a test may break."""
    home = tmp_path / "home"
    init(home, "enterprises")
    return home


def test_ingest_says_what_became_of_every_row(town):
    assert [town.ingested[name] for name in FATES] == [50, 47, 2, 1]
    assert town.ingested["rules"]["uscc_check"] == 2
    assert town.ingested["decision"] == "warn"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_speaks_both_languages_and_json(town, command):
    english, chinese, data = (
        run(town.home, *command, lang="en"),
        run(town.home, *command, lang="zh"),
        run(town.home, *command, "--json"),
    )
    assert english.exit_code == chinese.exit_code == data.exit_code == 0, english.output
    assert CHINESE.search(chinese.stdout)
    assert english.stdout != chinese.stdout
    assert isinstance(json.loads(data.stdout), dict)
    assert "Traceback" not in english.output


def test_init_says_what_comes_next_in_either_language(tmp_path):
    assert "Next: shutong resource check" in run(tmp_path / "one", "init").stdout
    assert "下一步" in run(tmp_path / "two", "init", lang="zh").stdout


def test_doctor_is_content_with_the_deployment(town):
    said = told(town.home, "doctor")
    assert said["ok"]
    assert {"Python", "SQLite", "secrets", "grants.yaml", "state"} <= {one["check"] for one in said["checks"]}


def test_doctor_finds_a_grant_that_names_no_field_and_a_secret_others_may_read(fresh):
    path = fresh / "grants.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("ent_name", "ent_nam"), encoding="utf-8")
    (fresh / "secrets.yaml").chmod(0o644)
    said = told(fresh, "doctor", code=1)
    failed = {one["check"]: one["detail"] for one in said["checks"] if not one["ok"]}
    assert failed.keys() == {"grants.yaml", "secrets"}
    assert "ent_nam" in failed["grants.yaml"]


@pytest.mark.parametrize("said", ['url: "mysql+pymysql://reader:hush@10.1.1.1/x"', 'connect: "DSN=x;PWD=hush"'])
def test_a_password_in_connections_yaml_is_refused_without_showing_it(fresh, said):
    (fresh / "connections.yaml").write_text(f"connections:\n  db: {{{said}}}\n")
    answer = run(fresh, "resource", "list")
    assert "SYS-CONNECTION-PASSWORD" in answer.stderr
    assert "hush" not in answer.output


def test_resource_list_names_the_resource_and_its_standard(town):
    (one,) = told(town.home, "resource", "list")["resources"]
    assert (one["resource"], one["standard"], one["kind"]) == ("scjg.enterprises", "legal_person@1", "csv")
    assert "scjg.enterprises" in run(town.home, "resource", "list").stdout


def test_resource_check_reaches_the_source_and_tells_when_it_cannot(town, fresh):
    assert told(town.home, "resource", "check", "enterprises")["ok"]
    said = told(fresh, "resource", "check", code=1)
    assert not said["ok"]
    assert any("zhejiang-enterprises.csv.gz" in one["en"] for one in said["checks"] if not one["ok"])


def test_runs_are_told_with_every_count(town):
    (done,) = told(town.home, "runs", "scjg.enterprises")["runs"]
    assert [done[name] for name in FATES] == [50, 47, 2, 1]
    assert (done["status"], done["decision"], done["trigger"]) == ("done", "warn", "manual")


def test_a_resource_that_promised_data_and_never_delivered_is_late(fresh):
    path = fresh / "resources" / "scjg" / "enterprises.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "expect_within: 26h\n", encoding="utf-8")
    (one,) = told(fresh, "runs", "--late", code=1)["late"]
    assert (one["resource"], one["last_good"]) == ("scjg.enterprises", None)
    assert "scjg.enterprises" in run(fresh, "runs", "--late").stdout


def test_quality_show_counts_rows_per_rule_and_lists_quarantined_rows_with_reasons(town):
    (one,) = told(town.home, "quality", "show", "--rows", "10")["resources"]
    counts = {rule["rule"]: rule["rows"] for rule in one["rules"]}
    assert counts["uscc_check"] == 2
    assert (one["rows"], one["quarantined"]) == (50, 2)
    assert {row["_row"] for row in one["quarantine"]} == {49, 50}
    assert all("uscc_check" in row["rules"] for row in one["quarantine"])
    plain = run(town.home, "quality", "show", "enterprises", "--rows", "1").stdout
    assert "uscc_check" in plain
    assert "Quarantined rows" in plain


def test_quarantined_rows_are_exported_with_what_was_received_and_why_when_asked_for(town, tmp_path):
    path = tmp_path / "quarantine.csv"
    assert run(town.home, "quality", "show", "--clear", "--export", str(path)).exit_code == 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["_row"] for row in rows] == ["49", "50"]
    assert json.loads(rows[0]["received"])["企业名称"] == "=错码"
    assert rows[0]["rules"].split(";") == ["uscc_check", "uscc_org_code_check"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_exported_as_text(cell):
    assert _inert(cell) == f"'{cell}"
    assert _inert(f"甲{cell}") == f"甲{cell}"


def test_what_stood_in_a_quarantined_row_is_shown_only_when_asked_for(town, tmp_path):
    path = tmp_path / "quarantine.csv"
    shown = run(town.home, "quality", "show", "--rows", "9", "--export", str(path)).output + path.read_text("utf-8-sig")
    assert "uscc_check" in shown
    assert "错码" not in shown
    assert "错码" in run(town.home, "quality", "show", "--rows", "9", "--clear").output


def test_a_wrong_setting_is_explained_and_not_a_trace(town, monkeypatch):
    monkeypatch.setenv("SHUTONG_API_PORT", "eighty")
    assert told(town.home, "doctor", code=1)["error"]["code"] == "SYS-SETTING"


@pytest.mark.parametrize("url", ["garbage", "postgresql+nosuch://u:hidden-word@127.0.0.1:1/x", ""])
def test_a_state_database_that_cannot_be_opened_is_explained_and_not_a_trace(fresh, url):
    (fresh / "state").mkdir()
    (fresh / "state" / "state.db").write_text("not a database" * 1000)
    env = {"SHUTONG_HOME": str(fresh), "SHUTONG_STATE_URL": url}
    result = CliRunner().invoke(main, ("runs", "--json"), env=env)
    assert json.loads(result.stdout)["error"]["code"] == ("SYS-STATE" if url else "WH-STATE-DAMAGED")
    assert result.exit_code == 1
    assert "hidden-word" not in result.output


def test_a_query_leaves_no_large_file_behind(town):
    before = sum(path.stat().st_size for path in (town.home / "meter").glob("*"))
    told(town.home, "query", "legal_person", code(1), "--as", "swj")
    assert sum(path.stat().st_size for path in (town.home / "meter").glob("*")) - before < 16_000


def test_a_query_is_granted_masked_and_says_where_it_comes_from(town):
    said = told(town.home, "query", "legal_person", code(1), "--as", "swj")
    (line,) = said["data"]
    assert line["found"]
    assert line["record"]["ent_name"] == "企业1𠮷", "the newer version"
    assert line["record"]["legal_rep_name"] == "欧阳**"
    assert said["masked"] == ["legal_rep_name"]
    assert said["grant"] == "G-2025-001"
    plain = run(town.home, "query", "legal_person", code(1), "--as", "swj")
    assert "欧阳**" in plain.stdout
    assert "娜娜" not in plain.output


def test_keys_come_from_standard_input_and_a_missing_record_is_told(town):
    stdin = f"{code(2)}\n\n{code(777)}\n"
    result = run(town.home, "query", "legal_person", "--as", "swj", "--keys-from", "-", "--json", stdin=stdin)
    assert result.exit_code == 1
    assert [line["found"] for line in json.loads(result.stdout)["data"]] == [True, False]


def test_only_the_fields_asked_for_are_answered(town):
    said = told(town.home, "query", "legal_person", code(3), "--as", "swj", "--fields", "uscc, est_date")
    assert said["data"][0]["record"] == {"uscc": code(3), "est_date": "2010-01-01"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("legal_person", "91330100MA", "--as", "swj"), "SHR-KEY-FORMAT"),
        (("population", "330105194411227771", "--as", "swj"), "SHR-NO-"),
        (("legal_person", code(1), "--as", "scjg"), "SHR-NO-GRANT"),
        (("legal_person", code(1), "--as", "swj", "--fields", "phone"), "SHR-FIELD"),
        (("legal_person", code(1), "--as", "nobody"), "SYS-DEPARTMENT-UNKNOWN"),
        (("legal_person", "--as", "swj"), "SYS-NO-KEY"),
    ],
)
def test_a_query_that_must_be_refused_is_with_a_code_and_no_data(town, arguments, expected):
    said = told(town.home, "query", *arguments, code=1)
    assert said.keys() == {"error"}
    assert said["error"]["code"].startswith(expected)
    assert said["error"]["fix_zh"]
    english, chinese = run(town.home, "query", *arguments), run(town.home, "query", *arguments, lang="zh")
    assert english.exit_code == chinese.exit_code == 1
    assert expected in english.stderr
    assert CHINESE.search(chinese.stderr)
    assert "企业1" not in english.output + chinese.output


def test_each_look_up_is_counted_for_the_department_that_asked(town):
    def units():
        return sum(
            one["units"] for one in told(town.home, "usage", "--as", "swj")["calls"] if one["library"] == "legal_person"
        )

    before = units()
    told(town.home, "query", "legal_person", code(4), code(5), "--as", "swj")
    assert units() == before + 2


def test_a_key_is_shown_once_listed_without_its_content_and_revoked_once(town):
    issued = told(town.home, "key", "issue", "--as", "swj", "--label", "柜台", "--days", "2")
    assert issued["department"] == "swj"
    listing = run(town.home, "key", "list", "--json")
    assert issued["key"] not in listing.stdout
    (one,) = [key for key in json.loads(listing.stdout)["keys"] if key["label"] == "柜台"]
    assert (one["department"], one["revoked_at"]) == ("swj", None)
    assert told(town.home, "key", "revoke", str(one["id"])) == {"key": one["id"], "revoked": True}
    (one,) = [key for key in told(town.home, "key", "list")["keys"] if key["label"] == "柜台"]
    assert one["revoked_at"]
    assert told(town.home, "key", "revoke", str(one["id"]), code=1)["revoked"] is False


def test_no_key_is_issued_to_a_department_that_is_not_registered(town):
    assert told(town.home, "key", "issue", "--as", "nobody", code=1)["error"]["code"] == "SYS-DEPARTMENT-UNKNOWN"


def test_explain_names_the_department_behind_each_field(town):
    statements = told(town.home, "library", "explain", "legal_person", code(6))["statements"]
    chosen = {one["field"]: (one["department"], one["value"]) for one in statements if one["chosen"]}
    assert chosen["ent_name"] == ("scjg", "企业6𠮷")
    assert "企业6𠮷" in run(town.home, "library", "explain", "legal_person", code(6)).stdout
    assert told(town.home, "library", "explain", "legal_person", code(777), code=1)["statements"] == []


def test_merging_and_publishing_again_gives_the_same_library(town):
    assert told(town.home, "library", "merge", "legal_person")["records"] == 47
    assert told(town.home, "library", "publish", "legal_person")["records"] == 47


@pytest.mark.parametrize(
    "command",
    [("ingest", "nothing"), ("runs", "nothing"), ("quality", "show", "nothing"), ("resource", "check", "nothing")],
    ids=" ".join,
)
def test_an_unknown_resource_is_answered_with_those_there_are(town, command):
    error = told(town.home, *command, code=1)["error"]
    assert error["code"] == "RUN-RESOURCE-UNKNOWN"
    assert "scjg.enterprises" in error["en"]
    result = run(town.home, *command)
    assert "✗ [RUN-RESOURCE-UNKNOWN]" in result.stderr
    assert "→" in result.stderr


def test_without_a_deployment_every_command_says_how_to_make_one(tmp_path):
    for command in (("resource", "list"), ("runs",), ("quality", "show"), ("query", "x", "y", "--as", "swj")):
        assert told(tmp_path / "none", *command, code=1)["error"]["code"] == "SYS-NO-HOME"
    assert "shutong init" in run(tmp_path / "none", "runs").stderr
    assert not (tmp_path / "none").exists()


def test_secrets_that_others_may_read_stop_a_query_without_showing_them(fresh):
    content = (fresh / "secrets.yaml").read_text()
    (fresh / "secrets.yaml").chmod(0o640)
    result = run(fresh, "query", "legal_person", code(1), "--as", "swj", "--json")
    assert json.loads(result.stdout)["error"]["code"] == "SYS-SECRETS-OPEN"
    assert content.partition('"')[2].partition('"')[0] not in result.output


@pytest.mark.parametrize(
    ("was", "now", "line", "hint"),
    [
        ("standard: legal_person@1", "standard: legal_persn@1", 3, "legal_person@1"),
        ("  ent_name: 企业名称", "  ent_nam: 企业名称", 5, "ent_name"),
        ("order: [est_date]", "order: [est_dat]", 14, "est_date"),
        ("schedule: null", "schedule: daily", 0, "0 2 * * *"),
        ("resource: enterprises", "resuorce: enterprises", 1, "resource"),
    ],
)
def test_a_mistake_in_a_resource_file_is_told_with_file_line_and_what_to_write(fresh, was, now, line, hint):
    path = fresh / "resources" / "scjg" / "enterprises.yaml"
    text = path.read_text(encoding="utf-8")
    assert was in text
    path.write_text(text.replace(was, now), encoding="utf-8")
    line = line or text.splitlines().index(was) + 1
    error = told(fresh, "resource", "check", code=1)["error"]
    assert f"enterprises.yaml:{line}" in error["zh"] + error["en"], error
    assert hint in error["fix_en"], error
    assert run(fresh, "resource", "check").exit_code == 1


def test_a_setting_without_a_value_is_explained(town):
    result = run(town.home, "ingest", "enterprises", "--set", "path")
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output


def test_python_callers_get_a_data_frame_of_granted_masked_columns(town):
    frame = shutong.query("legal_person", [code(7), code(777), code(8)], department="swj", home=town.home)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["ent_name"]) == ["企业7𠮷", "企业8𠮷"]
    assert set(frame["legal_rep_name"]) == {"欧阳**"}
    assert set(frame.columns) == {
        "uscc", "ent_name", "est_date", "ent_type_name", "legal_rep_name", "reg_capital", "reg_capital_ccy",
        "op_scope", "domicile",
    }  # fmt: skip
    narrow = shutong.query("legal_person", code(9), department="swj", fields=["uscc"], home=town.home)
    assert narrow.to_dict("records") == [{"uscc": code(9)}]


def test_python_callers_without_a_grant_are_refused(town):
    with pytest.raises(QueryRefusedError) as raised:
        shutong.query("legal_person", code(7), department="scjg", home=town.home)
    assert raised.value.code == "SHR-NO-GRANT"
    assert raised.value.zh
    assert raised.value.fix_en
