"""The first figures: rows/s from source to published, and look-ups/s over HTTP, each beside a peer in the same run.

    python benchmarks/first.py            the whole real file (SHUTONG_SHARED/data/zhejiang-enterprises.csv.gz)
    python benchmarks/first.py --small    its first 20,000 rows, shorter; generated rows when the file is absent
    python benchmarks/first.py --strict   exit 1 when a target is missed or an answer was wrong

The way of a row: raw batch, check of every rule, landing with quarantine, merge, publication; the peer reads with
pandas, checks with python-stdnum, drops duplicates, writes Parquet and SQLite. A look-up: the real server with key,
grant, mask, quota and durable call record; the peer is FastAPI with SQLAlchemy on SQLite and none of these, under the
same server. Times are those of whole processes, imports included; peak memory of a server adds up its processes.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import BenchmarkError, run, server, tree_peak_mib  # noqa: E402
from first_parts.source import first_rows  # noqa: E402

from shutong.supervisor import free_port  # noqa: E402
from warehouse.serving import ServingStore  # noqa: E402

PARTS = Path(__file__).resolve().parent / "first_parts"
SMALL_ROWS, SAMPLE = 20_000, 2_000
CONCURRENCY = (1, 32)
QUOTA = ("per_day: 100000}", "per_day: 1000000000}")


@dataclass
class Figures:
    """What was measured, in order: (name, value, state)."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, value: float, *, digits: int = 0, state: str = "n/a") -> None:
        """Keep a figure for the end."""
        self.lines.append((name, f"{value:.{digits}f}", state))

    def tell(self) -> None:
        """One line per figure."""
        for name, value, state in self.lines:
            print(f"RESULT {name} {value} target none {state}")


def ingest(folder: Path, source: Path, figures: Figures, *, rounds: int) -> dict[str, str]:
    """Measure source to published, ours and the peer's turn about; returns our deployment's environment."""
    ours, theirs = [], []
    for turn in range(rounds):
        home = folder / f"home-{turn}"
        environment = {"SHUTONG_HOME": str(home), "SHUTONG_STATE_URL": "", "SHUTONG_LANG": "en"}
        run(["-m", "shutong", "init", "--example", "enterprises", "--json"], environment)
        command = ["-m", "shutong", "ingest", "enterprises", "--set", f"path={source}", "--json"]
        ours.append(run(command, environment))
        theirs.append(run([str(PARTS / "peer.py"), "ingest", str(source), str(folder)], {}))
    said, told = ours[-1].said, theirs[-1].said
    fates = {name: said[name] for name in ("pulled", "landed", "quarantined", "superseded")}
    print(f"  shutong: {fates} in {', '.join(f'{one.seconds:.1f}' for one in ours)} s")
    print(f"  peer:    {told} in {', '.join(f'{one.seconds:.1f}' for one in theirs)} s")
    rate = statistics.median(said["pulled"] / one.seconds for one in ours)
    peer = statistics.median(told["pulled"] / one.seconds for one in theirs)
    whole = said["pulled"] == said["landed"] + said["quarantined"] + said["superseded"] + said["held"]
    figures.add("ingest_rows_per_s", rate, state="n/a" if whole and said["landed"] else "WRONG")
    figures.add("ingest_peak_mib", max(one.mib for one in ours))
    figures.add("ingest_peer_rows_per_s", peer)
    figures.add("ingest_peer_peak_mib", max(one.mib for one in theirs))
    rounds_said = [
        (one.said["pulled"] / one.seconds) / (other.said["pulled"] / other.seconds)
        for one, other in zip(ours, theirs, strict=True)
    ]
    figures.add("ingest_ratio", statistics.median(rounds_said), digits=2)  # of one round each: both met the same noise
    return environment


