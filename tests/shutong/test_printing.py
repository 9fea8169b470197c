"""What data holds is printed as text: it neither styles the table nor moves the cursor of the terminal."""

from __future__ import annotations

import io
import sys

import pytest

from shutong.printing import Voice, _framed

HOSTILE = "[/red][已注销] \x1b[2J\x9b2K删除"


def test_a_cell_of_a_table_cannot_speak_to_the_terminal(capsys):
    Voice("zh", as_json=False).table(("表", "table"), [("值", "value")], [[HOSTILE]])
    shown = capsys.readouterr().out
    assert "[/red][已注销] \ufffd[2J\ufffd2K删除" in shown


@pytest.mark.parametrize("cell", ["[/red]", "[bold]店[/bold]", "[/]"])
def test_a_framed_cell_is_shown_with_its_brackets(monkeypatch, cell):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    _framed(["[值]"], [[cell]])
    assert cell in out.getvalue()
    assert "[值]" in out.getvalue()
