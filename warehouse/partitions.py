"""Divide a table's files by what its records say: the Iceberg partition spec, and which rows belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField, partition_record_value
from pyiceberg.table import Table, TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import MonthTransform, Transform, TruncateTransform, YearTransform
from pyiceberg.typedef import Record

from schemas.partition import DIGITS, Partition
from warehouse.sql import literal, quote

_Places = npt.NDArray[np.int64]
_TRANSFORMS: Mapping[str, Transform[Any, Any]] = {
    "year": YearTransform(),
    "month": MonthTransform(),
    **{level: TruncateTransform(width) for level, width in DIGITS.items()},
}


def partition_of(table: Table) -> Partition | None:
    """How new files of a table are divided."""
    for one in table.spec().fields:
        name = table.schema().find_column_name(one.source_id)
        by = next((by for by, transform in _TRANSFORMS.items() if transform == one.transform), None)
        if name is not None and by is not None:
            return Partition(name, by)  # type: ignore[arg-type]
    return None


def divided(table: Table) -> bool:
    """Whether any file of a table may lie in a partition."""
    return any(spec.fields for spec in table.specs().values())


def change(table: Table, wanted: Partition | None) -> None:
    """Divide new files as wanted; those there are stay as they are. CommitFailedException when others came first."""
    if partition_of(table) == wanted:
        return
    with table.update_spec() as update:
        for one in table.spec().fields:
            update.remove_field(one.name)
        if wanted is not None:
            update.add_field(wanted.field, _TRANSFORMS[wanted.by], f"{wanted.field}_{wanted.by}")


def data_file(table: Table, path: str) -> DataFile:
    """A file of rows as the table's manifests list it, in the partition its rows tell; ValueError where they do not."""
    try:
        made = parquet_file_to_data_file(table.io, table.metadata, path)
    except ValueError:  # the greatest of long texts is cut, and then counted up: it may be of the next partition
        made = parquet_file_to_data_file(table.io, _without_bounds(table), path)
    made.spec_id = table.metadata.default_spec_id
    for place, one in enumerate(table.spec().fields):
        # Of long texts Parquet keeps no least and greatest, and pyiceberg takes that for null.
        if made.partition[place] is None and made.null_value_counts.get(one.source_id) != made.record_count:
            made.partition[place] = _partition_read(table, path, one)
    return made


def _without_bounds(table: Table) -> TableMetadata:
    """The table as it would be if nothing were kept of the columns it is divided by: their partitions are then null."""
    names = (table.schema().find_column_name(one.source_id) for one in table.spec().fields)
    none = {f"{TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX}.{name}": "none" for name in names}
    return table.metadata.model_copy(update={"properties": {**table.metadata.properties, **none}})


def _partition_read(table: Table, path: str, field: PartitionField) -> object:
    """The one partition of all rows of a file, from the rows."""
    schema, found = table.schema(), set[object]()
    name, kind = schema.find_column_name(field.source_id), schema.find_type(field.source_id)
    tell = field.transform.transform(kind)
    with table.io.new_input(path).open() as stream:
        file = pq.ParquetFile(stream)
        if name not in file.schema_arrow.names:
            return None
        for batch in file.iter_batches(columns=[name]):
            values = pc.unique(batch.column(0)).to_pylist()
            found |= {tell(None if one is None else partition_record_value(field, one, schema)) for one in values}
    if len(found) != 1:
        raise ValueError(f"{len(found)} partitions in one file")
    return found.pop()


def marks(column: pa.Array | pa.ChunkedArray, by: str) -> pa.Array | pa.ChunkedArray:
    """What tells the partition of each value: equal for values of the same one, null for null."""
    if by in DIGITS:
        return pc.utf8_slice_codeunits(column, 0, DIGITS[by])
    years = pc.year(column)
    return years if by == "year" else pc.add(pc.multiply(years, 12), pc.month(column))


def mark_sql(partition: Partition) -> str:
    """The same in DuckDB."""
    name = quote(partition.field)
    if partition.by in DIGITS:
        return f"left({name}, {DIGITS[partition.by]})"
    return f"date_trunc('{partition.by}', {name})::DATE"


def within_sql(partition: Partition, mark: object) -> str:
    """The rows of one partition, by its `mark_sql`; by ranges too, so that row groups of others are passed over."""
    name = quote(partition.field)
    if mark is None:
        return f"{name} IS NULL"
    if partition.by in DIGITS:
        text = str(mark)
        plain = text.isascii() and text
        last = f" AND {name} < {literal(text[:-1] + chr(ord(text[-1]) + 1))}" if plain else ""
        return f"{mark_sql(partition)} = {literal(text)} AND {name} >= {literal(text)}{last}"
    start = f"DATE {literal(str(mark))}"
    return f"{name} >= {start} AND {name} < {start} + INTERVAL 1 {partition.by}"


def groups(table: Table, files: Sequence[DataFile]) -> list[tuple[DataFile, ...]]:
    """Files of the same partition together, and all that are divided in another way; in an order of their own."""
    current = table.spec().spec_id
    found: dict[str, list[DataFile]] = {}
    for one in files:
        found.setdefault(repr(one.partition) if (one.spec_id or 0) == current else "", []).append(one)
    return [tuple(found[key]) for key in sorted(found)]


def sorted_out(rows: pa.Table, files: Sequence[DataFile]) -> Iterator[tuple[int, Record, pa.Table]]:
    """Places (file_path, pos) by the partition of the file they are in: spec, partition, and its places in order."""
    paths = rows["file_path"].combine_chunks().dictionary_encode()
    if isinstance(paths, pa.ChunkedArray):
        paths = paths.combine_chunks()
    there = {one.file_path: (one.spec_id or 0, one.partition) for one in files}
    whose = [there[path] for path in paths.dictionary.to_pylist()]
    numbers = {key: place for place, key in enumerate(dict.fromkeys((spec, repr(record)) for spec, record in whose))}
    of_path = np.asarray([numbers[spec, repr(record)] for spec, record in whose], np.int64)
    of_row: _Places = of_path[paths.indices.to_numpy(zero_copy_only=False)]
    for number in range(len(numbers)):
        spec, record = whose[int(np.flatnonzero(of_path == number)[0])]
        yield spec, record, rows.take(pa.array(np.flatnonzero(of_row == number)))
