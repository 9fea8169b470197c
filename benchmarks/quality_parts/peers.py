"""Other people's ways to check the rules of the benchmark: polars by itself, pandera, Pointblank and Soda.

Each says as much as it can in its own words; the rest, such as check digits, it is given as an expression of polars or,
for Soda, of SQL. All rules can be said to all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from schemas.standard import Rule

from quality_parts.rules import CODES, THREADS, connected, rules, violated  # isort: skip

Found = dict[str, int]
os.environ["POLARS_MAX_THREADS"] = str(THREADS)
os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"  # else it calls home and waits for an answer


def polars_bytes(file: str) -> Callable[[], Found]:
    """The same with check digits by bytes, six times as fast and nothing one would think of first."""
    return polars(file, by_sign=False)


def polars(file: str, *, by_sign: bool = True) -> Callable[[], Found]:
    """One lazy query: every failing row with a flag for each rule it violates, and their counts."""
    import polars as pl

    from quality_parts import expressions

    flags = {rule: one.alias(rule) for rule, one in expressions.violated(by_sign=by_sign).items()}

    def found() -> Found:
        failing = pl.scan_parquet(file).select("_row", *flags.values()).filter(pl.any_horizontal(list(flags)))
        return {
            rule: int(count)
            for rule, count in failing.collect().select(pl.col(list(flags)).sum()).row(0, named=True).items()
        }

    return found


def pandera(file: str) -> Callable[[], Found]:
    """A lazy validation on polars, which gathers every value that fails."""
    import pandera.polars as pa
    import polars as pl

    made = rules()
    names = dict.fromkeys(one.columns[0] for one in made)
    columns = {
        name: pa.Column(
            checks=[check for one in made if one.columns[0] == name and (check := _check(one)) is not None],
            nullable=f"required_{name}" not in {one.id for one in made},
        )
        for name in names
    }
    schema = pa.DataFrameSchema(columns, checks=[_over_rows(one) for one in made if len(one.columns) > 1])

    def found() -> Found:
        counts = dict.fromkeys((one.id for one in made), 0)
        try:
            schema.validate(pl.read_parquet(file), lazy=True)
        except pa.errors.SchemaErrors as failed:
            for one in failed.schema_errors:
                rule = f"required_{one.schema.name}" if isinstance(one.check, str) else one.check.name
                counts[rule] += len(one.failure_cases)
        return counts

    return found


def _check(rule: Rule) -> Any:  # noqa: ANN401 - a check of pandera's
    """A rule about one column; None where it is one about several, or what the column says of nulls."""
    import pandera.polars as pa

    params = rule.params
    if len(rule.columns) > 1 or rule.kind == "required":
        return None
    if rule.kind == "length":
        return pa.Check.str_length(max_value=params["max"], name=rule.id)
    if rule.kind == "code":
        return pa.Check.isin(sorted(CODES[str(params["list"])]), name=rule.id)
    if rule.kind == "pattern":
        return pa.Check.str_matches(str(params["regex"]), name=rule.id)
    return _over_rows(rule)


def _over_rows(rule: Rule) -> Any:  # noqa: ANN401 - a check of pandera's
    import pandera.polars as pa

    from quality_parts.expressions import expression

    return pa.Check(lambda data: data.lazyframe.select(~expression(rule).fill_null(value=False)), name=rule.id)


def pointblank(file: str) -> Callable[[], Found]:
    """Steps on a polars table, each with the first 500 rows that fail, which is what it keeps."""
    import pointblank as pb
    import polars as pl

    from quality_parts.expressions import bound, expression

    made = rules()

    def found() -> Found:
        plan = pb.Validate(pl.read_parquet(file))
        for rule in made:
            column, params = rule.columns[0], rule.params
            if rule.kind == "required":
                plan = plan.col_vals_not_null(column)
            elif rule.kind == "pattern":
                plan = plan.col_vals_regex(column, str(params["regex"]), na_pass=True)
            elif rule.kind == "order":
                plan = plan.col_vals_le(column, pb.col(rule.columns[1]), na_pass=True)
            elif rule.kind == "range" and len(params) > 1:
                plan = plan.col_vals_between(column, bound(params["min"]), bound(params["max"]), na_pass=True)
            else:
                plan = plan.col_vals_expr(~expression(rule).fill_null(value=False))
        failed = plan.interrogate().n_failed()
        return {rule.id: int(failed[place]) for place, rule in enumerate(made, 1)}

    return found


def soda(file: str) -> Callable[[], Found]:
    """A contract on DuckDB: counts alone, the failing rows it keeps only with its paid service."""
    from ruamel.yaml import YAML
    from soda_core.common.yaml import ContractYamlSource
    from soda_core.contracts.contract_verification import ContractVerificationSession
    from soda_duckdb.common.data_sources.duckdb_data_source import DuckDBDataSourceImpl

    connection = connected(file)
    source = DuckDBDataSourceImpl.from_existing_cursor(connection, name="bench")
    from io import StringIO

    said, tests, made = StringIO(), violated(), rules()
    columns: dict[str, list[Any]] = {}
    whole = []
    for rule in made:
        if (check := _in_contract(rule)) is not None:
            columns.setdefault(rule.columns[0], []).append(check)
        else:
            whole.append({"failed_rows": {"name": rule.id, "qualifier": rule.id, "expression": tests[rule.id]}})
    contract = {
        "dataset": "bench/main/t",
        "columns": [{"name": name, "checks": checks} for name, checks in columns.items()],
        "checks": whole,
    }
    YAML().dump(contract, said)

    def found() -> Found:
        session = ContractVerificationSession.execute(
            [ContractYamlSource.from_str(said.getvalue())], data_source_impls=[source]
        )
        (result,) = session.contract_verification_results
        return {one.check.name: int(_failing(one)) for one in result.check_results}

    return found


def _failing(result: Any) -> float:  # noqa: ANN401 - a CheckResult of Soda's
    return float(result.threshold_value)


def _in_contract(rule: Rule) -> dict[str, Any] | None:
    """A check of one column in Soda's words; None where it needs SQL."""
    params, named = rule.params, {"name": rule.id, "qualifier": rule.id}
    if rule.kind == "required":
        return {"missing": named}
    if rule.kind == "length":
        return {"invalid": {**named, "valid_max_length": params["max"]}}
    if rule.kind == "code":
        return {"invalid": {**named, "valid_values": sorted(CODES[str(params["list"])])}}
    if rule.kind == "pattern":
        return {"invalid": {**named, "valid_format": {"name": rule.id, "regex": str(params["regex"])}}}
    if rule.kind == "range" and not any(isinstance(one, str) for one in params.values()):
        return {"invalid": {**named, **{f"valid_{key}": value for key, value in params.items()}}}
    return None
