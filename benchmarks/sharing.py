"""The sharing service over ten million firms with every feature on, beside what one would use instead with none.

    python benchmarks/sharing.py            10,000,000 firms of 25 columns (20 GB of disk, 8 GB of memory)
    python benchmarks/sharing.py --small    200,000 firms, less than a minute; peers that were installed before
    python benchmarks/sharing.py --strict   exit 1 when a target is missed or a side answered otherwise
    python benchmarks/sharing.py --keep F   keep the Parquet, LMDB and SQLite files in folder F for the next time

Ours: two workers, key, grant with fields and rows, masks, quota, durable and chained record, signed receipt. wrk (of
Debian: `apt-get install wrk`) asks with 64 connections for 5,000 firms spread over the table, each peer's turn followed
by ours, and the ratio is the median of the rounds; `cpu_over` compares the processor time an answer costs, databases
included, which other programs on the machine change less. Peers have no features on:

    fastapi       FastAPI, SQLAlchemy and PostgreSQL, two workers under the server ours runs under
    postgraphile  PostGraphile 4.14 over the same PostgreSQL
    datasette     Datasette 0.65 over SQLite
    queryapigate  QueryAPIGate 0.43 over SQLite with a key and run history; then it is killed, and its records counted
    roapi         ROAPI 0.12 over the Parquet file, four connections
    datap_rs      datap-rs 0.8 in memory with an index over the code, two workers

They come from PyPI and npm into $XDG_CACHE_HOME/shutong-benchmarks, one environment each; what cannot be had is n/a.
A batch is 1,000 codes in one call, a profile 20 resources of one firm, four at a time; `constant` is the same server
answering as many bytes without looking at the call.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import BenchmarkError  # noqa: E402
from results import told  # noqa: E402
from sharing_parts import firms, ours, peers  # noqa: E402
from sharing_parts.load import Question, anonymous_mib, ask, need_wrk, spent, tree  # noqa: E402

from infra.testing import postgres  # noqa: E402

ROWS, SMALL_ROWS = 10_000_000, 200_000
CLIENTS, MANY_CLIENTS = 64, 1_000
BATCH = 1_000
PROFILES = 4  # at a time, so that it is answering that is measured and not waiting
AT_LEAST = {
    "sharing_fastapi_over": 12.0,
    "sharing_postgraphile_over": 5.0,
    "sharing_datasette_over": 15.0,
    "sharing_queryapigate_over": 30.0,
    "sharing_roapi_over": 1_000.0,
    "sharing_datap_rs_over": 1.0,
    "sharing_datap_rs_memory_over": 20.0,
    "sharing_of_constant": 0.55,
    "sharing_many_clients_kept": 0.8,
    "sharing_batch_keys_per_s": 100_000.0,
    "sharing_verified_of_look_ups": 1.0,
}
AT_MOST = {"sharing_p99_ms": 15.0, "sharing_profile_p99_ms": 30.0, "sharing_worker_anonymous_mib": 150.0}
SAME = "sharing_same_answers"


@dataclass
class Run:
    """One run: how long and how often each side is asked, and what was measured."""

    seconds: float
    rounds: int
    figures: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    alike: bool = True

    def rate(self, question: Question, connections: int = CLIENTS, seconds: float | None = None) -> float:
        """Answers a second; a pause before, so that what went before does not weigh on it."""
        time.sleep(1)
        return ask(question, seconds or self.seconds, connections).rate

    def weighed(
        self, question: Question, pids: Sequence[int], connections: int = CLIENTS, seconds: float | None = None
    ) -> tuple[float, float]:
        """Answers a second, and processor seconds an answer costs those processes."""
        time.sleep(1)
        before = sum(map(spent, pids))
        load = ask(question, seconds or self.seconds, connections)
        return load.rate, (sum(map(spent, pids)) - before) / load.answered


def measure(folder: Path, rows: int, run: Run, *, install: bool) -> None:
    """Lay the firms out, then every pair."""
    file = folder / f"{firms.TABLE}.parquet"
    if not file.exists():
        firms.write(folder, rows)
    if not (folder / firms.TABLE / "CURRENT").exists():
        firms.serve(folder, file)
    sqlite = folder / f"{firms.TABLE}.db"
    if not sqlite.exists():
        firms.write_sqlite(file, folder)
    print(f"{rows:,} firms x 25 columns, {file.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} CPUs", flush=True)
    headers, keys = ours.lay_out(folder), firms.keys(rows)
    with ours.serving(folder) as (address, pid), postgres.running("benchmark", {"shared_buffers": "512MB"}) as server:
        mine = ours.look_up(address, headers, keys)
        alone(run, folder, mine, pid, rows)
        table = peers.Table(folder, keys, file, sqlite, server, firms.write_postgres(file, folder, server, rows))
        for peer in peers.PEERS:
            problem = "" if install or peer.ready() else "not installed, and a small run does not install"
            try:
                if not problem:
                    beside(run, peer, table, mine, pid)
            except (BenchmarkError, OSError) as error:
                problem = str(error)[:300]
            if problem:
                print(f"  {peer.name}: n/a, {problem}", flush=True)
                run.missing.append(peer.name)


def alone(run: Run, folder: Path, mine: Question, pid: int, rows: int) -> None:
    """Ours without a peer: waiting, memory, many clients, batches, and the same server answering a constant."""
    run.rate(mine)
    loads = [ask(mine, run.seconds, CLIENTS) for _ in range(run.rounds)]
    run.figures["sharing_look_ups_per_s"] = statistics.median(one.rate for one in loads)
    run.figures["sharing_p99_ms"] = statistics.median(one.p99 for one in loads)
    crowds = [run.rate(mine, MANY_CLIENTS) / run.rate(mine) for _ in range(run.rounds)]
    run.figures["sharing_many_clients_kept"] = statistics.median(crowds)
    chosen = [f'"{one}"' for one in firms.keys(rows, 20 * BATCH)]
    lists = [",".join(chosen[first::20]) for first in range(20)]
    body = '{"keys": [{key}]}'
    batch = Question(mine.address, f"/v1/libraries/{firms.TABLE}/records:batch", lists, "POST", mine.headers, body)
    run.figures["sharing_batch_keys_per_s"] = run.rate(batch, 4) * BATCH
    run.figures["sharing_worker_anonymous_mib"] = max(anonymous_mib(one) for one in tree(pid)[1:])
    pairs = [(run.rate(ours.verify(mine)), run.rate(mine)) for _ in range(run.rounds)]
    run.figures["sharing_verified_of_look_ups"] = statistics.median(verified / found for verified, found in pairs)
    profiles = ask(ours.profile(mine), run.seconds, PROFILES)
    run.figures["sharing_profiles_per_s"], run.figures["sharing_profile_p99_ms"] = profiles.rate, profiles.p99
    with ours.serving(folder, "constant") as (address, other):
        constant = Question(address, mine.path, mine.keys, headers=mine.headers)
        kept = [(run.weighed(mine, [pid]), run.weighed(constant, [other])) for _ in range(run.rounds)]
    run.figures["sharing_of_constant"] = statistics.median(our[0] / free[0] for our, free in kept)
    run.figures["sharing_cpu_us"] = statistics.median(our[1] for our, _ in kept) * 1e6
    run.figures["sharing_constant_cpu_us"] = statistics.median(free[1] for _, free in kept) * 1e6
    _show("ours", run.figures)


def beside(run: Run, peer: peers.Peer, table: peers.Table, mine: Question, pid: int) -> None:
    """A peer's turn and ours, round after round."""
    with peer.start(table) as running:
        first = table.folder / "first"
        ask(running.question, 1, 1, first=first)
        ask(running.question, run.seconds, peer.connections)
        pairs, costs = [], []
        whole = [one for one in (running.pid, running.database) if one is not None]
        for _ in range(run.rounds):
            seconds = max(run.seconds, peer.slow)
            theirs, cost = run.weighed(running.question, whole, peer.connections, seconds)
            our, our_cost = run.weighed(mine, [pid])
            pairs.append((theirs, our))
            costs.append(cost / our_cost)
        name = f"sharing_{peer.name}"
        run.figures[f"{name}_cpu_over"] = statistics.median(costs)
        run.figures[f"{name}_per_s"] = statistics.median(theirs for theirs, _ in pairs)
        run.figures[f"{name}_over"] = statistics.median(our / theirs for theirs, our in pairs)
        memory = sum(map(anonymous_mib, tree(running.pid)))
        run.figures[f"{name}_anonymous_mib"] = memory
        if peer.name == "datap_rs":
            run.figures[f"{name}_memory_over"] = memory / sum(map(anonymous_mib, tree(pid)))
        run.alike &= right(first.read_text(), table.parquet)
        if peer.name == "queryapigate":
            run.figures.update(killed(running, table.folder, run.seconds))
    _show(peer.name, {one: value for one, value in run.figures.items() if one.startswith(name)})


