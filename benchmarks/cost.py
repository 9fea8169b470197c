"""What a record costs, from a delivered row to a night's care, measured at several sizes and drawn on to a province's.

    python benchmarks/cost.py                 125,000, 500,000 and 1,000,000 rows
    python benchmarks/cost.py --millions 10   up to 10 million rows (60 for 60); the disk is looked at first
    python benchmarks/cost.py --small         20,000 rows, under a minute: the figures' way, not the figures
    python benchmarks/cost.py --strict        exit 1 when a target is missed or an outcome is wrong

Two departments deliver CSV about the same firms, checked by the standard of legal persons with all its rules. Each step
is a process of its own: CPU seconds (user and system, imports left out by the line's fixed part), peak memory, bytes on
the disk. The machines are those it takes for the first load in LOAD_DAYS, for a day's changes and care in NIGHT hours,
and for the disk, whichever is most: docs/deploy.md has the formula. Files go to TMPDIR, else to /var/tmp.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from cost_parts.fit import Said, extrapolated  # noqa: E402
from first_parts.processes import BenchmarkError, Ended, run  # noqa: E402
from results import told  # noqa: E402

STEPS = ("deliver", "receive", "merge", "publish", "day", "care")
MILLION = 1_000_000
SMALL_SIZES = (20_000,)
JUDGED_FROM, DRAWN_FROM = 10 * MILLION, MILLION // 2  # rows
BYTES_PER_ROW = 3_000  # of disk while it runs; measured: 800 and the care's copies
LEFT = 0.07  # of the disk stays free: below that SeaweedFS takes no more
TARGETS, AT_MOST = {"cost_peak_mib": 4_096.0}, ("cost_peak_mib",)

# Whom the model is for: what stands here is assumed, everything else is measured.
SCENARIOS = {"360m": 360 * MILLION, "7b": 7_000 * MILLION}  # rows kept
PIECES = {"receive": 2 * MILLION, "day": 2 * MILLION, "care": 2 * MILLION}  # rows of a resource, on average
PIECE = 60 * MILLION  # rows of a library one process works on; what is more is another hash bucket
GROWN = 1 + 0.01 * 365  # what is kept as received after a year in which one per cent is told anew each day
CORES, DISK_BYTES = 16, 8e12  # of a machine
BUSY, FULL = 0.6, 0.7  # of its cores and its disk that may be planned with
LOAD_DAYS, NIGHT_HOURS, COPIES = 30, 8, 3

Measured = dict[int, dict[str, Ended]]


def measure(rows: int, parent: Path) -> dict[str, Ended]:
    """Every step at one size, each in a process of its own."""
    ended = {}
    with tempfile.TemporaryDirectory(prefix="shutong-cost-", dir=parent) as folder:
        for step in STEPS:
            command = [str(TOP / "benchmarks" / "cost_parts" / "steps.py"), step, str(rows), f"{folder}/home"]
            ended[step] = run(command, {"PYTHONPATH": str(TOP), "PYTHONHASHSEED": "0"})
            one = ended[step]
            print(
                f"  {rows:>10,} {step:8} {one.said['cpu']:8.1f} CPU s {one.seconds:8.1f} s {one.mib:7,.0f} MiB",
                flush=True,
            )
    return ended


def disk(steps: dict[str, Ended]) -> dict[str, float]:
    """Bytes kept after the first load, by what they are: as received, as tables, as what answers."""
    said = steps["publish"].said
    return {name: float(said[f"{name}_bytes"]) for name in ("raw", "table", "serving")}


def costs(measured: Measured, rows: float) -> dict[str, Said]:
    """What each step and each kind of bytes comes to at a size, by the lines through what was measured."""
    said = {}
    for step in STEPS[1:]:
        said[step] = extrapolated(
            [(n, one[step].said["cpu"]) for n, one in measured.items()], rows, PIECES.get(step, PIECE)
        )
    for kind in ("raw", "table", "serving"):
        said[kind] = extrapolated([(n, disk(one)[kind]) for n, one in measured.items()], rows, PIECE)
    return said


def machines(said: dict[str, Said]) -> dict[str, tuple[float, float, float]]:
    """Machines by what asks for them, each likely, low and high; what it takes is the most of the three, rounded up."""

    def of(names: tuple[str, ...], per_machine: float) -> tuple[float, float, float]:
        chosen = [(said[name], GROWN if name == "raw" else 1.0) for name in names]
        return (
            sum(one.cost * times for one, times in chosen) / per_machine,
            sum(one.low * times for one, times in chosen) / per_machine,
            sum(one.high * times for one, times in chosen) / per_machine,
        )

    return {
        "load": of(("receive", "merge", "publish"), CORES * BUSY * LOAD_DAYS * 86_400),
        "night": of(("day", "care"), CORES * BUSY * NIGHT_HOURS * 3_600),
        "disk": of(("raw", "table", "serving"), DISK_BYTES * FULL / COPIES),
    }


def tell(measured: Measured) -> dict[str, float]:
    """Print the model; returns its figures."""
    largest = max(measured)
    print(f"per million rows, at {largest:,}:")
    figures: dict[str, float] = {}
    for step in STEPS[1:]:
        points = [(n, one[step].said["cpu"]) for n, one in measured.items()]
        figures[f"cost_{step}_cpu_s_per_million"] = measured[largest][step].said["cpu"] / largest * MILLION
        shape = extrapolated(points, largest, PIECE).shape
        print(f"  {step:8} {figures[f'cost_{step}_cpu_s_per_million']:8.2f} CPU s, grows like {shape}")
    for kind, size in disk(measured[largest]).items():
        figures[f"cost_{kind}_mb_per_million"] = size / largest
        print(f"  {kind:8} {size / largest:8.1f} MB")
    peaks = {n: max(one.mib for name, one in steps.items() if name != "deliver") for n, steps in measured.items()}
    print(f"  peak memory {', '.join(f'{mib:,.0f} MiB at {n:,}' for n, mib in peaks.items())}")
    figures["cost_peak_mib"] = peaks[largest]
    if largest < DRAWN_FROM:
        print(f"  below {DRAWN_FROM:,} rows what is fixed hides the rest: nothing is drawn on from here")
    for name, rows in SCENARIOS.items() if largest >= DRAWN_FROM else ():
        said = costs(measured, rows)
        print(f"{rows:,} rows, machines of {CORES} cores and {DISK_BYTES / 1e12:g} TB:")
        for what, (likely, low, high) in machines(said).items():
            print(f"  {what:6} {likely:8.2f}   ({low:.2f} to {high:.2f})")
        total = (said["raw"].cost * GROWN + said["table"].cost + said["serving"].cost) / 1e12
        served = said["serving"].cost / 1e9
        hours = sum(said[step].cost for step in ("receive", "merge", "publish")) / 3_600
        print(
            f"  {hours:,.0f} CPU hours to load; a year on {total:.2f} TB once, {total * COPIES:.2f} in {COPIES} copies,"
        )
        print(f"  {served:,.0f} GB of it to answer from")
        figures[f"cost_machines_{name}"] = math.ceil(max(likely for likely, _, _ in machines(said).values()))
        figures[f"cost_machines_{name}_high"] = math.ceil(max(high for _, _, high in machines(said).values()))
    figures["cost_same"] = float(
        all(one.said.get("same", True) for steps in measured.values() for one in steps.values())
    )
    return figures


def _refuse_full_disk(rows: int, parent: Path) -> None:
    """Before anything is written: room for the largest size, and what must stay free."""
    usage = shutil.disk_usage(parent)
    wanted = rows * BYTES_PER_ROW + usage.total * LEFT
    if usage.free < wanted:
        sys.exit(
            f"{rows:,} rows want {wanted / 1e9:.0f} GB free at {parent}, there are {usage.free / 1e9:.0f}; see TMPDIR"
        )


def main() -> int:
    """Measure, print, judge."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--small", action="store_true")
    asked.add_argument("--strict", action="store_true")
    asked.add_argument("--millions", type=float, default=1.0, help="the largest size, in millions of rows")
    given = asked.parse_args()
    most = round(given.millions * MILLION)
    sizes = SMALL_SIZES if given.small else (most // 8, most // 2, most) if most <= MILLION else (MILLION, most)
    parent = Path(os.environ.get("TMPDIR", "/var/tmp"))
    _refuse_full_disk(max(sizes), parent)
    print(f"cost: {', '.join(f'{size:,}' for size in sizes)} rows, {os.cpu_count()} CPUs", flush=True)
    figures = tell({size: measure(size, parent) for size in sizes})
    kept = told(figures, TARGETS, AT_MOST, "cost_same", judged=max(sizes) >= JUDGED_FROM)
    return 0 if kept or not given.strict else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
