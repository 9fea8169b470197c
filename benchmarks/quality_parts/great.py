"""Great Expectations' own ways to check the rules of the benchmark: its SQL on DuckDB, and pandas.

Both get what a careful user would give them. The code lists, conditions and check digits are ours, since Great
Expectations has none: SQL as our own rules have it, and for pandas columns that say in advance which rows are right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.standard import Rule

from quality_parts.rules import CODES, TODAY, connected, rules  # isort: skip

Found = dict[str, int]
EVERY = 10_000_000
COMPLETE = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["_row"],
    "partial_unexpected_count": EVERY,  # else SQL lists 20
}


def gx_sql(file: str, result_format: str = "SUMMARY") -> Callable[[], Found]:
    """Its SQL on DuckDB, every metric by its own query; COMPLETE with full lists of rows."""
    import great_expectations as gx

    from quality.dialect import lend
    from quality.engine import validate
    from quality.stages import set_up
    from quality.suite import suite

    made = [one for one in rules() if one.kind != "unique"]
    unique = [_unique(one) for one in rules() if one.kind == "unique"]
    wanted = gx.ExpectationSuite(name="rules", expectations=[*suite(made, CODES, TODAY).expectations, *unique])
    connection = connected(file)
    set_up(connection, CODES, made, TODAY)
    told = COMPLETE if result_format == "COMPLETE" else {"result_format": result_format}

    def found() -> Found:
        with lend(connection) as url:
            result, _ = validate(url, "t", wanted, told, fused=False)
        return _counts(result)

    return found


def gx_pandas(file: str) -> Callable[[], Found]:
    """Its pandas engine, COMPLETE; the reading is not part of it, the columns that say what is right are."""
    import great_expectations as gx
    import pyarrow as pa
    import pyarrow.parquet as pq

    from quality.engine import validate as _  # noqa: F401 - imports Great Expectations without its warnings

    table = pq.read_table(file)
    dates = [one.name for one in table.schema if pa.types.is_date32(one.type)]
    frame = table.to_pandas().astype(dict.fromkeys(dates, "datetime64[s]"))
    context = gx.get_context(mode="ephemeral")
    batches = context.data_sources.add_pandas("p").add_dataframe_asset("t").add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name="rules", expectations=[_expectation(one) for one in rules()])

    def found() -> Found:
        for rule in rules():
            if rule.kind in ("check_digit", "condition"):
                frame[rule.id] = _right(rule, table, frame)
        return _counts(batches.get_batch({"dataframe": frame}).validate(suite, result_format=COMPLETE))

    return found


def _counts(result: Any) -> Found:  # noqa: ANN401 - of Great Expectations
    wrong = [one.exception_info for one in result.results if "unexpected_count" not in one.result]
    if wrong:
        raise SystemExit(str(wrong)[:2_000])
    return {one.expectation_config.meta["rule"]: int(one.result["unexpected_count"]) for one in result.results}


def _unique(rule: Rule) -> Any:  # noqa: ANN401 - an expectation
    import great_expectations.expectations as gxe

    meta = {"rule": rule.id}
    if len(rule.columns) == 1:
        return gxe.ExpectColumnValuesToBeUnique(column=rule.columns[0], meta=meta)
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), meta=meta)


def _right(rule: Rule, table: Any, frame: Any) -> Any:  # noqa: ANN401 - Arrow, pandas
    """Which rows satisfy a rule that Great Expectations has no expectation for."""
    from quality.expectations import marked

    if rule.kind == "check_digit":
        kind = str(rule.params["kind"])
        return marked(table, kind, rule.columns[0], TODAY, required=False).to_numpy(zero_copy_only=False)
    return {
        ("status", "cancel_date"): lambda: (frame["status"] == "2") == frame["cancel_date"].notna(),
        ("paid", "capital"): lambda: (frame["paid"] <= frame["capital"]) | (frame["capital"] < 0),
        ("uscc", "org_code"): lambda: (frame["uscc"].str[8:17] == frame["org_code"]) | frame["uscc"].isna(),
    }[rule.columns]()


def _expectation(rule: Rule) -> Any:  # noqa: ANN401 - an expectation
    import great_expectations.expectations as gxe
    import pandas as pd

    column, params, meta = rule.columns[0], rule.params, {"rule": rule.id}

    def limit(key: str) -> Any:  # noqa: ANN401 - a number or a day
        value = TODAY if params.get(key) == "today" else params.get(key)
        return value if value is None or isinstance(value, float) else pd.Timestamp(value)

    makers: dict[str, Callable[[], Any]] = {
        "required": lambda: gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta),
        "length": lambda: gxe.ExpectColumnValueLengthsToBeBetween(column=column, max_value=params["max"], meta=meta),
        "code": lambda: gxe.ExpectColumnValuesToBeInSet(column=column, value_set=sorted(CODES[column]), meta=meta),
        "check_digit": lambda: gxe.ExpectColumnValuesToBeInSet(column=rule.id, value_set=[True], meta=meta),
        "condition": lambda: gxe.ExpectColumnValuesToBeInSet(column=rule.id, value_set=[True], meta=meta),
        "pattern": lambda: gxe.ExpectColumnValuesToMatchRegex(column=column, regex=params["regex"], meta=meta),
        "order": lambda: gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=rule.columns[1],
            column_B=column,
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            meta=meta,
        ),
        "range": lambda: gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=limit("min"), max_value=limit("max"), meta=meta
        ),
        "repaired": lambda: gxe.ExpectColumnValuesToNotBeInSet(column=column, value_set=[True], meta=meta),
        "unique": lambda: _unique(rule),
    }
    return makers[rule.kind]()
