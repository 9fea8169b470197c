"""Run an analyst's SQL over views of one release, in a process of its own that is ended when its time is up."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from schemas.errors import ShutongError
from warehouse import sql_errors
from warehouse.errors import WarehouseError
from warehouse.sql_reading import Asked
from warehouse.sql_views import View, reading
from warehouse.sql_worker import HEAD, Limits, Task
from warehouse.state import Release
from warehouse.tables import Tables

GRACE = 20.0  # seconds a process has to start and to write its answer, on a busy machine
# The process is told no more of its surroundings than it needs: the environment may hold secrets.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
Run: TypeAlias = Callable[[Task], tuple[pa.Table, bool]]


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer: its rows, whether it was cut at the limit, and the columns it read of each view."""

    table: pa.Table
    more: bool
    read: dict[str, tuple[str, ...]]


def query(
    tables: Tables,
    release: Release | None,
    asked: Asked,
    views: Sequence[View],
    limits: Limits,
    *,
    explain: bool = False,
    run: Run | None = None,
) -> Rows:
    """The answer over `views`, one for each table of the query, as the release has them.

    `run` does the work, in a process of its own unless it is given. Raises a WarehouseError (WH-SQL-…).
    """
    by_name = {one.name: one for one in views}
    readings, read = [], {}
    for named in asked.tables:
        view = by_name[named.name]
        pin = release.tables.get(view.table) if release else None
        wanted = asked.wanted(tuple(one.name for one in view.shown))
        if pin is None:
            raise _nothing_yet(named.name)
        readings.append(reading(tables, view, pin.snapshot, wanted))
        read[named.name] = wanted
    with tempfile.TemporaryDirectory(dir=tables.site.work, prefix="sql-") as folder:
        task = Task(asked.sql, tuple(readings), limits, tables.site, Path(folder), explain)
        table, more = (run or in_process)(task)
    return Rows(table, more, read)


def in_process(task: Task) -> tuple[pa.Table, bool]:
    """The answer of a process of its own."""
    command = [sys.executable, "-m", "warehouse.sql_worker"]
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env["PYTHONPATH"] = os.pathsep.join(one for one in sys.path if one)
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd=task.folder
    ) as process:
        try:
            said, _ = process.communicate(pickle.dumps(task), timeout=task.limits.seconds + GRACE)
        except subprocess.TimeoutExpired as error:
            raise sql_errors.too_long(task.limits.seconds) from error
        finally:
            process.kill()
    if len(said) < HEAD.size:
        raise sql_errors.died(task.limits.megabytes)
    (length,) = HEAD.unpack_from(said)
    head: dict[str, Any] = json.loads(said[HEAD.size : HEAD.size + length])
    if "error" in head:
        raise _error(head["error"])
    try:
        with pa.ipc.open_stream(memoryview(said)[HEAD.size + length :]) as stream:
            return stream.read_all(), bool(head["more"])
    except pa.ArrowException as error:
        raise sql_errors.died(task.limits.megabytes) from error


def _error(said: dict[str, Any]) -> ShutongError:
    kind = sql_errors.BusyQueryError if said["retryable"] else WarehouseError
    words = {name: str(said[name]) for name in ("zh", "en", "fix_zh", "fix_en")}
    return kind(str(said["code"]), **words)


def _nothing_yet(name: str) -> WarehouseError:
    return WarehouseError(
        "WH-SQL-EMPTY",
        zh=f"{name} 还没有发布过数据",
        en=f"nothing of {name} has been released yet",
        fix_zh="先接入该资源（shutong ingest），基础库先合并（shutong library merge）",
        fix_en="Ingest the resource first (shutong ingest), or merge the library (shutong library merge)",
    )
