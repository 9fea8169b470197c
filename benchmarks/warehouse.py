"""The warehouse at province scale, one part per claim, each part's steps in processes of their own.

    python benchmarks/warehouse.py                    every part at its full size (10,000,000 records; 20 GB of disk)
    python benchmarks/warehouse.py --small            100,000 records
    python benchmarks/warehouse.py --part merge       one part
    python benchmarks/warehouse.py --strict           exit 1 when a target is missed or outcomes differ

A part is a file of warehouse_parts with STEPS, TARGETS, AT_MOST and `figures(steps)`; run as a program with a step, a
number of records and a folder it does that step and prints what it measured as JSON. Ratios are of CPU seconds, since
others may share the cores; temporary files go to TMPDIR, else to /var/tmp. Parts that measure beside peers
need the group `bench` (see quality.py); a peer that is missing is a target missed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import run  # noqa: E402
from results import told  # noqa: E402

PARTS = ("land", "upsert", "compact", "merge")
ROWS, SMALL_ROWS = 10_000_000, 100_000
BYTES_PER_ROW = 2_000  # of a part that says nothing else
FOLDER = Path(__file__).resolve().parent / "warehouse_parts"


def measure(name: str, rows: int, folder: Path, *, judged: bool) -> bool:
    """Run a part's steps one after the other in one folder; whether it kept its targets."""
    part = importlib.import_module(f"warehouse_parts.{name}")
    ended = {}
    for step in part.STEPS:
        ended[step] = run([str(FOLDER / f"{name}.py"), step, str(rows), str(folder)], {"PYTHONPATH": str(TOP)})
        shown = ", ".join(f"{label} {value:,.2f}" for label, value in ended[step].said.items())
        print(f"  {step:12} {ended[step].seconds:5,.0f} s {ended[step].mib:6,.0f} MiB  {shown}", flush=True)
    same = f"{name}_same"
    return told(part.figures(ended), part.TARGETS, part.AT_MOST, same, judged=judged)


def _refuse_full_disk(name: str, rows: int, folder: Path) -> None:
    wanted = rows * getattr(importlib.import_module(f"warehouse_parts.{name}"), "BYTES_PER_ROW", BYTES_PER_ROW)
    if shutil.disk_usage(folder).free < wanted:
        sys.exit(
            f"{name}: {rows:,} records need {wanted / 1e9:.0f} GB of disk at {folder}; say where there is by TMPDIR"
        )


def main() -> int:
    """Measure, print, judge."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--small", action="store_true")
    asked.add_argument("--strict", action="store_true")
    asked.add_argument("--rows", type=int)
    asked.add_argument("--part", choices=PARTS, action="append")
    given = asked.parse_args()
    rows = given.rows or (SMALL_ROWS if given.small else ROWS)
    kept = True
    for name in given.part or PARTS:
        print(f"{name}: {rows:,} records, {os.cpu_count()} CPUs", flush=True)
        with tempfile.TemporaryDirectory(
            prefix="shutong-warehouse-", dir=os.environ.get("TMPDIR", "/var/tmp")
        ) as folder:
            _refuse_full_disk(name, rows, Path(folder))
            kept &= measure(name, rows, Path(folder), judged=rows == ROWS)
    return 0 if kept or not given.strict else 1


if __name__ == "__main__":
    sys.exit(main())
