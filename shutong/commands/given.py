"""Take source options from a command line, each value as a resource file would hold it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from schemas.lines import value
from schemas.values import Json


def given(settings: Sequence[str]) -> dict[str, Json]:
    """`--set KEY=VALUE` as options: `1000` is a number, `true` a truth value, `[a, b]` a list, `"1000"` a text."""
    options: dict[str, Json] = {}
    for text in settings:
        key, sign, written = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text}: KEY=VALUE")
        options[key] = value(written, Path(f"--set {key}"))
    return options
