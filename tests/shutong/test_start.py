"""What a command imports before it does anything: nothing that it does not use."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from shutong.cli import main
from shutong.late import LateCommand
from shutong.layout import init
from warehouse.state import State

HEAVY = ("airflow", "alembic", "duckdb", "great_expectations", "numpy", "pandas", "pyarrow", "pyiceberg", "sqlalchemy")
TELL = "import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr)); "
CALL = "from shutong.cli import main; main({words!r}, prog_name='shutong')"
# Whoever types Ctrl-C while a library is being imported: here as the file of a command is looked for.
STOPPED = """
import os, signal, sys
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "shutong.commands.ingest":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Impatient())
"""


def started(code: str, words: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code + CALL.format(words=words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SHUTONG_LANG": "en", **environment},
    )


def imported(*words: str, **environment: str) -> set[str]:
    """The libraries among HEAVY that a command has imported when it ends."""
    done = started(TELL, words, **environment)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])} & {*HEAVY}


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("quality", "orders", "--help")], ids=" ".join)
def test_help_imports_no_library_of_the_work(words):
    assert imported(*words) == set()


def test_a_list_of_resources_opens_no_database_and_a_list_of_runs_nothing_but_one(tmp_path):
    home = str(tmp_path / "home")
    init(tmp_path / "home", "enterprises")
    state = State(f"sqlite:///{home}/state/state.db")
    state.migrate()
    state.close()
    assert imported("resource", "list", SHUTONG_HOME=home) == set()
    assert imported("runs", SHUTONG_HOME=home) == {"sqlalchemy"}


def late(group: click.Group, before: str = "") -> dict[str, LateCommand]:
    found: dict[str, LateCommand] = {}
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            found |= late(one, f"{before}{name} ")
        else:
            assert isinstance(one, LateCommand)
            found[before + name] = one
    return found


def test_help_says_of_each_command_what_the_command_says_of_itself():
    said = {words: (words.split(" ")[-1], one.help) for words, one in late(main).items()}
    assert said == {words: (real.name, real.help) for words, one in late(main).items() if (real := one.real())}


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_while_libraries_are_imported_is_explained_and_not_a_trace(as_json):
    done = started(STOPPED, ("ingest", "firms", *(["--json"] if as_json else [])))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)["error"]["code"] if as_json else done.stderr
    assert "RUN-STOPPED" in told
