"""Accept a rule's SQL only when it is one scalar expression over the row: no files, no network, no subqueries."""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import Any

import duckdb

from quality.errors import QualityError

# Functions a condition may call; everything not named here is refused. No aggregates, no generators (a text of a
# billion characters), nothing that reads the environment, files, settings or the clock. `today()` and `current_date`
# are the day of the check.
FUNCTIONS = frozenset(
    """
    + - * / // % ^ ** || ~~ !~~ ~~* !~~* like_escape not_like_escape ilike_escape not_ilike_escape
    abs sign round floor ceil ceiling trunc mod greatest least nullif ifnull isnan isfinite
    length len strlen char_length character_length substr substring left right lower upper trim ltrim rtrim replace
    translate reverse strpos instr position contains starts_with prefix ends_with suffix concat ascii unicode
    regexp_matches regexp_full_match regexp_extract regexp_replace
    today current_date year month day quarter dayofweek date_part datepart date_diff datediff date_trunc
    make_date last_day try_strptime to_years to_months to_weeks to_days to_hours to_minutes to_seconds
    """.split()  # noqa: SIM905 - reads better than a list of quotes
)

_CLASSES = frozenset(("CONSTANT", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CASE", "CAST"))
_TYPES = frozenset(
    """
    BOOLEAN TINYINT SMALLINT INTEGER BIGINT HUGEINT FLOAT DOUBLE DECIMAL VARCHAR
    DATE TIME TIMESTAMP INTERVAL
    """.split()  # noqa: SIM905 - dto.
) | {"TIMESTAMP WITH TIME ZONE"}
_SCHEMAS = frozenset(("", "main", "pg_catalog"))
_LONGEST = 4_000  # characters
# Names that are functions where there is no such column: who asks, and the clock.
_SESSION = frozenset(
    """
    current_catalog current_role current_schema current_user session_user
    current_time current_timestamp localtime localtimestamp
    """.split()  # noqa: SIM905 - dto.
)
# Texts may be put together, but not grow without bound: a value of a megabyte, doubled thirty times, is no text.
_JOINING, _JOINS = frozenset(("||", "concat")), 16
_DEEPEST = 4  # divisions in the divisors of divisions: each is asked twice whether it is zero
DIVIDING = frozenset(("/", "//", "%", "mod"))
_ESCAPED = frozenset(("like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape"))
_REPLACING, _REPLACEMENTS, _REPLACEMENT = frozenset(("replace", "regexp_replace")), 8, 4


@lru_cache(maxsize=4096)
def accept(sql: str) -> str:
    """The condition, trimmed, when it may run; QualityError (QUA-RULE-CONDITION) says what is not allowed in it."""
    text = sql.strip()
    if not text or len(text) > _LONGEST:
        raise _refused(f"长度应为 1 至 {_LONGEST} 个字符", f"it must have 1 to {_LONGEST} characters")
    # Alone and in brackets: `a) OR (b` reads well in brackets only, and would change its meaning under NOT.
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        for wrapped in (text, f"({text}\n)"):
            _walk(expression(connection, wrapped))
    return text


def expression(connection: duckdb.DuckDBPyConnection, text: str) -> dict[str, Any]:
    """DuckDB's tree of one scalar expression; QualityError (QUA-RULE-CONDITION) when the text is anything else."""
    try:
        row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {text} FROM t"]).fetchone()
    except duckdb.Error as error:
        raise _refused("不是一个 SQL 表达式", "it is not a SQL expression") from error
    try:
        tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    except RecursionError as error:
        raise _refused("嵌套过深", "it is nested too deeply") from error
    if tree.get("error") or len(tree["statements"]) != 1:
        raise _refused("不是一个 SQL 表达式", "it is not one SQL expression")
    node = tree["statements"][0]["node"]
    source = node.get("from_table") or {}
    extras = ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers")
    plain = (
        node.get("type") == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and not node["select_list"][0].get("alias")
        and not node.get("cte_map", {}).get("map")
        and not any(node.get(key) for key in extras)
        and (source.get("type"), source.get("table_name"), source.get("alias")) == ("BASE_TABLE", "t", "")
        and not source.get("sample")
    )
    if not plain:
        raise _refused("只能写一个表达式", "it must be a single expression")
    found: dict[str, Any] = node["select_list"][0]
    return found


def _walk(tree: dict[str, Any]) -> None:
    calls: Counter[str] = Counter()
    waiting: list[Any] = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            if "class" in one:
                _permit(one)
                calls[str(one.get("function_name", "")).lower()] += 1
            waiting.extend(one.values())
    if sum(calls[one] for one in _JOINING) > _JOINS or sum(calls[one] for one in _REPLACING) > _REPLACEMENTS:
        raise _refused(
            f"最多拼接 {_JOINS} 次、替换 {_REPLACEMENTS} 次",
            f"at most {_JOINS} texts are joined and {_REPLACEMENTS} replacements made",
        )
    try:
        depth = _depth(tree)
    except RecursionError as error:
        raise _refused("嵌套过深", "it is nested too deeply") from error
    if depth > _DEEPEST:
        raise _refused(f"除数中的除法最多嵌套 {_DEEPEST} 层", f"divisors hold divisions at most {_DEEPEST} deep")


def _depth(tree: Any) -> int:  # noqa: ANN401 - what JSON holds
    """How many divisions stand in the divisors of each other."""
    if isinstance(tree, list):
        return max(map(_depth, tree), default=0)
    if not isinstance(tree, dict):
        return 0
    inner = max(map(_depth, tree.values()), default=0)
    if str(tree.get("function_name", "")).lower() not in DIVIDING:
        return inner
    return max(inner, 1 + _depth(tree["children"][-1:]))


def _permit(one: dict[str, Any]) -> None:
    kind = one["class"]
    if kind == "FUNCTION":
        name = str(one["function_name"]).lower()
        if name not in FUNCTIONS or one.get("schema") not in _SCHEMAS or one.get("catalog"):
            raise _refused(f"不能使用函数 {name}", f"the function {name} is not allowed")
        if name in _REPLACING and not _short(one["children"][2:3]):
            raise _refused(
                f"{name} 只能替换为不超过 {_REPLACEMENT} 个字符的文字",
                f"{name} replaces with a text of at most {_REPLACEMENT} characters",
            )
        _permit_escape(name, one["children"])
    elif kind == "COLUMN_REF":
        if len(one["column_names"]) != 1:
            raise _refused("列名不能带表名", "a column is named alone, without a table")
        if one["column_names"][0].lower() in _SESSION:
            raise _refused(f"不能使用 {one['column_names'][0]}", f"{one['column_names'][0]} is not allowed")
    elif kind == "CAST":
        target = one["cast_type"]["id"]
        if target not in _TYPES:
            raise _refused(f"不能转换为 {target}", f"a cast to {target} is not allowed")
    elif kind not in _CLASSES:
        raise _refused(f"不能使用 {kind}", f"{kind} is not allowed")


def _permit_escape(name: str, children: list[dict[str, Any]]) -> None:
    if name in _ESCAPED and not all(map(_written, children[1:])):
        raise _refused("LIKE … ESCAPE 的两个文字都要直接写出", "LIKE … ESCAPE has both of its texts written out")


def _written(one: dict[str, Any]) -> bool:
    return one["class"] == "CONSTANT" and isinstance(one["value"].get("value"), str)


def _short(given: list[dict[str, Any]]) -> bool:
    """Whether the argument is a text of few characters written out."""
    value = given[0].get("value") if given and given[0].get("class") == "CONSTANT" else None
    return isinstance(value, dict) and len(str(value.get("value", ""))) <= _REPLACEMENT


def _refused(zh: str, en: str) -> QualityError:
    return QualityError(
        "QUA-RULE-CONDITION",
        zh=f"规则的条件不能执行：{zh}",
        en=f"The rule's condition cannot be run: {en}",
        fix_zh='请写一个关于本行各列的布尔表达式，例如 "appr_date" >= "est_date"',
        fix_en='Write one boolean expression over the columns of the row, such as "appr_date" >= "est_date"',
    )
