"""What a watermark loses: four writers, one with long transactions, and every way of asking for what is new at once.

    python benchmarks/watermark.py            20 seconds of writing, transactions of up to 2 seconds
    python benchmarks/watermark.py --small    6 seconds of writing, transactions of up to 1 second
    python benchmarks/watermark.py --strict   exit 1 when a target is missed

All ways ask the same server in the same seconds, twice a second each. `>` is the habit of a where clause, `>=` the
default of pipelines with a closed start, `id >` a keyset. Ours are the cursor bounded by running transactions, over
the time and over the number, without any lag, and the lag alone where it is longer than the longest transaction.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(Path(__file__).resolve().parent)]

import psycopg  # noqa: E402
from ingest_parts.figures import Figures  # noqa: E402

from connectors.registry import open_source  # noqa: E402
from infra.testing import postgres  # noqa: E402
from schemas.values import Position  # noqa: E402

PASSWORD = "benchmark"
TABLE = "CREATE TABLE ent (id bigserial PRIMARY KEY, updated_at timestamptz NOT NULL, n int)"
INDEX = "CREATE INDEX ON ent (updated_at)"
EVERY = 0.5  # seconds between two polls


class Vault:
    """The one password there is."""

    def get(self, name: str) -> str:
        """It."""
        del name
        return PASSWORD


class Poll:
    """One way of asking for what is new: the ids it got, and how many came again."""

    def __init__(self, ask: Callable[[], list[int]]) -> None:
        self._ask = ask
        self.seen: set[int] = set()
        self.again = self.polls = 0

    def once(self) -> None:
        """Ask, and count."""
        found = self._ask()
        self.again += len(found) - len(set(found) - self.seen)
        self.seen |= set(found)
        self.polls += 1

    def until(self, stop: threading.Event) -> None:
        """Ask twice a second until `stop`."""
        while not stop.wait(EVERY):
            self.once()


def watermark(url: str, column: str, compare: str) -> Callable[[], list[int]]:
    """Ask for `column` `compare` the highest value seen."""
    high: list[object] = [None]

    def ask() -> list[int]:
        with psycopg.connect(url) as db:
            where = f"WHERE {column} {compare} %s" if high[0] is not None else ""
            rows = db.execute(f"SELECT id, {column} FROM ent {where}", high if where else None).fetchall()
        high[0] = max((row[1] for row in rows), default=high[0])
        return [row[0] for row in rows]

    return ask


def ours(url: str, column: str, **cursor: str) -> Callable[[], list[int]]:
    """A pull of ours, the position kept from one to the next."""
    kept: list[Position | None] = [None]
    options = {"table": "ent", "cursor": {"column": column, **cursor}}
    connection = {"url": url.replace("postgresql:", "postgresql+psycopg:"), "password_secret": "pg"}

    def ask() -> list[int]:
        found: list[int] = []
        with contextlib.closing(open_source("sql", options, connection, Vault())) as source:
            for split in source.plan(kept[0]):
                for batch in source.read(split):
                    found += [int(value) for value in batch.rows["id"].to_pylist()]
                    kept[0] = batch.position or kept[0]
        return found

    return ask


def write(url: str, seed: int, longest: float, stop: threading.Event) -> None:
    """Transactions of a few rows each, one of which in four writers stays open for up to `longest` seconds."""
    rng = random.Random(seed)
    with psycopg.connect(url) as db:
        while not stop.is_set():
            for _ in range(rng.randint(1, 5)):
                db.execute("INSERT INTO ent (updated_at, n) VALUES (now(), %s)", [seed])
            time.sleep(rng.uniform(0, longest if seed == 0 else 0.02))
            db.execute("INSERT INTO ent (updated_at, n) VALUES (now(), %s)", [seed])
            db.commit()


def measure(seconds: float, longest: float, figures: Figures) -> None:
    """All ways at once against one server."""
    with postgres.running(password=PASSWORD) as server:
        url = server.url(driver="postgresql")
        with psycopg.connect(url) as db:
            db.execute(TABLE)
            db.execute(INDEX)
        polls = {
            "peer_greater": Poll(watermark(url, "updated_at", ">")),
            "peer_greater_or_equal": Poll(watermark(url, "updated_at", ">=")),
            "peer_keyset_on_id": Poll(watermark(url, "id", ">")),
            "ours_transactions_by_time": Poll(ours(url, "updated_at", bound="transactions", lag="0s")),
            "ours_transactions_by_number": Poll(ours(url, "id", bound="transactions", lag="0")),
            "ours_lag": Poll(ours(url, "updated_at", bound="lag", lag=f"{round(longest * 3)}s")),
        }
        writing, asking = threading.Event(), threading.Event()
        writers = [threading.Thread(target=write, args=(url, seed, longest, writing)) for seed in range(4)]
        askers = [threading.Thread(target=poll.until, args=(asking,)) for poll in polls.values()]
        for thread in [*writers, *askers]:
            thread.start()
        time.sleep(seconds)
        for event, threads in ((writing, writers), (asking, askers)):
            event.set()
            for thread in threads:
                thread.join()
        for poll in polls.values():
            poll.once()
        with psycopg.connect(url) as db:
            every = {row[0] for row in db.execute("SELECT id FROM ent").fetchall()}
    figures.add("watermark_rows", len(every))
    for name, poll in polls.items():
        lost = len(every - poll.seen)
        if name.startswith("ours"):
            figures.add(f"watermark_{name}_lost", lost, most=0)
        else:
            figures.add(f"watermark_{name}_lost", lost)
            figures.add(f"watermark_{name}_lost_percent", 100 * lost / max(1, len(every)), digits=2)
        figures.add(f"watermark_{name}_fetched_again", poll.again)
        figures.add(f"watermark_{name}_polls", poll.polls)


def main() -> int:
    """Measure everything and print one RESULT line per figure."""
    reading = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reading.add_argument("--small", action="store_true")
    reading.add_argument("--strict", action="store_true")
    chosen = reading.parse_args()
    figures = Figures(judged=True)
    measure(*((6.0, 1.0) if chosen.small else (20.0, 2.0)), figures)
    return 0 if figures.tell() or not chosen.strict else 1


if __name__ == "__main__":
    sys.exit(main())
