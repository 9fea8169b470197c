"""Say in SQL which rows of a table came and which went between two snapshots, whatever was compacted in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
from pyiceberg.manifest import DataFile

from warehouse import scan
from warehouse.scan import Plan
from warehouse.site import name
from warehouse.sql import quote


def between(
    connection: duckdb.DuckDBPyConnection, old: Plan, new: Plan, columns: Sequence[str], into: tuple[str, str]
) -> None:
    """Make two temporary tables: the rows only `new` has, and those only `old` has, by all of these columns.

    Files that both have are read only where deletes of one snapshot hit them, and then only the rows hit; the rows of
    the others are held against each other, so that what was merely written anew is in neither table.
    """
    old = dataclasses.replace(old, schema=new.schema)  # columns are only ever added
    was, now = _side(connection, old, new, columns), _side(connection, new, old, columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {into[0]} AS ({now}) EXCEPT ALL ({was})")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {into[1]} AS ({was}) EXCEPT ALL ({now})")


def _side(connection: duckdb.DuckDBPyConnection, this: Plan, other: Plan, columns: Sequence[str]) -> str:
    """SQL of the live rows of a snapshot that the other may not have."""
    there = {one.file_path for one in other.data}
    lone = tuple(one for one in this.data if one.file_path not in there)
    shared = [one for one in this.data if one.file_path in there]
    listed = ", ".join(f"r.{quote(column)}" for column in columns)
    query = f"SELECT {listed} FROM {scan.relation(dataclasses.replace(this, data=lone), columns)} r"
    theirs = [path for path in other.deletes if path not in {*this.deletes}]
    touched = _touched(connection, shared, theirs)
    if not touched:
        return query
    return (
        f"{query} UNION ALL SELECT {listed} FROM {scan.located(this, touched, list(columns))} r"
        f" SEMI JOIN {scan.places(theirs)} g ON r.filename = g.path AND r.file_row_number = g.pos"
    )


def _touched(
    connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile], deletes: Sequence[str]
) -> list[DataFile]:
    if not files or not deletes:
        return []
    hit = {path for (path,) in connection.execute(f"SELECT DISTINCT path FROM {scan.places(deletes)}").fetchall()}
    return [one for one in files if name(one.file_path) in hit]