def look_up(folder: Path, environment: dict[str, str], figures: Figures, *, seconds: float, rounds: int) -> None:
    """Measure the keyed look-up over HTTP, ours and the peer's turn about."""
    home = Path(environment["SHUTONG_HOME"])
    grants = home / "grants.yaml"
    grants.write_text(grants.read_text().replace(*QUOTA))
    key = run(["-m", "shutong", "key", "issue", "--as", "swj", "--json"], environment).said["key"]
    keys = sample(folder / "firms.db", home)
    port, peer_port = free_port(), free_port()
    environment = {**environment, "SHUTONG_API_PORT": str(port)}
    peer = {"PEER_DATABASE": str(folder / "firms.db")}
    calls = {
        "lookup": {"port": port, "path": "/v1/libraries/legal_person/records", "headers": {"x-api-key": key}},
        "lookup_peer": {"port": peer_port, "path": "/firms", "headers": {}},
    }
    with (
        server(
            ["-m", "shutong.serve_api"], environment, f"http://127.0.0.1:{port}/healthz", folder / "api.log"
        ) as ours,
        server(
            [str(PARTS / "peer.py"), "serve", str(peer_port)],
            peer,
            f"http://127.0.0.1:{peer_port}/firms/-",
            folder / "peer.log",
        ) as theirs,
    ):
        for connections in CONCURRENCY:
            measured: dict[str, list[float]] = {name: [] for name in calls}
            right = True
            for _ in range(rounds):
                for name, one in calls.items():
                    plan = folder / "load.json"
                    plan.write_text(json.dumps({**one, "keys": keys, "connections": connections, "seconds": seconds}))
                    said = run([str(PARTS / "load.py"), str(plan)], {}).said
                    measured[name].append(said["calls_per_second"])
                    right &= set(said["statuses"]) == {"200"}
                    print(
                        f"  {name} c={connections}: {said['calls_per_second']:,.0f} calls/s, "
                        f"p50 {said['p50_ms']:.2f} ms, p99 {said['p99_ms']:.2f} ms, {said['statuses']}"
                    )
            rates = {name: statistics.median(values) for name, values in measured.items()}
            state = "n/a" if right else "WRONG"
            figures.add(f"lookup_c{connections}_calls_per_s", rates["lookup"], state=state)
            figures.add(f"lookup_c{connections}_peer_calls_per_s", rates["lookup_peer"], state=state)
            ratios = [one / other for one, other in zip(*measured.values(), strict=True)]
            figures.add(f"lookup_c{connections}_ratio", statistics.median(ratios), digits=2)
        figures.add("lookup_peak_mib", tree_peak_mib(ours))
        figures.add("lookup_peer_peak_mib", tree_peak_mib(theirs))


def sample(database: Path, home: Path) -> list[str]:
    """Keys that both have, spread over the library."""
    with sqlite3.connect(database) as connection:
        known = [row[0] for row in connection.execute("SELECT uscc FROM firms ORDER BY uscc")]
    chosen = known[:: max(1, len(known) // SAMPLE)]
    store = ServingStore(home / "serving", "legal_person")
    return [key for key in chosen if store.get(key) is not None]


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="20,000 rows, one round, under a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or an answer is wrong")
    options = parser.parse_args()
    real = Path(os.environ.get("SHUTONG_SHARED", TOP.parent / "shared")) / "data" / "zhejiang-enterprises.csv.gz"
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        folder = Path(name)
        source, what = real, f"the whole of {real.name}"
        if options.small or not real.exists():
            source = folder / "enterprises.csv.gz"
            what = first_rows(real, source, SMALL_ROWS)
        print(f"source to published: {what}, {os.cpu_count()} CPUs")
        environment = ingest(folder, source, figures, rounds=1 if options.small else 3)
        print("keyed look-up over HTTP")
        seconds, rounds = (2.0, 1) if options.small else (5.0, 3)
        look_up(folder, environment, figures, seconds=seconds, rounds=rounds)
    figures.tell()
    wrong = any(state == "WRONG" for _, _, state in figures.lines)
    return 1 if wrong and options.strict else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
