"""Compact a table of 25 columns with 50,000 changes on top: memory, and how many files a key is looked for in."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyiceberg.conversions import from_bytes

from warehouse.compaction import Tended, compact
from warehouse.state import State
from warehouse.tables import Tables

STEPS = ("land", "compact", "look")
TARGETS = {"compact_peak_mib": 2_048.0, "compact_files_per_key": 1.0}
AT_MOST = tuple(TARGETS)
BYTES_PER_ROW = 300
TABLE, LANDINGS, CHANGES, SAMPLE = "std_market.base", 5, 50_000, 100
MEMORY = "600MB"


def opened(folder: Path) -> tuple[State, Tables]:
    """The deployment in the folder."""
    state = State(f"sqlite:///{folder / 'state.db'}")
    state.migrate()
    return state, Tables(folder / "tables", f"sqlite:///{folder / 'catalog.db'}")


def rows_of(first: int, last: int, tag: str) -> str:
    """SQL of the firms `first` to `last`, whose keys come in no order."""
    texts = ", ".join(f"'值' || (hash(n * 31 + {i}) % 100000) AS f{i}" for i in range(18))
    return f"""
        SELECT '91' || lpad(((n * 7919) % 100000007)::VARCHAR, 16, '0') AS code, n,
          (hash(n) % 1000000)::DECIMAL(18, 2) AS capital, DATE '2000-01-01' + (n % 9000)::INTEGER AS day,
          '杭州市第' || (hash(n) % 10000000) || '号' AS address, '{tag}' AS tag, n % 2 = 0 AS yes, {texts}
        FROM range({first}, {last}) t(n)"""


def land(rows: int, folder: Path) -> dict[str, object]:
    """The table in landing order, changed, and released."""
    state, tables = opened(folder)
    with tables.connect(MEMORY) as connection:
        tables.ensure(TABLE, connection.sql(rows_of(0, 1, "a")).to_arrow_table().schema)
        for number in range(LANDINGS):
            part = rows_of(rows * number // LANDINGS, rows * (number + 1) // LANDINGS, "a")
            tables.append(TABLE, connection.sql(part))
        every = max(rows // CHANGES, 1)
        changed = connection.sql(f"SELECT * FROM ({rows_of(0, rows, 'b')}) WHERE n % {every} = 0")
        snapshot = tables.upsert(TABLE, changed, key=["code"])
    assert snapshot is not None
    state.start_run("landed", "market.base")
    state.commit_release("landed", {TABLE: tables.pin(TABLE, snapshot)})
    return {}


def compacted(folder: Path) -> dict[str, object]:
    """The table compacted; what is read is compared with what was written on the way."""
    state, tables = opened(folder)
    made = compact(state, tables, Tended(TABLE, ("code",), lambda: tables.lock("alone")), always=True)
    return {"rows": made.rows, "files": made.files}


def look(rows: int, folder: Path) -> dict[str, object]:
    """Look keys up: how many files each may lie in, by their statistics, and how long it takes."""
    state, tables = opened(folder)
    released, table = state.released(TABLE), tables.loaded(TABLE)
    kind, number = table.schema().find_type("code"), table.schema().find_field("code").field_id
    spans = [
        (from_bytes(kind, (one.lower_bounds or {})[number]), from_bytes(kind, (one.upper_bounds or {})[number]))
        for one in tables.plan(TABLE, released).data
    ]
    keys = [f"91{(n * 7919) % 100000007:016}" for n in range(0, rows, max(rows // SAMPLE, 1))]
    with tables.connect() as connection:
        source, began = tables.relation(TABLE, released), time.perf_counter()
        found = sum(len(connection.execute(f"SELECT * FROM {source} WHERE code = ?", [key]).fetchall()) for key in keys)
        seconds = (time.perf_counter() - began) / len(keys)
    most = max(sum(low <= key <= high for low, high in spans) for key in keys)
    return {"most": most, "missed": len(keys) - found, "ms": seconds * 1000}


def figures(steps: Mapping[str, Any]) -> dict[str, float]:
    """The greatest memory, files a key may lie in, and whether every key was found in as many rows as before."""
    said = {name: ended.said for name, ended in steps.items()}
    return {
        "compact_cpu_s": float(said["compact"]["cpu"]),
        "compact_peak_mib": steps["compact"].mib,
        "compact_files": float(said["compact"]["files"]),
        "compact_files_per_key": float(said["look"]["most"]),
        "compact_lookup_ms": float(said["look"]["ms"]),
        "compact_same": float(said["look"]["missed"] == 0),
    }


def main(step: str, rows: int, folder: Path) -> None:
    """Do one step and print what it measured."""
    acts: dict[str, Callable[[], dict[str, object]]] = {
        "land": lambda: land(rows, folder),
        "compact": lambda: compacted(folder),
        "look": lambda: look(rows, folder),
    }
    began = _cpu()
    said = acts[step]()
    print(json.dumps({"cpu": _cpu() - began, **said}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
