"""The barred rows of a batch as they were received, out of files that have not all the same columns."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.values import DETAIL, LINE, REJECT, Manifest, Position
from warehouse.fates import received_rows


def test_columns_that_differ_by_case_or_lack_in_a_file_are_told_apart(tmp_path):
    own = {REJECT: [None, None], DETAIL: ["a note", None], LINE: ["1", "2"]}
    files = {
        "one": {"_row": [1, 2], **own, "ID": ["A", "B"], "id": ["甲", "𠮷"]},
        "two": {"_row": [3, 4], **own, "ID": ["C", "D"], "id": ["丙", "丁"], '多"出': ["x", "y"]},
    }
    for name, columns in files.items():
        kinds = pa.schema([(one, pa.int64() if one == "_row" else pa.string()) for one in columns])
        pq.write_table(pa.table(columns, schema=kinds), tmp_path / name)
    columns = ("_row", REJECT, DETAIL, LINE, "ID", "id", '多"出')
    manifest = Manifest("market.base", "r", "b", 4, 0, "", tuple(files), columns, Position(), "")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE barred AS SELECT unnest([2, 3]) AS _row")
        sql = received_rows(manifest, {name: tmp_path / name for name in files})
        found = connection.sql(f"SELECT _row, c0, c1, c2, c3, detail FROM ({sql}) ORDER BY 1").fetchall()
    assert found == [(2, "B", "𠮷", None, "2", None), (3, "C", "丙", "x", "1", "a note")]
