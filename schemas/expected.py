"""The expectations of Great Expectations a data manager may name in a rule, and the parameters each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from schemas.lines import Node
from schemas.syntax import nearest
from schemas.values import Json

Takes = Literal["column", "pair", "list"]


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation: how many columns it takes, its parameters by kind of value, and those it cannot do without."""

    takes: Takes
    params: Mapping[str, str]
    needed: tuple[str, ...] = ()


_BETWEEN = {"min_value": "bound", "max_value": "bound", "strict_min": "flag", "strict_max": "flag"}
_LIKE = {"like_pattern": "text", "escape": "text"}
_LIKES = {"like_pattern_list": "texts", "escape": "text"}
_MATCH_ON = {"match_on": "any_all"}
_PAIR, _LIST = {"ignore_row_if": "pair"}, {"ignore_row_if": "list"}
# Great Expectations 1.24. Those about keys that rows share are the kinds unique, count and share; those about a whole
# column, its type or its distribution name no rows, and a schema for JSON may hold a pattern without end: none of these
# is among them. The last six take more time than the others: those before outliers go through Python, value by value.
EXPECTATIONS: Final[Mapping[str, Expected]] = {
    "expect_column_values_to_be_between": Expected("column", _BETWEEN),
    "expect_column_values_to_be_in_set": Expected("column", {"value_set": "values"}, ("value_set",)),
    "expect_column_values_to_not_be_in_set": Expected("column", {"value_set": "values"}, ("value_set",)),
    "expect_column_values_to_be_null": Expected("column", {}),
    "expect_column_values_to_not_be_null": Expected("column", {}),
    "expect_column_value_lengths_to_be_between": Expected("column", _BETWEEN),
    "expect_column_value_lengths_to_equal": Expected("column", {"value": "number"}, ("value",)),
    "expect_column_values_to_match_regex": Expected("column", {"regex": "regex"}, ("regex",)),
    "expect_column_values_to_not_match_regex": Expected("column", {"regex": "regex"}, ("regex",)),
    "expect_column_values_to_match_regex_list": Expected(
        "column", {"regex_list": "regexes", **_MATCH_ON}, ("regex_list",)
    ),
    "expect_column_values_to_not_match_regex_list": Expected("column", {"regex_list": "regexes"}, ("regex_list",)),
    "expect_column_values_to_match_like_pattern": Expected("column", _LIKE, ("like_pattern",)),
    "expect_column_values_to_not_match_like_pattern": Expected("column", _LIKE, ("like_pattern",)),
    "expect_column_values_to_match_like_pattern_list": Expected(
        "column", {**_LIKES, **_MATCH_ON}, ("like_pattern_list",)
    ),
    "expect_column_values_to_not_match_like_pattern_list": Expected("column", _LIKES, ("like_pattern_list",)),
    "expect_column_pair_values_a_to_be_greater_than_b": Expected("pair", {"or_equal": "flag", **_PAIR}),
    "expect_column_pair_values_to_be_equal": Expected("pair", _PAIR),
    "expect_column_pair_values_to_be_in_set": Expected(
        "pair", {"value_pairs_set": "pairs", **_PAIR}, ("value_pairs_set",)
    ),
    "expect_multicolumn_sum_to_equal": Expected("list", {"sum_total": "number", **_LIST}, ("sum_total",)),
    "expect_multicolumn_values_to_be_equal": Expected("list", _LIST),
    "expect_select_column_values_to_be_unique_within_record": Expected("list", _LIST),
    "expect_column_values_to_be_dateutil_parseable": Expected("column", {}),
    "expect_column_values_to_match_strftime_format": Expected(
        "column", {"strftime_format": "text"}, ("strftime_format",)
    ),
    "expect_column_values_to_be_json_parseable": Expected("column", {}),
    "expect_column_values_to_be_increasing": Expected("column", {"strictly": "flag"}),
    "expect_column_values_to_be_decreasing": Expected("column", {"strictly": "flag"}),
    "expect_column_values_to_not_be_outliers": Expected("column", {"method": "outliers", "multiplier": "number"}),
}
_OTHERWISE = {
    "expect_column_values_to_be_unique": "unique",
    "expect_compound_columns_to_be_unique": "unique",
    "expect_multicolumn_values_to_be_unique": "expect_select_column_values_to_be_unique_within_record",
}
_IGNORES = {
    "pair": ("both_values_are_missing", "either_value_is_missing", "neither"),
    "list": ("all_values_are_missing", "any_value_is_missing", "never"),
}
_COUNTS = {"column": (1, 1), "pair": (2, 2), "list": (2, 60)}


