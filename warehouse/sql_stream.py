"""Pass rows from the DuckDB that reads tables to the one that runs an analyst's SQL, masks put over them on the way.

The SQL never runs where the tables are: a first DuckDB reads them with SQL of ours, masks are put over what it yields,
and a second one, which has neither files nor settings, runs the analyst's SQL over the outcome. So whatever that SQL
does, errors and all, it does to nothing but what may be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

AT_ONCE = 65_536  # rows on their way from one DuckDB to the other
Mask: TypeAlias = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Reading:
    """A view made ready for one query: SQL that reads what it uses of one snapshot, and the masks that come over it."""

    name: str
    sql: str
    masks: tuple[Mask | None, ...]


class Stream:
    """A reading as Arrow's C stream, read anew whenever it is asked for."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, reading: Reading) -> None:
        self._connection, self._reading = connection, reading
        self.failure: Exception | None = None  # what came of reading the table, which is no fault of the SQL
        with connection.cursor() as cursor:
            plain = cursor.execute(f"SELECT * FROM ({reading.sql}) LIMIT 0").to_arrow_table().schema
        fields = zip(plain, reading.masks, strict=True)
        self.schema = pa.schema([one if mask is None else pa.field(one.name, pa.string()) for one, mask in fields])

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            with self._connection.cursor() as cursor:
                for batch in cursor.execute(self._reading.sql).to_arrow_reader(AT_ONCE):
                    masked = zip(batch.columns, self._reading.masks, strict=True)
                    yield pa.record_batch([_shown(one, mask) for one, mask in masked], schema=self.schema)
        except Exception as error:
            self.failure = error
            raise


def _shown(column: Any, mask: Mask | None) -> Any:  # noqa: ANN401 - an array of Arrow
    """The column through the mask, which sees each distinct value once."""
    if mask is None:
        return column
    known = column.dictionary_encode()
    values = [mask(one) for one in known.dictionary.to_pylist()]
    texts = pa.array([None if one is None else str(one) for one in values], pa.string())
    return texts.take(known.indices)
