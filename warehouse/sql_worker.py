"""The process in which an analyst's SQL runs: its memory and time are bounded by the system, and it can be killed.

What it is to do comes by standard input (pickled: it comes from ourselves), its answer goes to standard output: the
length of a JSON head, the head, and an Arrow stream.
"""

from __future__ import annotations

import json
import os
import pickle  # what is read comes through a pipe from the process that started this one
import re
import resource
import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.errors import ShutongError
from warehouse import sql_errors
from warehouse.site import Site
from warehouse.sql import quote
from warehouse.sql_stream import Reading, Stream

READING_MEMORY = "256MB"  # of the DuckDB that reads tables; it filters and joins nothing but deleted rows
SLACK = 1_500 << 20  # bytes a process needs besides what DuckDB counts: libraries, Arrow, threads
MOST_BYTES = 256 << 20  # of an answer
MOST_WORDS = 300  # characters of an error
MOST_SPILLED = "4GB"
AT_ONCE = 8_192
HEAD = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may take: rows of the answer, seconds, memory (bytes) and threads."""

    rows: int = 1_000
    seconds: float = 60.0
    memory: int = 1 << 30
    threads: int = 2

    @property
    def megabytes(self) -> str:
        """The memory as DuckDB and people read it."""
        return f"{self.memory >> 20}MB"


@dataclass(frozen=True, slots=True)
class Task:
    """A query with everything it needs; `folder` takes what does not fit into memory."""

    sql: str
    readings: tuple[Reading, ...]
    limits: Limits
    site: Site
    folder: Path
    explain: bool = False


def answer(task: Task) -> tuple[pa.Table, bool]:
    """The rows, and whether there are more of them than the limit lets through. Raises a WarehouseError (WH-SQL-…)."""
    with ExitStack() as opened:
        tables = opened.enter_context(task.site.connect(READING_MEMORY))
        tables.execute("SET threads = 1")  # rows go on one by one anyway, through one stream
        # This one is closed first: what it still reads comes from the other.
        asked = opened.enter_context(_sandbox(task))
        late = threading.Event()

        def stop() -> None:
            late.set()
            asked.interrupt()

        timer = threading.Timer(task.limits.seconds, stop)
        timer.daemon = True
        opened.callback(timer.cancel)
        with task.site.explained():
            streams = [Stream(tables, one) for one in task.readings]
        _show(asked, streams, task.readings)
        timer.start()
        try:
            return _run(asked, task)
        except (duckdb.Error, pa.ArrowException, MemoryError) as error:
            failure = next((one.failure for one in streams if one.failure is not None), None)
            if failure is not None and not late.is_set():
                with task.site.explained():
                    raise failure from error
            raise _told(error, task, late=late.is_set()) from error


def _sandbox(task: Task) -> duckdb.DuckDBPyConnection:
    """A DuckDB without files, network, extensions or Python's variables."""
    config = {
        "enable_external_access": "false",
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "memory_limit": task.limits.megabytes,
        "threads": str(task.limits.threads),
        "temp_directory": str(task.folder / "spill"),
        "max_temp_directory_size": MOST_SPILLED,
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'Asia/Shanghai'")
    return connection


def _show(asked: duckdb.DuckDBPyConnection, streams: Sequence[Stream], readings: Sequence[Reading]) -> None:
    """Let the streams be seen under the names of their views; from then on nothing can be set any more."""
    for number, (stream, one) in enumerate(zip(streams, readings, strict=True)):
        space, _, table = one.name.partition(".")
        asked.register(f"shown_{number}", stream)
        asked.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(space)}")
        asked.execute(f"CREATE VIEW {quote(space)}.{quote(table)} AS SELECT * FROM shown_{number}")
    asked.execute("SET lock_configuration = true")


def _run(asked: duckdb.DuckDBPyConnection, task: Task) -> tuple[pa.Table, bool]:
    if task.explain:
        plan = asked.execute(f"EXPLAIN {task.sql}").fetchall()
        return pa.table({"plan": pa.array([text for _, text in plan], pa.string())}), False
    reader = asked.execute(task.sql).to_arrow_reader(AT_ONCE)
    batches, rows, size, most = [], 0, 0, task.limits.rows
    for batch in reader:
        batches.append(batch.slice(0, most - rows))
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if size > MOST_BYTES:
            raise sql_errors.too_large(MOST_BYTES >> 20)
        if rows > most:
            break
    return pa.Table.from_batches(batches, schema=reader.schema), rows > most


def _told(error: BaseException, task: Task, *, late: bool) -> ShutongError:
    """What went wrong as one of our errors. DuckDB's words may be repeated: it knows only what may be seen."""
    if late or isinstance(error, duckdb.InterruptException):
        return sql_errors.too_long(task.limits.seconds)
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError, pa.ArrowMemoryError)):
        return sql_errors.too_much(task.limits.megabytes)
    # What it suggests instead is left out: it knows the columns that were used, not all there are.
    said, _, where = str(error).partition("\n\nLINE ")
    words = re.split(r"\n(?:Candidate|Did you mean)", said, maxsplit=1)[0].strip()
    if len(words) > MOST_WORDS:  # a value that it repeats may be as long as a table
        words = words[:MOST_WORDS] + "…"
    line = where.partition(":")[0]
    return sql_errors.failed(f"{words} (line {line})" if line.isdigit() else words)


def _bound(limits: Limits) -> None:
    """Let the system end this process when it takes more than it may, whoever still waits for it."""
    most, seconds = limits.memory + (256 << 20) + SLACK, int(limits.seconds) * (limits.threads + 1) + 30
    for kind, value in (
        (resource.RLIMIT_DATA, most),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def main() -> None:
    """Read a task, write its answer, and be gone."""
    task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 - see above
    _bound(task.limits)
    table, head = pa.table({}), dict[str, object]()
    try:
        table, more = answer(task)
        head["more"] = more
    except ShutongError as error:
        head["error"] = error.as_dict()
    told = json.dumps(head).encode()
    out = sys.stdout.buffer
    out.write(HEAD.pack(len(told)) + told)
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    out.flush()
    os._exit(0)  # what is still running inside has nothing to finish


if __name__ == "__main__":
    main()
