"""One side of the benchmark of checking, in its own process over the same Parquet file.

python sides.py <side> <file> [result format]: prints JSON with seconds and CPU-seconds of the check alone (imports and
the reading of rules are outside of it) and what was found, by rule.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "benchmarks")]  # in this order: benchmarks/quality.py is not our package

import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from quality_parts.rules import CODES, TODAY, rules, violated  # noqa: E402 # isort: skip

THREADS = 2
Found = dict[str, int]


def connected(file: str) -> duckdb.DuckDBPyConnection:
    """DuckDB on two threads with the table as `t` and the code lists beside it."""
    connection = duckdb.connect(":memory:", config={"threads": THREADS})
    connection.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet('{file}')")
    for name, codes in CODES.items():
        connection.register(f"{name}_codes", pa.table({"code": sorted(codes)}))
    return connection


def decode(file: str) -> Callable[[], Found]:
    """Every column read and looked at once."""
    connection = connected(file)
    columns = [row[0] for row in connection.execute("DESCRIBE t").fetchall()]
    query = f"SELECT {', '.join(f'max({json.dumps(one, ensure_ascii=False)})' for one in columns)} FROM t"
    return lambda: {"columns": len(connection.execute(query).fetchall()[0])}


def arrow(file: str) -> Callable[[], Found]:
    """Every column decoded to Arrow, as our side gets it."""
    return lambda: {"rows": sum(one.num_rows for one in parts(file))}


def sql(file: str) -> Callable[[], Found]:
    """One wide scan written by hand: counts and the rows that violate, by the bits of a mask."""
    connection = connected(file)
    tests = violated()
    mask = " | ".join(
        f"CASE WHEN {text} THEN {1 << bit}::UBIGINT ELSE 0::UBIGINT END" for bit, text in enumerate(tests.values())
    )
    query = f"SELECT _row, m FROM (SELECT _row, {mask} AS m FROM t) WHERE m <> 0"

    def found() -> Found:
        marks = connection.execute(query).to_arrow_table()["m"].to_numpy()
        return {rule: int((marks >> bit & 1).sum()) for bit, rule in enumerate(tests)}

    return found


def parts(file: str) -> Iterator[pa.Table]:
    """The table in the batches that a warehouse hands on."""
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(batch_size=65_536, use_threads=False):
            yield pa.Table.from_batches([batch])


def ours(file: str) -> Callable[[], Found]:
    """Counts, every failing row, rows for quarantine, and the result of Great Expectations."""
    from quality.check import check_parts
    from quality.gate import Gate

    pa.set_cpu_count(THREADS)
    schema = pq.read_schema(file)
    made = rules()
    check_parts([], schema, made, CODES, Gate(), TODAY)  # imports, and what is made once per process

    def found() -> Found:
        verdict = check_parts(parts(file), schema, made, CODES, Gate(), TODAY)
        if any(one.error for one in verdict.counts):
            raise SystemExit(str([one for one in verdict.counts if one.error]))
        return {one.rule: one.rows for one in verdict.counts} | {"rows": verdict.violations.num_rows}

    return found


def warm(file: str) -> Callable[[], Found]:
    """5,000 rows in a process that has checked before."""
    from quality.check import check
    from quality.gate import Gate

    table, made = pq.ParquetFile(file).read_row_group(0).slice(0, 5_000), rules()
    for _ in range(3):
        check(table, made, CODES, Gate(), TODAY)
    return lambda: {one.rule: one.rows for one in check(table, made, CODES, Gate(), TODAY).counts}


def gx_sql(file: str, result_format: str = "SUMMARY") -> Callable[[], Found]:
    """Great Expectations' own SQL on DuckDB, every metric by its own query; COMPLETE with full lists of rows."""
    import great_expectations as gx

    from quality.check import _set_up
    from quality.dialect import lend
    from quality.engine import validate
    from quality.suite import suite

    made = [one for one in rules() if one.kind != "unique"]
    unique = [_unique(one) for one in rules() if one.kind == "unique"]
    wanted = gx.ExpectationSuite(name="rules", expectations=[*suite(made, CODES, TODAY).expectations, *unique])
    connection = connected(file)
    _set_up(connection, CODES, made, TODAY)
    full = {"unexpected_index_column_names": ["_row"], "partial_unexpected_count": 10_000_000}
    told = {"result_format": result_format, **(full if result_format == "COMPLETE" else {})}

    def found() -> Found:
        with lend(connection) as url:
            result, _ = validate(url, "t", wanted, told, fused=False)
        return {one.expectation_config.meta["rule"]: one.result["unexpected_count"] for one in result.results}

    return found


def _unique(rule: Any) -> Any:  # noqa: ANN401 - a rule, an expectation
    import great_expectations.expectations as gxe

    meta = {"rule": rule.id}
    if len(rule.columns) == 1:
        return gxe.ExpectColumnValuesToBeUnique(column=rule.columns[0], meta=meta)
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), meta=meta)


SIDES: dict[str, Callable[..., Callable[[], Found]]] = {
    "decode": decode,
    "arrow": arrow,
    "sql": sql,
    "ours": ours,
    "warm": warm,
    "gx_sql": gx_sql,
}


def main() -> None:
    """Run one side."""
    name, file, *more = sys.argv[1:]
    run = SIDES[name](file, *more)
    began, worked = time.perf_counter(), time.process_time()
    found: Any = run()
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - worked, "found": found}))


if __name__ == "__main__":
    main()
