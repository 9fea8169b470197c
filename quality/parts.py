"""Show a batch to DuckDB part by part, so that memory does not grow with it, and note what only the whole can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quality.errors import QualityError
from schemas.values import BAD, DELETED, OP, REJECT, ROW

PART_ROWS = 65_536  # looked at together: their columns stay in the caches from one rule to the next


class Parts:
    """The parts of a standardised batch, each in its turn the table `name` of the connection; gone through once.

    `rows` counts all that came, `records` those that are judged. Before the first part and after the last the table is
    empty. `prepared` adds to a part the columns that are known in advance.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        parts: Iterable[pa.Table],
        schema: pa.Schema,
        prepared: Callable[[pa.Table], pa.Table],
    ) -> None:
        self._connection, self._name, self.prepared = connection, name, prepared
        self._parts = iter(parts)
        self._numbers = _Numbers()
        self._columns = frozenset(schema.names)
        self._filled: set[str] = set()  # columns with a value, or with one that could not be read
        self.nothing = prepared(schema.empty_table())
        self.rows = self.records = 0
        self.error: Exception | None = None
        self.show(self.nothing)

    def __iter__(self) -> Iterator[pa.Table]:
        """The records of the next part, at most PART_ROWS; what breaks is remembered in `error` and raised."""
        try:
            for part in self._parts:
                self._numbers.add(part)
                records = _records(part)
                self.rows, self.records = self.rows + part.num_rows, self.records + records.num_rows
                self._filled |= {name for name in self._columns - self._filled if _something_in(records, name)}
                for first in range(0, records.num_rows, PART_ROWS):
                    yield records.slice(first, PART_ROWS)
            self._numbers.refuse_repeated()
        except Exception as error:
            self.error = error
            raise

    def show(self, table: pa.Table) -> None:
        """Make `table`, a prepared part, what the connection sees."""
        self._connection.register(self._name, table)

    def finish(self) -> None:
        """Go through what nobody asked for."""
        for _ in self:
            pass

    def empty(self, columns: Sequence[str]) -> list[str]:
        """Those of the columns without a value: one that came but could not be read is for the rules to judge."""
        return [name for name in columns if name not in self._filled]


class _Numbers:
    """The row numbers that came: each must be there, and come once."""

    def __init__(self) -> None:
        self._seen: list[npt.NDArray[np.int64] | range] = []
        self._last: int | None = None
        self._ordered = True

    def add(self, part: pa.Table) -> None:
        if ROW not in part.column_names or part[ROW].null_count:
            raise _bad_numbers()
        rows = part[ROW].to_numpy().astype(np.int64, copy=False)
        if not len(rows):
            return
        steps = np.diff(rows)
        follows = self._last is None or rows[0] > self._last
        self._ordered = self._ordered and follows and bool((steps > 0).all())
        whole = bool((steps == 1).all())  # as batches are numbered: remembered by its ends
        self._seen.append(range(int(rows[0]), int(rows[-1]) + 1) if whole else rows)
        self._last = int(rows[-1])

    def refuse_repeated(self) -> None:
        if self._ordered:
            return
        every = np.concatenate([np.asarray(one, np.int64) for one in self._seen])
        if len(np.unique(every)) != len(every):
            raise _bad_numbers()


def _bad_numbers() -> QualityError:
    return QualityError(
        "QUA-TABLE",
        zh=f"待检查的表没有列 {ROW}，或其中的行号有空值或重复",
        en=f"The table to check has no column {ROW}, or row numbers in it are missing or repeated",
        fix_zh="请检查标准化后的批次",
        fix_en="Check the standardised batch",
    )


def _records(table: pa.Table) -> pa.Table:
    """The rows to be judged: a deletion that could not be read whole is judged like any other row."""
    if OP not in table.column_names:
        return table
    deletes = pc.fill_null(pc.equal(table[OP], DELETED), False)  # noqa: FBT003 - the value to fill with
    return table.filter(pc.invert(pc.and_(deletes, pc.is_null(table[REJECT]))))


def _something_in(table: pa.Table, name: str) -> bool:
    unread = name + BAD in table.column_names and pc.any(table[name + BAD]).as_py()
    return bool(table[name].null_count < table.num_rows or unread)
