"""What is asked of many call records: usage from counters, a month's statements, who looked, the whole chain checked.

    python benchmarks/usage.py            1,000,000 calls of thirty days (700 MB of disk)
    python benchmarks/usage.py --small    60,000 calls
    python benchmarks/usage.py --strict   exit 1 when a target is missed or the sides differ

Usage is held against counting the records themselves, as one would first: `usage_over_records` says how many times
quicker it is, once the files that are finished were summed; `usage_new_calls_ms` is the first look after 1,000 more
calls in a file that grows. Figures are processor time.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from results import told  # noqa: E402

from sharing import segments  # noqa: E402
from sharing.calls import Call, today  # noqa: E402
from sharing.counters import Counters  # noqa: E402
from sharing.ledger import Ledger  # noqa: E402
from sharing.looked import WhoLooked  # noqa: E402
from sharing.meter import SEAL  # noqa: E402
from sharing.statements import Books, make  # noqa: E402

CALLS, SMALL_CALLS, NEW_CALLS, DAYS = 1_000_000, 60_000, 1_000, 30
MONTH, PERSON = "2026-09", "11010519491231002X"
AT_MOST = {"usage_day_ms": 100.0, "usage_new_calls_ms": 500.0}
AT_LEAST = {"usage_over_records": 100.0}
T = TypeVar("T")


def fill(folder: Path, calls: int) -> None:
    """Records as workers leave them: a file of each day, sealed but for the last."""
    drawn = random.Random(1)
    for day in range(1, DAYS + 1):
        write(
            folder / f"202609{day:02d}-{day:020d}-1-abcdef{segments.SUFFIX}",
            day,
            calls // DAYS,
            drawn,
            sealed=day < DAYS,
        )


def write(path: Path, day: int, calls: int, drawn: random.Random, *, sealed: bool) -> None:
    """One file of records."""
    at = segments.start(path.name)
    head, at = segments.frame(segments.header(path.name, None, {}), at)
    parts = [head]
    for number in range(calls):
        call, second = Call.begin(), number * 86_400 // calls
        call.at = f"2026-09-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.123456+08:00"
        call.department, call.library = drawn.choice(("swj", "rsj", "gaj", "jyj")), drawn.choice(("firms", "people"))
        call.grant, call.matter, call.operation, call.units = "G-2026-001", "税务登记", "get", 1
        call.status, call.key = drawn.choice((200, 200, 200, 404)), "hmac:" + drawn.randbytes(32).hex()
        call.names, call.request, call.answer = ["uscc", "ent_name"], "a" * 64, "b" * 64
        framed, at = segments.frame(call.payload(), at)
        parts.append(framed)
    if sealed:
        parts.append(segments.frame(SEAL, at)[0])
    path.write_bytes(b"".join(parts))


def timed(act: Callable[[], T]) -> tuple[float, T]:
    """Seconds of processor time, and what came of it."""
    begun = time.process_time()
    made = act()
    return time.process_time() - begun, made


def measure(folder: Path, calls: int) -> tuple[dict[str, float], bool]:
    """The figures by name, and whether counters, statements and records say the same."""
    fill(folder, calls)
    millions = calls / 1e6
    plain, totals = timed(lambda: Ledger(folder).totals())
    built, _ = timed(lambda: Counters(folder).read("day"))
    reader = Counters(folder)
    day, days = timed(lambda: reader.read("day"))
    hour, _ = timed(lambda: reader.read("hour", department="swj"))
    stated, made = timed(lambda: make(Books(Ledger(folder), (), {"firms": "market"}), MONTH))
    checked, audit = timed(lambda: Ledger(folder).verify())
    looked, looks = timed(lambda: WhoLooked(folder, Ledger(folder), b"s" * 32).look(PERSON, "bench", "bench"))
    growing = folder / f"{today().replace('-', '')}-{DAYS + 1:020d}-1-abcdef{segments.SUFFIX}"
    write(growing, DAYS, NEW_CALLS, random.Random(2), sealed=False)
    fresh, later = timed(lambda: reader.read("day"))
    counted, summed = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for one in days:
        counted[one.department, one.status] += one.calls
    for each in totals:
        summed[each.department or "", each.status] += each.calls
    same = counted == summed and sum(one.calls for one in made) == sum(counted.values()) and audit.sound
    figures = {
        "usage_day_ms": day * 1000,
        "usage_hour_ms": hour * 1000,
        "usage_new_calls_ms": fresh * 1000,
        "usage_over_records": plain / day,
        "usage_built_s_per_million": built / millions,
        "usage_records_s_per_million": plain / millions,
        "statements_s_per_million": stated / millions,
        "verify_s_per_million": checked / millions,
        "looked_s_per_million": looked / millions,
    }
    same &= sum(one.calls for one in later) == sum(counted.values()) + NEW_CALLS + len(looks)
    return figures, same and len(looks) == 1


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--strict", action="store_true")
    asked = parser.parse_args()
    calls = SMALL_CALLS if asked.small else CALLS
    with tempfile.TemporaryDirectory() as folder:
        figures, same = measure(Path(folder), calls)
    print(f"{calls:,} calls, {os.cpu_count()} CPUs")
    figures["usage_same"] = float(same)
    kept = told(figures, AT_LEAST | AT_MOST, AT_MOST, "usage_same", judged=not asked.small)
    return 1 if asked.strict and not kept else 0


if __name__ == "__main__":
    sys.exit(main())
