"""What every command does alike, however it ends."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from shutong.session import Session, command


@click.command()
@command
def interrupted(session: Session) -> None:
    """A command that somebody stops."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(("lang", "word"), [("zh", "再次执行同一命令"), ("en", "the same command again")])
def test_ctrl_c_says_that_nothing_is_half_there_and_what_to_do(lang, word):
    found = CliRunner().invoke(interrupted, [], env={"SHUTONG_LANG": lang})
    assert found.exit_code == 130
    assert word in found.stderr
    assert "Traceback" not in found.output


def test_ctrl_c_is_json_where_json_was_asked_for():
    found = CliRunner().invoke(interrupted, ["--json"])
    assert (found.exit_code, json.loads(found.stdout)["error"]["code"]) == (130, "RUN-STOPPED")
