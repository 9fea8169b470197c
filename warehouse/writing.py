"""Write rows as data files of a table: in its types, sorted, with field ids, one file for each partition."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import duckdb
import pyarrow.parquet as pq
from pyiceberg.table import Table

from warehouse import columns, partitions
from warehouse.errors import WarehouseError
from warehouse.site import Site
from warehouse.site import name as file_name
from warehouse.sql import quote

ROW_GROUP, UNSORTED = 40_960, 122_880  # rows; where they are sorted a keyed look-up reads one group, so it is small


def place(table: Table, suffix: str) -> str:
    """The name a new data file of the table may have."""
    return f"{file_name(table.location())}/data/{uuid.uuid4().hex}{suffix}"


def write(
    site: Site, table: Table, rows: duckdb.DuckDBPyRelation, sort: Sequence[str], suffix: str
) -> tuple[tuple[str, ...], int]:
    """Write the rows, and say as which files, none of them empty, and how many there were. WH-COLUMN-UNKNOWN."""
    shaped = _shaped(table, rows)
    partition = partitions.partition_of(table)
    if partition is None or partition.field not in shaped.columns:
        parts = [shaped]
    else:
        found = shaped.project(f"{partitions.mark_sql(partition)} AS mark").distinct().order("mark").fetchall()
        parts = [shaped.filter(partitions.within_sql(partition, mark)) for (mark,) in found]
    files, count = [], 0
    for part in parts:
        target = place(table, suffix)
        written = _write(site, table, part.order(", ".join(map(quote, sort))) if sort else part, target, bool(sort))
        if written:
            files.append(target)
            count += written
    return tuple(files), count


def _shaped(table: Table, rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    name, kinds = ".".join(table.name()), {f.name: f.field_type for f in table.schema().fields}
    if unknown := [one for one in rows.columns if one not in kinds]:
        raise WarehouseError(
            "WH-COLUMN-UNKNOWN",
            zh=f"表 {name} 没有列 {'、'.join(unknown)}",
            en=f"table {name} has no column {', '.join(unknown)}",
            fix_zh="写入前先用 ensure 增加这些列",
            fix_en="Add them with ensure before writing",
        )
    cast = [
        f"CAST({quote(one)} AS {columns.duckdb_type(kinds[one])}) AS {quote(one)}"
        for one in kinds
        if one in rows.columns
    ]
    return rows.project(", ".join(cast))


def _write(site: Site, table: Table, rows: duckdb.DuckDBPyRelation, target: str, sorted_: bool) -> int:  # noqa: FBT001
    ids = columns.field_ids(table.schema(), list(rows.columns))
    with site.new(target) as file:
        size = ROW_GROUP if sorted_ else UNSORTED
        rows.to_parquet(str(file), compression="zstd", field_ids=ids, row_group_size=size)
        count: int = pq.read_metadata(file).num_rows
        if count == 0:
            file.unlink()
    return count
