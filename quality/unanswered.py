"""Say why a rule could not be evaluated, in both languages and with what to do, from what the engine said of it."""

from __future__ import annotations

import re

from quality.errors import QualityError

# What RE2 says of a pattern, behind what DuckDB or Arrow puts before it.
_PATTERN = re.compile(
    r"(missing [\])]|unexpected \)|(invalid|bad) (escape|character class|repetition|perl operator|named capture)"
    r"|no argument for repetition|trailing \\|pattern too large)",
    re.IGNORECASE,
)
_COLUMN = re.compile(r'column "(?P<name>[^"]+)" (in BatchData does not exist|not found in FROM)')
_TYPE = re.compile(
    r"Conversion Error|Could not convert|No function matches|Cannot compare|cannot be computed on column of type"
    r"|not true or false|Out of Range|Cannot mix|Cannot cast|date field value out of range|must be of type"
    r"|^operation |unsupported operand|not supported between"
)


def unanswered(rule: str, why: str) -> QualityError:
    """The error of one rule alone; `why` is one line of what the engine said, without values."""
    absent = _COLUMN.search(why)
    if absent:
        return _column(rule, absent["name"])
    if "not UTF-8" in why:
        return _bytes(rule, why)
    if "division by zero" in why:
        return _zero(rule)
    if "interrupt" in why.lower():
        return _time(rule)
    if _PATTERN.search(why):
        return _pattern(rule, why)
    return _type(rule, why) if _TYPE.search(why) else _other(rule, why)


def _column(rule: str, name: str) -> QualityError:
    return QualityError(
        "QUA-EVAL-COLUMN",
        zh=f"规则 {rule} 无法执行：数据中没有列 {name}",
        en=f"Rule {rule} could not be evaluated: the data has no column {name}",
        fix_zh="请核对规则中的列名；若来源取消了该列，请与提供部门确认后修改标准或规则",
        fix_en="Check the column's spelling in the rule; if the source dropped it, agree on it with the department",
    )


def _bytes(rule: str, why: str) -> QualityError:
    return QualityError(
        "QUA-EVAL-BYTES",
        zh=f"规则 {rule} 无法执行：它读取的列中有不是 UTF-8 的字节（{why}）",
        en=f"Rule {rule} could not be evaluated: a column it reads holds bytes that are not UTF-8 ({why})",
        fix_zh="请检查来源的字符编码设置，然后重新采集该批次",
        fix_en="Check the character encoding that is set for the source, then pull the batch again",
    )


def _zero(rule: str) -> QualityError:
    return QualityError(
        "QUA-EVAL-ZERO",
        zh=f"规则 {rule} 无法执行：条件中出现除以零",
        en=f"Rule {rule} could not be evaluated: its condition divides by zero",
        fix_zh='请在条件中写明除数为零时怎么办，例如用 nullif("列", 0) 作除数，则该行不作判断',
        fix_en='Say in the condition what a zero means: dividing by nullif("column", 0) leaves such a row unjudged',
    )


def _time(rule: str) -> QualityError:
    return QualityError(
        "QUA-EVAL-TIME",
        zh=f"规则 {rule} 无法执行：超过了时限，已中止",
        en=f"Rule {rule} could not be evaluated: it took longer than it may and was stopped",
        fix_zh="请检查规则是否把大量行两两相比（例如分组的列几乎只有一个值），或正则表达式是否重复之中又有重复",
        fix_en="See whether it compares very many rows with each other, as when nearly all have the same key,"
        " or whether its regular expression repeats what repeats",
    )


def _pattern(rule: str, why: str) -> QualityError:
    return QualityError(
        "QUA-EVAL-REGEX",
        zh=f"规则 {rule} 无法执行：正则表达式不能使用（{why}）",
        en=f"Rule {rule} could not be evaluated: its regular expression cannot be used ({why})",
        fix_zh="请改写正则表达式（RE2 语法；重复次数不超过 1000）",
        fix_en="Rewrite the regular expression (the syntax of RE2; at most 1000 repetitions)",
    )


def _type(rule: str, why: str) -> QualityError:
    return QualityError(
        "QUA-EVAL-TYPE",
        zh=f"规则 {rule} 无法执行：数据的类型与规则不符（{why}）",
        en=f"Rule {rule} could not be evaluated: the data is not of the type the rule asks for ({why})",
        fix_zh="请核对字段的类型，或在条件中只转换能够转换的值",
        fix_en="Check the type of the field, or convert in the condition only what can be converted",
    )


def _other(rule: str, why: str) -> QualityError:
    return QualityError(
        "QUA-EVAL",
        zh=f"规则 {rule} 无法执行：{why}",
        en=f"Rule {rule} could not be evaluated: {why}",
        fix_zh="请检查规则的写法；若写法无误，请报告此问题",
        fix_en="Check how the rule is written; if nothing is wrong with it, report this",
    )
