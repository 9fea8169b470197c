"""What every command shares: settings, voice, and turning our errors into an exit code a script can read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

import click

from schemas.errors import ShutongError
from shutong.printing import Voice
from shutong.settings import Settings, language, read

P = ParamSpec("P")
FAILED, HELD = 1, 3  # exit codes: an error that was explained; a batch that waits for a decision


@dataclass(frozen=True, slots=True)
class Session:
    """The settings, and how to speak."""

    settings: Settings
    voice: Voice


def command(act: Callable[Concatenate[Session, P], int | None]) -> Callable[P, None]:
    """Give a command its Session and --json; an error is told in both its parts and exits with 1."""

    @click.option("--json", "as_json", is_flag=True, help="输出 JSON | print JSON")
    @wraps(act)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        voice = Voice(language(), as_json=bool(kwargs.pop("as_json")))
        try:
            code = act(Session(read(), voice), *args, **kwargs)
        except ShutongError as error:
            voice.error(error)
            code = FAILED
        sys.exit(code or 0)

    return run
