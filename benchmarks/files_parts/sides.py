"""One side of a comparison in a process of its own: read a file, say how long it took and what was read.

python sides.py <side> <path> [digest]: prints {"rows", "seconds", "cpu", "digest", "rejects"}; the digest is over all
values and is only made when asked for, because it costs time of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.csv as arrow_csv

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP)]

from connectors.files import csv_format, workbooks  # noqa: E402
from connectors.options import Options  # noqa: E402
from connectors.rows import CHUNK  # noqa: E402
from schemas.values import RAW_COLUMNS  # noqa: E402


def shutong_csv(path: str) -> Iterator[pa.RecordBatch]:
    """Our reader: text columns, row numbers, rejects."""
    form = csv_format.open_format(Options({"encoding": "gb18030"}, csv_format.OPTIONS))
    with Path(path).open("rb") as file:
        for batch in form.batches(file, path, CHUNK):
            yield batch.rows


def shutong_xlsx(path: str) -> Iterator[pa.RecordBatch]:
    """Our reader of workbooks."""
    form = workbooks.open_format(Options({}, workbooks.OPTIONS))
    with Path(path).open("rb") as file:
        for batch in form.batches(file, path, CHUNK):
            yield batch.rows


def _as_text(path: str) -> tuple[arrow_csv.ReadOptions, arrow_csv.ConvertOptions]:
    with Path(path).open(encoding="gb18030") as file:
        names = file.readline().strip().split(",")
    kinds = dict.fromkeys(names, pa.string())
    convert = arrow_csv.ConvertOptions(column_types=kinds, strings_can_be_null=False)
    return arrow_csv.ReadOptions(encoding="gb18030"), convert


def pyarrow_read(path: str) -> Iterator[pa.RecordBatch]:
    """pyarrow.csv.read_csv: the whole file at once, in all threads."""
    read, convert = _as_text(path)
    yield from arrow_csv.read_csv(path, read, convert_options=convert).to_batches()


def pyarrow_open(path: str) -> Iterator[pa.RecordBatch]:
    """pyarrow.csv.open_csv: batch by batch."""
    read, convert = _as_text(path)
    yield from arrow_csv.open_csv(path, read, convert_options=convert)


def openpyxl_read(path: str) -> Iterator[pa.RecordBatch]:
    """The peer: openpyxl in its read-only mode, into the same columns."""
    book = openpyxl.load_workbook(path, read_only=True)
    rows = book.active.iter_rows(values_only=True)
    names = list(next(rows))
    for chunk in _chunks(rows):
        yield pa.record_batch([pa.array(column, pa.string()) for column in zip(*chunk, strict=True)], names=names)
    book.close()


def _chunks(rows: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    held: list[tuple[object, ...]] = []
    for row in rows:
        held.append(row)
        if len(held) == CHUNK:
            yield held
            held = []
    if held:
        yield held


SIDES = {
    "shutong-csv": shutong_csv,
    "pyarrow-read": pyarrow_read,
    "pyarrow-open": pyarrow_open,
    "shutong-xlsx": shutong_xlsx,
    "openpyxl": openpyxl_read,
}


def main() -> None:
    """Read and say what was read."""
    side, path, *asked = sys.argv[1:]
    began, worked = time.perf_counter(), time.process_time()
    rows, rejects, digests = 0, [], {}
    for batch in SIDES[side](path):
        rows += batch.num_rows
        if "_reject" in batch.schema.names and batch.column("_reject").null_count < batch.num_rows:
            rejects += [row for row in batch.select(["_reject", "_detail"]).to_pylist() if row["_reject"]]
        for name in batch.schema.names if asked else ():
            if name not in RAW_COLUMNS:
                _update(digests, name, batch.column(name))
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    digest = {name: [one.hexdigest() for one in pair] for name, pair in digests.items()}
    told = [[row["_reject"], row["_detail"]] for row in rejects]
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu, "digest": digest, "rejects": told}))


def _update(digests: dict[str, tuple[hashlib._Hash, hashlib._Hash]], name: str, column: pa.Array) -> None:
    """Add to a column's two digests: of its bytes, and of the length of each value."""
    data, lengths = digests.setdefault(name, (hashlib.sha256(), hashlib.sha256()))
    _, offsets, values = column.buffers()
    places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    data.update(memoryview(values)[places[0] : places[-1]])
    lengths.update(np.diff(places).tobytes())


if __name__ == "__main__":
    main()
