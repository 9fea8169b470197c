"""The serving store at province scale: building, looking up and bringing in changes, beside what one would use first.

    python benchmarks/serving.py            10,000,000 firms of 25 columns (10 GB of disk)
    python benchmarks/serving.py --small    200,000 firms, less than a minute
    python benchmarks/serving.py --strict   exit 1 when a target is missed or a side answered otherwise

Every side runs in a process of its own over the same zstd Parquet file; a look-up gives all columns. What each is:

    ours        LMDB files of zstd records with a trained dictionary, three secondary keys in compressed blocks, sealed
    lmdb        LMDB as one would use it first: JSON arrays as they are, no secondary key; 50,000 changes in place
    sqlite      a table WITHOUT ROWID with a column per field and three indexes; 1,000,000 firms at most
    duckdb      read_parquet over the file, key by key

From a release to its answer is measured in a process that has published before: 1,000 and 50,000 merged changes are
committed to the Iceberg table and released, then published until a reader that looks every 0.2 s gives the new answer.
Builds are told in seconds and in CPU-seconds, for when others share the cores; temporary files go to TMPDIR.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import BenchmarkError, Ended, run  # noqa: E402
from results import told  # noqa: E402
from serving_parts.firms import write  # noqa: E402

SIDES = str(Path(__file__).resolve().parent / "serving_parts" / "sides.py")
ROWS, SMALL_ROWS, SQLITE_ROWS = 10_000_000, 200_000, 1_000_000
AT_MOST = {
    "serving_build_s_per_million": 8.0,
    "serving_build_peak_mib": 2_048.0,
    "serving_bytes_per_record": 250.0,  # 2.5 GB for ten million
    "serving_get_p99_us": 50.0,
    "serving_batch_ms": 5.0,
    "serving_answered_1000_s": 2.0,
    "serving_answered_50000_s": 2.0,
}
AT_LEAST = {"serving_duckdb_over": 1_000.0}


def side(name: str, file: Path, rows: int, folder: Path) -> Ended:
    """One side, once."""
    folder.mkdir(exist_ok=True)
    ended = run([SIDES, name, str(file), str(rows), str(folder)], {})
    shown = ", ".join(f"{label} {value:,.2f}" for label, value in ended.said.items() if isinstance(value, int | float))
    print(f"  {name:10} {ended.mib:7,.0f} MiB  {shown}", flush=True)
    return ended


def measure(folder: Path, rows: int) -> tuple[dict[str, float], bool]:
    """The figures by name, and whether all sides gave the same answers."""
    file, few = folder / "firms.parquet", folder / "few.parquet"
    write(file, rows)
    write(few, min(rows, SQLITE_ROWS))
    print(f"{rows:,} firms x 25 columns, {file.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} CPUs", flush=True)
    built, asked = (side(name, file, rows, folder / "ours") for name in ("ours", "ours_asked"))
    plain = side("plain", file, rows, folder / "plain")
    (folder / "plain" / "plain.lmdb").unlink()
    parquet = side("parquet", file, rows, folder / "parquet")
    lag = side("lag", file, rows, folder / "lag")
    sqlite = side("sqlite", few, min(rows, SQLITE_ROWS), folder / "sqlite")
    millions = rows / 1e6
    figures = {
        "serving_build_s_per_million": built.said["seconds"] / millions,
        "serving_build_cpu_s_per_million": built.said["cpu"] / millions,
        "serving_build_peak_mib": built.mib,
        "serving_bytes_per_record": built.said["bytes"] / rows,
        "serving_get_p50_us": asked.said["p50"],
        "serving_get_p99_us": asked.said["p99"],
        "serving_batch_ms": asked.said["batch"],
        "serving_by_name_us": asked.said["by_name"],
        "serving_answered_1000_s": lag.said["few"],
        "serving_answered_50000_s": lag.said["many"],
        "serving_answered_50000_cpu_s": lag.said["many_cpu"],
        "serving_changed_get_p99_us": lag.said["asked_p99"],
        "serving_publish_peak_mib": lag.mib,
        "serving_duckdb_over": parquet.said["p50"] / asked.said["p50"],
        "serving_lmdb_get_p50_us": plain.said["p50"],
        "serving_lmdb_bytes_per_record": plain.said["bytes"] / rows,
        "serving_lmdb_build_cpu_s_per_million": plain.said["cpu"] / millions,
        "serving_lmdb_50000_in_place_s": plain.said["change"],
        "serving_sqlite_get_p50_us": sqlite.said["p50"],
        "serving_sqlite_batch_ms": sqlite.said["batch"],
        "serving_sqlite_bytes_per_record": sqlite.said["bytes"] / min(rows, SQLITE_ROWS),
        "serving_sqlite_build_cpu_s_per_million": sqlite.said["cpu"] / (min(rows, SQLITE_ROWS) / 1e6),
    }
    alike = [asked.said["said"], plain.said["said"], parquet.said["said"]]
    alike += [sqlite.said["said"]] if rows <= SQLITE_ROWS else []
    return figures, all(one == alike[0] for one in alike)


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="200,000 firms, less than a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or an answer is wrong")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        figures, same = measure(Path(name), SMALL_ROWS if options.small else ROWS)
    figures["serving_same_answers"] = float(same)
    kept = told(figures, AT_MOST | AT_LEAST, AT_MOST, "serving_same_answers", judged=not options.small)
    return 1 if options.strict and not kept else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
