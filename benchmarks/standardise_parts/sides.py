"""One side of the standardising benchmark in its own process: ours, DuckDB SQL or pandas, over the same Arrow file.

python sides.py <ours|duckdb|pandas|real> <file> <rows>: prints JSON with seconds, CPU-seconds, rows, what it found, and
how fast a fixed numpy loop ran just before, so that runs on a busy machine can be compared.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "benchmarks")]

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402

from schemas import code_lists  # noqa: E402
from schemas.load import find_standard  # noqa: E402
from schemas.mapping import resolve, standardise_batches  # noqa: E402
from schemas.validators import arrow  # noqa: E402
from schemas.values import RAW_COLUMNS  # noqa: E402
from standardise_parts import table  # noqa: E402

TODAY = date(2025, 6, 30)
THREADS = 2
REAL_ROUNDS = 5
WARM_ROWS = 1_000
LEAD = 0xEF
Found = dict[str, Any]


def calibration() -> float:
    """Rounds per second of a fixed loop over 8 MiB: what this machine gives right now."""
    data = np.arange(1 << 23, dtype=np.uint8)
    began = time.perf_counter()
    for _ in range(20):
        np.flatnonzero((data == LEAD) & (data > 1))
        np.cumsum(data, dtype=np.int32)
    return 20 / (time.perf_counter() - began)


def pieces(file: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """The batches of the file up to `rows`, each read when it is asked for."""
    with pa.OSFile(str(file)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield batch.slice(0, min(batch.num_rows, rows))
            rows -= batch.num_rows
            if rows <= 0:
                return


def ours(file: Path, rows: int) -> Found:
    """Standardise batch by batch and check both identifiers of what comes out."""
    total: dict[str, float] = dict.fromkeys(("rows", "good_uscc", "good_id", "dates", "phones", "yuan", "wan"), 0)
    for done in standardise_batches(
        pieces(file, rows), table.STANDARD, table.MAPPING, table.CODES, TODAY, workers=THREADS
    ):
        made = done.table
        total["rows"] += made.num_rows
        total["good_uscc"] += arrow.valid("uscc", made["uscc"], TODAY).true_count
        total["good_id"] += arrow.valid("citizen_id", made["cert_no"], TODAY).true_count
        total["dates"] += made.num_rows - made["est_date"].null_count
        total["phones"] += made.num_rows - made["phone"].null_count
        total["yuan"] += pc.sum(pc.equal(made["currency"], "156")).as_py()
        total["wan"] += float(pc.sum(made["reg_capital"]).as_py())
    return total


def real(file: Path, rows: int) -> Found:
    """The real file by the built-in standard of the legal-person library, several times over; 0 rows: all of them."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        header, *lines = csv.reader(text)
    whole = [line for line in lines if len(line) == len(header)][: rows or None]
    columns = [pa.array(column, pa.string()) for column in zip(*whole, strict=True)]
    raw = pa.table(
        [
            pa.array(range(1, len(whole) + 1), pa.int64()),
            *(pa.nulls(len(whole), pa.string()) for _ in range(3)),
            *columns,
        ],
        [*RAW_COLUMNS, *header],
    )
    standard = find_standard("legal_person@1")
    codes = {one.codes: dict(code_lists.load(one.codes).spellings) for one in standard.fields if one.codes}
    mapping = resolve(standard, header, {})
    began, used, read = time.perf_counter(), time.process_time(), 0
    for _ in range(REAL_ROUNDS):
        for done in standardise_batches(raw.to_batches(32_768), standard, mapping, codes, TODAY, workers=THREADS):
            arrow.valid("uscc", done.table["uscc"], TODAY)
            read += done.table.num_rows
    return {"rows": read, "seconds": time.perf_counter() - began, "cpu": time.process_time() - used}


def duckdb(file: Path, rows: int) -> Found:
    """The same in SQL, with every costly function behind a cheap test."""
    import duckdb as engine

    from standardise_parts.sql import QUERY

    connection = engine.connect()
    connection.execute(f"SET threads = {THREADS}")
    schema = next(pieces(file, 1)).schema
    connection.register("raw", pa.RecordBatchReader.from_batches(schema, pieces(file, rows)))
    total: dict[str, float] = dict.fromkeys(("rows", "good_uscc", "good_id", "dates", "phones", "yuan", "wan"), 0)
    for made in connection.execute(QUERY).to_arrow_reader(table.BATCH):
        total["rows"] += made.num_rows
        total["good_uscc"] += pc.sum(made["ok_uscc"]).as_py()
        total["good_id"] += pc.sum(made["ok_id"]).as_py()
        total["dates"] += made.num_rows - made["est_date"].null_count
        total["phones"] += made.num_rows - made["phone"].null_count
        total["yuan"] += pc.sum(pc.equal(made["currency"], "156")).as_py()
        total["wan"] += float(pc.sum(made["reg_capital"]).as_py())
    return total


def pandas(file: Path, rows: int) -> Found:
    """The same with pandas: string methods where it has them, a function per value where it has not."""
    from standardise_parts import frames

    return frames.standardise(pa.Table.from_batches(pieces(file, rows)).to_pandas())


def main() -> int:
    """Run one side and print what it did."""
    side, file, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    sides: dict[str, Callable[[Path, int], Found]] = {"ours": ours, "duckdb": duckdb, "pandas": pandas, "real": real}
    if side != "real":
        sides[side](file, WARM_ROWS)  # what is loaded once, and tables that are built once
    loops = calibration()
    began, used = time.perf_counter(), time.process_time()
    found = sides[side](file, rows)
    seconds = found.pop("seconds", time.perf_counter() - began)
    cpu = found.pop("cpu", time.process_time() - used)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "loops": loops, "found": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
