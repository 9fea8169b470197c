"""Run by run_kills of pairs.py: land in a pair of place and catalog, killed at points or at random; contend for a table.

It imports everything first and forks afterwards: nothing that keeps threads is opened here, only in the children.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import random
import signal
import sys
import time
from pathlib import Path

import pyarrow as pa
from land_factory import Record, in_a_process_of_its_own
from land_kills import FIRST, SECOND, THIRD
from pairs import Pair

for one in (
    "minio.deleteobjects",
    "minio.retention",
    "psycopg",
    "pyiceberg.io.pyarrow",
    "sqlalchemy.dialects.postgresql",
):
    importlib.import_module(one)  # once, instead of in each child
SHARED = "t.shared"
EACH = 3  # upserts of each of two writers


def ingest(pair: Pair, records: list[Record], run: str):
    def work() -> None:
        pair.open().ingest(records, run)

    return work


def at_points(pair: Pair, points: list[str]) -> None:
    """Killed at a point of each delivery but the first, each run again at once."""
    assert in_a_process_of_its_own(ingest(pair, FIRST, "run-1")) == 0
    for number, (records, point) in enumerate(zip((SECOND, THIRD), points, strict=False), 2):
        work = ingest(pair, records, f"run-{number}")
        assert in_a_process_of_its_own(work, die_at=point) == signal.SIGKILL, point
        assert in_a_process_of_its_own(work) == 0, point


def contended(pair: Pair) -> None:
    """Two processes upsert into one table, some keys the same."""

    def work(me: str):
        def act() -> None:
            tables = pair.open().tables
            tables.ensure(SHARED, pa.schema([("k", pa.string()), ("v", pa.string())]))
            for number in range(EACH):
                tables.upsert(SHARED, pa.table({"k": ["both", f"{me}{number}"], "v": [me, me]}), key=["k"])

        return act

    children = []
    for me in ("a", "b"):
        child = os.fork()
        if child == 0:
            os._exit(in_a_process_of_its_own(work(me)))
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


def at_random(pair: Pair, kills: int, seed: int) -> dict[str, str]:
    """As many deliveries as it takes, each killed at a random instant and run again; returns what must be landed."""
    chance, truth, died, number = random.Random(seed), {}, 0, 0
    assert in_a_process_of_its_own(lambda: pair.open().close()) == 0
    patience = 2.0  # seconds an undisturbed delivery takes, learnt on the way
    while died < kills:
        number += 1
        keys = chance.sample(range(40), 12)
        records = [Record(f"K{key}", None, f"第{number}批") for key in keys]
        work, began = ingest(pair, records, f"run-{number}"), time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(in_this_process(work))
        time.sleep(chance.uniform(0, patience))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        died += status == signal.SIGKILL
        if status != signal.SIGKILL:
            assert status == 0, status
            patience = max(0.2, 0.9 * (time.monotonic() - began))
        began = time.monotonic()
        assert in_a_process_of_its_own(work) == 0
        truth |= {f"K{key}": f"第{number}批" for key in keys}
    return truth


def in_this_process(work) -> int:
    work()
    return 0


def main(plan: Path) -> None:
    said = pickle.loads(plan.read_bytes())
    told = {}
    for kind, pair in said["pairs"].items():
        if said["kills"]:
            told[kind] = at_random(pair, said["kills"], said["seed"])
        else:
            at_points(pair, said["points"])
            contended(pair)
    plan.with_suffix(".json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
