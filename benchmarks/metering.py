"""What it costs to record every call before its answer leaves, and that nothing answered is ever without its record.

    python benchmarks/metering.py            200,000 firms to ask, 64 connections, two workers; three minutes
    python benchmarks/metering.py --small    20,000 firms, less than half a minute
    python benchmarks/metering.py --strict   exit 1 when a target is missed or a record is missing

Three servers take turns: one that records nothing, one that makes each record durable and chains it, and the one that
is deployed, which also signs a receipt. The ratio is the median of the rounds; `cpu` is the processor time a call costs
the server, which another program on the machine changes less; `day` is how long a day of Wenzhou, 24,000 calls, takes.
Then all processes of the server are killed under load, round after round: every request id that wrk read is
looked for in the ledger. wrk is of Debian: `apt-get install wrk`.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import BenchmarkError  # noqa: E402
from results import told  # noqa: E402
from sharing_parts import firms, ours  # noqa: E402
from sharing_parts.load import ask, need_wrk, spent  # noqa: E402

from sharing.ledger import Ledger  # noqa: E402

ROWS, SMALL_ROWS = 200_000, 20_000
DAY = 24_000
SIDES = ("no_meter", "no_receipts", "all")
AT_LEAST = {"metering_kept": 0.75, "metering_receipts_kept": 0.50}
AT_MOST = {"metering_day_s": 5.0, "metering_killed_lost": 0.0, "metering_killed_twice": 0.0}
SOUND = "metering_ledger_sound"


def measure(folder: Path, rows: int, seconds: float, rounds: int) -> dict[str, float]:
    """The figures by name."""
    firms.serve(folder, firms.write(folder, rows))
    headers, keys = ours.lay_out(folder), firms.keys(rows)
    figures: dict[str, float] = {}
    rates: dict[str, list[float]] = {one: [] for one in SIDES}
    costs: dict[str, list[float]] = {one: [] for one in SIDES}
    with ExitStack() as stack:
        running = {one: stack.enter_context(ours.serving(folder, one)) for one in SIDES}
        asked = {one: ours.look_up(address, headers, keys) for one, (address, _) in running.items()}
        for turn in range(rounds + 1):
            for one in SIDES if turn % 2 else reversed(SIDES):
                time.sleep(0.3)
                before = spent(running[one][1])
                load = ask(asked[one], seconds)
                if turn:  # the first is to warm up
                    rates[one].append(load.rate)
                    costs[one].append((spent(running[one][1]) - before) / load.answered * 1e6)
    for one in SIDES:
        figures[f"metering_{one}_per_s"] = statistics.median(rates[one])
        figures[f"metering_{one}_cpu_us"] = statistics.median(costs[one])
    for name, kept in (("metering_kept", "no_receipts"), ("metering_receipts_kept", "all")):
        pairs = zip(rates[kept], rates["no_meter"], strict=True)
        figures[name] = statistics.median(ours / free for ours, free in pairs)
        figures[f"{name}_cpu"] = statistics.median(costs["no_meter"]) / statistics.median(costs[kept])
    figures["metering_day_s"] = DAY / figures["metering_all_per_s"]
    return figures


def kill(folder: Path, seconds: float, rounds: int) -> dict[str, float]:
    """Kill all processes of the server under load; then every id that was answered must be in the ledger, once."""
    headers, keys = ours.lay_out(folder), firms.keys(SMALL_ROWS)
    answered: list[str] = []
    for turn in range(rounds):
        ids = folder / f"ids-{turn}"
        with ours.serving(folder) as (address, pid):
            killing = threading.Timer(seconds, os.killpg, (pid, signal.SIGKILL))
            killing.start()
            ask(ours.look_up(address, headers, keys), seconds + 1, ids=ids)
            killing.join()
        answered += ids.read_text().split()
    ledger = Ledger(folder / "meter")
    recorded = Counter(call.id for call in ledger.records())
    began = time.perf_counter()
    audit = ledger.verify()
    took = time.perf_counter() - began
    return {
        "metering_killed_answered": len(answered),
        "metering_killed_lost": sum(1 for one in answered if one not in recorded),
        "metering_killed_twice": sum(1 for times in recorded.values() if times > 1),
        "metering_verified_per_s": sum(recorded.values()) / took,
        SOUND: float(audit.sound),
    }


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="20,000 firms, less than half a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or a record is missing")
    options = parser.parse_args()
    need_wrk()
    rows, seconds, rounds = (SMALL_ROWS, 1.0, 2) if options.small else (ROWS, 5.0, 7)
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        figures = measure(Path(name), rows, seconds, rounds)
        figures |= kill(Path(name), min(seconds, 2.0), rounds)
    kept = told(figures, AT_LEAST | AT_MOST, AT_MOST, SOUND, judged=not options.small)
    return 1 if options.strict and not kept else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
