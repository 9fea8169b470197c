"""A library rebuilt in buckets by several worker processes, beside the same rebuild in one DuckDB process.

    python benchmarks/cluster.py            10,000,000 firms of three departments (20 GB of disk below TMPDIR, /var/tmp)
    python benchmarks/cluster.py --small    100,000
    python benchmarks/cluster.py --rows N
    python benchmarks/cluster.py --strict   exit 1 when a target is missed or outcomes differ

The ratio is of CPU seconds, those of all workers and of who asks them added up: what the same cores take, whoever
shares them. The gain of the second worker is that of the longest path: who asks, then the worker with most to do.
Where `distributed` is installed a Dask cluster of two workers does it once more.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

from first_parts.processes import run  # noqa: E402
from results import told  # noqa: E402
from warehouse_parts.merge import STANDARD, WHO, land, opened  # noqa: E402

from infra.testing.postgres import free_port  # noqa: E402
from warehouse import spread_merge  # noqa: E402
from warehouse.merge import merge  # noqa: E402
from warehouse.spread import opened as spread_over  # noqa: E402
from warehouse.spread_merge import Bucket, Piece, Spreading  # noqa: E402

ROWS, SMALL_ROWS = 10_000_000, 100_000
STEPS = ("land", "first", "alone", "one", "two")  # the first has no history to compare with
TARGETS = {"cluster_over_alone": 1.15, "cluster_worker_mib": 1_024.0, "cluster_gain_of_second": 1.7}
AT_MOST = ("cluster_over_alone", "cluster_worker_mib")
AT_LEAST, AT_ONCE = 8, 300_000  # buckets; firms in one


def combine(folder: Path, bucket: Bucket) -> Piece:
    """Combine a bucket, and write down what this worker has taken so far."""
    _state, tables = opened(folder)
    piece = spread_merge.combine(tables, bucket)
    tables.close()
    used = {"cpu": _cpu(), "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    (folder / f"worker-{os.getpid()}.json").write_text(json.dumps(used))
    return piece


def merged(folder: Path, rows: int, where: str | None) -> dict[str, object]:
    """One whole merge; a digest of what came of it, and the CPU seconds and memory of each worker."""
    state, tables = opened(folder)
    for one in folder.glob("worker-*.json"):
        one.unlink()
    began = _cpu()
    if where is None:
        made = merge(state, tables, "legal_person", STANDARD, WHO, whole=True)
    else:
        with spread_over(where) as spread:
            if where.startswith("dask"):
                spread.wait_for(2)  # type: ignore[attr-defined]
            spreading = Spreading(spread, max(AT_LEAST, rows // AT_ONCE), partial(combine, folder))
            made = merge(state, tables, "legal_person", STANDARD, WHO, whole=True, spreading=spreading)
    used = _cpu() - began
    with tables.connect() as connection:
        base = tables.relation("base.legal_person", state.released("base.legal_person"))
        (digest,) = connection.execute(f"SELECT bit_xor(hash(r)) FROM {base} AS r").fetchone() or (0,)
    workers = [json.loads(one.read_text()) for one in sorted(folder.glob("worker-*.json"))]
    counted = [(one.field, one.department, one.other, one.records, one.differing) for one in made.compared]
    return {"cpu": used, "records": made.records, "digest": digest, "counted": repr(counted), "workers": workers}


def dask(folder: Path, rows: int) -> dict[str, object]:
    """The same on a Dask cluster of two workers."""
    with _cluster(folder) as address:
        return merged(folder, rows, f"dask://{address}")


@contextmanager
def _cluster(folder: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOP), str(TOP / "benchmarks")])}
    with ExitStack() as stack:
        for kind, *said in (
            ["scheduler", "--port", address.rpartition(":")[2]],
            *[["worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]] * 2,
        ):
            command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--host", "127.0.0.1", "--no-dashboard"]
            child = subprocess.Popen([*command, *said], env=environment, cwd=folder, stderr=subprocess.DEVNULL)
            stack.callback(child.wait)
            stack.callback(child.kill)
        yield address


def figures(ended: Mapping[str, Any]) -> dict[str, float]:
    """Ratios of CPU seconds, the most memory of a worker, and whether all came to the same."""
    said = {name: one.said for name, one in ended.items() if name not in {"land", "first"}}
    total = {name: one["cpu"] + sum(worker["cpu"] for worker in one["workers"]) for name, one in said.items()}
    longest = {name: one["cpu"] + max(w["cpu"] for w in one["workers"]) for name, one in said.items() if one["workers"]}
    workers = [worker["mib"] for one in said.values() for worker in one["workers"]]
    same = all(one[name] == said["alone"][name] for one in said.values() for name in ("records", "digest", "counted"))
    more = {"cluster_dask_over_alone": total["dask"] / total["alone"]} if "dask" in total else {}
    return {
        "cluster_alone_cpu_s": total["alone"],
        "cluster_two_cpu_s": total["two"],
        "cluster_over_alone": total["two"] / total["alone"],
        **more,
        "cluster_gain_of_second": longest["one"] / longest["two"],
        "cluster_worker_mib": max(workers),
        "cluster_alone_mib": ended["alone"].mib,
        "cluster_same": float(same),
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def step(name: str, rows: int, folder: Path) -> dict[str, object]:
    """Do one step in this process."""
    if name == "land":
        return land(rows, folder)
    if name == "dask":
        return dask(folder, rows)
    return merged(folder, rows, {"first": None, "alone": None, "one": "processes:1", "two": "processes:2"}[name])


def main() -> int:
    """Measure, print, judge."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--small", action="store_true")
    asked.add_argument("--strict", action="store_true")
    asked.add_argument("--rows", type=int)
    asked.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    given = asked.parse_args()
    rows = given.rows or (SMALL_ROWS if given.small else ROWS)
    if given.step:
        answer = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what workers and libraries print is no answer
        print(json.dumps(step(given.step[0], rows, Path(given.step[1]))), file=answer, flush=True)
        return 0
    steps = [*STEPS, *(["dask"] if importlib.util.find_spec("distributed") else [])]
    ended = {}
    with tempfile.TemporaryDirectory(prefix="shutong-cluster-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        for name in steps:
            command = [str(Path(__file__)), "--rows", str(rows), "--step", name, folder]
            ended[name] = run(command, {"PYTHONPATH": str(TOP)})
            print(f"  {name:8} {ended[name].seconds:8.1f} s {ended[name].mib:7,.0f} MiB", flush=True)
    kept = told(figures(ended), TARGETS, AT_MOST, "cluster_same", judged=rows == ROWS)
    return 0 if kept or not given.strict else 1


if __name__ == "__main__":
    sys.exit(main())
