"""Let LIKE take time in proportion to its text: DuckDB's own way may try every place for every %, without end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import duckdb

from quality.condition import expression

# What DuckDB calls LIKE: whether it is denied, and whether case counts.
_LIKES = {
    "~~": (False, True),
    "!~~": (True, True),
    "~~*": (False, False),
    "!~~*": (True, False),
    "like_escape": (False, True),
    "not_like_escape": (True, True),
    "ilike_escape": (False, False),
    "not_ilike_escape": (True, False),
}
_TEXT, _PATTERN = '"¹"', '"²"'  # what takes their places
_OF_ANY = rf"replace(replace(regexp_escape({_PATTERN}), '\%', '.*'), '_', '.')"


def slow(pattern: str) -> bool:
    """Whether DuckDB may take longer than the text is long; without `_` it looks for one piece after the other."""
    return "_" in pattern and pattern.rstrip("%").count("%") > 1


def regex(pattern: str, escape: str | None = None) -> str:
    """The regular expression (RE2, of the whole text) that says what a pattern of LIKE says."""
    found, signs = [], iter(pattern)
    for sign in signs:
        if sign == escape:
            found.append(re.escape(next(signs, "")))
        else:
            found.append({"%": ".*", "_": "."}.get(sign) or re.escape(sign))
    return f"(?s){''.join(found)}"


def rewritten(connection: duckdb.DuckDBPyConnection, one: dict[str, Any]) -> bool:
    """Turn a node of DuckDB's tree that is a LIKE of the slow kind into its regular expression, in place."""
    name = str(one.get("function_name", "")).lower()
    if name not in _LIKES:
        return False
    denied, exact = _LIKES[name]
    text, pattern, *escape = one["children"]
    known = _constant(pattern)
    if exact and not escape and known is not None and not slow(known):
        return False
    if escape:
        written = regex(str(known) if exact else str(known).lower(), _constant(escape[0]))
        by = "'" + written.replace("'", "''") + "'"
    else:
        by = _OF_ANY if exact else _OF_ANY.replace(_PATTERN, f"lower({_PATTERN})")
    left = _TEXT if exact else f"lower({_TEXT})"
    made = expression(connection, f"{'NOT ' if denied else ''}regexp_full_match({left}, {by}, 's')")
    _put(made, {_TEXT: text, _PATTERN: pattern})
    one.clear()
    one.update(made)
    return True


def _constant(node: dict[str, Any]) -> str | None:
    value = node.get("value") if node.get("class") == "CONSTANT" else None
    written = value.get("value") if isinstance(value, dict) else None
    return written if isinstance(written, str) else None


def _put(tree: Any, given: Mapping[str, dict[str, Any]]) -> None:  # noqa: ANN401 - what JSON holds
    """Put what is given in the places that are named."""
    for one in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        _put(one, given)
    if isinstance(tree, list):
        tree[:] = [given.get(_name(one), one) for one in tree]


def _name(node: Any) -> str:  # noqa: ANN401 - what JSON holds
    names = node.get("column_names") if isinstance(node, dict) else None
    return f'"{names[0]}"' if names else ""
