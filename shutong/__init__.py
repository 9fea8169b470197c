"""The shell: settings, wiring, command line, supervisor, demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shutong.asking import query

__all__ = ["query"]


def __getattr__(name: str) -> object:
    """`shutong.query`, imported when it is asked for: no command needs what it needs."""
    if name != "query":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from shutong.asking import query

    return query
