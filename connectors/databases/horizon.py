"""Know up to which cursor value a PostgreSQL table is complete: no transaction that still runs can add a lower one.

The highest value is read first, then which transactions run. A row with a lower value that is not visible yet belongs
to one of them: now() and numbers from a sequence are drawn inside a transaction that had begun by then. When all of
them have ended, everything up to that value can be seen. Clocks and time zones do not come into it, and pg_locks and
pg_prepared_xacts tell every account which transactions run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.databases.cursor import Bound, recalled, remembered
from schemas.values import Json

if TYPE_CHECKING:
    import psycopg

GRACE = 0.5  # seconds; now() is taken a moment before the server shows that the transaction runs
PATIENCE = 5.0  # seconds a plan waits for running transactions to end
MARKS = 8  # values remembered while transactions that ran at their time go on
_LOOK = 0.05
# Other databases' transactions, autovacuum (it has no user) and our own readers write nothing here.
_RUNNING = """
SELECT l.virtualtransaction FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
  AND (a.pid IS NULL OR (a.usesysid IS NOT NULL AND coalesce(a.application_name, '') <> 'shutong'
    AND (a.datid IS NULL OR a.datid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))))"""
_PREPARED = "SELECT transaction::text FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()"
# What makes it impossible to know the writers: they are on another server, or rows come later and in another order.
_ELSEWHERE = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby'
  WHEN c.relkind = 'm' OR (c.relkind = 'v' AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind = 'm'))
    THEN 'materialized'
  WHEN c.relkind = 'f' OR (c.relkind IN ('v', 'p') AND EXISTS (SELECT FROM pg_catalog.pg_foreign_table))
    THEN 'foreign'
  WHEN EXISTS (SELECT FROM pg_catalog.pg_subscription_rel WHERE c.relkind = 'v' OR srrelid = c.oid)
    THEN 'subscriber' END
FROM pg_catalog.pg_class c WHERE c.oid = %s::regclass"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A cursor value, and the transactions that ran just after it was the highest."""

    value: Bound
    running: frozenset[str]

    def remembered(self) -> dict[str, Json]:
        """As JSON for a Position."""
        return {"value": dict(remembered(self.value)), "running": list[Json](sorted(self.running))}


@dataclass(frozen=True, slots=True)
class Horizon:
    """`complete`: every row up to it can be seen now; None: not known. `marks` may be known to be so later."""

    complete: Bound | None
    marks: tuple[Mark, ...] = ()


def marks_of(kept: Json) -> list[Mark]:
    """The marks a Position holds, the oldest first."""
    found = []
    for one in kept if isinstance(kept, list) else []:
        value = recalled(one.get("value")) if isinstance(one, dict) else None
        running = one.get("running") if isinstance(one, dict) else None
        if value is not None and isinstance(running, list):
            found.append(Mark(value, frozenset(str(each) for each in running)))
    return found


def elsewhere(connection: psycopg.Connection[Any], table: str) -> str | None:
    """Why the writers of `table` (quoted) cannot be seen: standby, materialized, foreign or subscriber; else None."""
    found = connection.execute(_ELSEWHERE.encode(), [table]).fetchone()
    return None if found is None or found[0] is None else str(found[0])


def horizon(
    connection: psycopg.Connection[Any], highest: Bound, kept: Sequence[Mark], patience: float | None = None
) -> Horizon:
    """Wait `patience` (by default PATIENCE) seconds at most until the table is complete up to `highest`, just read.

    What is read after this call sees the rows. `kept` are the marks of earlier calls.
    """
    time.sleep(GRACE)
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    mark = Mark(highest, _set(connection, _RUNNING))

    def wait(still: Callable[[], bool]) -> bool:
        while still():
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK)
        return True

    ended = wait(lambda: bool(mark.running & _set(connection, _RUNNING)))
    # A transaction that had run may have been prepared meanwhile: it runs no more and is not visible yet.
    prepared = _set(connection, _PREPARED)
    settled = not prepared or wait(lambda: bool(prepared & _set(connection, _PREPARED)))
    if ended and settled:
        return Horizon(highest)
    now = _set(connection, _RUNNING)
    known = [] if _set(connection, _PREPARED) else [one.value for one in kept if not one.running & now]
    left = [one for one in kept if one.value not in known]
    return Horizon(known[-1] if known else None, (*left[-MARKS + 1 :], mark))


def _set(connection: psycopg.Connection[Any], statement: str) -> frozenset[str]:
    return frozenset(str(row[0]) for row in connection.execute(statement.encode()).fetchall())
