"""Put a merged library where it can be looked up: build its serving store, switch readers to it, record that."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import duckdb

from schemas.points import reached
from schemas.standard import Standard
from warehouse import changed, crosswalk, serving_build, serving_care, serving_changes, survivors
from warehouse.clock import now_text
from warehouse.errors import WarehouseError
from warehouse.lock import exclusive
from warehouse.merge import base_table
from warehouse.serving import Generation, TornGenerationError, current
from warehouse.serving_changes import Changes
from warehouse.sql import quote
from warehouse.state import Publication, State
from warehouse.tables import Tables

LOG = logging.getLogger(__name__)
MEMORY = "1GB"  # of DuckDB while a library is published; what does not fit is spilled
NAMES = (
    "ent_name",
    "name",
    "full_name",
)  # fields people look up by that identify nobody; identifiers come by themselves
_FORMAT = 2  # of serving files; another number publishes every library anew


class NotMergedError(WarehouseError):
    """The library has no released base table; the same call works once it has been merged."""

    retryable: ClassVar[bool] = True

    def __init__(self, library: str) -> None:
        super().__init__(
            "WH-NOT-MERGED",
            zh=f"基础库 {library} 尚无已发布的归并结果",
            en=f"library {library} has not been merged yet",
            fix_zh="先接入该库的资源，归并后再发布",
            fix_en="Ingest the library's resources and merge them, then publish",
        )


def publish(state: State, tables: Tables, folder: Path, library: str, standard: Standard,
            *, indexed: Sequence[str] | None = None, rebuild: bool = False) -> Publication:  # fmt: skip
    """Serve the released base table of a library from `folder`; nothing happens when it is served already.

    Where the table's files tell which rows changed since, and these are few, just they are written; otherwise, and with
    `rebuild`, and where the files in force are damaged, everything is. Readers keep what they have until it is done.
    `indexed` are the fields it can be looked up by besides its key; by default the standard's identifiers and names.
    A publish killed half way is completed, or dropped and done anew, by the next one. Raises NotMergedError.
    """
    names = tuple(standard.identifiers) + NAMES if indexed is None else tuple(indexed)
    indexed = tuple(dict.fromkeys(one.name for one in standard.fields if one.name in names))
    with exclusive(folder / f"{library}.lock"):
        release = state.release()
        pin = release.tables.get(base_table(library)) if release else None
        if release is None or pin is None:
            raise NotMergedError(library)
        serving = None if rebuild else serving_care.published(folder, library)
        plan = serving_build.Plan(
            library=library,
            key=crosswalk.key_of(standard),
            generation=_next(state, folder, library),
            indexed=indexed,
            embedded=(survivors.SOURCES,),
            release=release.id,
            snapshot=f"{pin.snapshot}-{_shape(standard, indexed)}",
            read={name: release.tables[name].snapshot for name in _read(library)},
            published_at=now_text(),
        )
        if serving is not None and serving.snapshot == plan.snapshot and serving_care.damages(folder, library):
            serving = None  # nothing has changed, so there is time to look at every byte
        if serving is None or serving.snapshot != plan.snapshot:
            serving = _write(tables, folder, standard, plan, serving)
            reached("publish.built")
            serving_care.switch(folder, library, serving.id)
        else:
            serving_care.sweep(folder, library)
        reached("publish.switched")
        publication = state.commit_publication(library, serving.id, serving.release, serving.rows)
        reached("publish.recorded")
        return publication


def _read(library: str) -> tuple[str, str]:
    """The tables a library is published from: its records, and who said what when."""
    return base_table(library), base_table(library) + "_attr"


def _write(tables: Tables, folder: Path, standard: Standard, plan: serving_build.Plan,
           before: Generation | None) -> Generation:  # fmt: skip
    """The next generation: just what changed since `before` where that can be told, else all of it."""
    base, said = _read(plan.library)
    served = [one.name for one in standard.fields] + [survivors.SOURCES, survivors.DEPARTMENTS]
    # Read through the snapshot: the table may have gained columns since it was released.
    there = {field.name for field in tables.plan(base, plan.read[base]).schema.fields}
    wanted = [name for name in served if name in there]
    with tables.connect(memory=MEMORY) as connection:
        connection.execute("SET preserve_insertion_order = false")
        if before is not None and _shape_of(before.snapshot) == _shape_of(plan.snapshot):
            fresh = _newer(connection, tables, said, plan, before)
            changes = _changes(connection, tables, base, wanted, plan=plan, before=before) if fresh else None
            if changes is not None and fresh is not None:
                made = _applied(folder, changes, replace(plan, freshness=fresh))
                if made is not None:
                    return made
        statements = tables.relation(said, plan.read[said], ["department", "observed_at"])
        listed = ", ".join(quote(name) for name in wanted)
        connection.execute(f"CREATE TEMP VIEW served AS SELECT {listed} FROM {tables.relation(base, plan.read[base])}")
        newest = _newest(connection, statements)
        return serving_build.build(folder, connection, "served", replace(plan, freshness=newest))


def _changes(connection: duckdb.DuckDBPyConnection, tables: Tables, base: str, wanted: Sequence[str], *,
             plan: serving_build.Plan, before: Generation) -> Changes | None:  # fmt: skip
    """What changed in the base table since the generation in force was read; None where its files do not tell."""
    found = changed.between(tables, base, before.read.get(base, 0), plan.read[base], wanted)
    if found is None or found.rows > serving_changes.MOST:
        return None
    connection.execute(f"CREATE TEMP TABLE came AS SELECT * FROM {found.came}")
    gone = found.gone(connection, [plan.key])
    connection.execute(f"CREATE TEMP TABLE gone AS SELECT DISTINCT {quote(plan.key)} FROM {gone}")
    return Changes(connection, "came", "gone")


def _applied(folder: Path, changes: Changes, plan: serving_build.Plan) -> Generation | None:
    """The changes on top of what is in force; None where that cannot be read any more, or they are too many."""
    try:
        return serving_changes.apply(folder, changes, plan)
    except TornGenerationError as error:
        LOG.warning("%s; it is built anew", error.en)
        return None


def _newer(connection: duckdb.DuckDBPyConnection, tables: Tables, said: str, plan: serving_build.Plan,
           before: Generation) -> dict[str, str] | None:  # fmt: skip
    """When each department's newest record landed, from the statements that came; None where files do not tell."""
    columns = ["department", "observed_at"]
    found = changed.between(tables, said, before.read.get(said, 0), plan.read[said], columns)
    if found is None:
        return None
    newest = _newest(connection, found.came)
    return {
        one: max(newest.get(one, ""), before.freshness.get(one, "")) for one in sorted({*newest, *before.freshness})
    }


def _newest(connection: duckdb.DuckDBPyConnection, statements: str) -> dict[str, str]:
    return dict(
        connection.execute(
            f"SELECT department, max(observed_at) FROM {statements} WHERE observed_at IS NOT NULL"
            " GROUP BY department ORDER BY department"
        ).fetchall()
    )


def _shape_of(snapshot: str) -> str:
    return snapshot.rpartition("-")[2]


def _next(state: State, folder: Path, library: str) -> int:
    """A number above every generation the library ever had, should the folder or the state database be new."""
    recorded = state.publication(library)
    there = serving_care.generations(folder / library)[:1]
    return max(current(folder / library), recorded.generation if recorded else 0, *there) + 1


def _shape(standard: Standard, indexed: Sequence[str]) -> str:
    told = [_FORMAT, standard.key, [(one.name, one.type) for one in standard.fields], indexed]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:12]
