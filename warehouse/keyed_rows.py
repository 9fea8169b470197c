"""Rows of two snapshots of a table by key, identifier or place: from keyed twins of files, or by reading the files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema

from schemas.standard import Standard
from warehouse import crosswalk, keyed, positions, scan
from warehouse.crosswalk import LOOSE, Contribution
from warehouse.keyed import NUMBER, OWN, ROW, SOURCE, DamagedTwinError, Hashes, Lens, Numbers, Twin
from warehouse.moved import NEW, OLD, Between, files_of
from warehouse.site import name as name_of
from warehouse.sql import literal, quote

FOLDER = "keyed"  # below the warehouse's own folder on this machine; a folder for each library and table in it
PATH, PLACE = "filename", "file_row_number"
SHARE = 10  # of a file's rows; more than one in so many are read faster with the file
_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Twins:
    """The twins there are of a table's files, by what DuckDB calls the file."""

    lens: Lens
    there: Mapping[str, Twin]


def lens_of(standard: Standard, contribution: Contribution, schema: Schema) -> Lens:
    """How the files of a contribution are looked at: rows are found by key, or digest, and by identifiers."""
    names = [field.name for field in schema.fields]
    wanted = tuple(crosswalk.wanted(standard, contribution, names))
    found = {OWN: f"coalesce({crosswalk.OWN}, {LOOSE})"}
    found |= {one: crosswalk.identifier(standard, one) for one in crosswalk.weaker(standard)}
    return Lens(schema, wanted, crosswalk.typed(standard, contribution, SOURCE, wanted, more=(ROW, NUMBER)), found)


def lens_of_base(key: str, schema: Schema) -> Lens:
    """How the files of a library's records are looked at: where a key stands."""
    return Lens(schema, (key,), f"SELECT * FROM {SOURCE}", {OWN: quote(key)})


def folder_of(work: Path, library: str, table: str) -> Path:
    """Where the twins of a table's files lie that a library is merged with."""
    return work / FOLDER / library / table


def twins(folder: Path, files: Iterable[DataFile], lens: Lens) -> Twins:
    """The twins there are of these files."""
    if not folder.is_dir():
        return Twins(lens, {})
    digest = lens.digest()
    found = (keyed.opened(folder, one.file_path, digest) for one in files)
    return Twins(lens, {one.file: one for one in found if one is not None})


