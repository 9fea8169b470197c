"""Take a bundle that a partner signed: everything is verified first, and becomes visible together or not at all."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.points import reached
from schemas.standard import Standard
from schemas.values import Json
from warehouse import bundle_errors
from warehouse.bundle_file import GONE, MERGE, ROWS, Bundle, Member, Part, Reading
from warehouse.bundle_keys import Keys
from warehouse.bundle_manifest import merged
from warehouse.bundle_parts import RECORDS, SAID, said_table, shape, table_of
from warehouse.bundle_state import BundleState, Origin, as_told, came_by, run_of
from warehouse.clock import now_text
from warehouse.crosswalk import sql_type
from warehouse.faults import room
from warehouse.library_state import LibraryState, Made, newest
from warehouse.merge import RUN
from warehouse.site import FolderSite
from warehouse.sql import quote
from warehouse.state import State
from warehouse.survivors import DEPARTMENTS, SOURCES
from warehouse.tables import Staged, Tables

MEMORY = "700MB"  # of DuckDB; what does not fit is spilled
_SLACK = 1.2  # how much larger files may be here than they came
_NO_ROWS = (
    duckdb.BinderException,
    duckdb.InvalidInputException,
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    KeyError,
)  # what a file raises that is none of rows, or not of those columns
Told = Callable[[int], None]  # how many bytes were read so far, of twice those the file has


@dataclass(frozen=True, slots=True)
class Taken:
    """How an import came out: `changed` is false where the very bundle was imported before."""

    bundle: Bundle
    library: str
    sender: str
    records: int
    changed: bool
    release: int | None


def take(  # noqa: PLR0917 - what, where to, and what opens it
    state: State, tables: Tables, got: Reading, library: str, standard: Standard, keys: Keys, *,
    told: Told = lambda _: None,
) -> Taken:  # fmt: skip
    """Import an opened bundle as the library of that name and release it.

    Killed at any point and called again it goes on with the first table that is not whole; readers see what stood
    before until everything stands. Raises WH-BUNDLE-… errors, having changed nothing that anybody sees.
    """
    bundle = got.bundle
    if (bundle.standard, bundle.shape) != (standard.id, shape(standard)):
        raise bundle_errors.other_standard(library, bundle.standard, standard.id)
    got.open_with(keys)
    with tables.lock(f"merge-{library}") as still_alone:
        if BundleState(state.engine).taken(bundle.id):
            return Taken(bundle, library, got.signer, _records(bundle), changed=False, release=None)
        _refuse_out_of_order(state, library, bundle)
        _refuse_without_room(tables, bundle)
        got.verify(told)
        said = merged(b"".join(got.content(bundle.of("", MERGE)[0])))
        reached("import.verified")
        run = run_of(bundle.id)
        with room(str(tables.folder)):
            made = _landed(state, tables, got, standard, library, run, said, told)
        reached("import.committed")
        names = [table_of(library, one.table) for one in bundle.parts]
        pins = {name: tables.pin(name, head.snapshot) for name in names if (head := tables.head(name))}
        still_alone()
        number = state.commit_release(run, pins, kind="merge").id
        reached("import.released")
        return Taken(bundle, library, got.signer, int(cast("int", made.told["records"])), changed=True, release=number)


def _records(bundle: Bundle) -> int:
    return sum(one.rows for one in bundle.parts if one.table == RECORDS)


def _refuse_out_of_order(state: State, library: str, bundle: Bundle) -> None:
    made = newest(state, library)
    came = came_by(made) if made else None
    if made is not None and came is None:
        raise bundle_errors.own_library(library)
    if bundle.previous is not None and (came is None or came.bundle != bundle.previous):
        raise bundle_errors.wrong_order(bundle.id, bundle.previous, came.bundle if came else None)
    if bundle.previous is None and came is not None and came.merged_at > bundle.merged_at:
        raise bundle_errors.older(bundle.id, bundle.merged_at, came.bundle)


def _refuse_without_room(tables: Tables, bundle: Bundle) -> None:
    """One member lies here twice, decrypted and as a table's file; on a folder the files stay."""
    needed = 2 * max((one.plain for one in bundle.members), default=0)
    if isinstance(tables.site, FolderSite):
        needed += int(bundle.plain_bytes * _SLACK)
    free = shutil.disk_usage(tables.folder).free
    if free < needed:
        raise bundle_errors.no_room(str(tables.folder), needed, free)


