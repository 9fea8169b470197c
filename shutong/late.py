"""A command that `--help` names from a table; its file is imported when it is invoked, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from shutong.session import stoppable


class LateCommand(click.Command):
    """The command `at` (`module:name`) of shutong.commands; until it is invoked no more of it is known than `says`."""

    def __init__(self, name: str, at: str, says: str) -> None:
        super().__init__(name, help=says)
        self._at = at

    def real(self) -> click.Command:
        """The command itself, imported."""
        module, _, name = self._at.partition(":")
        found: click.Command = getattr(import_module(f"shutong.commands.{module}"), name)
        return found

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own signature
    ) -> click.Context:
        """The context of the command itself: click parses and invokes that one."""
        with stoppable(as_json="--json" in args):
            real = self.real()
        return real.make_context(info_name, args, parent, **extra)
