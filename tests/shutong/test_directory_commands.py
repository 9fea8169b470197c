"""The directory from the command line, of the example of a province."""

from __future__ import annotations

import json
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
    words = run(home, "show", "mzj.institution", lang="zh").stdout
    assert "事业单位法人登记" in words
    assert "字符型C" in words
    assert "提供方" in run(home, "list", "--department", "mzj", lang="zh").stdout
    assert "no such entry" in run(home, "search", "𠮷𠮷").stdout


def test_a_department_whose_code_is_wrong_is_told_where(tmp_path):
    init(tmp_path / "home", "enterprises")
    path = tmp_path / "home" / "departments.yaml"
    path.write_text(path.read_text().replace("11330000EX00000108", "11330000EX00000109"))
    error = told(tmp_path / "home", "list", code=1)["error"]
    assert error["code"] == "STD-YAML-VALUE"
    assert "departments.yaml:4" in error["en"]