def killed(running: peers.Running, folder: Path, seconds: float) -> dict[str, float]:
    """QueryAPIGate killed under load: how many calls it answered, and of how many it has no record."""
    before = _recorded(folder)
    killing = threading.Timer(0.66 * seconds + 1, os.killpg, (running.pid, signal.SIGKILL))
    killing.start()
    answered = ask(running.question, seconds + 1, 8).answered
    killing.join()
    return {
        "sharing_queryapigate_killed_answered": answered,
        "sharing_queryapigate_killed_lost": answered - (_recorded(folder) - before),
    }


def _recorded(folder: Path) -> int:
    time.sleep(1.5)  # its interval of writing is a second
    with sqlite3.connect(folder / "gate" / "queryapigate.db") as store:
        return int(store.execute("SELECT count(*) FROM execution_history WHERE status = 'success'").fetchone()[0])


def right(answer: str, parquet: Path) -> bool:
    """Whether an answer has the name and the address of the firm whose code is in it."""
    leaves = set(_leaves(json.loads(answer)))
    code = next((one for one in leaves if one.startswith(firms.HEAD)), None)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT ent_name, address FROM read_parquet('{parquet}') WHERE {firms.KEY} = ?", [code]
        ).fetchone()
    return found is not None and set(found) <= leaves


def _leaves(value: object) -> Sequence[str]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in _leaves(one)]
    return [str(value)]


def _show(name: str, figures: Mapping[str, float]) -> None:
    print(f"  {name}: " + ", ".join(f"{one[8:]} {value:,.2f}" for one, value in figures.items()), flush=True)


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="200,000 firms, less than a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed or an answer is wrong")
    parser.add_argument("--keep", type=Path, help="the folder in which the firms are kept for the next time")
    options = parser.parse_args()
    need_wrk()
    run = Run(seconds=2, rounds=1) if options.small else Run(seconds=5, rounds=3)
    with tempfile.TemporaryDirectory(prefix="shutong-bench-") as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder, SMALL_ROWS if options.small else ROWS, run, install=not options.small)
    run.figures[SAME] = float(run.alike)
    kept = told(run.figures, AT_LEAST | AT_MOST, AT_MOST, SAME, judged=not options.small)
    for one in run.missing:
        print(f"RESULT sharing_{one}_over n/a target {AT_LEAST[f'sharing_{one}_over']:g} n/a")
    return 1 if options.strict and not kept else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
