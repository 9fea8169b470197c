"""The command line: one group, one file per kind of work, every command with --json."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from shutong.late import LateCommand

# What `--help` says, by the words one types; a row without `at` is a group. The file of a command (`module:name` in
# shutong/commands) is imported when it is invoked, and not before.
TABLE = Path(__file__).with_name("commands.csv")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="shutong")
def main() -> None:
    """数通：跨部门数据共享交换。语言由 SHUTONG_LANG 选择 (zh|en)；部署目录由 SHUTONG_HOME 指定。

    Shutong: cross-department data sharing. SHUTONG_LANG picks the language, SHUTONG_HOME the deployment's folder.
    """


_groups = {"": main}
with TABLE.open(encoding="utf-8", newline="") as _lines:
    for _row in csv.DictReader(_lines):  # in the order of their words, so that a group stands before what is in it
        _before, _, _name = _row["words"].rpartition(" ")
        _says = f"{_row['zh']} | {_row['en']}"
        if _row["at"]:
            _groups[_before].add_command(LateCommand(_name, _row["at"], _says))
        else:
            _groups[_before].add_command(_groups.setdefault(_row["words"], click.Group(_name, help=_says)))
