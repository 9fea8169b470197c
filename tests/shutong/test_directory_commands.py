"""The directory from the command line, of the example of a province."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shutong.cli import main
from shutong.layout import init


def run(home: Path, *arguments: str, lang: str = "en") -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": "", "SHUTONG_SMTP_HOST": ""}
    result = CliRunner().invoke(main, ["directory", *arguments], env=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0):
    result = run(home, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("directory") / "home"
    init(made, "zhejiang")
    return made


def test_resources_and_libraries_are_listed_sought_and_shown(home, tmp_path):
    every = told(home, "list")["entries"]
    assert {"scjg.enterprise_base", "legal_person", "population"} <= {one["id"] for one in every}
    assert all(one["code"] for one in every)
    assert len({one["code"] for one in every}) == len(every)
    assert told(home, "search", "事业", "信用代码")["entries"][0]["id"] == "mzj.institution"
    shown = told(home, "show", "scjg.enterprise_base")
    assert shown["missing"] == []
    assert shown["provider"]["code"] == "11330000EX00000108"
    assert shown["measured"]["records"] is None
    people = told(home, "show", "population")
    assert (people["kind"], people["provider"]["id"]) == ("library", "gongan")
    assert told(home, "show", "nothing", code=1)["error"]["code"] == "SHR-NO-RESOURCE"
    written = tmp_path / "目录.csv"
    assert told(home, "export", str(written))["entries"] == len(every)
    assert "102000/" in written.read_text("utf-8-sig")
    assert run(home, "export", str(tmp_path / "x.doc")).exit_code == 2
    assert len(told(home, "sample", "legal_person", "--rows", "3")["records"]) == 3
    assert "虚构样例" in run(home, "sample", "mzj.institution", lang="zh").stdout
    words = run(home, "show", "mzj.institution", lang="zh").stdout
    assert "事业单位法人登记" in words
    assert "字符型C" in words
    assert "提供方" in run(home, "list", "--department", "mzj", lang="zh").stdout
    assert "no such entry" in run(home, "search", "𠮷𠮷").stdout


def test_every_change_is_kept_with_who_and_why(tmp_path):
    home = tmp_path / "home"
    init(home, "zhejiang")
    (home / "people.yaml").write_text(
        "people:\n  - {id: chen, name: 陈静, roles: [data_manager]}\n  - {id: zhou, name: 周强, department: swj}\n",
        "utf-8",
    )
    assert told(home, "keep", "--by", "zhou", "--why", "x", code=1)["error"]["code"] == "SHR-RIGHT"
    every = told(home, "keep", "--by", "chen", "--why", "首次登记")["versions"]
    assert {one["version"] for one in every} == {1}
    assert told(home, "keep", "--by", "chen", "--why", "again")["versions"] == []
    own = home / "directory" / "scjg" / "enterprise_base.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("update: 1\nkeywords: [登记]\n", "utf-8")
    (home / "resources" / "mzj" / "institution.yaml").unlink()
    changed, gone = sorted(
        told(home, "keep", "--by", "chen", "--why", "改为实时")["versions"], key=lambda one: one["gone"]
    )
    assert (changed["entry"], changed["version"], gone["entry"]) == ("scjg.enterprise_base", 2, "mzj.institution")
    assert {one["element"]: (one["before"], one["after"]) for one in changed["changes"]}["update_cycle"] == ("2", "1")
    taken = {one["code"] for one in told(home, "list")["entries"]}
    assert gone["code"] not in taken
    (home / "resources" / "mzj" / "another.yaml").write_text(
        (home / "resources" / "mzj" / "social_org.yaml")
        .read_text("utf-8")
        .replace("resource: social_org", "resource: another"),
        "utf-8",
    )
    assert told(home, "show", "mzj.another")["code"] not in {*taken, gone["code"]}
    words = run(home, "history", "scjg.enterprise_base", lang="zh").stdout
    assert "update_cycle: 2 → 1" in words
    assert "改为实时" in words
    with closing(sqlite3.connect(home / "state" / "state.db")) as state:
        for act in ("DELETE FROM directory_version", "UPDATE directory_version SET who = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                state.execute(act)


def test_a_department_whose_code_is_wrong_is_told_where(tmp_path):
    init(tmp_path / "home", "enterprises")
    path = tmp_path / "home" / "departments.yaml"
    path.write_text(path.read_text().replace("11330000EX00000108", "11330000EX00000109"))
    error = told(tmp_path / "home", "list", code=1)["error"]
    assert error["code"] == "STD-YAML-VALUE"
    assert "departments.yaml:4" in error["en"]
