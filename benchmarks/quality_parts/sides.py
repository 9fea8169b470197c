"""One side of the benchmark of checking, in its own process over the same Parquet file.

python sides.py <side> <file> [result format]: prints JSON with seconds and CPU-seconds of the check alone (imports and
the reading of rules are outside of it) and what was found, by rule.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "benchmarks")]  # in this order: benchmarks/quality.py is not our package

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from schemas.values import Verdict  # noqa: E402

from quality_parts import great, peers  # noqa: E402 # isort: skip
from quality_parts.rules import CODES, THREADS, TODAY, connected, rules, violated  # noqa: E402 # isort: skip

Found = dict[str, int]
REPEATED = ["status", "type", "industry", "division", "currency", "scope", "legal_rep", "address", "postcode"]
BATCH, WARMING, BATCHES = 5_000, 2, 5


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


def opened(file: str) -> pq.ParquetFile:
    """The file, to be read with dictionaries where few values are repeated, as the file has them."""
    return pq.ParquetFile(file, read_dictionary=[name for name in REPEATED if name in pq.read_schema(file).names])


def parts(file: str, *others: str) -> Iterator[pa.Table]:
    """The table, row group by row group; the next ones are read while one is looked at.

    And again, each time with the columns of one of the others in place of its.
    """
    here = threading.local()
    groups = [(other, group) for other in (None, *others) for group in range(pq.read_metadata(file).num_row_groups)]
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(THREADS, "read") as pool:
        for other, group in groups:
            waiting.append(pool.submit(_group, here, file, other, group))
            if len(waiting) == THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _group(here: Any, file: str, other: str | None, group: int) -> pa.Table:  # noqa: ANN401 - thread-local
    """One row group, through the files that this thread has open.

    It is read by one thread: several take a third more of the processors, which have other work.
    """
    known: dict[str, pq.ParquetFile] = here.__dict__
    for one in (file, other):
        if one is not None and one not in known:
            known[one] = opened(one)
    names = known[file].schema_arrow.names
    own = known[other].schema_arrow.names if other else []
    table = known[file].read_row_group(group, columns=[name for name in names if name not in own], use_threads=False)
    if not other:
        return table
    beside = known[other].read_row_group(group, use_threads=False)
    return pa.table({name: (beside if name in own else table)[name] for name in names})


def ours(file: str, *others: str) -> Callable[[], Found]:
    """Counts, every failing row, rows for quarantine, and the result of Great Expectations."""
    checked = checks(file, *others)

    def found() -> Found:
        verdict = checked()
        return {one.rule: one.rows for one in verdict.counts} | {"rows": verdict.violations.num_rows}

    return found


def quarantined(file: str) -> Callable[[], Found]:
    """The same, and every failing row written as it is with the rules it violates."""
    checked, connection = checks(file), connected(file)

    def found() -> Found:
        verdict = checked()
        connection.register("violations", verdict.violations)
        with tempfile.TemporaryDirectory() as folder:
            rows = "SELECT t.*, v.rules FROM t JOIN violations v USING (_row)"
            connection.execute(f"COPY ({rows}) TO '{folder}/quarantine.parquet' (COMPRESSION zstd)")
            written = pq.read_metadata(f"{folder}/quarantine.parquet").num_rows
        return {one.rule: one.rows for one in verdict.counts} | {"rows": written}

    return found


def checks(file: str, *others: str) -> Callable[[], Verdict]:
    """The check, ready to begin."""
    from quality.check import check_parts
    from quality.gate import Gate

    pa.set_cpu_count(THREADS)
    made = rules()
    with opened(file) as one:
        schema = one.schema_arrow
    check_parts([], schema, made, CODES, Gate(), TODAY)  # imports, and what is made once per process

    def checked() -> Verdict:
        verdict = check_parts(parts(file, *others), schema, made, CODES, Gate(), TODAY)
        if any(one.error for one in verdict.counts):
            raise SystemExit(str([one for one in verdict.counts if one.error]))
        return verdict

    return checked


def warm(file: str) -> Callable[[], Found]:
    """5,000 rows in a process that has checked before, a number of times."""
    from quality.check import check
    from quality.gate import Gate

    table, made = pq.ParquetFile(file).read_row_group(0).slice(0, BATCH), rules()
    for _ in range(WARMING):
        check(table, made, CODES, Gate(), TODAY)

    def found() -> Found:
        for _ in range(BATCHES):
            verdict = check(table, made, CODES, Gate(), TODAY)
        return {one.rule: one.rows for one in verdict.counts}

    return found


SIDES: dict[str, Callable[..., Callable[[], Found]]] = {
    "decode": decode,
    "arrow": arrow,
    "sql": sql,
    "ours": ours,
    "quarantined": quarantined,
    "warm": warm,
    "gx_sql": great.gx_sql,
    "gx_pandas": great.gx_pandas,
    "polars": peers.polars,
    "polars_bytes": peers.polars_bytes,
    "pandera": peers.pandera,
    "pointblank": peers.pointblank,
    "soda": peers.soda,
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
