"""Checking 27 columns by 41 rules: ours beside bare decoding, a scan by hand, Great Expectations and its peers.

    python benchmarks/quality.py            10,000,000 rows (9 GB of memory for peers), 50,000,000 for ours; what
                                            would need more: 1,000,000
    python benchmarks/quality.py --small    100,000 rows, one round, sides beside each other, less than a minute
    python benchmarks/quality.py --strict   exit 1 when a target is missed, a peer is missing or a side found other rows

Every side runs in its own process over the same zstd Parquet file, on two threads, turn about; seconds are those of the
check alone, without imports. What each gives:

    ours            counts, every failing row with all its rules, the rows for quarantine, Great Expectations' result
    quarantined     the same, and every failing row written to a file with the rules it violates
    sql             one wide scan by hand: counts and failing rows
    gx_sql          Great Expectations' own SQL on DuckDB: at SUMMARY counts and 20 samples, at COMPLETE all rows
    gx_pandas       its pandas engine at COMPLETE: all failing rows; the table is in memory before
    polars          counts and failing rows in one lazy query; check digits sign by sign, as one would first write it
    polars_bytes    the same, check digits from the bytes of all rows at once: the fastest way found; shown, not judged
    pandera         every failing value, on polars; check digits by bytes
    pointblank      counts and 500 failing rows a rule, on polars; check digits by bytes
    soda            counts, on DuckDB

The 50 million rows are the 10 million five times, with row numbers and identifiers that no other row has. A warm batch
is the whole check of 5,000 rows in a process that has checked before. The peers are installed beside the product:

    UV_PROJECT_ENVIRONMENT=.venv-bench .tools/bin/uv sync --locked --no-dev --group bench
    .venv-bench/bin/python benchmarks/quality.py
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import BenchmarkError, Ended, run  # noqa: E402
from quality_parts.table import write, write_numbers  # noqa: E402
from results import told  # noqa: E402

SIDES = str(Path(__file__).resolve().parent / "quality_parts" / "sides.py")
PEERS = {
    "polars": "polars",
    "polars_bytes": "polars",
    "pandera": "pandera",
    "pointblank": "pointblank",
    "soda": "soda_duckdb",
}
INSTALL = "UV_PROJECT_ENVIRONMENT=.venv-bench .tools/bin/uv sync --locked --no-dev --group bench"
ROWS, MEMORY_ROWS, SMALL_ROWS = 10_000_000, 1_000_000, 100_000
TIMES = 5  # the table, for the rows that show whether the cost per row grows
BATCHES = 5  # as sides.warm counts
AT_MOST = {
    "checking_over_decode": 4.0,
    "checking_over_sql_by_hand": 0.6,
    "checking_peak_mib": 1_400.0,
    "checking_bad_10_over_1": 1.2,
    "checking_per_row_growth": 1.1,
    "checking_warm_batch_s": 0.3,
}
AT_LEAST = {
    "checking_gx_sql_over": 2.5,
    "checking_gx_sql_complete_over": 10.0,
    "checking_gx_pandas_complete_over": 20.0,
    **{f"checking_{peer}_over": 2.0 for peer in PEERS if peer != "polars_bytes"},
}
Made = dict[str, list[Ended]]
Side = tuple[Any, ...]  # its name, its file, and what more it is told
BEGUN: dict[Side, Future[Ended]] = {}


def side(name: str, file: Path, *more: str) -> Ended:
    """One side, once."""
    begun = BEGUN.get((name, file, *more))
    ended = begun.result() if begun else _run(name, file, *more)
    said, label = ended.said, " ".join((name, *(one for one in more if "/" not in one)))
    files = file.name + (f" and {len(more)} more" if any("/" in one for one in more) else "")
    print(f"  {label:16} {said['seconds']:8.2f} s {said['cpu']:8.2f} CPU-s {ended.mib:7,.0f} MiB  {files}", flush=True)
    return ended


def _run(name: str, file: Path, *more: str) -> Ended:
    return run([SIDES, name, str(file), *more], {})


def begin(*sides: Side) -> None:
    """Run sides once each as there are processors for them; who asks for them gets those."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    BEGUN.update({one: pool.submit(_run, *one) for one in sides})
    pool.shutdown(wait=False)


def seconds(ended: Ended) -> float:
    """Of the check."""
    return float(ended.said["seconds"])


def turn_about(sides: Mapping[str, tuple[str, Path]], rounds: int) -> Made:
    """Every side over its file once, and so again."""
    made: Made = {label: [] for label in sides}
    for _ in range(rounds):
        for label, (name, file) in sides.items():
            made[label].append(side(name, file))
    return made


def ratio(made: Made, first: str, second: str, figure: str = "seconds") -> float:
    """Median over the rounds."""
    pairs = zip(made[first], made[second], strict=True)
    return statistics.median(one.said[figure] / other.said[figure] for one, other in pairs)


def alike(*sides: Ended) -> bool:
    """Whether all found the same numbers of rows for the rules."""
    counted = [{rule: rows for rule, rows in one.said["found"].items() if rule != "rows"} for one in sides]
    for one, found in zip(sides[1:], counted[1:], strict=True):
        for rule in sorted(rule for rule, rows in counted[0].items() if found.get(rule) != rows):
            print(f"  DIFFERENT {rule}: {counted[0][rule]} and {found.get(rule)} rows ({one.mib:,.0f} MiB side)")
    return all(found == counted[0] for found in counted)


