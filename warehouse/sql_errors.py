"""What an analyst's SQL can be told no for, where in the text, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence

from warehouse.errors import WarehouseError


class BusyQueryError(WarehouseError):
    """The machine, not the query, stood in the way; the same query may be answered later."""

    retryable = True


def place(sql: str, at: int | None) -> tuple[str, str]:
    """Where byte `at` of the text is, in both languages; nothing where that is not known."""
    data = sql.encode()
    if at is None or not 0 <= at <= len(data):
        return "", ""
    before = data[:at].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return f"（第 {line} 行第 {column} 列）", f" (line {line}, column {column})"


def syntax(sql: str, words: str, at: int | None) -> WarehouseError:
    """The text is no SQL."""
    zh, en = place(sql, at)
    return WarehouseError(
        "WH-SQL-SYNTAX",
        zh=f"SQL 有语法错误{zh}：{words}",
        en=f"the SQL has a syntax error{en}: {words}",
        fix_zh="改正该处；含空格或符号的名称用双引号，文字用单引号",
        fix_en="Correct it there; names with blanks or signs stand in double quotes, texts in single ones",
    )


def refused(sql: str, what: tuple[str, str], at: int | None = None) -> WarehouseError:
    """The text is SQL, and asks for more than reading the tables that are shown."""
    zh, en = place(sql, at)
    return WarehouseError(
        "WH-SQL-REFUSED",
        zh=f"查询不能使用{what[0]}{zh}",
        en=f"a query may not use {what[1]}{en}",
        fix_zh="只写一条 SELECT，读取 shutong query --tables 列出的表；可用函数见 docs/how-to-analyst.zh-CN.md",
        fix_en="Write one SELECT over the tables of `shutong query --tables`; docs/how-to-analyst.md has the functions",
    )


def no_table(sql: str, name: str, at: int | None, near: Sequence[str]) -> WarehouseError:
    """There is no such table among those the reader may see."""
    zh, en = place(sql, at)
    listed = ", ".join(near)
    return WarehouseError(
        "WH-SQL-TABLE",
        zh=f"没有可以读取的表 {name}{zh}",
        en=f"there is no table {name} you may read{en}",
        fix_zh=f"是否应写 {listed}？全部见 shutong query --tables"
        if near
        else "用 shutong query --tables 查看可读的表",
        fix_en=f"Did you mean {listed}? See them all with: shutong query --tables"
        if near
        else "See which there are with: shutong query --tables",
    )


def failed(words: str) -> WarehouseError:
    """DuckDB says no, in its own words: it has seen nothing but what the reader may see."""
    return WarehouseError(
        "WH-SQL-FAILED",
        zh=f"查询不能执行：{words}",
        en=f"the query cannot be run: {words}",
        fix_zh="核对列名与类型（shutong query --tables <表>）；可能失败的转换用 TRY_CAST",
        fix_en="Check names and types of columns (shutong query --tables <table>); TRY_CAST where a cast may fail",
    )


def too_long(seconds: float) -> WarehouseError:
    """The time is up."""
    return WarehouseError(
        "WH-SQL-TIME",
        zh=f"查询在 {seconds:g} 秒内没有完成，已停止",
        en=f"the query was not done after {seconds:g} seconds and was stopped",
        fix_zh="先加 WHERE 或只取需要的列；检查连接条件是否漏写（笛卡尔积）；确需更久用 --seconds",
        fix_en="Add a WHERE or name only the columns you need; look for a join without its condition; give it longer"
        " with --seconds",
    )


def too_much(memory: str) -> WarehouseError:
    """The memory is used up."""
    return WarehouseError(
        "WH-SQL-MEMORY",
        zh=f"查询需要的内存超过 {memory}，已停止",
        en=f"the query needs more than {memory} of memory and was stopped",
        fix_zh="减少列、先聚合再连接、避免把许多行拼成一个值；确需更多用 --memory",
        fix_en="Take fewer columns, aggregate before joining, do not put many rows into one value; give it more with"
        " --memory",
    )


def too_large(megabytes: int) -> WarehouseError:
    """The answer is no answer any more but a copy."""
    return WarehouseError(
        "WH-SQL-LARGE",
        zh=f"结果超过 {megabytes} MB，没有给出",
        en=f"the answer has more than {megabytes} MB and was not given",
        fix_zh="减少列或行（--rows），或先在 SQL 中聚合",
        fix_en="Take fewer columns or rows (--rows), or aggregate in the SQL",
    )


def died(memory: str) -> BusyQueryError:
    """The process that worked on the query is gone without a word."""
    return BusyQueryError(
        "WH-SQL-DIED",
        zh=f"执行查询的进程意外结束（可能是内存不足，上限 {memory}）",
        en=f"the process that ran the query ended unexpectedly (perhaps for want of memory; its limit is {memory})",
        fix_zh="其他查询不受影响；减少列或行后重试，仍然如此请带上 SQL 摘要联系管理员",
        fix_en="No other query is affected; try with fewer columns or rows, and tell an administrator the digest of the"
        " SQL when it happens again",
    )