def _landed(  # noqa: PLR0917 - what, where to, and under which names
    state: State,
    tables: Tables,
    got: Reading,
    standard: Standard,
    library: str,
    run: str,
    said: Mapping[str, Mapping[str, Json]],
    told: Told,
) -> Made:
    """Commit every table, none of them visible yet, and remember what merge they are."""
    bundle = got.bundle
    release = state.release()
    stands = {name: pin.snapshot for name, pin in release.tables.items()} if release else {}
    made = newest(state, library)
    for name, read in (made.inputs if made else {}).items():  # a rollback leaves in them what came since
        stands[name] = tables.alike(name, read, stands.get(name, read))
    looked = [sum(one.size for one in bundle.members)]
    snapshots: dict[str, int] = {}
    with _folder(tables, library) as folder:
        for one in bundle.parts:
            name = table_of(library, one.table)
            head = tables.head(name)
            if head is None or head.summary.get(RUN) != run:
                if tables.exists(name):
                    tables.rollback_to(name, stands.get(name))
                _commit(tables, got, standard, one, name, run, folder, looked, told)
            head = tables.head(name)
            found = tables.row_count(name, head.snapshot) if head else 0
            if found != one.rows:
                tables.rollback_to(name, stands.get(name))
                raise bundle_errors.differs(library, one.table, found, one.rows)
            if head is not None:
                snapshots[one.table] = head.snapshot
    made = _made(got, library, run, said, snapshots)
    LibraryState(state.engine).record(made)
    return made


def _commit(  # noqa: PLR0917 - from where, what, to where
    tables: Tables, got: Reading, standard: Standard, one: Part, name: str, run: str, folder: Path, looked: list[int],
    told: Told,
) -> None:  # fmt: skip
    staged: list[Staged] = []
    for member in got.bundle.of(one.table, ROWS):
        with _unpacked(got, member, folder) as file, _readable(member), tables.connect(MEMORY) as connection:
            rows = connection.read_parquet(str(file))
            if one.table == RECORDS:
                rows = of_standard(rows, standard, member)
            tables.ensure(name, rows.limit(0).to_arrow_table().schema)
            staged.append(tables.stage(name, rows, sort=one.sort))
        looked[0] += member.size
        told(looked[0])
    reached("import.staged")
    files = tuple(file for each in staged for file in each.files)
    every = Staged(name, files, sum(each.rows for each in staged))
    if not one.whole and one.key:
        gone = [_keys(got, member, folder) for member in got.bundle.of(one.table, GONE)]
        every = dataclasses.replace(every, replaced=pa.concat_tables(gone))
    tables.commit(every, {RUN: run}, key=() if one.whole else one.key, whole=one.whole)


def of_standard(rows: duckdb.DuckDBPyRelation, standard: Standard, member: Member) -> duckdb.DuckDBPyRelation:
    """The records with the columns of the standard and no other; WH-BUNDLE-DAMAGED where one is not there as it is."""
    wanted = {one.name: sql_type(standard, one.name) for one in standard.fields}
    wanted |= {SOURCES: "VARCHAR", DEPARTMENTS: "VARCHAR[]"}
    found = {name: str(kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
    for name, kind in wanted.items():
        if found.get(name) != kind.replace(", ", ","):
            there = found.get(name)
            raise bundle_errors.damaged(
                f"成员 {member.name} 的列 {name} 应为 {kind}，实为 {there or '没有'}",
                f"column {name} of its member {member.name} should be {kind} and is {there or 'missing'}",
            )
    return rows.project(", ".join(map(quote, wanted)))


def _keys(got: Reading, member: Member, folder: Path) -> pa.Table:
    with _unpacked(got, member, folder) as file, _readable(member):
        return pq.read_table(file)


@contextmanager
def _readable(member: Member) -> Iterator[None]:
    """What was signed may still be no file of rows, or lack the columns that its manifest names."""
    try:
        yield
    except (*_NO_ROWS, duckdb.Error, OSError) as error:
        # What cannot be decompressed has no kind of its own; a disk or a memory that is full has, or a number.
        garbled = type(error) is duckdb.Error or (isinstance(error, OSError) and error.errno is None)
        if not garbled and not isinstance(error, _NO_ROWS):
            raise
        raise bundle_errors.damaged(
            f"成员 {member.name} 不是清单所述的数据", f"its member {member.name} does not hold what its manifest says"
        ) from error


def _made(got: Reading, library: str, run: str, said: Mapping[str, Mapping[str, Json]],
          snapshots: Mapping[str, int]) -> Made:  # fmt: skip
    """The merge as it was made there, reading the rows that came along."""
    bundle = got.bundle
    rules = dict(said["rules"])
    contributions = cast("list[dict[str, Json]]", rules["contributions"])
    named = {str(one["resource"]): said_table(library, str(one["resource"])) for one in contributions}
    rules["contributions"] = [{**one, "table": named[str(one["resource"])]} for one in contributions]
    inputs = {table: snapshots[SAID + resource] for resource, table in named.items() if SAID + resource in snapshots}
    came = Origin(bundle.id, got.signer, bundle.standard, bundle.merged_at, bundle.began, now_text())
    told = {**said["told"], "bundle": as_told(came)}
    return Made(library, run, snapshots[RECORDS], bundle.merged_at, rules, inputs, told)


@contextmanager
def _folder(tables: Tables, library: str) -> Iterator[Path]:
    """Where members lie while they are read, for our own eyes; what a killed import left there goes first."""
    folder = tables.folder / "bundles" / library
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _unpacked(got: Reading, member: Member, folder: Path) -> Iterator[Path]:
    file = folder / "member.parquet"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        for piece in got.content(member):
            out.write(piece)
    try:
        yield file
    finally:
        file.unlink()
