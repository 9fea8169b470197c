"""Reading dropped files: ours beside a peer over the same file in the same run, in rows/s, ratio and peak memory.

    python benchmarks/files.py            1,000,000 records of CSV, 50,000 of xlsx; three rounds
    python benchmarks/files.py --small    150,000 and 5,000; under a minute
    python benchmarks/files.py --strict   exit 1 when a target is missed or anything was read wrong

GB18030 CSV of 21 columns to batches of text: ours finds undecodable bytes and records of another width and numbers
them, pyarrow.csv stops at the first; its faster way of two (read_csv, open_csv) counts. That every value is the same is
compared by digests, outside of the timed runs, and a second file with odd records shows that each is a reject with the
number of its line. xlsx: ours (calamine, cells by type) beside openpyxl in read-only mode. Each side is a process of
its own; seconds are those of reading, without imports; memory is the peak of the process.
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

from files_parts.made import write_csv, write_workbook  # noqa: E402
from first_parts.processes import BenchmarkError, Ended, run  # noqa: E402

SIDES = Path(__file__).resolve().parent / "files_parts" / "sides.py"
CSV_TARGET, XLSX_TARGET = 1.3, 8.0


def read(side: str, path: Path, *more: str) -> Ended:
    """One side over one file."""
    return run([str(SIDES), side, str(path), *more], {})


def told(name: str, value: float, target: float | None = None, *, digits: int = 0, state: str | None = None) -> bool:
    """Print a figure; True unless it falls short of its target."""
    state = state or ("n/a" if target is None else "ok" if value >= target else "short")
    print(f"RESULT {name} {value:.{digits}f} target {target or 'none'} {state}")
    return state in {"n/a", "ok"}


def compare(kind: str, ours: str, peers: list[str], path: Path, rounds: int, *, target: float) -> bool:
    """Turn about; the ratio is that of one round, to the fastest peer in it."""
    ratios: list[float] = []
    seen: dict[str, list[Ended]] = {side: [] for side in (ours, *peers)}
    for _ in range(rounds):
        for side, found in seen.items():
            found.append(read(side, path))
        ratios.append(min(seen[peer][-1].said["seconds"] for peer in peers) / seen[ours][-1].said["seconds"])
    for side, found in seen.items():
        told(f"{side}_rows_per_s", statistics.median(one.said["rows"] / one.said["seconds"] for one in found))
        told(f"{side}_cpu_s", statistics.median(one.said["cpu"] for one in found), digits=2)
        told(f"{side}_peak_mib", max(one.mib for one in found))
    alike = len({one.said["rows"] for found in seen.values() for one in found}) == 1
    if not alike:
        print(f"  {kind}: the sides read different numbers of records")
    return told(f"{kind}_ratio", statistics.median(ratios), target, digits=2) and alike


def same_values(ours: str, peer: str, path: Path) -> bool:
    """Whether both sides read the same values."""
    mine, theirs = read(ours, path, "digest").said, read(peer, path, "digest").said
    same = mine["digest"] == theirs["digest"] and not mine["rejects"] and bool(mine["digest"])
    print(f"  {path.name}: {mine['rows']:,} records, every value {'the same' if same else 'NOT THE SAME'} as {peer}'s")
    return told(f"{ours}_same_values", float(same), state="n/a" if same else "WRONG")


def odd_records(path: Path, count: int) -> bool:
    """Whether each odd record is a reject with its line's number, and no other is one."""
    wrong = write_csv(path, count, odd=True)
    ended = read("shutong-csv", path)
    found = ended.said["rejects"]
    right = ended.said["rows"] == count and len(found) == len(wrong)
    right = right and all(
        rule == kind and f"line {line}:" in detail for (line, kind), (rule, detail) in zip(wrong, found, strict=True)
    )
    print(
        f"  {path.name}: {len(wrong):,} odd records, {len(found):,} rejects, {'all' if right else 'NOT ALL'} numbered"
    )
    told("shutong-csv_odd_rows_per_s", ended.said["rows"] / ended.said["seconds"])
    return told("shutong-csv_odd_numbered", float(right), state="n/a" if right else "WRONG")


def main() -> int:
    """Measure everything; one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="fewer records, under a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or a value is wrong")
    options = parser.parse_args()
    records, cells, rounds = (150_000, 5_000, 1) if options.small else (1_000_000, 50_000, 3)
    right: list[bool] = []
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        text, book = Path(name) / "firms.csv", Path(name) / "firms.xlsx"
        write_csv(text, records)
        print(f"GB18030 CSV: {records:,} records, {text.stat().st_size >> 20} MiB, {os.cpu_count()} CPUs")
        right.append(same_values("shutong-csv", "pyarrow-read", text))
        right.append(compare("csv", "shutong-csv", ["pyarrow-read", "pyarrow-open"], text, rounds, target=CSV_TARGET))
        text.unlink()
        right.append(odd_records(Path(name) / "odd.csv", records))
        write_workbook(book, cells)
        print(f"xlsx: {cells:,} records, {book.stat().st_size >> 20} MiB")
        right.append(same_values("shutong-xlsx", "openpyxl", book))
        right.append(compare("xlsx", "shutong-xlsx", ["openpyxl"], book, rounds, target=XLSX_TARGET))
    return 1 if options.strict and not all(right) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
