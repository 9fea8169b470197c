"""Following a PostgreSQL table by its log: changes per second of our feed, beside raw messages of a replication stream.

    python benchmarks/changes.py            300,000 changes
    python benchmarks/changes.py --small    60,000; under a minute
    python benchmarks/changes.py --strict   exit 1 when the feed does not end with what the table holds

Ours hands over whole records as text in Arrow, fetched by key, and lets go of the log as it goes. The stream (psycopg2,
where it is installed) only receives the same messages and takes nothing apart: what no reader of the log can be faster
than. Both read the log of a server of their own on this machine; seconds are those of reading.
"""

from __future__ import annotations

import argparse
import select
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP)]

import psycopg  # noqa: E402
import sqlalchemy as sa  # noqa: E402

from connectors.changes.postgres_slot import SlotFeed, SlotOptions  # noqa: E402
from infra.testing import postgres  # noqa: E402
from schemas.values import DELETED, OP, Position  # noqa: E402

PASSWORD = "bench"
TABLE = (
    "CREATE TABLE ent AS SELECT n AS id, md5(n::text) AS code, '企业' || n AS name, now() AS at, n * 1.5 AS amount,"
    " repeat('地', 20) AS addr FROM generate_series(1, %s) n"
)
IN_ONE = 1_000  # changes of a transaction


def change(connection: psycopg.Connection, count: int) -> None:
    """Two thirds updates, a sixth deletions, a sixth new records."""
    for at in range(0, count * 2 // 3, IN_ONE):
        connection.execute("UPDATE ent SET amount = amount + 1 WHERE id > %s AND id <= %s", [at, at + IN_ONE])
    for at in range(0, count // 6, IN_ONE):
        connection.execute("DELETE FROM ent WHERE id > %s AND id <= %s", [count - at - IN_ONE, count - at])
        made = "INSERT INTO ent SELECT n, md5(n::text), '新', now(), n, '' FROM generate_series(%s::int, %s::int) n"
        connection.execute(made, [count * 2 + at, count * 2 + at + IN_ONE - 1])


def told(name: str, value: float, *, digits: int = 0, state: str = "n/a") -> None:
    """Print a figure."""
    print(f"RESULT {name} {value:.{digits}f} target none {state}")


def feed(following: SlotFeed, position: Position, known: set[str]) -> None:
    """Read every change; `known` are the keys, and become those the table has."""
    start, cpu, rows = time.perf_counter(), time.process_time(), 0
    for batch in following.changes(position, lambda: False, 0.5):
        last = time.perf_counter()
        rows += batch.rows.num_rows
        keys, marks = batch.rows.column("id").to_pylist(), batch.rows.column(OP).to_pylist()
        known.difference_update(key for key, mark in zip(keys, marks, strict=True) if mark == DELETED)
        known.update(key for key, mark in zip(keys, marks, strict=True) if mark != DELETED)
        if batch.position is not None:
            following.done(batch.position)
    told("shutong_changes_per_s", rows / (last - start))
    told("shutong_cpu_s_per_100k", (time.process_time() - cpu) / rows * 100_000, digits=2)


def stream(server: postgres.Postgres, wanted: int) -> None:
    """Receive as many messages of rows by the replication protocol."""
    try:
        import psycopg2.extras
    except ImportError:
        print("  psycopg2 is not installed: no stream to compare with")
        return
    kind = psycopg2.extras.LogicalReplicationConnection
    connection = psycopg2.connect(server.url(driver="postgresql"), connection_factory=kind)
    cursor = connection.cursor()
    cursor.start_replication("peer", decode=False, options={"proto_version": "1", "publication_names": "ours"})
    start, rows = time.perf_counter(), 0
    while rows < wanted and time.perf_counter() - start < 120:  # noqa: PLR2004 - seconds
        message = cursor.read_message()
        if message is None:
            select.select([cursor], [], [], 0.05)
        else:
            rows += bytes(message.payload)[:1] in (b"I", b"U", b"D")
    told("psycopg2_messages_per_s", rows / (time.perf_counter() - start))
    connection.close()


def main() -> int:
    """Measure both; one RESULT line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="fewer changes, under a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 when the feed does not end as the table is")
    options = parser.parse_args()
    count = 60_000 if options.small else 300_000
    with (
        postgres.running(PASSWORD, settings={"wal_level": "logical"}) as server,
        psycopg.connect(server.url(driver="postgresql"), autocommit=True) as connection,
    ):
        connection.execute(TABLE % count)
        connection.execute("ALTER TABLE ent ADD PRIMARY KEY (id)")
        following = SlotFeed(sa.engine.make_url(server.url()), SlotOptions("ent", "ours", "ours"))
        position = following.start()
        connection.execute("SELECT pg_create_logical_replication_slot('peer', 'pgoutput')")
        change(connection, count)
        known = {str(number) for number in range(1, count + 1)}
        feed(following, position, known)
        stream(server, count)
        right = known == {str(row[0]) for row in connection.execute("SELECT id FROM ent")}
        told("shutong_same_keys", float(right), state="n/a" if right else "WRONG")
    return 1 if options.strict and not right else 0


if __name__ == "__main__":
    sys.exit(main())
