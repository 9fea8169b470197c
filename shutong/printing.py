"""How the command line speaks: one language at a time, tables that fit a terminal, JSON when asked."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import click

from schemas.errors import ShutongError

JsonLike = object
# What would move the cursor or change colours: data must not write over what the terminal shows.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Voice:
    """Where to speak, in which language, and whether as JSON."""

    lang: str = "zh"
    as_json: bool = False

    def say(self, zh: str, en: str) -> str:
        """The text in the language spoken."""
        return en if self.lang == "en" else zh

    def line(self, zh: str, en: str) -> None:
        """Print one line for a person; nothing when JSON was asked for."""
        if not self.as_json:
            click.echo(self.say(zh, en))

    def progress(self, zh: str, en: str) -> None:
        """Say on standard error what is being done, so that standard output stays clean."""
        if not self.as_json or sys.stderr.isatty():
            click.echo(f"· {self.say(zh, en)}", err=True)

    def answer(self, value: JsonLike) -> None:
        """Print JSON, one object."""
        click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))

    def table(
        self,
        title: tuple[str, str],
        columns: Sequence[tuple[str, str]],
        rows: Sequence[Sequence[object]],
        empty: tuple[str, str] = ("（无）", "(none)"),
    ) -> None:
        """Print a table: framed on a terminal, aligned plain lines otherwise. Columns are (zh, en) headings.

        `empty` (zh, en) stands in place of the heads when there are no rows: what that means, or what to do next.
        """
        if not rows:
            click.echo(f"\n{self.say(*title)}\n  {self.say(*empty)}")
            return
        heads = [self.say(*column) for column in columns]
        cells = [["" if cell is None else _CONTROLS.sub("\ufffd", str(cell)) for cell in row] for row in rows]
        click.echo(f"\n{self.say(*title)}")
        if sys.stdout.isatty():
            _framed(heads, cells)
        else:
            _plain(heads, cells, sys.stdout)

    def error(self, error: ShutongError) -> None:
        """Print an error: JSON on standard output when asked for, else code, what happened and what to do next."""
        if self.as_json:
            self.answer({"error": error.as_dict()})
            return
        click.echo(f"✗ [{error.code}] {self.say(error.zh, error.en)}", err=True)
        click.echo(f"  → {self.say(error.fix_zh, error.fix_en)}", err=True)
        if error.retryable:
            click.echo(f"  {self.say('稍后重试可能成功', 'Trying again later may help')}", err=True)


def width(text: str) -> int:
    """How many terminal columns a text takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _framed(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def _plain(heads: Sequence[str], cells: Sequence[Sequence[str]], out: TextIO) -> None:
    widths = [max(width(line[i]) for line in (heads, *cells)) for i in range(len(heads))]
    for line in (heads, *cells):
        padded = (cell + " " * (size - width(cell)) for cell, size in zip(line, widths, strict=True))
        print("  " + "  ".join(padded).rstrip(), file=out)


def counts(values: Mapping[str, int]) -> str:
    """Rule counts on one line: `uscc_check 47, uscc_repaired 41`."""
    return ", ".join(f"{name} {rows:,}" for name, rows in values.items()) or "-"
