"""`make prove` goes on where it stopped, forgets what passed when the code changes, and tells what was left out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import prove

SAID = {"fine": "print('1 passed')", "poor": "print('the reason'); raise SystemExit(1)"}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """What the command says of parts that are short programs, each writing that it ran, for some version of the code."""
    monkeypatch.setattr(prove, "RECORD", tmp_path / "var" / "prove.json")

    def run(parts: dict[str, str], *words: str, code: str = "this") -> tuple[int, str, list[str]]:
        ran = tmp_path / "ran"
        ran.mkdir(exist_ok=True)
        made = []
        for name, script in parts.items():
            noted = f"from pathlib import Path; Path({str(ran / name)!r}).touch(); {script}"
            made.append(prove.Part(name, (sys.executable, "-S", "-c", noted), alone=name == "alone"))
        monkeypatch.setattr(prove, "parts", lambda: made)
        monkeypatch.setattr(prove, "version", lambda: code)
        ended = prove.main([*words, "--lanes", "1"])
        names = sorted(path.name for path in ran.iterdir())
        for path in ran.iterdir():
            path.unlink()
        return ended, capsys.readouterr().out, names

    return run


def test_what_passed_is_not_run_again_and_what_failed_is_with_its_last_lines(told):
    code, said, ran = told({**SAID, "alone": ""})
    assert (code, ran) == (1, ["alone", "fine", "poor"])
    assert "the reason\npoor: FAILED" in said
    assert "1 passed" not in said
    code, said, ran = told({**SAID, "poor": "", "alone": ""})
    assert (code, ran) == (0, ["poor"])
    assert "fine: passed before" in said
    assert told(SAID, "--again")[2] == ["fine", "poor"]


def test_other_code_is_proven_anew_and_listing_runs_nothing(told):
    told(SAID)
    code, said, ran = told(SAID, "--list", code="that")
    assert (code, ran, said.count("to do")) == (0, [], 2)
    assert told(SAID, code="that")[2] == ["fine", "poor"]
    assert told(SAID)[2] == ["poor"]


def test_the_longest_comes_first_and_only_what_is_asked_for(told):
    prove.remember("this", {"short": 0.1, "long": 300.0})
    said = told({"short": "", "long": ""}, code="that")[1]
    assert said.index("long") < said.index("short")
    assert told({"short": "", "long": ""}, "--only", "sho", "--again")[2] == ["short"]
    with pytest.raises(SystemExit, match="2"):
        told({"short": ""}, "--only", "nothing")


def test_a_part_that_left_something_out_proves_nothing_and_says_why(told):
    line = "SKIPPED [1] tests/present.py:18: mariadb is not installed"
    code, said, _ = told({"kills": f"print({line!r})"})
    assert code == 1
    assert f"{line}\nkills: LEFT OUT" in said
    assert told({"kills": ""})[2] == ["kills"]


def test_the_parts_are_every_test_of_full_counts_once(monkeypatch: pytest.MonkeyPatch):
    tests = ["tests/runs/test_a.py::one[x y]", "tests/runs/test_a.py::two", "tests/warehouse/test_b.py::one"]
    kills = [*tests[:1], "tests/warehouse/test_b.py::two", "tests/warehouse/test_c.py::one"]
    monkeypatch.setattr(prove, "_collected", lambda marked, _files: kills if marked == prove.KILLS else tests)
    monkeypatch.setattr(prove, "_with", lambda _said: [])
    assert [part.name for part in prove.parts()] == [
        "full counts: tests/runs/test_a.py::one[x y]",
        "full counts: tests/runs/test_a.py::two",
        "full counts: tests/warehouse/test_b.py",
        "kills at every named point: tests/runs/test_a.py",
        "kills at every named point: tests/warehouse/test_c.py",
        "benchmark at full size",
    ]