@dataclass(frozen=True, slots=True)
class Pair:
    """A contribution's table at two snapshots, and the columns that are read of it.

    `number` tells the temporary tables of one contribution from another's.
    """

    number: int
    between: Between
    columns: tuple[str, ...]
    twins: Twins

    @property
    def moved(self) -> str:
        """The temporary table of rows that only one snapshot has, as `read_moved` made it; with OLD and NEW."""
        return f"_moved_{self.number}"

    def read_moved(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make `moved`, with the place of each row."""
        for plan, dead in ((self.between.old, self._dead(OLD)), (self.between.new, self._dead(NEW))):
            gone = scan.places(plan.deletes) if plan.deletes else "(SELECT '' AS path, 0::BIGINT AS pos LIMIT 0)"
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {dead} AS SELECT DISTINCT path, pos FROM {gone}")
        old, new = files_of(self.between.old), files_of(self.between.new)
        self._begin(connection, self.moved)
        lone = [one for path, one in (old | new).items() if (path in old) != (path in new)]
        self._scan(connection, lone, self.moved, f"{OLD} <> {NEW}")
        # What a rollback brings back was deleted before.
        fresh = " UNION ALL ".join(
            f"(FROM {self._dead(one)} EXCEPT FROM {self._dead(other)})" for one, other in ((OLD, NEW), (NEW, OLD))
        )
        hit = connection.execute(f"SELECT path, count(*) FROM ({fresh}) GROUP BY path ORDER BY path").fetchall()
        for path, count in hit:
            if path not in old or path not in new:
                continue
            twin = self.twins.there.get(path)
            if twin is None or count * SHARE > old[path].record_count:
                places = f"r.{PLACE} IN (SELECT pos FROM ({fresh}) WHERE path = {literal(path)})"
                self._scan(connection, [old[path]], self.moved, f"{OLD} <> {NEW}", places)
                continue
            before, after = (self._gone(connection, one, path) for one in (OLD, NEW))
            fetch(connection, self.twins.lens, twin, np.setdiff1d(after, before), self.moved, (True, False))
            fetch(connection, self.twins.lens, twin, np.setdiff1d(before, after), self.moved, (False, True))

    def read_both(self, connection: duckdb.DuckDBPyConnection, into: str, where: str, asked: Mapping[str, str]) -> None:
        """Put rows that both snapshots have into a table: all that meet `where` (about `r`), and perhaps others.

        `asked` says the same for twins: by the name a row is found by, SQL of its texts.
        """
        self._begin(connection, into)
        self._scan(connection, self._fetched(connection, into, asked), into, f"{OLD} AND {NEW}", where)

    def pointing(self, connection: duckdb.DuckDBPyConnection, asked: Mapping[str, str]) -> str:
        """SQL of rows of the new snapshot: all that one of the texts `asked` for finds, and perhaps others."""
        into, listed = f"_pointing_{self.number}", ", ".join(quote(name) for name in self.columns)
        self._begin(connection, into)
        scanned = tuple(self._fetched(connection, into, asked))
        queries = [f"SELECT {listed} FROM {into}", f"SELECT {listed} FROM {self.moved} WHERE {NEW}"]
        if scanned:
            schema = self.twins.lens.schema
            plan = dataclasses.replace(self.between.new, schema=schema, data=scanned)
            live = scan.located(plan, scanned, list(self.columns))
            gone = f"(r.{PATH}, r.{PLACE}) NOT IN (SELECT m.{PATH}, m.{PLACE} FROM {self.moved} m)"
            queries.append(f"SELECT {', '.join(f'r.{quote(one)}' for one in self.columns)} FROM {live} r WHERE {gone}")
        return f"({' UNION ALL '.join(queries)})"

    def _dead(self, flag: str) -> str:
        """The temporary table of what a snapshot's position deletes name."""
        return f"_dead_{self.number}{flag}"

    def _gone(self, connection: duckdb.DuckDBPyConnection, flag: str, path: str) -> Numbers:
        query = f"SELECT pos FROM {self._dead(flag)} WHERE path = {literal(path)}"
        return np.asarray(connection.execute(query).fetchnumpy()["pos"], np.int64)

    def _begin(self, connection: duckdb.DuckDBPyConnection, into: str) -> None:
        plan = dataclasses.replace(self.between.new, schema=self.twins.lens.schema, data=(), deletes=())
        nothing = scan.relation(plan, list(self.columns))
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {into} AS SELECT *, '' AS {PATH}, 0::BIGINT AS {PLACE},"
            f" true AS {OLD}, true AS {NEW} FROM {nothing}"
        )

    def _scan(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: Sequence[DataFile],
        into: str,
        live: str,
        where: str = "true",
    ) -> None:
        if not files:
            return
        plan = dataclasses.replace(self.between.new, schema=self.twins.lens.schema, data=tuple(files), deletes=())
        listed = ", ".join(f"r.{quote(one)}" for one in self.columns)
        source = scan.located(plan, files, list(self.columns))
        flags = ", ".join(
            f"{_among(plan, 'r')} AND (r.{PATH}, r.{PLACE}) NOT IN (FROM {self._dead(flag)}) AS {flag}"
            for plan, flag in ((self.between.old, OLD), (self.between.new, NEW))
        )
        connection.execute(
            f"INSERT INTO {into} SELECT * FROM (SELECT {listed}, r.{PATH}, r.{PLACE}, {flags} FROM {source} r"
            f" WHERE {where}) WHERE {live}"
        )

    def _fetched(self, connection: duckdb.DuckDBPyConnection, into: str, asked: Mapping[str, str]) -> list[DataFile]:
        """Add rows that both snapshots have and that are asked for, of files with twins; the files that are left."""
        old, new = files_of(self.between.old), files_of(self.between.new)
        hashes = {name: _hashes(connection, texts) for name, texts in asked.items()}
        many, left = sum(len(one) for one in hashes.values()), []
        for path in (one for one in old if one in new):
            twin = self.twins.there.get(path)
            if twin is None or many * SHARE > old[path].record_count:
                left.append(old[path])
                continue
            numbers = np.unique(np.concatenate([twin.find(name, some) for name, some in hashes.items()]))
            for flag in (OLD, NEW):
                numbers = np.setdiff1d(numbers, self._gone(connection, flag, path), assume_unique=True)
            if len(numbers) * SHARE > old[path].record_count:
                left.append(old[path])
            else:
                fetch(connection, self.twins.lens, twin, numbers, into, (True, True))
        return left


