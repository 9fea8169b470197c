"""Say what lies between two snapshots of a table: the rows that came and the rows that went, read from few files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
from pyiceberg.schema import Schema

from warehouse import scan
from warehouse.site import SCHEME, name
from warehouse.sql import literal, quote

OLD, NEW = "_in_old", "_in_new"  # columns: whether the row was in the old snapshot, and whether it is in the new one
_PATH, _ROW = "filename", "file_row_number"


@dataclass(frozen=True, slots=True)
class Between:
    """Two snapshots of one table; every row of either has a place (file, row) that tells in which of them it is."""

    old: scan.Plan
    new: scan.Plan

    @property
    def same(self) -> bool:
        """Whether they have the same files."""
        return _files(self.old) == _files(self.new) and self.old.deletes == self.new.deletes

    @property
    def rewritten(self) -> int:
        """Rows of the files that only one of them has: what has to be read to tell them apart."""
        there = _files(self.old), _files(self.new)
        every = (*self.old.data, *self.new.data)
        return sum(one.record_count for one in every if not (one.file_path in there[0] and one.file_path in there[1]))

    def columns(self) -> list[str]:
        """The columns of either snapshot: the older one has more where the newer goes back to an earlier state."""
        return [field.name for field in self._schema.fields]

    @property
    def _schema(self) -> Schema:
        return max(self.new.schema, self.old.schema, key=lambda one: len(one.fields))  # columns are only ever added

    def rows(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str], into: str, where: str) -> None:
        """Put the rows of either snapshot that meet `where` (about `r`) into a temporary table, with OLD and NEW.

        Files are read once, and deleted rows looked for among the rows found, not among all.
        """
        every = {one.file_path: one for one in (*self.old.data, *self.new.data)}
        self._located(connection, list(every), names, into, where)

    def moved(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str], into: str) -> None:
        """Put the rows that only one snapshot has into a temporary table, with OLD and NEW."""
        old, new = _files(self.old), _files(self.new)
        lone = [path for path in (*old, *new) if not (path in old and path in new)]
        self._located(connection, lone, names, into, "true")
        both = [path for path in old if path in new]
        fresh = sorted({*self.new.deletes} ^ {*self.old.deletes})  # what a rollback brings back was deleted before
        if both and fresh:
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE _fresh AS"
                f" SELECT DISTINCT {_local('d.file_path')} AS path, d.pos AS pos FROM read_parquet({_listed(fresh)}) d"
            )
            hit = {path for (path,) in connection.execute("SELECT DISTINCT path FROM _fresh").fetchall()}
            touched = [path for path in both if name(path) in hit]
            if touched:
                where = f"(r.{_PATH}, r.{_ROW}) IN (SELECT f.path, f.pos FROM _fresh f)"
                self._located(connection, touched, names, f"{into}_touched", where)
                connection.execute(f"INSERT INTO {into} FROM {into}_touched")
        connection.execute(f"DELETE FROM {into} WHERE {OLD} = {NEW}")

    def _located(self, connection: duckdb.DuckDBPyConnection, paths: Sequence[str], names: Sequence[str], into: str,
                 where: str) -> None:  # fmt: skip
        files = {one.file_path: one for one in (*self.old.data, *self.new.data)}
        chosen = [files[path] for path in paths]
        planned = dataclasses.replace(self.new, schema=self._schema, data=tuple(chosen), deletes=())
        listed = ", ".join(f"r.{quote(one)}" for one in names)
        if chosen:
            source = scan.located(planned, chosen, list(names))
            query = f"SELECT {listed}, r.{_PATH} AS {_PATH}, r.{_ROW} AS {_ROW} FROM {source} r WHERE {where}"
        else:
            nothing = scan.relation(dataclasses.replace(planned, data=()), list(names))
            query = f"SELECT {listed}, '' AS {_PATH}, 0::BIGINT AS {_ROW} FROM {nothing} r"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE _located AS {query}")
        flags = ", ".join(f"{_flag(one)} AS {flag}" for one, flag in ((self.old, OLD), (self.new, NEW)))
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {into} AS SELECT * EXCLUDE ({_PATH}, {_ROW}), {flags} FROM _located AS p"
        )


def _flag(planned: scan.Plan) -> str:
    """SQL of whether the row at p.filename, p.file_row_number is live in a snapshot."""
    if not planned.data:
        return "false"
    there = f"p.{_PATH} IN ({', '.join(literal(name(one.file_path)) for one in planned.data)})"
    if not planned.deletes:
        return there
    gone = f"SELECT {_local('d.file_path')}, d.pos FROM read_parquet({_listed(planned.deletes)}) d"
    return f"{there} AND (p.{_PATH}, p.{_ROW}) NOT IN ({gone})"


def _local(column: str) -> str:
    return f"CASE WHEN starts_with({column}, '{SCHEME}') THEN {column}[{len(SCHEME) + 1}:] ELSE {column} END"


def _files(planned: scan.Plan) -> dict[str, int]:
    return {one.file_path: one.record_count for one in planned.data}


def _listed(locations: Sequence[str]) -> str:
    return "[" + ", ".join(literal(name(one)) for one in locations) + "]"
