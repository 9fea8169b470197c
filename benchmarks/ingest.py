"""How near the floor a database is read: rows/s, CPU seconds and peak memory, each beside the peers in the same run.

    python benchmarks/ingest.py            5,000,000 rows of 21 columns (12 GB of disk for servers and files)
    python benchmarks/ingest.py --small    20,000 rows, one round, both servers at once, under a minute; not judged
    python benchmarks/ingest.py --strict   exit 1 when a target is missed
    python benchmarks/ingest.py --rows N --rounds N --only postgres

The table is made from a seed and lies in a PostgreSQL and a MariaDB server started for it on this machine. The floor
is `COPY TO STDOUT` by psql into nothing. A way is one process; its time is that of the work, imports left out. Rounds
run the ways turn about and ratios are those of one round, the median over rounds: both sides met the same noise.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from ingest_parts import servers  # noqa: E402
from ingest_parts.figures import Figures  # noqa: E402
from ingest_parts.processes import BenchmarkError, Measured, floor, way  # noqa: E402

from infra.testing import mariadb, postgres  # noqa: E402

ROWS, SMALL_ROWS = 5_000_000, 20_000
NAIVE_SHARE = 10  # pandas gets one row in so many: more make it no faster
BYTES_PER_ROW = 2_400  # text file, two tables with keys and logs, raw files, the peers' copies
Rounds = dict[str, list[Measured]]


def read_postgres(folder: Path, rows: int, rounds: int, figures: Figures) -> None:
    """The table out of PostgreSQL: floor, ours, peers."""
    with postgres.running(password="benchmark") as server:
        main = servers.load_postgres(server, folder / "entities.tsv")
        url = server.url()
        plan: dict[str, object] = {"url": url, "table": servers.TABLE, "rows": rows}
        command, environment = servers.copy_command(server)
        told("postgres copy (cold)", cold := floor(command, environment, rows, main))
        measured: Rounds = {}
        for _ in range(rounds):
            keep(measured, "postgres", "copy", floor(command, environment, rows, main))
            for name in ("ours_raw", "ours_standardised", "ours_checked", "dlt_connectorx", "dlt_pyarrow"):
                keep(measured, "postgres", name, way(name, plan, main))
        keep(measured, "postgres", "ours_read", way("ours_read", plan, main))
        naive = {**plan, "rows": rows // NAIVE_SHARE}
        keep(measured, "postgres", "pandas_naive", way("pandas_naive", naive, main))
        fifth = {**plan, "options": {"where": f"pripid <= {rows // 5}"}}
        told("postgres ours_raw, a fifth of the rows", few := way("ours_raw", fifth, main))
        again = {**plan, "table": f"{servers.TABLE}_again"}
        told(f"postgres ours_raw, {servers.AGAIN} times the rows", many := way("ours_raw", again, main))
    figures.add("postgres_copy_cold_rows_per_s", cold.rate)
    for name in measured:
        describe(figures, f"postgres_{name}", measured[name])
    figures.add("postgres_raw_of_copy", ratio(measured, "ours_raw", "copy"), least=0.55, digits=2)
    figures.add("postgres_raw_peak_mib_most", max(one.mib for one in [*measured["ours_raw"], many]), most=400)
    figures.add("postgres_raw_memory_1_to_20", many.mib / few.mib, most=1.2, digits=2)
    figures.add("postgres_standardised_of_copy", ratio(measured, "ours_standardised", "copy"), digits=2)
    figures.add("postgres_checked_of_copy", ratio(measured, "ours_checked", "copy"), least=0.42, digits=2)
    for peer, least in (("dlt_connectorx", 1.25), ("dlt_pyarrow", 3.5)):
        name = f"postgres_checked_to_{peer}"
        figures.add(name, ratio(measured, "ours_checked", peer), least=least, digits=2)
    used, theirs = (max(one.mib for one in measured[name]) for name in ("ours_checked", "dlt_connectorx"))
    figures.add("postgres_checked_memory_to_dlt_connectorx", used / theirs, most=0.4, digits=2)
    ours = statistics.median(one.rate for one in measured["ours_checked"])
    figures.add("postgres_checked_to_pandas", ours / measured["pandas_naive"][0].rate, least=8, digits=2)


def read_mariadb(folder: Path, rows: int, rounds: int, figures: Figures) -> None:
    """The table out of MariaDB: ours and the peer's best."""
    with mariadb.running(password="benchmark") as server:
        main = servers.load_mariadb(server, folder / "entities.tsv")
        plan: dict[str, object] = {"url": server.url(), "table": servers.TABLE, "rows": rows}
        measured: Rounds = {}
        for _ in range(rounds):
            for name in ("ours_raw", "dlt_connectorx"):
                keep(measured, "mariadb", name, way(name, plan, main))
    for name, found in measured.items():
        describe(figures, f"mariadb_{name}", found)
    figures.add("mariadb_raw_to_dlt", ratio(measured, "ours_raw", "dlt_connectorx"), least=1.2, digits=2)


