"""Accept an analyst's SQL when it does nothing but read tables: one SELECT, known functions, tables by full name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import duckdb

from warehouse import sql_errors
from warehouse.errors import WarehouseError
from warehouse.sql_functions import FUNCTIONS, GROWING, MOST_GROWING, TABLE_FUNCTIONS

LONGEST = 20_000  # characters
DEEPEST = 240  # parts of the tree within each other
_UNKNOWN = 1 << 62  # DuckDB's place of what stands nowhere in the text is above

# The parts of a query by the names DuckDB gives them; everything that is not named here is refused.
_QUERIES = frozenset(("SELECT_NODE", "SET_OPERATION_NODE"))
_SOURCES = frozenset(("BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY"))
_MODIFIERS = frozenset(
    ("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER",
     "ORDER_DEFAULT", "ASCENDING", "DESCENDING")
)  # fmt: skip
_EXPRESSIONS = frozenset(
    ("CONSTANT", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CASE", "CAST", "FUNCTION",
     "WINDOW", "SUBQUERY", "STAR", "COLLATE", "LAMBDA")
)  # fmt: skip
_WORDS = {
    "RECURSIVE_CTE_NODE": ("递归查询 (WITH RECURSIVE)", "a recursive query (WITH RECURSIVE)"),
    "SHOW_REF": ("SHOW、DESCRIBE、SUMMARIZE", "SHOW, DESCRIBE or SUMMARIZE"),
    "PIVOT": ("PIVOT", "PIVOT"),
    "PARAMETER": ("参数 (? 与 $1)", "a parameter (? or $1)"),
}


@dataclass(frozen=True, slots=True)
class Named:
    """A table as the text names it, in small letters, and at which byte."""

    name: str
    at: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that may run: `tables` once each; `names` all names in it, in small letters.

    `every`: it may use every column of its tables, whatever `names` are.
    """

    sql: str
    tables: tuple[Named, ...]
    names: frozenset[str]
    every: bool

    def wanted(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Those of a table's columns the query may use; one at least, since rows are counted by it."""
        used = columns if self.every else tuple(one for one in columns if one.lower() in self.names)
        return used or columns[:1]


def read(sql: str, offered: Callable[[], Iterable[str]] = tuple) -> Asked:
    """The query as one that may run; WH-SQL-SYNTAX or WH-SQL-REFUSED says where it is none.

    `offered` are the tables there are for whoever asks, to tell which one a name without its schema may mean.
    """
    if not sql.strip() or len(sql) > LONGEST or "\x00" in sql:
        what = (f"空文本、NUL 或超过 {LONGEST} 个字符的文本", f"an empty text, NUL, or more than {LONGEST} characters")
        raise sql_errors.refused(sql[:LONGEST], what)
    told = _tree(sql)
    if told.get("error"):
        if told.get("error_type") == "parser":
            at = told.get("position")  # in characters, where every other place is in bytes
            place = len(sql[: int(at)].encode()) if at else None
            raise sql_errors.syntax(sql, str(told.get("error_message", "")), place)
        raise sql_errors.refused(sql, ("SELECT 以外的语句", "any statement but SELECT"))
    if len(told["statements"]) != 1:
        raise sql_errors.refused(sql, ("多条语句", "several statements"))
    walk = _Walk(sql, offered)
    try:
        walk.query(told["statements"][0]["node"], frozenset(), 0)
    except RecursionError as error:
        raise _too_deep(sql) from error
    every = walk.every or bool(walk.alone & walk.aliases)
    return Asked(sql, tuple(walk.tables.values()), frozenset(walk.names), every)


def _tree(sql: str) -> dict[str, Any]:
    try:
        with _parser().cursor() as connection:
            row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
        told: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    except RecursionError as error:
        raise _too_deep(sql) from error
    except duckdb.Error as error:
        raise sql_errors.refused(sql, ("DuckDB 无法解析的写法", "what DuckDB cannot take apart")) from error
    return told


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A DuckDB that takes texts apart and runs none of them, the same one for all who ask in this process."""
    return duckdb.connect(":memory:", config={"enable_external_access": "false", "threads": "1"})


def _too_deep(sql: str) -> WarehouseError:
    return sql_errors.refused(sql, ("过深的嵌套", "nesting as deep as that"))


@dataclass(slots=True)
class _Walk:
    """What is found in the tree of a query, while everything in it is held against the lists above."""

    sql: str
    offered: Callable[[], Iterable[str]]
    tables: dict[str, Named] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    alone: set[str] = field(default_factory=set)  # names that stand for a column, or for a whole row
    every: bool = False
    growing: int = 0

    def query(self, node: dict[str, Any], scope: frozenset[str], depth: int) -> None:
        """A query and the queries it names first; `scope` are the names of queries around it."""
        self._kind(node, _QUERIES)
        for entry in node["cte_map"]["map"]:
            below = entry["value"]
            self.query(below["query"]["node"], scope, depth + 1)
            self.names.update(one.lower() for one in below["aliases"])
            scope |= {entry["key"].lower()}
        for name, value in node.items():
            if name != "cte_map":
                self._anything(value, scope, depth + 1)

    def _anything(self, one: Any, scope: frozenset[str], depth: int) -> None:  # noqa: ANN401 - what JSON holds
        if depth > DEEPEST:
            raise _too_deep(self.sql)
        if isinstance(one, list):
            for inner in one:
                self._anything(inner, scope, depth)
        elif isinstance(one, str):
            self.names.add(one.lower())
        elif isinstance(one, dict):
            if "cte_map" in one:
                self.query(one, scope, depth)
            elif "class" in one:
                self._expression(one, scope, depth)
            elif isinstance(one.get("type"), str):
                self._source(one, scope, depth)
            else:
                self._below(one.values(), scope, depth)

    def _below(self, values: Any, scope: frozenset[str], depth: int) -> None:  # noqa: ANN401 - what JSON holds
        for value in values:
            self._anything(value, scope, depth + 1)

    def _source(self, one: dict[str, Any], scope: frozenset[str], depth: int) -> None:
        kind = self._kind(one, _SOURCES | _MODIFIERS)
        if kind in _SOURCES:
            self.aliases.add(str(one["alias"]).lower())
        if kind == "BASE_TABLE":
            self._table(one, scope)
            return
        if kind == "TABLE_FUNCTION":
            name = str(one["function"].get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS or not _plain(one["function"]):
                raise self._no(one, (f"函数 {name}", f"the function {name}"))
            self._below(one["function"]["children"], scope, depth)
            return
        self.every |= one.get("ref_type") == "NATURAL" or one.get("column_name_alias", []) != []
        self._below(one.values(), scope, depth)

    def _table(self, one: dict[str, Any], scope: frozenset[str]) -> None:
        space, table = str(one["schema_name"]).lower(), str(one["table_name"]).lower()
        name = ".".join(part for part in (str(one["catalog_name"]), space, table) if part)
        if one.get("at_clause"):
            raise self._no(one, ("AT（时间旅行）", "AT (time travel)"))
        self.aliases.add(table)
        self.every |= bool(one["column_name_alias"])
        if not one["catalog_name"] and not space and table in scope:
            return
        if one["catalog_name"] or not space:
            near = [each for each in self.offered() if each.rpartition(".")[2].lower() == table]
            raise sql_errors.no_table(self.sql, name, _at(one), near)
        self.tables.setdefault(name, Named(name, _at(one)))

    def _expression(self, one: dict[str, Any], scope: frozenset[str], depth: int) -> None:
        kind = self._class(one)
        if kind == "CONSTANT":
            return
        if kind in {"FUNCTION", "WINDOW"}:
            self._function(one)
        elif kind == "STAR":
            self.every = True
        elif kind == "COLUMN_REF":
            self.alone.add(one["column_names"][-1].lower())
        elif kind == "LAMBDA":
            # Its parameters hide columns; what it does is looked at like everything else.
            self.names.update(("lambda",))
        self._below((value for name, value in one.items() if name != "cast_type"), scope, depth)

    def _function(self, one: dict[str, Any]) -> None:
        name = str(one["function_name"]).lower()
        if name not in FUNCTIONS or not _plain(one):
            raise self._no(one, (f"函数 {name}", f"the function {name}"))
        self.growing += name in GROWING
        if self.growing > MOST_GROWING:
            raise self._no(
                one,
                (f"超过 {MOST_GROWING} 次的拼接与替换", f"more than {MOST_GROWING} joinings and replacements of texts"),
            )

    def _class(self, one: dict[str, Any]) -> str:
        if one["class"] not in _EXPRESSIONS:
            raise self._no(one, _WORDS.get(one["class"], (one["class"], one["class"])))
        return str(one["class"])

    def _kind(self, one: dict[str, Any], allowed: frozenset[str]) -> str:
        if one["type"] not in allowed:
            raise self._no(one, _WORDS.get(one["type"], (one["type"], one["type"])))
        return str(one["type"])

    def _no(self, one: dict[str, Any], what: tuple[str, str]) -> WarehouseError:
        return sql_errors.refused(self.sql, what, _at(one))


def _plain(function: dict[str, Any]) -> bool:
    """Whether a function is DuckDB's own, whichever way it is named."""
    return not function.get("catalog") and function.get("schema", "") in {"", "main", "pg_catalog"}


def _at(one: dict[str, Any]) -> int | None:
    at = one.get("query_location")
    return at if isinstance(at, int) and at < _UNKNOWN else None


def functions() -> Iterator[str]:
    """The functions a query may call, by name."""
    yield from sorted(one for one in FUNCTIONS | TABLE_FUNCTIONS if one[0].isalpha())
