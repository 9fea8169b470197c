"""What an analyst's SQL sees instead of a table: rows and columns that may be seen, some of them through a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, In, Or, Reference, StartsWith
from pyiceberg.expressions.literals import literal as iceberg_literal
from pyiceberg.types import StringType

from warehouse import columns, scan
from warehouse.json_text import text_of
from warehouse.sql import literal, quote
from warehouse.sql_stream import Mask, Reading
from warehouse.tables import Tables


@dataclass(frozen=True, slots=True)
class Shown:
    """A column that is seen, through `mask` where there is one, which must be a function of a module."""

    name: str
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """Only rows whose column is one of `values`, or begins with one of `prefixes`; a null is neither."""

    column: str
    values: tuple[str, ...]
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A table as it is seen under a name of the form `space.table`, in small letters."""

    name: str
    table: str
    shown: tuple[Shown, ...]
    keep: tuple[Keep, ...] = ()


def reading(tables: Tables, view: View, snapshot: int | None, wanted: Sequence[str]) -> Reading:
    """What the query reads of the view: the `wanted` columns of one snapshot; a column the table lacks is null."""
    planned = tables.plan(view.table, snapshot, _only(tables, view) if view.keep else "")
    kinds = {one.name: columns.duckdb_type(one.field_type) for one in planned.schema.fields}
    chosen = [one for one in view.shown if one.name in wanted]
    needed = [name for name in kinds if name in {*wanted, *(one.column for one in view.keep)}] or list(kinds)[:1]
    listed = ", ".join(f"{_expression(one, kinds)} AS {quote(one.name)}" for one in chosen)
    where = " AND ".join(_condition(one, kinds) for one in view.keep) or "true"
    relation = scan.relation(planned, needed)
    return Reading(view.name, f"SELECT {listed} FROM {relation} WHERE {where}", tuple(one.mask for one in chosen))


def _only(tables: Tables, view: View) -> BooleanExpression:
    """What is known beforehand of the rows that may be seen: files that hold none of them need not be opened."""
    met: BooleanExpression = AlwaysTrue()
    texts = {one.name for one in tables.loaded(view.table).schema().fields if isinstance(one.field_type, StringType)}
    for one in view.keep:
        if one.column not in texts or "" in one.prefixes:
            continue
        tests: list[BooleanExpression] = [
            StartsWith(term=Reference(one.column), value=iceberg_literal(prefix)) for prefix in one.prefixes
        ]
        if one.values:
            tests.append(In(term=Reference(one.column), values={iceberg_literal(value) for value in one.values}))
        if tests:
            met = And(met, Or(*tests) if len(tests) > 1 else tests[0])
    return met


def _expression(one: Shown, kinds: dict[str, str]) -> str:
    if one.name not in kinds:
        return "CAST(NULL AS VARCHAR)"
    return quote(one.name) if one.mask is None else text_of(one.name, kinds[one.name])


def _condition(one: Keep, kinds: dict[str, str]) -> str:
    if one.column not in kinds:
        return "false"
    kind = kinds[one.column]
    if kind == "VARCHAR":
        text = quote(one.column)
    elif kind == "BOOLEAN":  # as a record of the API says it
        text = f"CASE WHEN {quote(one.column)} THEN 'True' ELSE 'False' END"
    else:
        text = f"({text_of(one.column, kind)})"
    tests = [f"starts_with({text}, {literal(prefix)})" for prefix in one.prefixes]
    if one.values:
        tests.append(f"{text} IN ({', '.join(map(literal, one.values))})")
    return f"({quote(one.column)} IS NOT NULL AND ({' OR '.join(tests) or 'false'}))"
