"""Say a condition that is written in SQL as the SQLAlchemy expression that means the same, so that kernels judge it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

Tree = Mapping[str, Any]  # a node of DuckDB's tree of an expression
Clause = Any  # SQLAlchemy's

_COMPARED: Mapping[str, Callable[[Clause, Clause], Clause]] = {
    "COMPARE_EQUAL": operator.eq,
    "COMPARE_NOTEQUAL": operator.ne,
    "COMPARE_LESSTHAN": operator.lt,
    "COMPARE_LESSTHANOREQUALTO": operator.le,
    "COMPARE_GREATERTHAN": operator.gt,
    "COMPARE_GREATERTHANOREQUALTO": operator.ge,
}
_JOINED: Mapping[str, Callable[..., Clause]] = {"CONJUNCTION_AND": sa.and_, "CONJUNCTION_OR": sa.or_}
_CALLED = {
    "length": "length",
    "len": "length",
    "substr": "substr",
    "substring": "substr",
    "starts_with": "starts_with",
    "prefix": "starts_with",
}
_WRITTEN = frozenset(("VARCHAR", "INTEGER", "BIGINT"))


class UnspokenError(Exception):
    """There are no words for it: SQL answers."""


def spoken(tree: Tree) -> Clause:
    """The expression of a tree; UnspokenError for what kernels have no answer to anyway."""
    say = _KINDS.get(tree["class"])
    if say is None:
        raise UnspokenError
    return say(tree)


def _compared(tree: Tree) -> Clause:
    if tree["type"] not in _COMPARED:
        raise UnspokenError
    return _COMPARED[tree["type"]](_operand(tree["left"]), _operand(tree["right"]))


def _between(tree: Tree) -> Clause:
    value = _operand(tree["input"])
    return sa.and_(value >= _operand(tree["lower"]), value <= _operand(tree["upper"]))


def _operator(tree: Tree) -> Clause:
    name, (first, *rest) = tree["type"], tree["children"]
    if name == "OPERATOR_NOT":
        return sa.not_(spoken(first))
    if name in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL") and first["class"] == "COLUMN_REF":
        column = spoken(first)
        return column.is_(None) if name == "OPERATOR_IS_NULL" else column.is_not(None)
    if name in ("COMPARE_IN", "COMPARE_NOT_IN"):
        values = [_constant(one).value for one in rest]
        found = _operand(first).in_(values)
        return found if name == "COMPARE_IN" else sa.not_(found)
    if name == "OPERATOR_COALESCE" and len(rest) == 1 and rest[0]["class"] == "CAST":
        return sa.func.coalesce(spoken(first), spoken(rest[0]))
    raise UnspokenError


def _call(tree: Tree) -> Clause:
    name = _CALLED.get(str(tree["function_name"]).lower())
    if name is None or tree["filter"] or tree["distinct"] or tree["schema"] not in ("", "main"):
        raise UnspokenError
    return getattr(sa.func, name)(*map(_operand, tree["children"]))


def _operand(tree: Tree) -> Clause:
    """What is compared: no written truth value, which SQLAlchemy would compare in words of its own."""
    if tree["class"] == "CAST":
        raise UnspokenError
    return spoken(tree)


def _constant(tree: Tree) -> Clause:
    if tree["class"] != "CONSTANT" or tree["value"]["is_null"] or tree["value"]["type"]["id"] not in _WRITTEN:
        raise UnspokenError
    return sa.literal(tree["value"]["value"])


def _truth(tree: Tree) -> Clause:
    """`true` or `false`: in DuckDB's tree a text that is cast."""
    written = tree["child"]["value"].get("value") if tree["child"]["class"] == "CONSTANT" else None
    if tree["cast_type"]["id"] != "BOOLEAN" or written not in ("t", "f"):
        raise UnspokenError
    return sa.true() if written == "t" else sa.false()


_KINDS: Mapping[str, Callable[[Tree], Clause]] = {
    "COLUMN_REF": lambda tree: sa.column(tree["column_names"][0]),
    "CONSTANT": _constant,
    "CAST": _truth,
    "COMPARISON": _compared,
    "CONJUNCTION": lambda tree: _JOINED[tree["type"]](*map(spoken, tree["children"])),
    "BETWEEN": _between,
    "OPERATOR": _operator,
    "FUNCTION": _call,
}
