"""Land rows of 25 columns: a table's write, and a landing of checked rows, beside a bare DuckDB COPY of them."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "benchmarks")]

from serving_parts.firms import COLUMNS, prepare, query  # noqa: E402

from schemas.values import Manifest, Position, Verdict  # noqa: E402
from warehouse import landed  # noqa: E402
from warehouse.checked import CheckedWriter, kept_check  # noqa: E402
from warehouse.land import land as landing  # noqa: E402
from warehouse.land import landed_table  # noqa: E402
from warehouse.state import State  # noqa: E402
from warehouse.store import LocalStore  # noqa: E402
from warehouse.tables import Tables  # noqa: E402

STEPS = ("rows", "copy", "append", "check", "land", "read")
TARGETS = {"land_append_over_copy": 1.1, "land_over_copy": 1.1, "land_peak_mib": 700.0}
AT_MOST = tuple(TARGETS)
BYTES_PER_ROW = 600  # five copies of the rows
MEMORY = "300MB"  # of DuckDB; what a Parquet file is written from comes on top, as much again
PIECE = 1_000_000  # rows of a batch: a pull keeps what came so far as one, and goes on (warehouse.keep.PIECE_ROWS)
RESOURCE, KEY = "market.firms", "uscc"
FIELDS = [name for name in COLUMNS if name[0] != "_"]
EXTRA = {"region": "area_code || '000000'", "tax_no": "uscc"}  # so that there are 25


def rows(count: int, folder: Path) -> dict[str, float]:
    """The rows, as a file that costs little to read."""
    listed = ", ".join([*FIELDS, *(f"{expression} AS {name}" for name, expression in EXTRA.items())])
    with _connected(folder) as connection:
        prepare(connection)
        connection.execute(
            f"COPY (SELECT row_number() OVER () AS _row, {listed} FROM ({query(0, count)}))"
            f" TO '{folder / 'rows.parquet'}' (FORMAT parquet, COMPRESSION lz4)"
        )
    return {}


def copy(_count: int, folder: Path) -> dict[str, float]:
    """What anybody would do first."""
    with _connected(folder) as connection:
        began = cpu()
        connection.execute(
            f"COPY ({_source(folder)}) TO '{folder / 'copy.parquet'}' (FORMAT parquet, COMPRESSION zstd)"
        )
        return {"cpu": cpu() - began}


def append(_count: int, folder: Path) -> dict[str, float]:
    """The rows written as a snapshot of an Iceberg table."""
    tables = Tables(folder / "tables", f"sqlite:///{folder / 'catalog.db'}")
    with tables.connect(MEMORY) as connection:
        source = connection.sql(_source(folder))
        tables.ensure("t.firms", source.limit(0).to_arrow_table().schema)
        began = cpu()
        tables.append("t.firms", source)
        return {"cpu": cpu() - began}


def check(count: int, folder: Path) -> dict[str, float]:
    """What a check writes: the rows as their table will have them, with lineage and hashes, in order by groups."""
    store, tables = LocalStore(folder / "store"), Tables(folder / "landed", f"sqlite:///{folder / 'state.db'}")
    with _connected(folder) as connection:
        began = cpu()
        for number, first in enumerate(range(0, count, PIECE)):
            wanted = f"{_source(folder, '*')} WHERE _row > {first} LIMIT {PIECE}"
            source = connection.execute(wanted).to_arrow_reader(65_536)
            manifest = _manifest(number, min(PIECE, count - first))
            form = landed.form(source.schema, {name: name for name in (*FIELDS, *EXTRA)}, manifest)
            form = landed.Form(tables.shape(landed_table(RESOURCE), form.schema), form.columns, form.marks)
            with CheckedWriter(store, manifest, form, key=(KEY,)) as writer:
                for batch in source:
                    writer.write(batch)
                writer.keep(_verdict(manifest.rows))
        return {"cpu": cpu() - began}


def land(count: int, folder: Path) -> dict[str, float]:
    """Checked batches landed and released, one after the other; the table lies where the checked files do."""
    store, state = LocalStore(folder / "store"), State(f"sqlite:///{folder / 'state.db'}")
    tables = Tables(folder / "landed", state.url)
    state.migrate()
    began = cpu()
    for number, first in enumerate(range(0, count, PIECE)):
        manifest = _manifest(number, min(PIECE, count - first))
        state.start_run(manifest.run, RESOURCE)
        landing(store, state, tables, manifest, kept_check(store, manifest), resource=RESOURCE, key=(KEY,), order=())
    return {"cpu": cpu() - began}


def read(_count: int, folder: Path) -> dict[str, float]:
    """What each side wrote, as a number that is the same for the same rows."""
    appended = Tables(folder / "tables", f"sqlite:///{folder / 'catalog.db'}")
    landed_here, state = (
        Tables(folder / "landed", f"sqlite:///{folder / 'state.db'}"),
        State(f"sqlite:///{folder / 'state.db'}"),
    )
    head, name = appended.head("t.firms"), landed_table(RESOURCE)
    assert head is not None
    sides = {
        "copy": f"read_parquet('{folder / 'copy.parquet'}')",
        "append": appended.relation("t.firms", head.snapshot),
        "land": landed_here.relation(name, state.released(name), [*FIELDS, *EXTRA]),
    }
    with _connected(folder) as connection:
        return {side: _digest(connection, relation) for side, relation in sides.items()}


def _manifest(number: int, count: int) -> Manifest:
    return Manifest(
        RESOURCE,
        f"run-{number}",
        f"{number:016x}",
        count,
        0,
        "",
        (f"raw/market.firms/{number}/part-0.parquet",),
        (),
        Position({}),
        "2026-11-22T08:00:00+08:00",
    )


def _verdict(count: int) -> Verdict:
    none = pa.table({"_row": pa.array([], pa.int64()), "rules": pa.array([], pa.list_(pa.string()))})
    return Verdict(count, (), none, pa.array([], pa.int64()), "pass", "", "", {})


def _source(folder: Path, columns: str = "* EXCLUDE (_row)") -> str:
    return f"SELECT {columns} FROM read_parquet('{folder / 'rows.parquet'}')"


def _connected(folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(folder / "spill")})


def _digest(connection: duckdb.DuckDBPyConnection, relation: str) -> float:
    """The same for the same rows, whatever their order."""
    listed = ", ".join([*FIELDS, *EXTRA])
    (digest,) = connection.execute(f"SELECT sum(hash({listed}) % 1000003) FROM {relation}").fetchone() or (0,)
    return float(digest)


def figures(steps: Mapping[str, Any]) -> dict[str, float]:
    """Ratios of CPU seconds, the greatest memory, and whether all wrote the same rows."""
    spent = {name: float(steps[name].said["cpu"]) for name in STEPS[1:-1]}
    return {
        "land_copy_cpu_s": spent["copy"],
        "land_append_over_copy": spent["append"] / spent["copy"],
        "land_over_copy": spent["land"] / spent["copy"],
        "land_check_written_over_copy": spent["check"] / spent["copy"],
        "land_copy_peak_mib": steps["copy"].mib,
        "land_peak_mib": max(steps[name].mib for name in ("append", "check", "land")),
        "land_same": float(len(set(steps["read"].said.values())) == 1),
    }


def cpu() -> float:
    """Seconds this process has computed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(step: str, count: int, folder: Path) -> None:
    """Do one step and print what it measured."""
    acts: dict[str, Callable[[int, Path], dict[str, float]]] = {
        "rows": rows, "copy": copy, "append": append, "check": check, "land": land, "read": read,
    }  # fmt: skip
    print(json.dumps(acts[step](count, folder)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
