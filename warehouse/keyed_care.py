"""Give the files a library is merged from the keyed twins they lack, and remove twins of files that are no more."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.manifest import DataFile

from schemas.errors import ShutongError
from warehouse import crosswalk, keyed, keyed_rows
from warehouse.keyed import Lens
from warehouse.library_job import BASE
from warehouse.library_state import newest
from warehouse.said import rules_of
from warehouse.state import State
from warehouse.tables import Tables

LOG = logging.getLogger(__name__)
LEAST = 20_000  # rows of a file; one with fewer is as quickly read
MEMORY = "1GB"  # of DuckDB


@dataclass(frozen=True, slots=True)
class Twinned:
    """What caring for a library's twins came to: rows of the twins made, how many were made, and how many went."""

    rows: int
    made: int
    removed: int


def keep_twins(state: State, tables: Tables, library: str, *, on: bool) -> None:
    """Tend a library's twins after a merge or a compaction.

    What was done already does not fail for it: an error is logged, and the next call tries again.
    """
    try:
        tend(state, tables, library, on=on)
    except ShutongError as error:
        LOG.warning("%s; the next merge tries again", error)


def tend(state: State, tables: Tables, library: str, *, on: bool = True) -> Twinned:
    """Bring a library's twins up to its newest merge; killed and called again it goes on with the next file.

    Not `on`: remove them all.
    """
    home = tables.folder / keyed_rows.FOLDER / library
    with tables.lock(f"keyed-{library}"):
        if not on:
            there = sum(1 for table in _folders(home) for _ in _folders(table))
            shutil.rmtree(home, ignore_errors=True)
            return Twinned(0, 0, there)
        rows = made = removed = 0
        kept = set()
        for table, files, lens in _wanted(state, tables, library):
            folder = keyed_rows.folder_of(tables.folder, library, table)
            large = [one for one in files if one.record_count >= LEAST and lens.usable]
            kept |= {keyed.place(folder, one.file_path) for one in large}
            for one in large:
                if keyed.opened(folder, one.file_path, lens.digest()) is None and _made(tables, folder, one, lens):
                    rows, made = rows + one.record_count, made + 1
        for folder in _folders(home):
            for twin in _folders(folder):
                if twin not in kept:
                    shutil.rmtree(twin, ignore_errors=True)
                    removed += 1
    return Twinned(rows, made, removed)


def _made(tables: Tables, folder: Path, file: DataFile, lens: Lens) -> bool:
    with tables.connect(MEMORY) as connection:
        twin = keyed.build(connection, folder, file, lens)
    return twin is not None


def _wanted(state: State, tables: Tables, library: str) -> Iterator[tuple[str, Sequence[DataFile], Lens]]:
    """Each table the newest merge read, and the one it made, with files and lens."""
    made = newest(state, library)
    if made is None:
        return
    standard, contributions = rules_of(made)
    for one in contributions:
        released = state.released(one.table)  # what landed since is what the next merge reads
        if tables.row_count(one.table, released) >= LEAST:
            plan = tables.plan(one.table, released)
            yield one.table, plan.data, keyed_rows.lens_of(standard, one, plan.schema)
    base = f"{BASE}.{library}"
    if tables.row_count(base, made.snapshot) >= LEAST:
        plan = tables.plan(base, made.snapshot)
        yield base, plan.data, keyed_rows.lens_of_base(crosswalk.key_of(standard), plan.schema)


def _folders(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
