"""Find where the rows to be replaced stand, and write their positions as an Iceberg position-delete file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import StringType

from warehouse import duck, row_delta, scan
from warehouse.durable_io import sync
from warehouse.errors import WarehouseError
from warehouse.sql import literal, quote

_SCHEMA = pa.schema(  # field ids reserved by the Iceberg v2 specification, "Position Delete Files"
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={b"PARQUET:field_id": b"2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={b"PARQUET:field_id": b"2147483545"}),
    ]
)


def refuse_bad_keys(table: str, files: Sequence[str], key: Sequence[str]) -> None:
    """Raise WH-KEY-NULL or WH-KEY-TWICE unless every row of the files has a key, and its own."""
    keys = ", ".join(quote(one) for one in key)
    null = " OR ".join(f"{quote(one)} IS NULL" for one in key)
    source = f"(SELECT {keys} FROM read_parquet({_listed(files)}))"
    with duck.connect() as connection:
        query = f"SELECT count(*) FILTER ({null}), count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM {source}))"
        nulls, rows, distinct = connection.execute(f"{query} FROM {source}").fetchone() or (0, 0, 0)
    fix = {"fix_zh": "写入前先去重并隔离没有主键的记录", "fix_en": "Deduplicate and quarantine before writing"}
    if nulls:
        zh, en = f"写入表 {table} 的记录中有 {nulls} 条没有主键", f"{nulls} rows for table {table} have no key"
        raise WarehouseError("WH-KEY-NULL", zh=zh, en=en, **fix)
    if rows != distinct:
        zh, en = f"写入表 {table} 的记录中主键重复", f"{rows - distinct} rows for table {table} repeat a key"
        raise WarehouseError("WH-KEY-TWICE", zh=zh, en=en, **fix)


def replaced(table: Table, files: Sequence[str], key: Sequence[str], gone: pa.Table | None = None) -> list[DataFile]:
    """A position-delete file for the live rows of `table` whose key is in the staged files or in `gone`, if any."""
    current = table.current_snapshot()
    planned = scan.plan(table, current.snapshot_id if current else None)
    keys = ", ".join(quote(one) for one in key)
    with duck.connect() as connection:
        queries = [f"SELECT {keys} FROM read_parquet({_listed(files)})"] if files else []
        if gone is not None:
            connection.register("gone", gone)
            queries.append(f"SELECT {keys} FROM gone")
        connection.execute(f"CREATE TEMP VIEW incoming AS {' UNION ALL '.join(queries)}")
        first = quote(key[0])
        low, high = connection.execute(f"SELECT min({first}), max({first}) FROM incoming").fetchone() or (None, None)
        candidates = [file for file in planned.data if _may_hold(table, file, key[0], low, high)]
        if not candidates:
            return []
        live = scan.located(planned, candidates, list(key))
        found = connection.execute(
            f"SELECT t.filename AS file_path, t.file_row_number AS pos FROM {live} t "
            f"SEMI JOIN incoming USING ({keys}) ORDER BY ALL"
        ).to_arrow_table()
    return [_write(table, found)] if found.num_rows else []


def _may_hold(table: Table, file: DataFile, column: str, low: object, high: object) -> bool:
    field = next(one for one in table.schema().fields if one.name == column)
    lower, upper = (file.lower_bounds or {}).get(field.field_id), (file.upper_bounds or {}).get(field.field_id)
    kind = field.field_type
    if not isinstance(low, str) or not isinstance(high, str) or not isinstance(kind, StringType):
        return True
    if lower is None or upper is None:
        return True
    return from_bytes(kind, lower) <= high and from_bytes(kind, upper) >= low


def _write(table: Table, found: pa.Table) -> DataFile:
    target = Path(scan.path(table.location())) / "data" / f"{uuid.uuid4().hex}-deletes.parquet"
    places = pc.binary_join_element_wise(scan.SCHEME, found["file_path"].cast(pa.string()), "")
    pq.write_table(pa.table([places, found["pos"]], schema=_SCHEMA), target, compression="zstd")
    sync(target)
    return row_delta.delete_file(f"{scan.SCHEME}{target}", found.num_rows, target.stat().st_size)


def _listed(files: Sequence[str]) -> str:
    return "[" + ", ".join(literal(one) for one in files) + "]"
