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
from warehouse.keyed import CHECK, NUMBER, OWN, SAME, SOURCE, DamagedTwinError, Hashes, Lens, Numbers, Twin, different
from warehouse.moved import NEW, OLD, Between, files_of
from warehouse.site import name as name_of
from warehouse.sql import literal, quote

FOLDER = "keyed"  # below the warehouse's own folder on this machine; a folder for each library and table in it
PATH, PLACE = "filename", "file_row_number"
SHARE = 10  # of a file's rows; more than one in so many are read faster with the file
Places = Mapping[str, Numbers]  # by what DuckDB calls a file: numbers of rows, each once, in order


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows of a twin that are wanted, and whether they are in the old snapshot, and in the new one."""

    twin: Twin
    numbers: Numbers
    flags: tuple[bool, bool]


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
    shaped = crosswalk.typed(standard, contribution, SOURCE, wanted, more=(*keyed.texts(wanted), NUMBER))
    return Lens(schema, wanted, shaped, found)


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


class Pair:
    """A contribution's table at two snapshots, and the columns that are read of it.

    `number` tells the temporary relations of one contribution from another's. `read_moved` comes first.
    """

    def __init__(self, number: int, between: Between, columns: tuple[str, ...], twins: Twins) -> None:
        self.number, self.between, self.columns, self.twins = number, between, columns, twins
        self._old, self._new = files_of(between.old), files_of(between.new)
        self._gone: Mapping[str, Places] = {OLD: {}, NEW: {}}

    @property
    def moved(self) -> str:
        """The temporary view of rows that only one snapshot has, as `read_moved` made it; with OLD and NEW."""
        return f"_moved_{self.number}"

    def read_moved(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make `moved`, with the place of each row."""
        before, after = (gone(connection, one.deletes) for one in (self.between.old, self.between.new))
        self._gone = {OLD: before, NEW: after}
        parts, wanted = [self._nothing()], []
        for flag, plan, files, others in (
            (OLD, self.between.old, self._old, self._new),
            (NEW, self.between.new, self._new, self._old),
        ):
            lone = [one for path, one in files.items() if path not in others]
            if lone:
                deletes = plan.deletes if any(name_of(one.file_path) in self._gone[flag] for one in lone) else ()
                said = f"{str(flag == OLD).lower()} AS {OLD}, {str(flag == NEW).lower()} AS {NEW}"
                parts.append(self._kept(connection, f"lone{flag}", self._query(lone, said, deletes)))
        for path in self._old.keys() & self._new.keys():
            # What a rollback brings back was deleted before.
            went, came = (_apart(one.get(path), other.get(path)) for one, other in ((after, before), (before, after)))
            count, twin = len(went) + len(came), self.twins.there.get(path)
            if count and twin is not None and count * SHARE <= self._old[path].record_count:
                wanted += [Wanted(twin, went, (True, False)), Wanted(twin, came, (False, True))]
            elif count:
                parts.append(self._kept(connection, f"read_{len(parts)}", self._fresh(connection, path, went, came)))
        parts += fetch(connection, self.twins.lens, wanted, self.moved)
        self._begin(connection, self.moved, parts)

    def read_both(self, connection: duckdb.DuckDBPyConnection, into: str, where: str, asked: Mapping[str, str]) -> None:
        """Make a view of rows that both snapshots have: all that meet `where` (about `r`), and perhaps others.

        `asked` says the same for twins: by the name a row is found by, SQL of its texts.
        """
        parts, left = self._fetched(connection, into, asked)
        if left:
            dead = [(path, places) for some in self._gone.values() for path, places in some.items()]
            told = [pa.table({PATH: [path] * len(places), PLACE: places}) for path, places in dead if len(places)]
            if told:
                connection.register(f"{into}_dead", pa.concat_tables(told))
            live = f" AND (r.{PATH}, r.{PLACE}) NOT IN (FROM {into}_dead)" if told else ""
            query = f"{self._query(left, f'true AS {OLD}, true AS {NEW}')} WHERE ({where}){live}"
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {into}_read AS {query}")
            parts.append(f"FROM {into}_read")
        self._begin(connection, into, [self._nothing(), *parts])

    def pointing(self, connection: duckdb.DuckDBPyConnection, asked: Mapping[str, str]) -> str:
        """SQL of rows of the new snapshot: all that one of the texts `asked` for finds, and perhaps others."""
        into, listed = f"_pointing_{self.number}", ", ".join(quote(name) for name in self.columns)
        parts, left = self._fetched(connection, into, asked)
        self._begin(connection, into, [self._nothing(), *parts])
        queries = [f"SELECT {listed} FROM {into}", f"SELECT {listed} FROM {self.moved} WHERE {NEW}"]
        if left:
            schema = self.twins.lens.schema
            plan = dataclasses.replace(self.between.new, schema=schema, data=tuple(left))
            live = scan.located(plan, left, list(self.columns))
            moved = f"(r.{PATH}, r.{PLACE}) NOT IN (SELECT m.{PATH}, m.{PLACE} FROM {self.moved} m)"
            queries.append(f"SELECT {', '.join(f'r.{quote(one)}' for one in self.columns)} FROM {live} r WHERE {moved}")
        return f"({' UNION ALL '.join(queries)})"

    def _begin(self, connection: duckdb.DuckDBPyConnection, into: str, parts: Sequence[str]) -> None:
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {into} AS {' UNION ALL '.join(parts)}")

    def _nothing(self) -> str:
        plan = dataclasses.replace(self.between.new, schema=self.twins.lens.schema, data=(), deletes=())
        nothing = scan.relation(plan, list(self.columns))
        return f"SELECT *, '' AS {PATH}, 0::BIGINT AS {PLACE}, true AS {OLD}, true AS {NEW} FROM {nothing}"

    def _query(self, files: Sequence[DataFile], said: str, deletes: Sequence[str] = ()) -> str:
        """SQL of the rows of some files (`r`) that no position delete names, with their places and what is `said`."""
        schema = self.twins.lens.schema
        plan = dataclasses.replace(self.between.new, schema=schema, data=tuple(files), deletes=tuple(deletes))
        listed = ", ".join(f"r.{quote(one)}" for one in self.columns)
        source = scan.located(plan, files, list(self.columns))
        return f"SELECT {listed}, r.{PATH}, r.{PLACE}, {said} FROM {source} r"

    def _fresh(self, connection: duckdb.DuckDBPyConnection, path: str, went: Numbers, came: Numbers) -> str:
        """SQL of rows of a file that both snapshots have, of which one shows some and the other others."""
        table, old = f"_fresh_{self.number}", np.arange(len(went) + len(came)) < len(went)
        told = pa.table({"pos": np.concatenate([went, came]), OLD: pa.array(old), NEW: pa.array(~old)})
        connection.register(table, told)
        return f"{self._query([self._old[path]], f'd.{OLD}, d.{NEW}')} JOIN {table} d ON r.{PLACE} = d.pos"

    def _kept(self, connection: duckdb.DuckDBPyConnection, name: str, query: str) -> str:
        """SQL of what a query gives, which is read once."""
        made = f"{self.moved}_{name}"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {made} AS {query}")
        return f"FROM {made}"

    def _fetched(self, connection: duckdb.DuckDBPyConnection, into: str,
                 asked: Mapping[str, str]) -> tuple[list[str], list[DataFile]]:  # fmt: skip
        """SQL of rows that both snapshots have and that are asked for, of files with twins; the files that are left."""
        hashes = {name: hashes_of(connection, texts) for name, texts in asked.items()}
        many = sum(len(one) for one in hashes.values())
        left, wanted = [], []
        for path in (one for one in self._old if one in self._new):
            twin = self.twins.there.get(path)
            if twin is None or many * SHARE > self._old[path].record_count:
                left.append(self._old[path])
                continue
            numbers = different(np.concatenate([twin.find(name, some) for name, some in hashes.items()]))
            for places in self._gone.values():
                numbers = _apart(numbers, places.get(path))
            if len(numbers) * SHARE > self._old[path].record_count:
                left.append(self._old[path])
            else:
                wanted.append(Wanted(twin, numbers, (True, True)))
        return fetch(connection, self.twins.lens, wanted, into), left


