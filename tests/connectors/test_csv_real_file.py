"""The real register of enterprises is read with exactly the csv module's field boundaries, no row lost."""

import csv
import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from connectors import open_source

FILE = (
    Path(os.environ.get("SHUTONG_SHARED", Path(__file__).parents[3] / "shared"))
    / "data"
    / "zhejiang-enterprises.csv.gz"
)


@pytest.mark.skipif(not FILE.exists() and os.environ.get("CI") != "true", reason="the real file is not here")
def test_every_row_of_the_real_file_has_the_csv_modules_fields():
    source = open_source("csv", {"kind": "csv", "path": str(FILE)}, {}, secrets=None)
    [split] = source.plan(None)
    tab = pa.Table.from_batches([batch.rows for batch in source.read(split)])
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        header, *truth = csv.reader(file)
    assert tab.column_names[:-4] == header
    assert tab.num_rows == len(truth) == 190_220
    for at, name in enumerate(header):
        assert tab[name].to_pylist() == [row[at] if at < len(row) else None for row in truth]
    odd = [at for at, row in enumerate(truth, 1) if len(row) != len(header)]
    assert [row for row, rule in zip(tab["_row"].to_pylist(), tab["_reject"].to_pylist(), strict=True) if rule] == odd
