"""Which rows changed between two snapshots of a table, from the files that came, without reading those that stayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from warehouse import scan
from warehouse.errors import WarehouseError
from warehouse.site import name as name_of
from warehouse.sql import quote
from warehouse.tables import Tables


@dataclass(frozen=True, slots=True)
class Changed:
    """The rows that came as SQL, in brackets, and the files and places of those that went.

    A row that was replaced came and went. `rows` is how many came, at most.
    """

    came: str
    rows: int
    before: scan.Plan
    places: tuple[str, ...]  # position-delete files

    def gone(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        """SQL, in brackets, of the columns of the rows that went."""
        listed = ", ".join(f"r.{quote(name)}" for name in columns)
        if not self.places:
            return scan.relation(dataclasses.replace(self.before, data=(), deletes=()), columns)
        touched = {
            path for (path,) in connection.execute(f"SELECT DISTINCT path FROM {scan.places(self.places)}").fetchall()
        }
        files = [one for one in self.before.data if name_of(one.file_path) in touched]
        if not files:
            return scan.relation(dataclasses.replace(self.before, data=(), deletes=()), columns)
        live = scan.located(self.before, files, list(columns))
        return (
            f"(SELECT {listed} FROM {live} r SEMI JOIN {scan.places(self.places)} g"
            " ON r.filename = g.path AND r.file_row_number = g.pos)"
        )


def between(tables: Tables, name: str, old: int, new: int, wanted: Sequence[str] | None = None) -> Changed | None:
    """What changed from snapshot `old` to `new`, rows with the `wanted` columns; None where files do not tell.

    They do not when contents were replaced as a whole, when files were compacted that had changed since `old`, or when
    `old` has expired.
    """
    try:
        before, after = tables.plan(name, tables.alike(name, old, new)), tables.plan(name, new)
    except WarehouseError:
        return None
    there = {one.file_path for one in before.data}
    added = tuple(one for one in after.data if one.file_path not in there)
    stayed = len(after.data) - len(added) == len(before.data) and {*before.deletes} <= {*after.deletes}
    if not stayed:
        return None
    came = scan.relation(dataclasses.replace(after, data=added), wanted)
    rows = sum(one.record_count for one in added)
    return Changed(came, rows, before, tuple(one for one in after.deletes if one not in {*before.deletes}))