def keep(measured: Rounds, system: str, name: str, one: Measured) -> None:
    """Remember a round and say what it was."""
    measured.setdefault(name, []).append(one)
    told(f"{system} {name}", one)


def told(name: str, one: Measured) -> None:
    """Say what one reading took."""
    print(
        f"  {name}: {one.rows:,} rows in {one.seconds:.1f} s, {one.rate:,.0f} rows/s, "
        f"CPU {one.cpu:.1f} s + server {one.server_cpu:.1f} s, peak {one.mib:.0f} MiB",
        flush=True,
    )


def describe(figures: Figures, name: str, found: list[Measured]) -> None:
    """The medians of a way."""
    figures.add(f"{name}_rows_per_s", statistics.median(one.rate for one in found))
    figures.add(f"{name}_cpu_s_per_million", statistics.median(one.cpu * 1e6 / one.rows for one in found), digits=2)
    served = statistics.median(one.server_cpu * 1e6 / one.rows for one in found)
    figures.add(f"{name}_server_cpu_s_per_million", served, digits=2)
    figures.add(f"{name}_peak_mib", max(one.mib for one in found))


def ratio(measured: Mapping[str, list[Measured]], ours: str, theirs: str) -> float:
    """The median over rounds of one way's rate over another's."""
    pairs = zip(measured[ours], measured[theirs], strict=True)
    return statistics.median(one.rate / other.rate for one, other in pairs)


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="20,000 rows, one round, under a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--rows", type=int, default=None, help="another number of rows; below 5,000,000 unjudged")
    parser.add_argument("--rounds", type=int, default=None, help="how often each way is run (3; small: 1)")
    parser.add_argument("--only", choices=("postgres", "mariadb"), default=None)
    options = parser.parse_args()
    rows = options.rows or (SMALL_ROWS if options.small else ROWS)
    rounds = options.rounds or (1 if options.small else 3)
    figures = Figures(judged=rows >= ROWS)
    with tempfile.TemporaryDirectory(prefix="shutong-ingest-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if shutil.disk_usage(folder).free < rows * BYTES_PER_ROW:
            raise BenchmarkError(f"{rows:,} rows need {rows * BYTES_PER_ROW / 1e9:.0f} GB of disk at {folder}")
        servers.write(folder / "entities.tsv", rows)
        known = {"postgres": read_postgres, "mariadb": read_mariadb}
        asked = [measure for system, measure in known.items() if options.only in (None, system)]

        def found(measure: Callable[[Path, int, int, Figures], None]) -> Figures:
            mine = Figures(figures.judged)
            measure(folder, rows, rounds, mine)
            return mine

        # What is judged has the machine for itself.
        with ThreadPoolExecutor(1 if figures.judged else len(asked)) as systems:
            for mine in systems.map(found, asked):
                figures.lines += mine.lines
    met = figures.tell()
    return 1 if options.strict and not met else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
