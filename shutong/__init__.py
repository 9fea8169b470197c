"""The shell: settings, wiring, command line, supervisor, demo."""

from shutong.asking import query

__all__ = ["query"]
