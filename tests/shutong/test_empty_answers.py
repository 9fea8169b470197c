"""Where there is nothing to list, the command says so, and what to do next, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shutong.cli import main
from shutong.layout import init
from shutong.printing import Voice

NEXT = {
    "job list": "jobs",
    "webhook list": "shutong webhook add",
    "person list": "shutong person add",
    "person sessions": "",
    "person history": "",
    "client list": "shutong client add",
    "key list": "shutong key issue",
    "application list": "shutong application file",
    "statement make 2026-01": "",
}


def run(home: Path, words: str, lang: str = "en") -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    return CliRunner().invoke(main, words.split(), env=said)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("empty") / "home"
    init(made, "enterprises")
    return made


def test_a_new_deployment_tells_the_next_step(home: Path) -> None:
    for words, following in NEXT.items():
        for lang in ("zh", "en"):
            result = run(home, words, lang)
            assert result.exit_code == 0, result.output
            title, said = result.stdout.strip().splitlines()
            assert (title.isascii(), said.strip()[:1].isascii()) == (lang == "en", lang == "en"), words
            assert following in said


def test_a_table_without_rows_has_no_heads(capsys: pytest.CaptureFixture[str]) -> None:
    Voice("en").table(("题", "Title"), [("甲", "a")], [])
    Voice("en").table(("题", "Title"), [("甲", "a")], [[1]], ("没有", "Nothing"))
    assert capsys.readouterr().out.split() == ["Title", "(none)", "Title", "a", "1"]


def test_a_person_without_a_department_is_told_the_file_and_what_lacks(home: Path) -> None:
    result = run(home, "person add wang --name Wang --role lead")
    assert result.exit_code == 1
    assert f"{home}/people.yaml:2: wang needs a department: the role lead" in result.stderr
    assert not (home / "people.yaml").exists()
    unknown = run(home, "person invite wang")
    assert "shutong person add wang" in unknown.stderr


def test_ending_a_session_that_is_not_there_is_said(home: Path) -> None:
    result = run(home, "person sessions --end 17")
    assert result.exit_code == 1
    assert "There is no such session" in result.stdout
