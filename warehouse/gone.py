"""Find the landed records whose keys a source no longer has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from warehouse.sql import quote
from warehouse.state import State

if TYPE_CHECKING:
    from warehouse.tables import Tables

_AT_ONCE = 50_000  # keys in one batch


def gone(
    state: State, tables: Tables, table: str, key: Sequence[str], present: Iterable[pa.Table]
) -> Iterator[pa.RecordBatch]:
    """The keys of the released records of `table` that are in none of `present`, as text, in order.

    `present` are the keys the source has, standardised. What was released while they were read is not judged: the
    release is the one from before.
    """
    released = state.released(table)
    if released is None:
        return
    keys = ", ".join(quote(one) for one in key)
    with tables.connect() as connection:
        landed = tables.relation(table, released, list(key))
        connection.execute(f"CREATE TEMP TABLE present AS SELECT {keys} FROM {landed} LIMIT 0")
        for some in present:
            connection.register("part", some)
            connection.execute(f"INSERT INTO present SELECT {keys} FROM part")
        texts = ", ".join(f"CAST({quote(one)} AS VARCHAR) AS {quote(one)}" for one in key)
        query = f"SELECT {texts} FROM (SELECT {keys} FROM {landed} ANTI JOIN present USING ({keys})) ORDER BY ALL"
        yield from connection.execute(query).to_arrow_reader(_AT_ONCE)
