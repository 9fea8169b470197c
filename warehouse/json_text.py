"""SQL that turns a column into exact text: ISO dates, decimals without rounding, instants with their offset."""

from __future__ import annotations

from warehouse.sql import quote

_NARROW = 18  # digits of a decimal that DuckDB keeps in 64 bits


def text_of(name: str, kind: str) -> str:
    """SQL giving the column as text; `kind` is its DuckDB type as DESCRIBE says it.

    Instants are shown at +08:00, which names the same instant in every year: Asia/Shanghai itself had summer time
    until 1991. Decimals lose the zeros after their last digit, and nothing else.
    """
    column, kind = quote(name), kind.upper()
    if kind.startswith("DECIMAL") and not kind.endswith(",0)"):
        return f"rtrim(rtrim({_digits(column, kind)}, '0'), '.')"
    if kind == "TIMESTAMP WITH TIME ZONE":
        local = f"make_timestamp(epoch_us({column}) + 28800000000)"
        fraction = f"CASE WHEN epoch_us({column}) % 1000000 = 0 THEN '' ELSE strftime({local}, '.%f') END"
        return f"strftime({local}, '%Y-%m-%dT%H:%M:%S') || {fraction} || '+08:00'"
    if kind.startswith("TIMESTAMP"):
        return f"replace({column}::VARCHAR, ' ', 'T')"
    return f"{column}::VARCHAR"


def _digits(column: str, kind: str) -> str:
    """SQL of a decimal with all its places; a wide column's numbers of up to 18 digits cost half as 64-bit ones."""
    width, scale = (int(part) for part in kind.removeprefix("DECIMAL(").removesuffix(")").split(","))
    if width <= _NARROW or scale > _NARROW:
        return f"{column}::VARCHAR"
    return f"coalesce(TRY_CAST({column} AS DECIMAL({_NARROW},{scale}))::VARCHAR, {column}::VARCHAR)"


def json_of(name: str, kind: str, embedded: bool = False) -> str:  # noqa: FBT001, FBT002 (one flag of a column)
    """SQL giving the column as JSON: numbers, booleans and lists as themselves, all else as text.

    Decimals become text, so that no reader rounds them; `embedded` text is JSON already.
    """
    upper = kind.upper()
    if embedded:
        return f"{quote(name)}::JSON"
    if upper in {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "FLOAT"} or upper.endswith("[]"):
        return quote(name)
    return text_of(name, kind)
