"""Run by test_follow_kills.py: kill the follower of a table at random times while others change the table.

Everything is imported first and each follower is forked, so that a kill meets its work and not its start.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from departmental_table import MAP
from forks import done, started
from small_deployment import (
    SMALL_STANDARD,
    add_resource,
    code,
    connect,
    lay_out,
    looked_up,
    opened,
    shown,
    write_small_standard,
)

import quality.check  # noqa: F401 - imported before the fork
from runs.follow import Follower, News
from runs.reading import Following
from shutong.wiring import Wired, new_run_id

RESOURCE = "scjg.firms"
ROWS, CODES = 60, 90
LAST = 999_999
FAST = Following(every=timedelta(seconds=0), merge_every=timedelta(seconds=1))
TABLE = "CREATE TABLE ent (uniscid varchar(18) PRIMARY KEY, entname varchar(80), apprdate date, dom varchar(80))"


def laid_out(home: Path, url: str) -> None:
    """A deployment that follows one table, which has its first records."""
    lay_out(home)
    write_small_standard(home)
    connect(home, "db", url)
    add_resource(
        home, "{kind: sql, table: ent}", standard=SMALL_STANDARD, percent=99,
        more=f"connection: db\n{MAP}read: {{mode: cdc, max_deletes: 100}}\n",
    )  # fmt: skip
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(TABLE))
        for number in range(ROWS):
            put(connection, number, f"公司{number}𠮷", "2024-01-01")
    engine.dispose()


def put(connection: sa.Connection, number: int, name: str, day: str) -> None:
    """One record, new or over what is there."""
    connection.execute(sa.text("DELETE FROM ent WHERE uniscid = :code"), {"code": code(number)})
    row = {"code": code(number), "name": name, "day": day}
    connection.execute(sa.text("INSERT INTO ent VALUES (:code, :name, :day, '杭州市')"), row)


def write(url: str, seed: int, until: Path) -> None:
    """Change records at random, the date of approval going forth and back, until the file is there or nobody waits."""
    chance, engine = random.Random(seed), sa.create_engine(url, poolclass=sa.pool.NullPool)
    step, parent = 0, os.getppid()
    while not until.exists() and os.getppid() == parent:
        step += 1
        with engine.begin() as connection:
            for _ in range(chance.randint(1, 5)):
                number, day = chance.randrange(CODES), f"2024-{chance.randint(1, 12):02d}-01"
                if chance.random() < 0.3:
                    connection.execute(sa.text("DELETE FROM ent WHERE uniscid = :code"), {"code": code(number)})
                else:
                    put(connection, number, f"改{step}", day)
            if chance.random() < 0.1:
                connection.rollback()
        time.sleep(chance.uniform(0, 0.05))


def follow(home: Path, until: Callable[[Wired], bool] | None = None) -> None:
    """Follow fast; until what is landed is as wanted, or for ever."""
    with opened(home) as wired:
        resource = wired.deployment.resource(RESOURCE)
        object.__setattr__(resource.reading, "following", FAST)
        follower = Follower(wired.parts, resource, wired.open_changes(resource), tell=told, new_run=new_run_id)
        if until is not None:
            threading.Thread(target=watch, args=(follower, wired, until), daemon=True).start()
        follower.follow()


def watch(follower: Follower, wired: Wired, until: Callable[[Wired], bool]) -> None:
    """Stop the follower once what is landed is as wanted."""
    while not until(wired):
        time.sleep(0.2)
    follower.stop.set()


def told(news: News) -> None:
    """Errors are for the log of the test."""
    if news.error is not None:
        sys.stderr.write(f"{news.what} {news.error.as_dict()}\n")


def complete(wired: Wired) -> bool:
    """Whether the last record of all has landed."""
    table = wired.deployment.resource(RESOURCE).table
    return any(row["uscc"] == code(LAST) for row in shown(wired, table))


def main(home: Path, url: str, seed: int, kills: int) -> None:
    """Kill followers while the table changes, then let one come to the end; tell what is there and at the source."""
    laid_out(home, url)
    chance, enough = random.Random(seed), home / "enough"
    writer = started(lambda: write(url, seed, enough))
    met = 0
    while met < kills:
        child = started(lambda: follow(home))
        time.sleep(chance.uniform(0.05, 2.5 if met % 5 else 4.0))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if status != signal.SIGKILL:
            raise SystemExit(f"a follower ended by itself: {status}")
        met += 1
    enough.touch()
    assert os.waitpid(writer, 0)[1] == 0
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        put(connection, LAST, "末", "2020-01-01")
    start = time.monotonic()
    assert done(lambda: follow(home, complete)) == 0
    delay = time.monotonic() - start
    with engine.connect() as connection:
        source = {row[0]: [row[1], str(row[2])] for row in connection.execute(sa.text("SELECT * FROM ent"))}
    engine.dispose()
    with opened(home) as wired:
        resource = wired.deployment.resource(RESOURCE)
        landed = {str(row["uscc"]): [row["ent_name"], str(row["appr_date"])] for row in shown(wired, resource.table)}
        feed = wired.open_changes(resource)
        position = wired.state.position(RESOURCE)
        behind = feed.lag(position).bytes
        feed.drop()
        runs = wired.state.runs(RESOURCE, 10_000)
    published = looked_up(home, LAST)
    said = {
        "source": source, "landed": landed, "kills": met, "behind": behind, "delay": delay, "runs": len(runs),
        "published": published is not None, "failed": [one.error for one in runs if one.status == "failed"],
    }  # fmt: skip
    (home / "told.json").write_text(json.dumps(said, default=str, ensure_ascii=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
