"""Write batches as a Parquet file of even row groups, each column the way that costs least, memory bounded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.values import ROW

GROUP_ROWS = 65_536  # rows gathered before they are written as one row group …
GROUP_BYTES = 48 << 20  # … or so many bytes, when rows are wide
SAMPLE_ROWS = 16_384  # rows a column is judged by
WRONG = 0.05  # share of groups without a key that its Bloom filter lets pass: a byte a row
REPEATING = 0.1  # a column with fewer distinct values than this share of its rows gets a dictionary


class Sink(Protocol):
    """What a file is written to."""

    def write(self, content: bytes, /) -> int:
        """Take the next bytes."""
        ...


class RowGroups:
    """One Parquet file, written as batches come.

    `sort_by` are columns by which the rows inside each row group are ordered, nulls last; the file is then one of a
    table: it says so, has statistics of each group and page and Bloom filters of those columns, so that a reader can
    pass over them, and nothing of Arrow's own. Other files are read once or twice, from end to end.
    """

    def __init__(
        self, sink: BinaryIO | Sink, schema: pa.Schema, *, sort_by: Sequence[str] = (), rows: int = GROUP_ROWS
    ) -> None:
        self._sink, self._schema, self._sort_by, self._rows = sink, schema, list(sort_by), rows
        self.rows = 0  # how many were taken
        self._file = ExitStack()
        self._parquet: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows, columns as in the schema."""
        self._waiting.append(batch)
        self.rows += batch.num_rows
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= self._rows or self._waiting_bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what waits, and the footer."""
        self._flush()
        self._opened(self._schema.empty_table())
        self._file.close()

    @property
    def waiting(self) -> int:
        """Bytes of the rows that wait to be written."""
        return self._waiting_bytes

    def flush(self) -> None:
        """Write what waits as a row group of its own."""
        self._flush()

    def drop(self) -> None:
        """Let go of the file, of which nothing is to be used."""
        self._waiting = []
        with suppress(OSError):  # what made us give up may keep the footer from being written, too
            self._file.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        parquet = self._opened(table)
        groups = max(1, table.num_rows // self._rows)  # of equal size: no small one at the end of each batch
        size = max(1, -(-table.num_rows // groups))
        if not self._sort_by:
            parquet.write_table(table, row_group_size=size)
            return
        for at in range(0, table.num_rows, size):
            group = table.slice(at, size)
            order = pc.sort_indices(group, [(name, "ascending") for name in self._sort_by])
            parquet.write_table(group.take(order), row_group_size=size)

    def _opened(self, first: pa.Table) -> pq.ParquetWriter:
        if self._parquet is None:
            places = [self._schema.get_field_index(name) for name in self._sort_by]
            of_table = bool(places)
            few = _repeating(first)
            # Measured: Snappy takes least time; zstd makes a table, which stays, a third smaller for a tenth more.
            writer = pq.ParquetWriter(
                self._sink,
                self._schema,
                compression="zstd" if of_table else "snappy",
                compression_level=1 if of_table else None,
                use_dictionary=few,
                write_statistics=of_table,
                write_page_index=of_table,
                bloom_filter_options=_filters(first, [one for one in self._sort_by if one not in few], self._rows),
                store_schema=not of_table,
                sorting_columns=[pq.SortingColumn(place) for place in places] or None,
                column_encoding={ROW: "DELTA_BINARY_PACKED"} if ROW in self._schema.names else None,
            )
            self._parquet = self._file.enter_context(writer)
        return self._parquet


def _repeating(table: pa.Table) -> list[str]:
    """The columns where a dictionary pays: building one costs more than it saves where most values differ."""
    sample = table.slice(0, SAMPLE_ROWS)
    few = sample.num_rows * REPEATING
    return [one.name for one in table.schema if _is_dictionary(one) or _repeats(sample[one.name], few)]


def _filters(table: pa.Table, names: Sequence[str], rows: int) -> dict[str, dict[str, float]] | None:
    """Bloom filters as Arrow takes them, as large as the first of the row groups needs; None where none would help."""
    distinct = min(table.num_rows, rows)
    kinds = {one: table.schema.field(one).type for one in names}
    able = [one for one, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_integer(kind)]
    return {one: {"ndv": distinct, "fpp": WRONG} for one in able} if distinct and able else None


def _is_dictionary(field: pa.Field) -> bool:
    return bool(pa.types.is_dictionary(field.type))


def _repeats(column: pa.ChunkedArray, few: float) -> bool:
    return _countable(column) and _distinct(column) < few


def _countable(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_temporal(kind))


def _distinct(column: pa.ChunkedArray) -> int:
    counted: int = pc.count_distinct(column).as_py()
    return counted