def whole(table: Path, rows: int, rounds: int) -> tuple[dict[str, float], bool, float]:
    """The table of all rows: figures, whether all found the same, and our seconds."""
    made = turn_about({name: (name, table) for name in ("decode", "ours", "sql", "gx_sql")}, rounds)
    ours = statistics.median(map(seconds, made["ours"]))
    written, complete = side("quarantined", table), side("gx_sql", table, "COMPLETE")
    peers = {name: side(name, table) for name in _installed()}
    for name in PEERS.keys() - peers.keys():
        print(f"RESULT checking_{name}_over n/a: {INSTALL}")
    figures = {
        "checking_rows_per_s": rows / ours,
        "checking_over_decode": ratio(made, "ours", "decode"),
        "checking_over_decode_cpu": ratio(made, "ours", "decode", "cpu"),
        "checking_over_sql_by_hand": ratio(made, "ours", "sql"),
        "checking_gx_sql_over": ratio(made, "gx_sql", "ours"),
        "checking_gx_sql_complete_over": seconds(complete) / seconds(written),
        "checking_peak_mib": max(one.mib for one in made["ours"]),
        **{f"checking_{name}_over": seconds(one) / ours for name, one in peers.items()},
        **{f"checking_{name}_peak_mib": one.mib for name, one in peers.items()},
    }
    every = (*made["ours"], *made["sql"], *made["gx_sql"], written, complete, *peers.values())
    return figures, alike(*every), ours


def _installed() -> list[str]:
    return [name for name, module in PEERS.items() if importlib.util.find_spec(module)]


def in_memory(fewer: Path, worse: Path, rounds: int) -> tuple[dict[str, float], bool, float]:
    """The table that fits into the memory of all: the same."""
    sides = {"ours": ("ours", fewer), "worse": ("ours", worse), "quarantined": ("quarantined", fewer)}
    made = turn_about(sides, rounds)
    pandas = side("gx_pandas", fewer)
    warm = side("warm", fewer)
    ours, written = (statistics.median(map(seconds, made[name])) for name in ("ours", "quarantined"))
    figures = {
        "checking_gx_pandas_complete_over": seconds(pandas) / written,
        "checking_bad_10_over_1": ratio(made, "worse", "ours"),
        "checking_bad_10_over_1_cpu": ratio(made, "worse", "ours", "cpu"),
        "checking_warm_batch_s": seconds(warm) / BATCHES,
    }
    return figures, alike(*made["ours"], pandas, *made["quarantined"]), ours


def others(folder: Path, rows: int) -> list[str]:
    """Files with identifiers of their own, for the table again and again."""
    files = [folder / f"numbers{place}.parquet" for place in range(1, TIMES)]
    for place, file in enumerate(files, 1):
        write_numbers(file, place * rows, rows)
    return [str(file) for file in files]


def measure(folder: Path, rows: int, rounds: int, *, beside: bool) -> tuple[dict[str, float], bool]:
    """The figures by name, and whether all sides found the same; `beside` each other they take less time."""
    few = min(rows, MEMORY_ROWS)
    table, worse = folder / "all.parquet", folder / "ten_percent.parquet"
    fewer = table if few == rows else folder / "fewer.parquet"
    write(table, rows)
    if fewer != table:
        write(fewer, few)
    write(worse, few, 0.1)
    print(f"{rows:,} rows x 27 columns, {table.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} CPUs", flush=True)
    more_rows = others(folder, rows)
    if beside:
        begin(
            *((name, table) for name in (*reversed(_installed()), "decode", "ours", "sql", "gx_sql", "quarantined")),
            *((name, fewer) for name in ("gx_pandas", "warm")),
            *(("ours", worse), ("gx_sql", table, "COMPLETE"), ("ours", table, *more_rows)),
        )
    figures, same, all_seconds = whole(table, rows, rounds)
    more, also, few_seconds = in_memory(fewer, worse, rounds * 2 - 1)
    many = side("ours", table, *more_rows)
    per_row = [few_seconds / few, all_seconds / rows, seconds(many) / rows / TIMES]
    figures |= more
    figures["checking_per_row_growth"] = max(per_row[1:]) / min(per_row[:2])
    figures["checking_many_peak_mib"] = many.mib
    figures["checking_peak_bytes_per_row_more"] = (
        (many.mib - figures["checking_peak_mib"]) * 2**20 / (rows * (TIMES - 1))
    )
    return figures, same and also


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="100,000 rows, one round, less than a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or an answer is wrong")
    options = parser.parse_args()
    rows, rounds = (SMALL_ROWS, 1) if options.small else (ROWS, 2)
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        figures, same = measure(Path(name), rows, rounds, beside=options.small)
    figures["checking_same_answers"] = float(same)
    kept = told(figures, AT_MOST | AT_LEAST, AT_MOST, "checking_same_answers", judged=not options.small)
    missing = not options.small and not all(f"checking_{peer}_over" in figures for peer in PEERS)
    return 1 if options.strict and (missing or not kept) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