def expectation_params(
    below: Node, columns: tuple[str, ...], regex: Callable[[Node, str, str], str]
) -> Mapping[str, Json]:
    """The parameters of a rule of kind `expectation`: its `name` and what that expectation takes, as JSON values.

    `regex` accepts a regular expression or refuses it. StandardError with file and line for an unknown expectation, a
    parameter it does not take or cannot do without, and another number of columns than it takes.
    """
    name = below.text("name")
    if name not in EXPECTATIONS:
        _refuse(below, name)
    wanted = EXPECTATIONS[name]
    least, most = _COUNTS[wanted.takes]
    if not least <= len(columns) <= most:
        below.fail(
            "name",
            f"{name} 需要 {least} 列" + ("" if least == most else "以上"),
            f"{name} takes {least} columns" + ("" if least == most else " or more"),
            "请在 columns 中写出这些列",
            "Name them under columns",
        )
    below.only("name", *wanted.params)
    for one in wanted.needed:
        if not below.has(one):
            below.text(one)
    read: dict[str, Json] = {"name": name}
    for key, kind in wanted.params.items():
        if below.has(key):
            read[key] = _value(below, key, kind, regex)
    return read


def _value(below: Node, key: str, kind: str, regex: Callable[[Node, str, str], str]) -> Json:
    readers: Mapping[str, Callable[[], Json]] = {
        "flag": lambda: below.flag(key),
        "number": lambda: below.number(key),
        "text": lambda: below.text(key),
        "texts": lambda: list(below.texts(key)),
        "regex": lambda: regex(below, key, below.text(key)),
        "regexes": lambda: [regex(below, key, one) for one in below.texts(key)],
        "any_all": lambda: below.one_of(key, ("any", "all")),
        "outliers": lambda: below.one_of(key, ("iqr", "std")),
        "pair": lambda: below.one_of(key, _IGNORES["pair"]),
        "list": lambda: below.one_of(key, _IGNORES["list"]),
    }
    return readers[kind]() if kind in readers else _plain(below, key, bound=kind == "bound")


def _plain(below: Node, key: str, *, bound: bool) -> Json:
    """A bound as a number or text, or a list of values (or of pairs) that is not empty."""
    written = below.plain(key)
    if bound is isinstance(written, list) or isinstance(written, dict) or written in (None, []):
        below.fail(
            key,
            f"“{key}”的写法不对",
            f"'{key}' is not written like that",
            f"请写成，例如 {key}: " + ("0 或 2020-01-01" if bound else "[甲, 乙]"),
            f"Write, for example, {key}: " + ("0 or 2020-01-01" if bound else "[a, b]"),
        )
    return written


def _refuse(below: Node, name: str) -> NoReturn:
    near = _OTHERWISE.get(name) or nearest(name, EXPECTATIONS)
    below.fail(
        "name",
        f"不能使用的期望“{name}”",
        f"the expectation '{name}' cannot be used",
        (f"是否应写“{near}”？" if near else "") + f"可用：{'、'.join(EXPECTATIONS)}",
        (f"Did you mean '{near}'? " if near else "") + f"Available: {', '.join(EXPECTATIONS)}",
    )
