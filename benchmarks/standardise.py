"""Standardising 21 dirty columns and checking two kinds of identifiers: ours beside DuckDB SQL and pandas, in one run.

    python benchmarks/standardise.py            5,000,000 rows (pandas: 500,000)
    python benchmarks/standardise.py --small    262,144 rows, one round, under a minute
    python benchmarks/standardise.py --strict   exit 1 when a target is missed or a side found something else

Every side runs in its own process over the same Arrow file, on two threads, turn about. The peers type and repair the
same columns; only ours also marks every value that was bad or repaired, keeps everything as received and counts what it
did not understand. Rates are of the work, without starting Python; `per_loop` is our rate in rows per round of a fixed
numpy loop run just before, which says more than rows/s on a machine that is busy with something else.
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
from results import told  # noqa: E402
from standardise_parts.table import write  # noqa: E402

SIDES = str(Path(__file__).resolve().parent / "standardise_parts" / "sides.py")
ROWS, SMALL_ROWS, PANDAS_SHARE = 5_000_000, 262_144, 10
TARGETS = {
    "standardise_rows_per_s": 450_000.0,
    "standardise_over_duckdb": 3.1,  # 450,000 over the 145,000 that DuckDB SQL did
    "standardise_over_pandas": 4.5,  # over the 99,000 of pandas
    "standardise_memory_growth": 1.3,  # peak at all rows over peak at a quarter of them
}


def side(name: str, file: Path, rows: int) -> Ended:
    """One side, once."""
    ended = run([SIDES, name, str(file), str(rows)], {})
    said = ended.said
    rate = said["found"]["rows"] / said["seconds"]
    cpu = said["cpu"] / said["found"]["rows"] * 1e6
    print(f"  {name:7} {rate:>9,.0f} rows/s, {cpu:.2f} CPU-s per million, {ended.mib:,.0f} MiB, {said['found']}")
    return ended


def rate(ended: Ended) -> float:
    """Rows per second of the work."""
    return float(ended.said["found"]["rows"] / ended.said["seconds"])


def rounded(found: dict[str, float]) -> dict[str, int]:
    """What was found, in whole numbers: pandas adds up amounts as floats."""
    return {name: round(value) for name, value in found.items()}


def measure(folder: Path, rows: int, rounds: int) -> tuple[dict[str, float], bool]:
    """The figures by name, and whether all sides found the same."""
    file = folder / "table.arrow"
    write(file, rows)
    fewer = max(rows // PANDAS_SHARE, 65_536)
    print(f"{rows:,} rows x 21 columns, {file.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} CPUs")
    made: dict[str, list[Ended]] = {"ours": [], "duckdb": [], "pandas": []}
    for _ in range(rounds):
        made["ours"].append(side("ours", file, rows))
        made["duckdb"].append(side("duckdb", file, rows))
        made["pandas"].append(side("pandas", file, fewer))
    fraction, same_rows = side("ours", file, rows // 4), side("ours", file, fewer)
    rates = {name: statistics.median(map(rate, runs)) for name, runs in made.items()}
    ours = made["ours"]
    figures = {
        "standardise_rows_per_s": rates["ours"],
        "standardise_cpu_s_per_million": statistics.median(
            one.said["cpu"] / one.said["found"]["rows"] * 1e6 for one in ours
        ),
        "standardise_per_loop": statistics.median(rate(one) / one.said["loops"] for one in ours),
        "standardise_duckdb_rows_per_s": rates["duckdb"],
        "standardise_pandas_rows_per_s": rates["pandas"],
    }
    for peer in ("duckdb", "pandas"):
        pairs = zip(ours, made[peer], strict=True)
        figures[f"standardise_over_{peer}"] = statistics.median(rate(one) / rate(other) for one, other in pairs)
    figures |= {f"standardise_{name}_peak_mib": max(one.mib for one in runs) for name, runs in made.items()}
    figures["standardise_memory_growth"] = figures["standardise_ours_peak_mib"] / fraction.mib
    same = all(
        rounded(one.said["found"]) == rounded(other.said["found"])
        for one, other in [*zip(ours, made["duckdb"], strict=True), *((same_rows, one) for one in made["pandas"])]
    )
    return figures, same


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="262,144 rows, one round, under a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or an answer is wrong")
    options = parser.parse_args()
    rows, rounds = (SMALL_ROWS, 1) if options.small else (ROWS, 3)
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        figures, same = measure(Path(name), rows, rounds)
    real = Path(os.environ.get("SHUTONG_SHARED", TOP.parent / "shared")) / "data" / "zhejiang-enterprises.csv.gz"
    if real.exists():
        figures["standardise_real_rows_per_s"] = rate(side("real", real, 0))
    figures["standardise_same_answers"] = float(same)
    growth = ("standardise_memory_growth",)
    kept = told(figures, TARGETS, growth, "standardise_same_answers", judged=not options.small)
    return 1 if options.strict and not kept else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
