"""Quote what goes into SQL as a name or a literal; everything else is bound."""

from __future__ import annotations


def quote(name: str) -> str:
    """The identifier in double quotes, double quotes inside doubled."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a SQL string literal, for the few places DuckDB cannot bind (views, COPY)."""
    return "'" + text.replace("'", "''") + "'"
