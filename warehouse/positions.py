"""Find where the rows to be replaced stand, and write their positions as an Iceberg position-delete file."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import StringType

from warehouse import columns, partitions, row_delta, scan
from warehouse.errors import WarehouseError
from warehouse.site import Site, location, name
from warehouse.sql import literal, quote

_SCHEMA = pa.schema(  # field ids reserved by the Iceberg v2 specification, "Position Delete Files"
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={b"PARQUET:field_id": b"2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={b"PARQUET:field_id": b"2147483545"}),
    ]
)


def refuse_bad_keys(site: Site, table: str, files: Sequence[str], key: Sequence[str]) -> None:
    """Raise WH-KEY-NULL or WH-KEY-TWICE unless every row of the files has a key, and its own."""
    keys = ", ".join(quote(one) for one in key)
    null = " OR ".join(f"{quote(one)} IS NULL" for one in key)
    source = f"(SELECT {keys} FROM read_parquet({_listed(files)}))"
    with site.connect() as connection:
        query = f"SELECT count(*) FILTER ({null}), count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM {source}))"
        nulls, rows, distinct = connection.execute(f"{query} FROM {source}").fetchone() or (0, 0, 0)
    fix = {"fix_zh": "写入前先去重并隔离没有主键的记录", "fix_en": "Deduplicate and quarantine before writing"}
    if nulls:
        zh, en = f"写入表 {table} 的记录中有 {nulls} 条没有主键", f"{nulls} rows for table {table} have no key"
        raise WarehouseError("WH-KEY-NULL", zh=zh, en=en, **fix)
    if rows != distinct:
        zh, en = f"写入表 {table} 的记录中主键重复", f"{rows - distinct} rows for table {table} repeat a key"
        raise WarehouseError("WH-KEY-TWICE", zh=zh, en=en, **fix)


def replaced(
    site: Site, table: Table, key: Sequence[str], *, files: Sequence[str] = (), keys: pa.Table | None = None
) -> list[DataFile]:
    """A position-delete file for the live rows of `table` whose key is among `keys`, or in the staged files, if any."""
    if keys is not None and not keys.num_rows:
        return []
    current = table.current_snapshot()
    planned = scan.plan(table, current.snapshot_id if current else None)
    every = {one.name: columns.duckdb_type(one.field_type) for one in table.schema().fields}
    kinds = {one: every[one] for one in key}
    with site.connect() as connection:
        _know(connection, kinds, keys if keys is not None else f"read_parquet({_listed(files)})")
        first = quote(key[0])
        low, high = connection.execute(f"SELECT min({first}), max({first}) FROM incoming").fetchone() or (None, None)
        candidates = [file for file in planned.data if _may_hold(table, file, key[0], low, high)]
        found = _found(connection, scan.located(planned, candidates, list(key)), kinds) if candidates else {}
    return write(site, table, places(found).to_reader(), candidates) if found else []


def _know(connection: duckdb.DuckDBPyConnection, kinds: Mapping[str, str], source: pa.Table | str) -> None:
    """Make a table `incoming` of the keys of an Arrow table, or of SQL, as the table has them, each with its hash."""
    if isinstance(source, pa.Table):
        connection.register("given", source)
        source = "given"
    typed = ", ".join(f"CAST({quote(one)} AS {kind}) AS {quote(one)}" for one, kind in kinds.items())
    connection.execute(
        f"CREATE TEMP TABLE incoming AS SELECT *, {_hash('s', kinds)} AS _of_key FROM (SELECT {typed} FROM {source}) s"
    )


def _found(
    connection: duckdb.DuckDBPyConnection, live: str, kinds: Mapping[str, str]
) -> dict[str, npt.NDArray[np.int64]]:
    """The places, by file, of the live rows whose key is among `incoming`.

    Hashes of keys are looked up first, which costs less than looking up text, then the keys of what that finds.
    """
    names, of_row = ", ".join(map(quote, kinds)), ", ".join(f"t.{quote(one)}" for one in kinds)
    rows = connection.execute(
        f"WITH near AS MATERIALIZED (SELECT t.filename AS _path, t.file_row_number AS _at, {of_row} FROM {live} t"
        f" SEMI JOIN incoming i ON {_hash('t', kinds)} = i._of_key)"
        f" SELECT _path, list(_at) FROM near SEMI JOIN incoming USING ({names}) GROUP BY _path"
    ).to_arrow_table()
    numbers = (one.values.to_numpy() for one in rows.column(1).combine_chunks())
    return {path: np.sort(one) for path, one in zip(rows.column(0).to_pylist(), numbers, strict=True)}


def _hash(of: str, kinds: Mapping[str, str]) -> str:
    return f"hash({', '.join(f'CAST({of}.{quote(one)} AS {kind})' for one, kind in kinds.items())})"


def places(files: Mapping[str, npt.NDArray[np.int64]]) -> pa.Table:
    """The rows at these places of these files, as `write` takes them; places in order, each file's path said once."""
    paths = sorted(files)
    numbers = np.repeat(np.arange(len(paths), dtype=np.int32), [len(files[one]) for one in paths])
    located = pa.array([location(one) for one in paths], pa.string())
    rows = np.concatenate([files[one] for one in paths])
    return pa.table({"file_path": pa.DictionaryArray.from_arrays(pa.array(numbers), located), "pos": rows})


def _may_hold(table: Table, file: DataFile, column: str, low: object, high: object) -> bool:
    field = next(one for one in table.schema().fields if one.name == column)
    lower, upper = (file.lower_bounds or {}).get(field.field_id), (file.upper_bounds or {}).get(field.field_id)
    kind = field.field_type
    if not isinstance(low, str) or not isinstance(high, str) or not isinstance(kind, StringType):
        return True
    if lower is None or upper is None:
        return True
    return from_bytes(kind, lower) <= high and from_bytes(kind, upper) >= low


def write(site: Site, table: Table, found: pa.RecordBatchReader, files: Sequence[DataFile]) -> list[DataFile]:
    """Position-delete files of the table for the rows found (file_path, pos, ordered by both) in these data files.

    None for no row; where the table has partitions one for each, since a reader looks for deletes in a file's own.
    """
    if not partitions.divided(table):
        written = _written(site, table, found, 0, Record())
        return [written] if written else []
    every = (
        _written(site, table, rows.to_reader(), spec, partition)
        for spec, partition, rows in partitions.sorted_out(found.read_all(), files)
    )
    return [one for one in every if one is not None]


def _written(site: Site, table: Table, found: pa.RecordBatchReader, spec: int, partition: Record) -> DataFile | None:
    target = f"{name(table.location())}/data/{uuid.uuid4().hex}-deletes.parquet"
    path = found.schema.field("file_path").type
    schema = pa.schema([_SCHEMA.field("file_path").with_type(path), _SCHEMA.field("pos")])
    rows = size = 0
    with site.new(target) as file:
        with pq.ParquetWriter(file, schema, compression="zstd", store_schema=False) as writer:
            for batch in found:
                writer.write_batch(batch.cast(schema))
                rows += batch.num_rows
        size = file.stat().st_size
        if not rows:
            file.unlink()
    return row_delta.delete_file(location(target), rows, size, spec, partition) if rows else None


def _listed(files: Sequence[str]) -> str:
    return "[" + ", ".join(literal(one) for one in files) + "]"