def fetch(  # noqa: PLR0917 - which rows of which twin go where, and what is said of them
    connection: duckdb.DuckDBPyConnection,
    lens: Lens,
    twin: Twin,
    numbers: Numbers,
    into: str,
    flags: Sequence[bool] = (),
) -> None:
    """Add rows of a twin to a table (its columns, PATH, PLACE, and the flags). Raises DamagedTwinError."""
    for start in range(0, len(numbers), _AT_ONCE):
        rows = twin.rows(numbers[start : start + _AT_ONCE])
        connection.register("_fetched", rows)
        told = connection.execute(f"SELECT count(*) FROM _fetched WHERE hash({ROW}, {NUMBER}) <> _check").fetchone()
        if told != (0,):
            raise DamagedTwinError(twin)
        said = "".join(f", {one}" for one in flags)
        connection.execute(
            f"INSERT INTO {into} SELECT {lens.values('_values')}, {literal(twin.file)}, {NUMBER}{said}"
            f" FROM (SELECT from_json({ROW}, '[\"VARCHAR\"]') AS _values, {NUMBER} FROM _fetched)"
        )
        connection.unregister("_fetched")


def places(connection: duckdb.DuckDBPyConnection, plan: scan.Plan, twins: Twins, keys: str) -> pa.Table | None:
    """Where the live rows of a library's records stand whose keys a query gives (key), as `positions.write` takes them.

    None where that does not come to one row for each key.
    """
    key, lens = quote(twins.lens.columns[0]), twins.lens
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _standing ({key} VARCHAR, {PATH} VARCHAR, {PLACE} BIGINT)")
    hashes = _hashes(connection, keys)
    for file in plan.data:
        twin = twins.there.get(name_of(file.file_path))
        if twin is not None:
            fetch(connection, lens, twin, twin.find(OWN, hashes), "_standing")
    scanned = [one for one in plan.data if name_of(one.file_path) not in twins.there]
    if scanned:
        source = scan.located(dataclasses.replace(plan, deletes=()), scanned, list(lens.columns))
        connection.execute(
            f"INSERT INTO _standing SELECT r.{key}, r.{PATH}, r.{PLACE} FROM {source} r"
            f" SEMI JOIN (SELECT key FROM ({keys}) AS k(key)) w ON r.{key} = w.key"
        )
    found = connection.execute(
        f"SELECT p.{PATH} AS path, p.{PLACE} AS pos FROM _standing p SEMI JOIN (SELECT key FROM ({keys}) AS k(key)) w"
        f" ON p.{key} = w.key WHERE {_live(plan)} ORDER BY ALL"
    ).to_arrow_table()
    wanted = connection.execute(f"SELECT count(*) FROM ({keys})").fetchone()
    if wanted != (found.num_rows,):
        return None
    files = {}
    for path in found["path"].unique().to_pylist():
        files[path] = found.filter(pc.equal(found["path"], path))["pos"].to_numpy()
    return positions.places(files) if files else found.slice(0, 0)


def _hashes(connection: duckdb.DuckDBPyConnection, texts: str) -> Hashes:
    query = f"SELECT DISTINCT hash(t) AS h FROM ({texts}) AS s(t) WHERE t IS NOT NULL"
    return np.asarray(connection.execute(query).fetchnumpy()["h"], np.uint64)


def _live(planned: scan.Plan) -> str:
    """SQL of whether the row at p.filename, p.file_row_number is live in a snapshot."""
    there = _among(planned, "p")
    return f"{there} AND (p.{PATH}, p.{PLACE}) NOT IN {scan.places(planned.deletes)}" if planned.deletes else there


def _among(planned: scan.Plan, row: str) -> str:
    listed = ", ".join(literal(one) for one in files_of(planned))
    return f"{row}.{PATH} IN ({listed})" if listed else "false"