def gone(connection: duckdb.DuckDBPyConnection, deletes: Sequence[str]) -> Places:
    """What position deletes name: by file the numbers of rows, each once, in order."""
    if not deletes:
        return {}
    table = connection.execute(f"SELECT path, pos FROM {scan.places(deletes)}").to_arrow_table()
    paths = table["path"].combine_chunks().dictionary_encode()
    of_path, numbers = paths.indices.to_numpy(), table["pos"].to_numpy()
    return {
        path: different(numbers[of_path == place].astype(np.int64))
        for place, path in enumerate(paths.dictionary.to_pylist())
    }


def _apart(numbers: Numbers | None, others: Numbers | None) -> Numbers:
    """The numbers that are not among the others, both each once and in order."""
    if numbers is None or others is None or not len(numbers) or not len(others):
        return np.empty(0, np.int64) if numbers is None else numbers
    at = np.searchsorted(others, numbers)
    kept: Numbers = numbers[others[np.minimum(at, len(others) - 1)] != numbers]
    return kept


def fetch(connection: duckdb.DuckDBPyConnection, lens: Lens, wanted: Sequence[Wanted], name: str) -> list[str]:
    """SQL of rows of twins: their columns, PATH, PLACE, OLD and NEW. Raises DamagedTwinError.

    `name` tells what is held of them from what other calls hold.
    """
    parts = []
    for number, (one, texts) in enumerate(zip(wanted, read(connection, lens, wanted), strict=True)):
        if len(texts):
            connection.register(f"{name}_{number}", texts)
            old, new = (str(flag).lower() for flag in one.flags)
            parts.append(
                f"SELECT {lens.values()}, {literal(one.twin.file)} AS {PATH}, {NUMBER} AS {PLACE}, {old} AS {OLD},"
                f" {new} AS {NEW} FROM {name}_{number}"
            )
    return parts


