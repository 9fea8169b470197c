"""Keep the columns that rules about several rows read, of all rows of a batch, where they spill to disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality import limits
from quality.dialect import quote
from schemas.values import ROW

KEPT = "kept"  # the name of that table


class Kept:
    """Some columns of the table `name` of the connection, part after part, as a table of DuckDB's own.

    A query over them is stopped after limits.RULE seconds.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, columns: Collection[str]) -> None:
        self._connection, self._name = connection, name
        self.wanted = frozenset(columns)
        self._columns: tuple[str, ...] = ()
        self._broken: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.wanted)

    def keep(self, columns: Collection[str]) -> None:
        """Want these too; before `begin`."""
        self.wanted |= frozenset(columns)

    def begin(self, schema: pa.Schema) -> None:
        """Make the table, as the one that is shown has it; wanted columns it has not are missed when they are used."""
        self._columns = tuple(one for one in schema.names if one in self.wanted or one == ROW)
        if self:
            self._connection.execute(f"CREATE TEMP TABLE {KEPT} AS {self._select()} LIMIT 0")

    def add(self, broken: Collection[str] = ()) -> None:
        """Take what is shown now; columns that are `broken` hold what is no text, and cannot be looked at any more."""
        self._broken |= frozenset(broken)
        if self:
            self._connection.execute(f"INSERT INTO {KEPT} {self._select(broken)}")

    def rows(self, sql: str) -> npt.NDArray[np.int64]:
        """The `_row`s, each once and ordered, that a query over `kept` gives; duckdb.Error also when it takes long."""
        with limits.query(self._connection, limits.RULE):
            found = self._connection.execute(sql).to_arrow_table().column(0)
        return np.unique(found.to_numpy().astype(np.int64))

    def show(self, schema: pa.Schema) -> None:
        """Let all rows be what is seen under the name, columns that were not kept as nothing but nulls."""
        nothing = pa.table([pa.nulls(1, one.type) for one in schema], schema=schema)
        self._connection.register("shape", nothing)
        self._connection.unregister(self._name)
        columns = ", ".join(self._seen(one) for one in schema.names)
        view = f"SELECT {columns} FROM {KEPT}, shape"
        self._connection.execute(f"CREATE TEMP VIEW {quote(self._name)} AS {view}")

    def _seen(self, column: str) -> str:
        if column in self._broken:
            name = column.replace("'", "''")
            return f"error('column {name} holds bytes that are not UTF-8')::VARCHAR AS {quote(column)}"
        return f"{KEPT if column in self._columns else 'shape'}.{quote(column)}"

    def _select(self, broken: Collection[str] = ()) -> str:
        picked = ", ".join(f"NULL AS {quote(one)}" if one in broken else quote(one) for one in self._columns)
        return f"SELECT {picked} FROM {quote(self._name)}"


class Query:
    """Rows that a query over the kept columns names, once all of them are there."""

    def __init__(self, kept: Kept, sql: str) -> None:
        self._kept, self._sql = kept, sql
        self.reads: tuple[str, ...] = ()
        self.apart = False

    def take(self, part: object) -> None:
        """Nothing to take from a part."""

    def columns(self, name: str) -> Sequence[object]:  # noqa: ARG002 - nothing is asked of a part
        """Nothing to select from each part."""
        return ()

    def add(self, answer: pa.Table, name: str) -> None:
        """Nothing to take from a part."""

    def rows(self) -> npt.NDArray[np.int64]:
        """The `_row`s, ordered; duckdb.Error when the query cannot be run."""
        return self._kept.rows(self._sql)
