"""Open DuckDB as the warehouse uses it: no extension from the network, Chinese time, spilling beside the tables."""

from __future__ import annotations

import uuid
from pathlib import Path

import duckdb


def connect(
    spill: Path | None = None, *, memory: str | None = None, unsigned: bool = False
) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory, `memory` ("400MB") at most; the rest is spilled to a folder of its own below `spill`.

    `unsigned`: it loads extensions without looking at their signatures, for a caller who has.
    """
    config = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    if unsigned:
        config["allow_unsigned_extensions"] = "true"
    if memory is not None:
        config["memory_limit"] = memory
    if spill is not None:
        spill.mkdir(parents=True, exist_ok=True)  # DuckDB makes the last folder only
        config["temp_directory"] = str(spill / uuid.uuid4().hex)  # DuckDB's file names repeat over processes
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'Asia/Shanghai'")
    return connection
