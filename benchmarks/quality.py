"""Checking 27 columns by 41 rules: ours beside bare decoding, one SQL scan by hand and Great Expectations' own ways.

    python benchmarks/quality.py            10,000,000 rows; what takes whole tables into memory: 1,000,000
    python benchmarks/quality.py --small    200,000 rows, one round, about a minute
    python benchmarks/quality.py --strict   exit 1 when a target is missed or a side found something else

Every side runs in its own process over the same zstd Parquet file, on two threads, turn about; seconds are those of the
check alone, without imports. Ours gives counts, every failing row with all its rules, the rows for quarantine and the
result objects of Great Expectations; the scan by hand gives counts and failing rows; Great Expectations' own SQL at
SUMMARY gives counts and 20 samples. `checking_warm_batch_s` is the whole check of 5,000 rows in a process that has
checked before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import BenchmarkError, Ended, run  # noqa: E402
from quality_parts.table import write  # noqa: E402
from results import told  # noqa: E402

SIDES = str(Path(__file__).resolve().parent / "quality_parts" / "sides.py")
ROWS, MEMORY_ROWS, SMALL_ROWS = 10_000_000, 1_000_000, 200_000
AT_MOST = {
    "checking_over_decode": 4.0,
    "checking_over_sql_by_hand": 0.6,
    "checking_peak_mib": 1_400.0,
    "checking_bad_10_over_1": 1.2,
    "checking_per_row_growth": 1.1,
    "checking_warm_batch_s": 0.3,
}
AT_LEAST = {"checking_gx_sql_over": 2.5, "checking_gx_sql_complete_over": 10.0}


def side(name: str, file: Path, *more: str) -> Ended:
    """One side, once."""
    ended = run([SIDES, name, str(file), *more], {})
    said = ended.said
    print(
        f"  {name:16} {said['seconds']:8.2f} s {said['cpu']:8.2f} CPU-s {ended.mib:7,.0f} MiB  {file.name}", flush=True
    )
    return ended


def seconds(ended: Ended) -> float:
    """Of the check."""
    return float(ended.said["seconds"])


def ratio(made: dict[str, list[Ended]], first: str, second: str, figure: str = "seconds") -> float:
    """Median over the rounds."""
    pairs = zip(made[first], made[second], strict=True)
    return statistics.median(one.said[figure] / other.said[figure] for one, other in pairs)


def alike(first: Ended, *others: Ended) -> bool:
    """Whether all found the same numbers of rows for the rules."""
    counted = [{rule: rows for rule, rows in one.said["found"].items() if rule != "rows"} for one in (first, *others)]
    return all(one == counted[0] for one in counted)


def measure(folder: Path, rows: int, rounds: int) -> tuple[dict[str, float], bool]:
    """The figures by name, and whether all sides found the same."""
    table, fewer, worse = folder / "all.parquet", folder / "fewer.parquet", folder / "ten_percent.parquet"
    in_memory = min(rows, MEMORY_ROWS)
    write(table, rows)
    write(fewer, in_memory)
    write(worse, in_memory, 0.1)
    print(f"{rows:,} rows x 27 columns, {table.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} CPUs")
    made: dict[str, list[Ended]] = {"decode": [], "ours": [], "sql": [], "gx_sql": []}
    for _ in range(rounds):
        for name, ended in made.items():
            ended.append(side(name, table))
    small, bad = side("ours", fewer), side("ours", worse)
    complete = side("gx_sql", fewer, "COMPLETE")
    warm = side("warm", fewer)
    ours = statistics.median(map(seconds, made["ours"]))
    figures = {
        "checking_rows_per_s": rows / ours,
        "checking_over_decode": ratio(made, "ours", "decode"),
        "checking_over_decode_cpu": ratio(made, "ours", "decode", "cpu"),
        "checking_over_sql_by_hand": ratio(made, "ours", "sql"),
        "checking_gx_sql_over": ratio(made, "gx_sql", "ours"),
        "checking_gx_sql_complete_over": seconds(complete) / seconds(small),
        "checking_peak_mib": max(one.mib for one in made["ours"]),
        "checking_bad_10_over_1": seconds(bad) / seconds(small),
        "checking_per_row_growth": ours / rows / (seconds(small) / in_memory),
        "checking_warm_batch_s": seconds(warm),
    }
    same = alike(*made["ours"], *made["sql"], *made["gx_sql"]) and alike(small, complete)
    return figures, same


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="200,000 rows, one round, about a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or an answer is wrong")
    options = parser.parse_args()
    rows, rounds = (SMALL_ROWS, 1) if options.small else (ROWS, 3)
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        figures, same = measure(Path(name), rows, rounds)
    figures["checking_same_answers"] = float(same)
    kept = told(figures, AT_MOST | AT_LEAST, AT_MOST, "checking_same_answers", judged=not options.small)
    return 1 if options.strict and not kept else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
