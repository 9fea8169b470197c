"""Say the portable queries in the words of Spark SQL, which Sail understands too."""

from __future__ import annotations

from collections.abc import Mapping

import sqlglot
from sqlglot import exp


def spark(query: str, tables: Mapping[str, str]) -> str:
    """The query as Spark SQL; `tables` say where each input lies (``parquet.`/folder` ``, ``iceberg.`…` ``, a view)."""
    tree = sqlglot.parse_one(query, read="duckdb")
    for table in list(tree.find_all(exp.Table)):
        if table.name in tables and not table.db:
            table.replace(_named(tables[table.name], table.alias))
    for node in reversed(list(tree.walk())):  # what lies inside comes first
        if (said := _as_spark(node)) is not node:
            node.replace(said)
    return tree.sql(dialect="spark")


def _as_spark(node: exp.Expr) -> exp.Expr:
    """What SQLGlot leaves as it is, or takes for the same where it is not."""
    if isinstance(node, exp.Anonymous) and node.name.lower() == "strlen":
        return exp.Anonymous(this="octet_length", expressions=[one.copy() for one in node.expressions])
    if isinstance(node, exp.Bracket) and isinstance(node.expressions[0], exp.Slice):
        length = node.expressions[0].expression
        return exp.Substring(this=node.this.copy(), start=exp.Literal.number(1), length=length.copy())
    if isinstance(node, exp.ArrayDistinct) and not isinstance(node.parent, exp.Anonymous):  # DuckDB's leaves nulls out
        return exp.Anonymous(this="array_compact", expressions=[node.copy()])
    return node


def _named(place: str, alias: str) -> exp.Expr:
    found = sqlglot.parse_one(f"SELECT * FROM {place}", read="spark").find(exp.Table)
    assert found is not None  # noqa: S101 (what was just written there)
    return exp.alias_(found, alias, table=True) if alias else found
