"""Run a rule's condition as it is meant: DuckDB takes 1/0 for infinity and 1//0 for null, and some LIKEs never end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import duckdb

from quality import likes
from quality.condition import DIVIDING, accept, expression

_GUARD = "CASE WHEN true = 0 THEN error('division by zero') ELSE true END"  # the divisor takes the place of `true`


@lru_cache(maxsize=4096)
def guarded(sql: str) -> str:
    """An accepted condition as it is run: to divide by zero is an error, to divide by nullif(…, 0) is not.

    A LIKE that may not end is a regular expression, which does. A CASE keeps a division away from the rows that it does
    not take; AND and OR do not. Errors as quality.condition.
    """
    text = accept(sql)
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        tree = expression(connection, text)
        nodes = list(_nodes(tree))
        divisions = [one for one in nodes if _may_divide_by_zero(one)]
        rewritten = [likes.rewritten(connection, one) for one in nodes]
        if not (divisions or any(rewritten)):
            return text
        for one in divisions:
            guard, divisor = expression(connection, _GUARD), one["children"][1]
            guard["case_checks"][0]["when_expr"]["left"] = divisor
            guard["else_expr"] = divisor
            one["children"][1] = guard
        row = connection.execute("SELECT json_serialize_sql('SELECT true FROM t')").fetchone()
        whole = json.loads(row[0]) if row else {}
        whole["statements"][0]["node"]["select_list"] = [tree]
        row = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(whole)]).fetchone()
    return str(row[0] if row else "").removeprefix("SELECT ").removesuffix(" FROM t")


def _may_divide_by_zero(one: dict[str, Any]) -> bool:
    if str(one.get("function_name", "")).lower() not in DIVIDING:
        return False
    by = one["children"][-1]
    return not (by["class"] == "CONSTANT" and by["value"].get("value"))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - what JSON holds
    """Every part of an expression, the inner ones first."""
    for one in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(one)
    if isinstance(tree, dict) and "class" in tree:
        yield tree