def read(connection: duckdb.DuckDBPyConnection, lens: Lens, wanted: Sequence[Wanted]) -> list[pa.Table]:
    """The rows of twins as texts (`keyed.texts`) with NUMBER. Raises DamagedTwinError."""
    every = [one.twin.rows(one.numbers) for one in wanted]
    for number, rows in enumerate(every):
        connection.register(f"_check_{number}", rows)
    told = " UNION ALL ".join(
        f"SELECT {number} FROM _check_{number} WHERE {SAME} <> {CHECK}"
        for number, rows in enumerate(every)
        if len(rows)
    )
    wrong = connection.execute(f"SELECT min(#1) FROM ({told})").fetchone() if told else None
    for number in range(len(every)):
        connection.unregister(f"_check_{number}")
    if wrong is not None and wrong[0] is not None:
        raise DamagedTwinError(wanted[wrong[0]].twin)
    return [one.twin.texts(rows, lens.columns) for one, rows in zip(wanted, every, strict=True)]


def places(connection: duckdb.DuckDBPyConnection, plan: scan.Plan, twins: Twins, keys: str) -> pa.Table | None:
    """Where the live rows of a library's records stand whose keys a query gives (key), as `positions.write` takes them.

    None where that does not come to one row for each key.
    """
    lens, dead = twins.lens, gone(connection, plan.deletes)
    asked = connection.execute(f"SELECT key FROM ({keys}) AS k(key) ORDER BY key").to_arrow_table()["key"]
    there = [twins.there[name_of(one.file_path)] for one in plan.data if name_of(one.file_path) in twins.there]
    hashes = hashes_of(connection, keys) if there else np.empty(0, np.uint64)
    wanted = [Wanted(one, _apart(one.find(OWN, hashes), dead.get(one.file)), (True, True)) for one in there]
    (text,) = keyed.texts(lens.columns)
    found: dict[str, Numbers] = {}
    for one, rows in zip(wanted, read(connection, lens, wanted), strict=True):
        right = pc.is_in(rows[text], value_set=asked.cast(rows[text].type)).to_numpy()
        found[one.twin.file] = one.numbers[right]
    scanned = [one for one in plan.data if name_of(one.file_path) not in twins.there]
    if scanned:
        source, key = scan.located(plan, scanned, list(lens.columns)), quote(lens.columns[0])
        rows = connection.execute(
            f"SELECT r.{PATH} AS path, r.{PLACE} AS pos FROM {source} r"
            f" SEMI JOIN (SELECT key FROM ({keys}) AS k(key)) w ON r.{key} = w.key ORDER BY ALL"
        ).to_arrow_table()
        for path in rows["path"].unique().to_pylist():
            found[path] = rows.filter(pc.equal(rows["path"], path))["pos"].to_numpy()
    if sum(map(len, found.values())) != len(asked):
        return None
    found = {path: rows for path, rows in found.items() if len(rows)}
    return positions.places(found) if found else pa.table({"file_path": [], "pos": []})


def hashes_of(connection: duckdb.DuckDBPyConnection, texts: str) -> Hashes:
    """The hashes of the texts a query gives, each once."""
    query = f"SELECT DISTINCT hash(t) AS h FROM ({texts}) AS s(t) WHERE t IS NOT NULL"
    return np.asarray(connection.execute(query).fetchnumpy()["h"], np.uint64)
